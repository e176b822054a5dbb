"""Things that happen at the same moment, and services that are away: nothing is lost, nobody waits in vain.

Those with two transactions need PostgreSQL (`.ci/with-postgres`): SQLite lets one write at a time.
"""

import shutil
import threading
import time
import uuid
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import (
    Decision,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    LedgerState,
    Photo,
    PhotoOrigin,
    Product,
    Purpose,
    Upload,
    UploadState,
    Verdict,
)
from catalog.services.dispatch import chunks_dispatch, leases_reconcile
from catalog.services.errors import Refused
from catalog.services.job import job_cancel
from catalog.services.photo import photo_add, photo_remove, photos_retry
from catalog.services.product import product_delete
from catalog.services.result import chunk_result_store
from catalog.services.review import item_accept
from catalog.services.upload import upload_create_from_folder, uploads_owed, uploads_wake
from catalog.tasks import import_upload, store_chunk_result
from tests.drawing import jpeg
from tests.uploads import archive, manifest, row, send
from workers import client
from workers.contract import COORDINATOR_QUEUE, ChunkResult, Fault, PhotoOutcome

pytestmark = pytest.mark.django_db(transaction=True)
two_at_once = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL (.ci/with-postgres)")


@pytest.fixture
def mug(merchant):
    return Product.objects.create(merchant=merchant, sku="MUG-1", title="Sea green mug")


@pytest.fixture
def worker_alive(redis_server, live_worker):
    live_worker("b1")
    return redis_server


def add(product, number=1, **fields):
    photo, _ = photo_add(
        merchant=product.merchant,
        product=product,
        data=jpeg(number),
        name=f"{number}.jpg",
        origin=PhotoOrigin.API,
        **fields,
    )
    return photo


def lent(photo, chunk_id=None, **fields):
    """The photo as it is while a worker has it."""
    fields |= {"state": LedgerState.DISPATCHED, "lease_until": timezone.now() + timedelta(minutes=2)}
    Photo.objects.filter(pk=photo.pk).update(chunk_id=chunk_id or uuid.uuid4(), **fields)
    photo.refresh_from_db()
    return photo


def result_for(*photos, **outcome):
    return ChunkResult(
        chunk_id=photos[0].chunk_id,
        worker="worker-1",
        bundle_version="b1",
        calibrated=True,
        purpose=photos[0].purpose,
        outcomes=tuple(PhotoOutcome(photo_id=photo.pk, **outcome) for photo in photos),
        seconds=0.1,
    )


@contextmanager
def meanwhile(call):
    """Run a call in a transaction of its own that stays open for the ``with`` block and is committed after it."""
    did, end, errors = threading.Event(), threading.Event(), []

    def run():
        try:
            with closing(connection), transaction.atomic():
                call()
                did.set()
                end.wait(20)
        except Exception as error:
            errors.append(error)
            did.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert did.wait(20)
    try:
        yield end.set
    finally:
        end.set()
        thread.join(20)
    assert errors == []


def soon(end):
    """Commit the other transaction in a moment, when the caller waits for it already."""
    threading.Timer(0.5, end).start()


@contextmanager
def storage_away():
    """A file lies where the folder of photos should be, as a mount that went wrong looks like."""
    root = Path(client.photo_store()._root)
    root.mkdir(parents=True, exist_ok=True)
    aside = root.with_name("photos-aside")
    shutil.move(root, aside)
    root.write_bytes(b"")
    try:
        yield
    finally:
        root.unlink()
        shutil.move(aside, root)


def test_a_storage_that_is_away_does_not_flood_the_queue(redis_server, merchant, tmp_path):
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "m.csv").write_bytes(manifest(row(f"A{number}", "a.jpg")))
        (folder / "a.jpg").write_bytes(jpeg(number))
        upload_create_from_folder(merchant=merchant, path=folder)
    uploads = list(Upload.objects.all())
    with redis_server.client() as redis, storage_away():
        assert redis.llen(COORDINATOR_QUEUE) == 3
        redis.delete(COORDINATOR_QUEUE)
        for _ in range(4):
            for upload in uploads:
                import_upload(str(upload.pk))
        assert redis.llen(COORDINATOR_QUEUE) == 0
        assert uploads_wake() == 0  # they wait for half a minute
    waits = [(left - timezone.now()).total_seconds() for left in Upload.objects.values_list("lease_until", flat=True)]
    assert all(20 < wait <= 30 for wait in waits)
    Upload.objects.update(lease_until=timezone.now())
    assert uploads_owed().count() == 3
    with redis_server.client() as redis:
        import_upload(str(uploads[0].pk))
        asked = redis.lrange(COORDINATOR_QUEUE, 0, -1)
        assert sum(b"import_upload" in message for message in asked) == 2  # one that is finished wakes the others
    assert Product.objects.count() == 1


