"""The outbox: one event for each upload, job and decision that ends, in the same transaction, however often told."""

import io
import json
import uuid
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import (
    EventType,
    Job,
    JobState,
    LedgerState,
    Photo,
    Upload,
    UploadState,
    WebhookDelivery,
    WebhookEvent,
)
from catalog.services.dispatch import searches_expire
from catalog.services.errors import Refused
from catalog.services.job import job_cancel, recognition_job_finish
from catalog.services.result import chunk_result_store, search_result_store
from catalog.services.review import item_accept, item_correct, item_reject
from catalog.services.upload import upload_cancel, upload_create, upload_finish_if_done, upload_import
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_update
from catalog.services.webhooks.events import event_job_finished
from catalog.tasks import deliver_webhooks
from tests.api_support import API, Shop, candidate, search_result
from tests.drawing import jpeg
from tests.uploads import archive, manifest, row, send
from workers.contract import COORDINATOR_QUEUE, ChunkResult, Fault, PhotoOutcome

pytestmark = pytest.mark.django_db(transaction=True)
EVERYTHING = list(EventType.values)


@pytest.fixture
def endpoint(shop):
    made, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/hook", events=EVERYTHING)
    return made


def events(kind):
    """The data of every event of this type, and that each is owed once to each listener."""
    found = WebhookEvent.objects.filter(type=kind).order_by("created_at")
    bodies = [json.loads(each.body) for each in found]
    assert all(set(body) == {"type", "timestamp", "data"} and body["type"] == kind for body in bodies)
    return [body["data"] for body in bodies]


def result_of(photo):
    return ChunkResult(
        chunk_id=photo.chunk_id,
        worker="w1",
        bundle_version="b1",
        calibrated=True,
        purpose=photo.purpose,
        outcomes=(PhotoOutcome(photo_id=photo.pk, verdict="UNKNOWN"),),
        seconds=0.1,
    )


def lent(photo):
    chunk, until = uuid.uuid4(), timezone.now() + timedelta(minutes=2)
    Photo.objects.filter(pk=photo.pk).update(chunk_id=chunk, state=LedgerState.DISPATCHED, lease_until=until)
    photo.refresh_from_db()
    return photo


def test_a_search_that_ends_is_told_once(shop, endpoint):
    job, mug = shop.search(), shop.product()
    result = search_result(job, candidate(mug, shop.photo(mug)), verdict="SURE")
    for _ in range(3):
        search_result_store(result=result)
    job.refresh_from_db()
    assert events("job.finished") == [
        {
            "id": str(job.pk),
            "kind": "search",
            "state": "done",
            "verdict": "SURE",
            "error": None,
            "created_at": job.created_at.isoformat().replace("+00:00", "Z"),
            "finished_at": job.finished_at.isoformat().replace("+00:00", "Z"),
            "url": f"http://127.0.0.1:8000{API}/search-jobs/{job.pk}",
        }
    ]
    assert [each.endpoint for each in WebhookDelivery.objects.all()] == [endpoint]


def test_a_search_that_may_still_be_answered_is_not_told(shop, endpoint):
    job = shop.search()
    away = Fault(code="index_unavailable", message="Away.", kind="retry")
    assert search_result_store(result=search_result(job, fault=away))
    assert events("job.finished") == []
    broken = Fault(code="internal_error", message="Broken.", kind="bug")
    search_result_store(result=search_result(job, fault=broken))
    (data,) = events("job.finished")
    assert (data["state"], data["error"]) == ("failed", {"code": "internal_error", "message": "Broken."})


def test_an_expired_and_a_cancelled_search_are_told_once(shop, endpoint):
    late, unwanted = shop.search(), shop.search()
    job_cancel(job=unwanted)
    with pytest.raises(Refused):
        job_cancel(job=unwanted)
    for _ in range(2):
        searches_expire(now=timezone.now() + timedelta(hours=1))
    search_result_store(result=search_result(late))
    assert {(each["id"], each["state"]) for each in events("job.finished")} == {
        (str(unwanted.pk), "cancelled"),
        (str(late.pk), "expired"),
    }
    assert WebhookEvent.objects.count() == 2


def test_a_recognition_that_ends_is_told_once(shop, endpoint):
    job = shop.recognition((1, 1, 1), (2, 2, 2))
    results = [result_of(lent(photo)) for photo in job.photos.all()]
    chunk_result_store(result=results[0])
    assert events("job.finished") == []
    for _ in range(3):
        chunk_result_store(result=results[1])
        recognition_job_finish(job_id=job.pk)
    (data,) = events("job.finished")
    assert (data["kind"], data["state"], data["verdict"]) == ("recognition", "done", None)
    assert data["url"].endswith(f"{API}/recognition-jobs/{job.pk}")


def test_an_upload_that_ends_is_told_once(shop, endpoint):
    upload = send(shop.merchant, archive({"m.csv": manifest(row("A", "a.jpg")), "a.jpg": jpeg(1)}))
    assert events("upload.finished") == []
    chunk = result_of(lent(Photo.objects.get()))
    for _ in range(3):
        chunk_result_store(result=chunk)
        upload_finish_if_done(upload_id=upload.pk)
    (data,) = events("upload.finished")
    upload.refresh_from_db()
    assert (data["id"], data["state"], data["kind"]) == (str(upload.pk), "done", "catalogue")
    assert (data["rows_total"], data["rows_created"], data["rows_refused"]) == (1, 1, 0)
    assert data["finished_at"] == upload.finished_at.isoformat().replace("+00:00", "Z")


