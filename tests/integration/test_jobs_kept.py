"""Jobs in lists and in time: narrowed by spans, placed in the queue, forgotten after a month with 410."""

from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.models import Item, Job, JobState, LedgerState, LooseBytes, Photo, Upload, UploadState
from catalog.selectors.job import is_kept
from catalog.services.job import job_cancel, jobs_forget
from catalog.services.photo import bytes_sweep
from catalog.services.result import search_result_store
from tests.api_support import API, candidate, faults, jpeg, problem, search_result
from workers import client

MONTH = timedelta(days=31)


def aged(row, by):
    """A row that was created by so much earlier."""
    type(row).objects.filter(pk=row.pk).update(created_at=timezone.now() - by)
    return str(row.pk)


@pytest.mark.parametrize("path", ["search-jobs", "recognition-jobs", "uploads"])
def test_lists_are_narrowed_by_spans(shop, path):
    make = {
        "search-jobs": shop.search,
        "recognition-jobs": shop.recognition,
        "uploads": lambda: Upload.objects.create(merchant=shop.merchant, name="a", source="a"),
    }[path]
    old, middle, new = (aged(make(), timedelta(days=days)) for days in (9, 5, 1))
    now = timezone.now()

    def ids(**query):
        return [row["id"] for row in shop.client.get(f"{API}/{path}", query).json()["results"]]

    early, late = (now - timedelta(days=7)).isoformat(), (now - timedelta(days=3)).isoformat()
    assert ids() == [new, middle, old]
    assert ids(created_after=early) == [new, middle]
    assert ids(created_before=late) == [middle, old]
    assert ids(created_after=early, created_before=late) == [middle]
    moment = Upload.objects if path == "uploads" else Job.objects
    exactly = moment.get(pk=middle).created_at.isoformat()
    assert ids(created_after=exactly) == [new, middle]
    assert ids(created_before=exactly) == [old]
    page = shop.client.get(f"{API}/{path}", {"created_after": early, "page_size": 1}).json()
    assert [row["id"] for row in shop.client.get(page["next"]).json()["results"]] == [middle]
    found = problem(shop.client.get(f"{API}/{path}?created_after=yesterday"), 422, "invalid")
    assert faults(found) == {"created_after": "invalid"}


def test_uploads_are_narrowed_by_kind(shop):
    for kind in ("catalogue", "recognition"):
        Upload.objects.create(merchant=shop.merchant, name="a", source="a", kind=kind)
    rows = shop.client.get(f"{API}/uploads?kind=recognition").json()["results"]
    assert [row["kind"] for row in rows] == ["recognition"]
    found = problem(shop.client.get(f"{API}/uploads?kind=photos"), 422, "invalid")
    assert faults(found) == {"kind": "invalid_choice"}


def test_a_recognitions_place_is_behind_the_merchants_own_photos(shop, other, time_stops):
    other.recognition((9, 9, 9))
    first, second = shop.recognition((1, 0, 0), (2, 0, 0)), shop.recognition((3, 0, 0))

    def queue(job):
        return shop.client.get(f"{API}/recognition-jobs/{job.pk}").json()["queue"]

    assert queue(first) == {"position": 1, "eta_seconds": None}
    assert queue(second) == {"position": 3, "eta_seconds": None}
    indexed = [shop.photo(shop.product(f"P-{number}")) for number in range(10)]
    ago = time_stops() - timedelta(seconds=20)
    Photo.objects.filter(pk__in=[photo.pk for photo in indexed]).update(finished_at=ago)
    assert queue(first)["eta_seconds"] == 4  # ten in twenty seconds; two of its own
    assert queue(second)["eta_seconds"] == 6  # and one more behind them
    Photo.objects.filter(pk__in=[photo.pk for photo in indexed]).update(finished_at=ago - timedelta(minutes=1))
    assert queue(second)["eta_seconds"] is None
    Photo.objects.filter(job=first).update(state=LedgerState.DISPATCHED)
    assert (queue(first)["position"], queue(second)["position"]) == (1, 1)
    job_cancel(job=second)
    assert queue(second) is None


