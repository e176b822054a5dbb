"""The dispatcher, the reconciler and the store of results against a real Redis: fair, bounded, idempotent, healing."""

import io
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import (
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    LedgerState,
    Merchant,
    Photo,
    Product,
    Purpose,
    Upload,
    UploadState,
)
from catalog.services.dispatch import (
    LOST_LIMIT,
    chunks_dispatch,
    leases_reconcile,
    reconcile,
    searches_expire,
    searches_resend,
)
from catalog.services.job import job_cancel, recognition_job_finish, search_job_create
from catalog.services.photo import photo_remove
from catalog.services.product import product_delete, product_update
from catalog.services.result import chunk_result_store, search_result_store
from catalog.services.upload import upload_create
from config.env import load_env
from workers import client
from workers.contract import (
    BULK_QUEUE,
    SEARCH_QUEUE,
    Candidate,
    ChunkResult,
    Fault,
    PhotoOutcome,
    Scores,
    SearchFilters,
    SearchResult,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def product(merchant):
    return Product.objects.create(merchant=merchant, sku="MUG-1", title="Sea green mug", price="14.90", currency="EUR")


@pytest.fixture
def worker_alive(redis_server, live_worker):
    live_worker("b1")
    return redis_server


def owe(merchant, count, *, product=None, purpose=Purpose.INDEX, **fields):
    rows = [
        Photo(merchant=merchant, product=product, purpose=purpose, sha256=uuid.uuid4().hex * 2, key="k", **fields)
        for _ in range(count)
    ]
    return Photo.objects.bulk_create(rows)


def queue_length(server, queue):
    with server.client() as client:
        return client.llen(queue)


def result_for(photo, **outcome):
    return ChunkResult(
        chunk_id=photo.chunk_id,
        worker="worker-1",
        bundle_version="b1",
        calibrated=True,
        purpose=photo.purpose,
        outcomes=(PhotoOutcome(photo_id=photo.pk, **outcome),),
        seconds=0.1,
    )


def candidate(product, probability=0.93):
    return Candidate(
        product_id=product.pk,
        photo_id=uuid.uuid4(),
        scores=Scores(rank=0.8, image=0.8, fused=0.7),
        probability=probability,
        match="same",
    )


def test_the_window_bounds_what_is_in_flight(worker_alive, merchant):
    owe(merchant, 200)
    assert chunks_dispatch() == 4
    assert Counter(Photo.objects.values_list("state", flat=True)) == {"dispatched": 128, "pending": 72}
    assert queue_length(worker_alive, BULK_QUEUE) == 4
    assert chunks_dispatch() == 0


def test_merchants_take_turns_whatever_they_owe(worker_alive, merchant):
    others = [Merchant.objects.create(slug=f"m{n}", name=f"M{n}") for n in range(2)]
    owe(merchant, 500)
    for other in others:
        owe(other, 10)
    assert chunks_dispatch() == 4
    chunks = (
        Photo.objects.filter(state=LedgerState.DISPATCHED)
        .values_list("merchant__slug", "chunk_id")
        .order_by()
        .distinct()
    )
    assert Counter(slug for slug, _ in chunks) == {"harbour": 2, "m0": 1, "m1": 1}


def recognition(merchant, items):
    return Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION, request={"items": items})


def chunk_sizes():
    chunks = Photo.objects.filter(state=LedgerState.DISPATCHED).values_list("chunk_id", flat=True)
    return sorted(Counter(chunks).values())


@pytest.mark.parametrize(("chunk_size", "many"), [("32", 4), ("20", 2), ("5", 1)])
def test_a_chunk_carries_few_photos_that_are_searched_for_many(worker_alive, merchant, setting, chunk_size, many):
    setting("VITRINE_CHUNK_SIZE", chunk_size)
    owe(merchant, 40, purpose=Purpose.RECOGNISE, job=recognition(merchant, "many"))
    assert chunks_dispatch() == 4
    assert chunk_sizes() == [many] * 4