def test_uploads_that_fail_are_checked_only_or_cancelled_are_told(shop, endpoint):
    broken = send(shop.merchant, b"PK\x03\x04 this is no archive")
    checked = send(shop.merchant, archive({"m.csv": manifest(row("A", ""))}), dry_run=True)
    with_photos = archive({"a.jpg": jpeg(1)})
    recognised = send(shop.merchant, with_photos)
    upload_cancel(upload=recognised)
    upload_import(upload_id=recognised.pk)
    told = {each["id"]: (each["state"], each["dry_run"]) for each in events("upload.finished")}
    assert told == {
        str(broken.pk): ("failed", False),
        str(checked.pk): ("done", True),
        str(recognised.pk): ("cancelled", False),
    }
    recognised.refresh_from_db()
    assert [(each["id"], each["state"]) for each in events("job.finished")] == [(str(recognised.job_id), "cancelled")]


def test_decisions_are_told_once(shop, endpoint):
    mug = shop.product()
    accepted, corrected, rejected = shop.item(mug), shop.item(mug), shop.item(mug)
    item_accept(item=accepted, reviewer=None, reviewer_name="ana")
    with pytest.raises(Refused):
        item_reject(item=accepted, reviewer=None)
    item_correct(item=corrected, reviewer=None, product=mug)
    item_reject(item=rejected, reviewer=None)
    first, second, third = events("item.decided")
    assert (first["id"], first["action"], first["state"]) == (str(accepted.pk), "accept", "accepted")
    assert first["product"] == {"id": str(mug.pk), "sku": "MUG-1", "title": "Mug MUG-1"}
    assert (first["reference"], first["decided_by"], first["photo_id"]) == ("added", "ana", str(accepted.photo_id))
    assert (second["action"], third["action"]) == ("correct", "reject")
    assert (third["product"], third["reference"]) == (None, None)


def test_a_change_that_is_rolled_back_is_not_told(shop, endpoint, redis_server):
    job = shop.search()
    with redis_server.client() as redis:
        redis.flushall()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            search_result_store(result=search_result(job))
            assert WebhookEvent.objects.count() == 1
            raise ZeroDivisionError
        assert WebhookEvent.objects.count() == 0
        assert redis.llen(COORDINATOR_QUEUE) == 0
        search_result_store(result=search_result(job))
        (message,) = redis.lrange(COORDINATOR_QUEUE, 0, -1)
        assert b"catalog.deliver_webhooks" in message


@contextmanager
def table_gone(name):
    """A database that fails in the middle of a transaction."""

    def rename(old, new):
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename(name, "aside")
    try:
        yield
    finally:
        rename("aside", name)


def test_a_change_whose_event_cannot_be_written_is_rolled_back(shop, endpoint):
    job = shop.search()
    before = Job.objects.values().get(pk=job.pk)
    with table_gone("catalog_webhookdelivery"), pytest.raises(DatabaseError):
        search_result_store(result=search_result(job))
    assert Job.objects.values().get(pk=job.pk) == before
    assert WebhookEvent.objects.count() == 0


def test_the_same_thing_is_never_told_twice(shop, endpoint):
    job = Job.objects.create(merchant=shop.merchant, kind="search", state=JobState.DONE)
    for _ in range(2):
        event_job_finished(job_id=job.pk)
    assert (WebhookEvent.objects.count(), WebhookDelivery.objects.count()) == (1, 1)


def test_only_listeners_of_the_same_merchant_are_told(shop):
    def registered(whose, *kinds):
        return endpoint_create(merchant=whose.merchant, url="https://a.test/", events=kinds)[0]

    listening, both = registered(shop, "job.finished"), registered(shop, "job.finished", "item.decided")
    registered(shop, "upload.finished")
    registered(Shop("other"), *EVERYTHING)
    paused = registered(shop, *EVERYTHING)
    endpoint_update(endpoint=paused, values={"enabled": False})
    job_cancel(job=shop.search())
    assert {each.endpoint for each in WebhookDelivery.objects.all()} == {listening, both}
    assert WebhookEvent.objects.count() == 1


def test_where_nobody_listens_nothing_is_written_and_one_query_is_spent(shop):
    job = shop.search()
    with CaptureQueriesContext(connection) as queries:
        search_result_store(result=search_result(job))
    assert WebhookEvent.objects.count() == 0
    assert sum("webhook" in each["sql"] for each in queries) == 1


def test_the_cost_does_not_grow_with_the_listeners(shop):
    counts = []
    for total in (1, 8):
        while shop.merchant.webhook_endpoints.count() < total:
            endpoint_create(merchant=shop.merchant, url="https://a.test/", events=EVERYTHING)
        job = shop.search()
        with CaptureQueriesContext(connection) as queries:
            search_result_store(result=search_result(job))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_task_has_nothing_to_do_without_events(shop, endpoint):
    with CaptureQueriesContext(connection) as queries:
        deliver_webhooks()
    assert len(queries) == 1


def test_an_upload_read_to_the_end_twice_is_told_once(shop, endpoint):
    sheet = io.BytesIO(manifest(row("A", "")))
    upload = upload_create(merchant=shop.merchant, name="a.csv", stream=sheet, created_by="test")
    for _ in range(2):
        upload_import(upload_id=upload.pk)
    assert Upload.objects.get().state == UploadState.DONE
    assert [each["state"] for each in events("upload.finished")] == ["done"]