def test_a_photo_for_a_product_deleted_meanwhile_is_refused(mug):
    add(mug)
    product_delete(product=Product.objects.get())
    before = list(Photo.objects.values())
    with pytest.raises(Refused) as refused:
        add(mug, 2)
    assert (refused.value.code, refused.value.status) == ("product_not_found", 404)
    assert list(Photo.objects.values()) == before


def recognised(merchant, product, number=50, **fields):
    job = Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION, state=JobState.DONE)
    photo, _ = photo_add(
        merchant=merchant, product=None, data=jpeg(number), name="shelf.jpg", origin=PhotoOrigin.API,
        purpose=Purpose.RECOGNISE, job=job,
    )  # fmt: skip
    return Item.objects.create(
        merchant=merchant, photo=photo, job=job, bundle_version="b1", verdict=Verdict.REVIEW, best_product=product,
        **fields,
    )  # fmt: skip


def test_a_product_deleted_meanwhile_gets_no_reference(merchant, mug):
    item = recognised(merchant, mug)
    add(mug)
    stale = Product.objects.get()
    product_delete(product=mug)
    with pytest.raises(Refused) as refused:
        item_accept(item=item, reviewer=None, product=stale)
    assert refused.value.code == "product_not_found"
    item.refresh_from_db()
    assert (item.state, item.photo.purpose, Decision.objects.count()) == (ItemState.OPEN, Purpose.RECOGNISE, 0)


def test_decisions_outlive_their_photo_and_their_product(merchant, mug):
    item, open_item = recognised(merchant, mug), recognised(merchant, mug, 51)
    item_accept(item=item, reviewer=None, reviewer_name="rita")
    product_delete(product=mug)
    chunk_result_store(result=result_for(lent(Photo.objects.get(product=mug))))
    photo_remove(photo=open_item.photo)
    assert not Photo.objects.exists()
    assert not Product.objects.exists()
    decision = Decision.objects.get()
    assert (decision.reviewer_name, decision.after["product"]) == ("rita", str(mug.pk))
    assert decision.item.photo is None
    assert list(Item.objects.all()) == [item]  # an undecided one has nothing left to decide on


@pytest.mark.parametrize("kind", ["retry", "bug"])
def test_a_cancelled_photo_that_a_worker_could_not_do_is_not_tried_again(merchant, mug, kind):
    job = recognised(merchant, mug).job
    Job.objects.update(state=JobState.DISPATCHED)
    photo = lent(job.photos.get())
    job_cancel(job=job)
    chunk_result_store(result=result_for(photo, fault=Fault(code="index_unavailable", message="Away.", kind=kind)))
    photo.refresh_from_db()
    assert photo.state == LedgerState.CANCELLED


def test_a_cancelled_photo_whose_lease_was_lost_is_not_tried_again(worker_alive, merchant, mug):
    job = recognised(merchant, mug).job
    Job.objects.update(state=JobState.DISPATCHED)
    photo = lent(job.photos.get())
    job_cancel(job=job)
    leases_reconcile(now=timezone.now() + timedelta(hours=1))
    assert chunks_dispatch() == 0
    photo.refresh_from_db()
    assert photo.state == LedgerState.CANCELLED


def test_a_reference_survives_the_cancelling_of_its_job(merchant, mug):
    item = recognised(merchant, mug)
    Job.objects.update(state=JobState.DISPATCHED)
    item_accept(item=item, reviewer=None)
    job_cancel(job=item.job)
    item.photo.refresh_from_db()
    assert (item.photo.state, item.photo.purpose) == (LedgerState.PENDING, Purpose.INDEX)


def test_no_photo_is_blamed_while_no_worker_is_alive(redis_server, live_worker, mug):
    photo = lent(add(mug), attempts=4)
    late = timezone.now() + timedelta(hours=1)
    assert leases_reconcile(now=late) == (0, 1)
    photo.refresh_from_db()
    assert (photo.state, photo.attempts) == (LedgerState.PENDING, 4)
    lent(photo)
    live_worker("b1")
    assert leases_reconcile(now=late) == (1, 0)


def test_no_photo_is_blamed_while_redis_is_away(mug):
    photo = lent(add(mug))
    assert leases_reconcile(now=timezone.now() + timedelta(hours=1)) == (0, 1)
    photo.refresh_from_db()
    assert (photo.state, photo.attempts) == (LedgerState.PENDING, 0)


def test_the_problem_of_a_photo_goes_when_a_later_try_succeeds(merchant):
    rows = manifest(row("A", "a.jpg|b.jpg|no.jpg"), row("B", "c.jpg"))
    upload = send(merchant, archive({"m.csv": rows} | {f"{name}.jpg": jpeg(n) for n, name in enumerate("abc", 60)}))
    chunk = uuid.uuid4()
    photos = [lent(photo, chunk) for photo in Photo.objects.all()]
    broken = Fault(code="internal_error", message="Broken.", kind="client")
    chunk_result_store(result=result_for(*photos, fault=broken))
    line = upload.rows.get(sku="A")
    assert [(each["code"], each["photo"]) for each in line.problems] == [
        ("photo_missing_in_archive", "no.jpg"), ("internal_error", "a.jpg"), ("internal_error", "b.jpg"),
    ]  # fmt: skip
    photos_retry(photos=Photo.objects.all())
    counts = []
    for some in (photos[:1], photos[1:]):
        chunk = uuid.uuid4()
        with CaptureQueriesContext(connection) as queries:
            for photo in some:
                lent(photo, chunk)
            before = len(queries)
            chunk_result_store(result=result_for(*some))
        counts.append(len(queries) - before)
    assert abs(counts[0] - counts[1]) <= 1  # the last one notices the end, too
    line.refresh_from_db()
    assert [each["code"] for each in line.problems] == ["photo_missing_in_archive"]
    assert upload.rows.get(sku="B").problems == []