def test_photos_of_one_thing_fill_what_those_of_many_leave(worker_alive, merchant):
    one, many = (recognition(merchant, items) for items in ("one", "many"))
    for job, count in ((one, 10), (many, 2), (one, 60)):
        owe(merchant, count, purpose=Purpose.RECOGNISE, job=job)
    assert chunks_dispatch() == 3
    assert chunk_sizes() == [18, 22, 32]


def test_nothing_is_leased_while_no_worker_is_alive(redis_server, merchant):
    owe(merchant, 5)
    assert chunks_dispatch() == 0
    assert Photo.objects.filter(state=LedgerState.PENDING).count() == 5


def test_nothing_is_leased_while_redis_is_away(merchant):
    owe(merchant, 5)
    assert chunks_dispatch() == 0
    assert Photo.objects.filter(state=LedgerState.PENDING).count() == 5


def test_a_chunk_holds_one_purpose(worker_alive, merchant, product):
    owe(merchant, 3, product=product)
    owe(merchant, 3, product=product, purpose=Purpose.FORGET)
    assert chunks_dispatch() == 2
    for chunk_id in Photo.objects.values_list("chunk_id", flat=True).distinct():
        assert Photo.objects.filter(chunk_id=chunk_id).values("purpose").distinct().count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the plan is read as SQLite tells it")
