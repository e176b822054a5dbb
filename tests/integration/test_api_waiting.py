"""``Prefer: wait``: an answer comes as soon as the job is finished, with a real Redis and without one."""

import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from catalog.api.idempotency import fingerprint
from catalog.models import Job, Upload
from catalog.services.idempotency import idempotency_begin, idempotency_drop, idempotency_finish
from catalog.services.job import job_cancel
from catalog.services.result import search_result_store
from catalog.services.upload import upload_cancel, upload_import
from tests.api_support import API, problem, search_result

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def meanwhile(seconds, action):
    """Run an action in another thread after some time, on this test's database.

    SQLite's lies in memory, behind one connection; on PostgreSQL the thread has one of its own.
    """
    ours = connections["default"]
    ours.inc_thread_sharing()
    failed = []

    def run():
        time.sleep(seconds)
        if ours.vendor == "sqlite":
            connections["default"] = ours
        try:
            action()
        except Exception as error:
            failed.append(error)
        finally:
            if ours.vendor != "sqlite":
                connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        ours.dec_thread_sharing()
    assert failed == []


def waited_for(redis_server, channels, action):
    """Do it once somebody listens there: past its first look, for both threads share one SQLite connection."""
    until = time.monotonic() + 30
    with redis_server.client() as client:
        while not client.pubsub_channels(channels):
            assert time.monotonic() < until
            time.sleep(0.01)
    time.sleep(0.3)
    action()


def timed(ask):
    started = time.monotonic()
    response = ask()
    return response, time.monotonic() - started


def test_a_read_returns_when_the_job_is_finished(shop, redis_server):
    job = shop.search()
    with meanwhile(0.5, lambda: search_result_store(result=search_result(job))):
        response, seconds = timed(lambda: shop.client.get(f"{API}/search-jobs/{job.pk}", HTTP_PREFER="wait=20"))
    assert (response.status_code, response.json()["state"]) == (200, "done")
    assert response.headers["Preference-Applied"] == "wait=20"
    assert seconds < 18


def test_a_read_returns_without_redis_too(shop):
    job = shop.search()
    with meanwhile(0.3, lambda: job_cancel(job=job)):
        response, seconds = timed(lambda: shop.client.get(f"{API}/search-jobs/{job.pk}", HTTP_PREFER="wait=20"))
    assert response.json()["state"] == "cancelled"
    assert seconds < 18


def test_a_read_returns_when_the_time_is_up(shop, redis_server):
    job = shop.search()
    response, seconds = timed(lambda: shop.client.get(f"{API}/search-jobs/{job.pk}", HTTP_PREFER="wait=1"))
    assert (response.status_code, response.json()["state"]) == (200, "dispatched")
    assert response.headers["Preference-Applied"] == "wait=1"
    assert 0.9 < seconds < 18


def test_a_finished_job_is_not_waited_for(shop, redis_server):
    job = shop.search()
    search_result_store(result=search_result(job))
    response, seconds = timed(lambda: shop.client.get(f"{API}/search-jobs/{job.pk}", HTTP_PREFER="wait=20"))
    assert response.headers["Preference-Applied"] == "wait=20"
    assert seconds < 18


def test_a_post_answers_202_when_the_time_is_up(shop, redis_server):
    response = shop.client.post(f"{API}/search-jobs", {"words": "mug"}, format="json", HTTP_PREFER="wait=1")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "wait=1"
    with redis_server.client() as client:
        assert client.llen("vitrine.search") == 1  # it was sent before anybody waited


def test_a_post_answers_200_when_it_finished_in_time(shop, redis_server):
    def answer():
        (job,) = shop.merchant.jobs.all()
        search_result_store(result=search_result(job))

    with meanwhile(0, partial(waited_for, redis_server, "vitrine:job:*", answer)):
        response = shop.client.post(f"{API}/search-jobs", {"words": "mug"}, format="json", HTTP_PREFER="wait=20")
    assert (response.status_code, response.json()["state"]) == (200, "done")
    assert response.headers["Location"].endswith(response.json()["id"])