def test_an_uploads_place(shop, other):
    rows = [Upload.objects.create(merchant=each.merchant, name="a", source="a") for each in (other, shop)]

    def queue():
        return shop.client.get(f"{API}/uploads/{rows[1].pk}").json()["queue"]

    assert queue() == {"position": 2, "eta_seconds": None}
    Upload.objects.filter(pk=rows[0].pk).update(state=UploadState.IMPORTING)
    assert queue() == {"position": 1, "eta_seconds": None}
    Upload.objects.filter(pk=rows[1].pk).update(state=UploadState.PROCESSING)
    assert queue() is None


@pytest.fixture
def old_search(shop):
    """A search by photo that found something, a month ago."""
    product = shop.product()
    job = shop.search(words="my secret wish", photo=jpeg())
    search_result_store(result=search_result(job, candidate(product, shop.photo(product))))
    Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - MONTH)
    return job


def all_gone(shop, job, resource):
    address = f"{API}/{resource}/{job.pk}"
    problem(shop.client.get(address), 410, "job_expired")
    problem(shop.client.get(f"{address}/events"), 410, "job_expired")
    problem(shop.client.post(f"{address}/cancel"), 410, "job_expired")
    problem(shop.client.delete(address), 410, "job_expired")
    assert shop.client.get(f"{API}/{resource}").json()["results"] == []


def test_a_search_expires_and_leaves_nothing_behind(shop, other, old_search):
    all_gone(shop, old_search, "search-jobs")
    hit = f"{API}/search-jobs/{old_search.pk}/hits/{shop.product('B').pk}/explanation"
    problem(shop.client.get(hit), 410, "job_expired")
    problem(other.client.get(f"{API}/search-jobs/{old_search.pk}"), 404, "not_found")
    key, now = Job.objects.get().key, timezone.now()
    assert (jobs_forget(now=now), jobs_forget(now=now)) == (1, 0)
    job = Job.objects.get()
    assert (job.request, job.key, job.candidates, job.state) == ({}, "", [], JobState.DONE)
    all_gone(shop, old_search, "search-jobs")
    assert LooseBytes.objects.get().key == key
    later = now + timedelta(hours=3)
    assert bytes_sweep(now=later) == 1
    assert not client.photo_store().exists(key)


def test_a_photo_that_another_search_has_stays(shop, old_search):
    newer = shop.search(photo=jpeg())
    jobs_forget(now=timezone.now())
    assert bytes_sweep(now=timezone.now() + timedelta(hours=3)) == 0
    assert client.photo_store().read(newer.key) == jpeg()


def test_a_recognition_expires_and_what_it_found_stays_to_be_decided(shop):
    job = job_cancel(job=shop.recognition())
    item = shop.item(shop.product(), job=job)
    Job.objects.filter(pk=job.pk).update(finished_at=timezone.now() - MONTH)
    assert jobs_forget(now=timezone.now()) == 1
    all_gone(shop, job, "recognition-jobs")
    assert shop.client.get(f"{API}/review-items?state=open").json()["results"][0]["id"] == str(item.pk)
    assert (Photo.objects.filter(job=job).count(), Item.objects.count()) == (2, 1)


def test_how_long_is_a_setting(shop, old_search, setting):
    setting("VITRINE_JOBS_KEPT_DAYS", "40")
    assert shop.client.get(f"{API}/search-jobs/{old_search.pk}").status_code == 200
    assert jobs_forget(now=timezone.now()) == 0
    waiting = shop.search()
    aged(waiting, timedelta(days=100))
    assert is_kept(job=waiting)  # it is counted from the end


def test_forgetting_takes_the_same_statements_for_one_and_for_thirty(shop, django_assert_num_queries):
    for count in (1, 30):
        Job.objects.bulk_create(
            Job(
                merchant=shop.merchant,
                kind="search",
                state="done",
                key=f"{count}/{n}",
                finished_at=timezone.now() - MONTH,
            )
            for n in range(count)
        )
        with django_assert_num_queries(8):  # read, examples, let go, forget three, note; a savepoint's two
            assert jobs_forget(now=timezone.now()) == count