def test_the_next_chunk_is_read_from_an_index_in_its_order_however_many_are_owed_from_one_moment_on(
    worker_alive, merchant, product
):
    owe(merchant, 3, product=product)
    with CaptureQueriesContext(connection) as seen:
        assert chunks_dispatch() == 1
    (read,) = [query["sql"] for query in seen if ' ORDER BY "catalog_photo"."queued_at"' in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {read}")
        plan = [words for _, parent, _, words in cursor.fetchall() if parent == 0]
    assert plan[0] == "SEARCH catalog_photo USING INDEX photo_owed_in_order (merchant_id=?)"
    assert not any("TEMP B-TREE" in words for words in plan)


def test_a_lost_lease_heals(worker_alive, merchant):
    now = timezone.now()
    owe(merchant, 2, state=LedgerState.DISPATCHED, lease_until=now - timedelta(seconds=1))
    owe(merchant, 1, state=LedgerState.DISPATCHED, lease_until=now + timedelta(seconds=60))
    assert leases_reconcile(now=now) == (0, 2)
    assert Counter(Photo.objects.values_list("state", "attempts")) == {("pending", 1): 2, ("dispatched", 0): 1}


def test_a_photo_that_kills_workers_travels_alone_and_is_given_up(worker_alive, merchant):
    (poison,) = owe(merchant, 1, attempts=2)
    owe(merchant, 3)
    assert chunks_dispatch() == 2
    poison.refresh_from_db()
    assert Photo.objects.filter(chunk_id=poison.chunk_id).count() == 1
    late = timezone.now() + timedelta(hours=1)
    Photo.objects.filter(pk=poison.pk).update(attempts=LOST_LIMIT - 1)
    assert leases_reconcile(now=late) == (1, 3)
    poison.refresh_from_db()
    assert (poison.state, poison.error_code) == (LedgerState.FAILED, "worker_lost")


def test_a_photo_that_kills_workers_and_stands_behind_others_does_not_come_with_them(worker_alive, merchant):
    owe(merchant, 1)
    (poison,) = owe(merchant, 1, attempts=2)
    owe(merchant, 2)
    assert chunks_dispatch() == 2
    alone = Photo.objects.get(pk=poison.pk).chunk_id
    assert Counter(Photo.objects.values_list("chunk_id", flat=True))[alone] == 1


def test_a_result_is_stored_once(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product)
    chunks_dispatch()
    photo.refresh_from_db()
    result = result_for(photo, width=640, height=480)
    stored = chunk_result_store(result=result)
    assert (stored.stored, stored.ignored) == (1, 0)
    photo.refresh_from_db()
    assert (photo.state, photo.width, photo.height, photo.bundle_version) == (LedgerState.DONE, 640, 480, "b1")
    again = chunk_result_store(result=result)
    assert (again.stored, again.ignored) == (0, 1)


def test_a_result_that_is_merely_late_is_welcome(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product)
    chunks_dispatch()
    leases_reconcile(now=timezone.now() + timedelta(hours=1))
    photo.refresh_from_db()
    assert photo.state == LedgerState.PENDING
    chunk_result_store(result=result_for(photo))
    photo.refresh_from_db()
    assert photo.state == LedgerState.DONE


def test_a_photo_that_changes_while_with_a_worker_is_owed_again_after_the_answer(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product)
    chunks_dispatch()
    photo.refresh_from_db()
    product_update(product=product, values={"title": "Another title"})
    assert chunks_dispatch() == 0  # never twice with workers at the same time
    stored = chunk_result_store(result=result_for(photo))
    assert (stored.stored, stored.ignored) == (0, 1)
    first_chunk = photo.chunk_id
    assert chunks_dispatch() == 1
    photo.refresh_from_db()
    assert photo.chunk_id != first_chunk
    assert chunk_result_store(result=result_for(photo)).stored == 1
    photo.refresh_from_db()
    assert (photo.state, photo.changed) == (LedgerState.DONE, False)


def test_a_product_deleted_while_its_photo_is_with_a_worker_is_forgotten_afterwards(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product)
    chunks_dispatch()
    photo.refresh_from_db()
    indexed = result_for(photo)
    product_delete(product=product)
    assert chunk_result_store(result=indexed).ignored == 1
    assert chunks_dispatch() == 1
    photo.refresh_from_db()
    assert photo.purpose == Purpose.FORGET
    chunk_result_store(result=result_for(photo))
    assert not Product.objects.exists()


def test_a_changed_photo_whose_worker_died_is_owed_without_blame(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product)
    chunks_dispatch()
    photo.refresh_from_db()
    product_update(product=product, values={"title": "Another title"})
    leases_reconcile(now=timezone.now() + timedelta(hours=1))
    assert chunk_result_store(result=result_for(photo)).ignored == 1
    photo.refresh_from_db()
    assert (photo.state, photo.changed, photo.attempts) == (LedgerState.PENDING, False, 0)


@pytest.mark.parametrize(
    ("kind", "attempts", "state", "left"),
    [
        ("client", 0, "failed", 0),
        ("retry", 0, "pending", 0),
        ("retry", 2, "pending", 2),
        ("bug", 0, "pending", 1),
        ("bug", 2, "failed", 3),
    ],
)
def test_a_fault_is_treated_by_whose_it_is(worker_alive, merchant, product, kind, attempts, state, left):
    (photo,) = owe(merchant, 1, product=product, attempts=attempts)
    chunks_dispatch()
    photo.refresh_from_db()
    fault = Fault(code="photo_truncated", message="The photo ends early.", kind=kind, trace="Traceback")
    chunk_result_store(result=result_for(photo, fault=fault))
    photo.refresh_from_db()
    assert (photo.state, photo.attempts, photo.error_code) == (state, left, "photo_truncated")
    assert (photo.queued_at > timezone.now()) == (state == "pending")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("message_invalid", "retry"), ("message_invalid", "bug"), ("photo_bytes_unreadable", "retry")],
    ids=["message, this release", "message, the release before", "bytes"],
)
def test_what_no_worker_can_read_waits_a_lease_and_is_given_up_after_five(worker_alive, merchant, product, code, kind):
    (photo,) = owe(merchant, 1, product=product)
    fault = Fault(code=code, message="It cannot be read.", kind=kind, trace="Traceback")
    lease, seen = load_env().lease_seconds, []
    for _ in range(LOST_LIMIT):
        assert chunks_dispatch() == 1
        photo.refresh_from_db()
        chunk_result_store(result=result_for(photo, fault=fault))
        photo.refresh_from_db()
        seen.append((photo.state, photo.attempts, photo.error_code))
        if photo.state == LedgerState.PENDING:
            assert lease - 10 < (photo.queued_at - timezone.now()).total_seconds() <= lease
            Photo.objects.update(queued_at=timezone.now())
    waiting = [("pending", attempt, code) for attempt in range(1, LOST_LIMIT)]
    assert seen == [*waiting, ("failed", LOST_LIMIT, code)]