def test_products_are_read_after_their_photos_are_locked(worker_alive, mug):
    add(mug)
    with CaptureQueriesContext(connection) as queries:
        assert chunks_dispatch() == 1
    statements = [query["sql"] for query in queries]
    assert not any('"catalog_photo"' in sql and '"catalog_product"."title"' in sql for sql in statements)
    assert any('"catalog_product"."title"' in sql for sql in statements)


@two_at_once
def test_no_insert_of_the_merchant_waits_for_dispatching(worker_alive, merchant, mug):
    add(mug)
    with meanwhile(chunks_dispatch), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        Product.objects.create(merchant=merchant, sku="NEW", title="New")
    assert Product.objects.count() == 2


@two_at_once
def test_of_two_last_chunks_at_once_the_second_notices_the_end(merchant, mug):
    job = Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION, state=JobState.DISPATCHED)
    upload = Upload.objects.create(merchant=merchant, name="u", source="", state=UploadState.PROCESSING, job=job)
    one, two = (lent(add(mug, number, upload=upload, job=job)) for number in (1, 2))
    with meanwhile(lambda: chunk_result_store(result=result_for(one))) as end:
        soon(end)
        chunk_result_store(result=result_for(two))
    upload.refresh_from_db()
    job.refresh_from_db()
    assert (upload.state, job.state) == (UploadState.DONE, JobState.DONE)


def forgotten_now(photo):
    """A worker's answer that is being stored: the row is deleted, and not committed."""
    photo_remove(photo=photo)
    return meanwhile(lambda: chunk_result_store(result=result_for(lent(photo))))


@two_at_once
def test_a_photo_added_while_it_is_forgotten_is_a_new_one(mug):
    photo = add(mug)
    with forgotten_now(photo) as end:
        soon(end)
        again = add(mug)
    assert again.pk != photo.pk
    assert list(Photo.objects.values_list("pk", "purpose", "state")) == [(again.pk, "index", "pending")]


@two_at_once
def test_a_photo_imported_while_it_is_forgotten_is_a_new_one(merchant):
    files = archive({"m.csv": manifest(row("A", "a.jpg")), "a.jpg": jpeg(1)})
    send(merchant, files)
    photo = Photo.objects.get()
    with forgotten_now(photo) as end:
        soon(end)
        send(merchant, files)
    assert list(Photo.objects.exclude(pk=photo.pk).values_list("purpose", "state")) == [("index", "pending")]
    assert Photo.objects.count() == 1


@two_at_once
def test_a_photo_added_while_its_product_is_deleted_is_refused(mug):
    add(mug)
    with meanwhile(lambda: product_delete(product=Product.objects.get())) as end:
        soon(end)
        with pytest.raises(Refused):
            add(mug, 2)
    assert Photo.objects.filter(purpose=Purpose.INDEX).count() == 0


@two_at_once
def test_forgetting_and_changing_a_product_lock_in_one_order(mug):
    photo, errors, locked = add(mug), [], threading.Event()
    product_delete(product=mug)
    lent(photo)

    def change():
        try:
            with closing(connection), transaction.atomic():
                held = Product.objects.select_for_update().get(pk=mug.pk)
                locked.set()
                time.sleep(0.5)  # the answer is being stored meanwhile
                product_delete(product=held)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    assert locked.wait(10)
    chunk_result_store(result=result_for(photo))  # a deadlock would end one of the two
    thread.join(20)
    assert errors == []


@two_at_once
def test_a_result_survives_a_database_that_went_away(mug):
    photo = lent(add(mug))

    def hold():
        Photo.objects.select_for_update().get(pk=photo.pk)

    def end_waiting(end):
        waiting = "wait_event_type = 'Lock' AND datname = current_database()"
        until = time.monotonic() + 15
        with closing(connection), connection.cursor() as cursor:
            while not ended and time.monotonic() < until:
                cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {waiting}")
                if cursor.rowcount:
                    ended.append(cursor.rowcount)
                time.sleep(0.05)
        end()

    ended = []
    with meanwhile(hold) as end:
        threading.Thread(target=end_waiting, args=[end]).start()
        store_chunk_result.apply(args=[result_for(photo).to_wire()])
    assert ended == [1]
    photo.refresh_from_db()
    assert photo.state == LedgerState.DONE