@pytest.mark.parametrize("prefer", ["respond-async", "wait", "wait=x", "wait=-1", "await=5", ""])
def test_what_is_no_wish_to_wait_is_ignored(shop, prefer):
    job = shop.search()
    response, seconds = timed(lambda: shop.client.get(f"{API}/search-jobs/{job.pk}", HTTP_PREFER=prefer))
    assert "Preference-Applied" not in response.headers
    assert seconds < 18


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("wait=0", "wait=0"), ("respond-async, wait=5", "wait=5"), ('Wait = "7"', "wait=7"), ("wait=99999", "wait=30")],
)
def test_ways_to_say_it(shop, prefer, applied):
    job = job_cancel(job=shop.search())
    response = shop.client.get(f"{API}/search-jobs/{job.pk}", HTTP_PREFER=prefer)
    assert response.headers["Preference-Applied"] == applied


def test_a_recognition_is_waited_for_too(shop, redis_server):
    job = shop.recognition()
    with meanwhile(0.3, lambda: job_cancel(job=job)):
        response = shop.client.get(f"{API}/recognition-jobs/{job.pk}", HTTP_PREFER="wait=20")
    assert response.json()["state"] == "cancelled"


def test_an_upload_is_waited_for_too(shop, redis_server):
    upload = Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")
    with meanwhile(0.5, lambda: upload_cancel(upload=upload)):
        response, seconds = timed(lambda: shop.client.get(f"{API}/uploads/{upload.pk}", HTTP_PREFER="wait=20"))
    assert (response.json()["state"], response.headers["Preference-Applied"]) == ("cancelled", "wait=20")
    assert seconds < 18


def test_an_upload_that_is_sent_answers_200_when_it_finished_in_time(shop, redis_server):
    def imported():
        upload_import(upload_id=Upload.objects.get().pk)

    manifest = SimpleUploadedFile("a.csv", b"sku,title\nA,Mug\n")
    with meanwhile(0, partial(waited_for, redis_server, "vitrine:upload:*", imported)):
        response = shop.client.post(f"{API}/uploads", {"file": manifest}, HTTP_PREFER="wait=20")
    assert (response.status_code, response.json()["state"]) == (200, "done")
    again = SimpleUploadedFile("a.csv", b"sku,title\nA,Mug\n")
    waiting = shop.client.post(f"{API}/uploads", {"file": again}, HTTP_PREFER="wait=1")
    assert (waiting.status_code, waiting.headers["Preference-Applied"]) == (202, "wait=1")


def first_request(shop):
    """A request with a key that is still running: its claim, as the process that answers it holds it."""
    request = APIRequestFactory().post(f"{API}/search-jobs", {"words": "mug"}, format="json")
    named = Request(request, parsers=[JSONParser()])
    return idempotency_begin(merchant=shop.merchant, key="k", fingerprint=fingerprint(named))


def retry(shop, **more):
    return shop.client.post(f"{API}/search-jobs", {"words": "mug"}, format="json", HTTP_IDEMPOTENCY_KEY="k", **more)


def test_a_retry_that_waits_gets_the_answer_of_the_first(shop):
    record = first_request(shop)
    ended = partial(idempotency_finish, record=record, status=202, headers={}, body={"id": "the first"})
    with meanwhile(0.5, ended):
        response = retry(shop, HTTP_PREFER="wait=20")
    assert (response.status_code, response.json()) == (202, {"id": "the first"})
    assert response.headers["Idempotent-Replayed"] == "true"
    assert not Job.objects.exists()


def test_a_retry_whose_first_request_failed_is_the_first(shop, redis_server):
    record = first_request(shop)
    with meanwhile(0.5, partial(idempotency_drop, record=record)):
        response = retry(shop, HTTP_PREFER="wait=1")
    assert response.status_code == 202 and "Idempotent-Replayed" not in response.headers
    assert Job.objects.count() == 1


def test_a_retry_that_does_not_wait_is_told_when_to_come_again(shop):
    first_request(shop)
    response = retry(shop)
    problem(response, 409, "idempotency_in_progress")
    assert response.headers["Retry-After"] == "5"
    response, seconds = timed(lambda: retry(shop, HTTP_PREFER="wait=1"))
    problem(response, 409, "idempotency_in_progress")
    assert seconds > 0.9