def test_a_photo_whose_message_could_not_be_read_is_done_by_another_worker(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product)
    chunks_dispatch()
    photo.refresh_from_db()
    chunk_result_store(result=result_for(photo, fault=Fault(code="message_invalid", message="x", kind="retry")))
    Photo.objects.update(queued_at=timezone.now())
    assert chunks_dispatch() == 1
    photo.refresh_from_db()
    chunk_result_store(result=result_for(photo))
    photo.refresh_from_db()
    assert (photo.state, photo.error_code, photo.error_trace) == (LedgerState.DONE, "", "")


def test_recognised_photos_become_items_once_a_bundle(worker_alive, merchant, product):
    job = Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION)
    sure, unsure, unknown = owe(merchant, 3, purpose=Purpose.RECOGNISE, job=job)
    chunks_dispatch()
    sure.refresh_from_db()
    result = ChunkResult(
        chunk_id=sure.chunk_id,
        worker="worker-1",
        bundle_version="b1",
        calibrated=True,
        purpose="recognise",
        seconds=0.1,
        outcomes=(
            PhotoOutcome(photo_id=sure.pk, verdict="SURE", reason="clear_match", candidates=(candidate(product),)),
            PhotoOutcome(photo_id=unsure.pk, verdict="REVIEW", candidates=(candidate(product, 0.4),)),
            PhotoOutcome(photo_id=unknown.pk, verdict="UNKNOWN"),
        ),
    )
    chunk_result_store(result=result)
    chunk_result_store(result=result)
    items = {item.photo_id: item for item in Item.objects.all()}
    assert len(items) == 3
    assert (items[sure.pk].state, items[sure.pk].product_id) == (ItemState.AUTO, product.pk)
    assert (items[unsure.pk].state, items[unsure.pk].best_product_id) == (ItemState.OPEN, product.pk)
    assert (items[unknown.pk].state, items[unknown.pk].best_product_id) == (ItemState.OPEN, None)
    job.refresh_from_db()
    assert job.state == JobState.DONE


def test_a_forgotten_photo_takes_its_row_bytes_and_deleted_product_along(worker_alive, merchant, product):
    (photo,) = owe(merchant, 1, product=product, purpose=Purpose.FORGET)
    Product.objects.filter(pk=product.pk).update(deleted_at=timezone.now())
    chunks_dispatch()
    photo.refresh_from_db()
    chunk_result_store(result=result_for(photo))
    assert not Photo.objects.exists()
    assert not Product.objects.exists()


def search(merchant, words="green mug"):
    return search_job_create(merchant=merchant, photo=None, words=words, filters=SearchFilters())


def answer(job, **fields):
    return SearchResult(job_id=job.pk, worker="worker-1", bundle_version="b1", calibrated=True, **fields)


def test_a_search_is_sent_on_commit(redis_server, merchant):
    job = search(merchant)
    assert queue_length(redis_server, SEARCH_QUEUE) == 1
    assert job.state == JobState.DISPATCHED


def test_a_search_without_redis_waits_and_is_sent_when_it_is_back(merchant, request):
    job = search(merchant)
    job.refresh_from_db()
    assert job.state == JobState.PENDING
    server = request.getfixturevalue("redis_server")
    assert searches_resend() == 1
    assert queue_length(server, SEARCH_QUEUE) == 1
    job.refresh_from_db()
    assert job.state == JobState.DISPATCHED


def test_a_search_past_its_deadline_expires(redis_server, merchant):
    job = search(merchant)
    assert searches_expire(now=timezone.now()) == 0
    assert searches_expire(now=timezone.now() + timedelta(minutes=5)) == 1
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.EXPIRED, "deadline_passed")
    assert search_result_store(result=answer(job)) is False


def test_a_search_result_is_stored_once(redis_server, merchant, product):
    job = search(merchant)
    assert search_result_store(result=answer(job, candidates=(candidate(product),), seconds=0.02)) is True
    assert search_result_store(result=answer(job)) is False
    job.refresh_from_db()
    assert (job.state, job.bundle_version, len(job.candidates)) == (JobState.DONE, "b1", 1)


def test_an_answer_fills_its_columns_and_writes_no_others(redis_server, merchant, product):
    job = search(merchant)
    found = answer(
        job,
        candidates=(candidate(product),),
        verdict="SURE",
        reason="photo_is_near",
        box=(0.1, 0.1, 0.9, 0.9),
        degraded=True,
        seconds=0.02,
    )
    with CaptureQueriesContext(connection) as queries:
        search_result_store(result=found)
    (written,) = [each["sql"] for each in queries if each["sql"].startswith("UPDATE")]
    assert '"candidates" = ' in written
    assert '"request" = ' not in written
    told = Job.objects.get(pk=job.pk)
    assert (told.verdict, told.reason, told.box) == ("SURE", "photo_is_near", [0.1, 0.1, 0.9, 0.9])
    assert (told.calibrated, told.degraded, told.worker, told.seconds) == (True, True, "worker-1", 0.02)
    assert (told.lease_until, told.finished_at is None) == (None, False)


@pytest.mark.parametrize(
    ("fields", "state", "code"),
    [
        ({"expired": True}, "expired", "deadline_passed"),
        ({"fault": Fault(code="photo_truncated", message="Ends early.", kind="client")}, "failed", "photo_truncated"),
        ({"fault": Fault(code="index_unavailable", message="Away.", kind="retry")}, "pending", ""),
        ({"fault": Fault(code="message_invalid", message="Differ.", kind="retry")}, "pending", ""),
        ({"fault": Fault(code="message_invalid", message="Differ.", kind="bug")}, "pending", ""),
    ],
)
def test_a_search_ends_as_its_answer_says(redis_server, merchant, fields, state, code):
    job = search(merchant)
    search_result_store(result=answer(job, **fields))
    job.refresh_from_db()
    assert (job.state, job.error_code) == (state, code)


def test_a_cancelled_recognition_sends_nothing_more(worker_alive, merchant):
    job = Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION)
    owe(merchant, 3, purpose=Purpose.RECOGNISE, job=job)
    assert job_cancel(job=job).state == JobState.CANCELLED
    assert chunks_dispatch() == 0
    recognition_job_finish(job_id=job.pk)
    job.refresh_from_db()
    assert job.state == JobState.CANCELLED


def test_a_recognition_whose_photos_were_all_deleted_ends(worker_alive, merchant):
    job = Job.objects.create(merchant=merchant, kind=JobKind.RECOGNITION, state=JobState.DISPATCHED)
    (photo,) = owe(merchant, 1, purpose=Purpose.RECOGNISE, job=job)
    photo_remove(photo=photo)
    reconcile()
    job.refresh_from_db()
    assert job.state == JobState.DONE


def test_an_archive_whose_import_died_at_the_end_goes_with_the_next_round(worker_alive, merchant):
    upload = upload_create(merchant=merchant, name="sheet.csv", stream=io.BytesIO(b"sku,title\nA,Thing\n"))
    kept = upload.source
    assert reconcile().archives_deleted == 0, "it is still to be read"
    Upload.objects.update(state=UploadState.DONE)
    assert client.photo_store().exists(kept)
    assert reconcile().archives_deleted == 1
    assert not client.photo_store().exists(kept)
    assert reconcile().archives_deleted == 0
