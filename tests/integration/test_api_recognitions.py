"""Recognitions and review items: start, follow, read, decide."""

import base64
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog.models import Decision, Item, Job, JobState, LedgerState, Photo, PhotoOrigin, Purpose
from catalog.services.product import product_delete
from recognition.store import PhotoStore
from tests.api_support import API, faults, jpeg, problem
from workers import client


def base64_of(data):
    return base64.b64encode(data).decode()


def test_as_a_form(shop):
    files = [SimpleUploadedFile(f"shelf-{number}.jpg", jpeg((number, 0, 0))) for number in range(3)]
    response = shop.client.post(f"{API}/recognition-jobs", {"photos": files})
    assert response.status_code == 202
    body = response.json()
    assert response.headers["Location"] == f"http://testserver{API}/recognition-jobs/{body['id']}"
    assert (body["progress"]["total"], body["progress"]["finished"]) == (3, 0)
    assert body["progress"]["states"]["pending"] == 3
    assert body["items"] == {"next": None, "previous": None, "next_cursor": None, "results": []}
    photos = Photo.objects.order_by("position")
    assert [(photo.name, photo.purpose) for photo in photos] == [
        (f"shelf-{number}.jpg", Purpose.RECOGNISE) for number in range(3)
    ]


def test_as_json(shop):
    body = {"photos": [{"photo": base64_of(jpeg()), "name": "a.jpg"}, {"photo": base64_of(jpeg((1, 1, 1)))}]}
    response = shop.client.post(f"{API}/recognition-jobs", body, format="json")
    assert response.status_code == 202
    assert list(Photo.objects.order_by("position").values_list("name", flat=True)) == ["a.jpg", "photo"]


def test_no_photo(shop):
    problem(shop.client.post(f"{API}/recognition-jobs", {"photos": []}, format="json"), 422, "photos_missing")
    problem(shop.client.post(f"{API}/recognition-jobs", {"items": "one"}), 422, "photos_missing")
    found = problem(shop.client.post(f"{API}/recognition-jobs", {}, format="json"), 422, "invalid")
    assert faults(found) == {"photos": "required"}
    problem(shop.client.post(f"{API}/recognition-jobs", {"photos": "text"}), 422, "photos_refused")
    assert not Job.objects.exists()


def test_one_bad_photo_refuses_them_all_and_is_named(shop):
    files = [SimpleUploadedFile("good.jpg", jpeg()), SimpleUploadedFile("bad.jpg", b"text")]
    found = problem(shop.client.post(f"{API}/recognition-jobs", {"photos": files}), 422, "photos_refused")
    assert faults(found) == {"photos[1]": "photo_not_an_image"}
    assert "bad.jpg" in found["errors"][0]["message"]
    body = {"photos": [{"photo": base64_of(jpeg())}, {"photo": 7}]}
    problem(shop.client.post(f"{API}/recognition-jobs", body, format="json"), 422, "photo_base64_invalid")
    assert (Job.objects.count(), Photo.objects.count()) == (0, 0)


def test_progress_items_and_failures(shop, time_stops):
    job = shop.recognition((1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0))
    ago = time_stops() - timedelta(seconds=30)
    done, failed = Photo.objects.order_by("position")[:2]
    Photo.objects.filter(pk=done.pk).update(state=LedgerState.DONE, finished_at=ago)
    Photo.objects.filter(pk=failed.pk).update(
        state=LedgerState.FAILED, finished_at=ago, error_code="photo_truncated", error_message="Cut off."
    )
    Item.objects.create(merchant=shop.merchant, photo=done, job=job, verdict="UNKNOWN", bundle_version="test-1")
    body = shop.client.get(f"{API}/recognition-jobs/{job.pk}").json()
    assert body["progress"]["states"] == {
        "pending": 2, "dispatched": 0, "done": 1, "failed": 1, "cancelled": 0, "expired": 0,
    }  # fmt: skip
    assert body["progress"]["verdicts"] == {"SURE": 0, "REVIEW": 0, "UNKNOWN": 1}
    assert (body["progress"]["finished"], body["progress"]["eta_seconds"]) == (2, 30)
    assert body["queue"] == {"position": 1, "eta_seconds": 30}
    assert body["failed_photos"] == [
        {"id": str(failed.pk), "name": "1.jpg", "error": {"code": "photo_truncated", "message": "Cut off."}}
    ]
    (item,) = body["items"]["results"]
    assert (item["photo"]["id"], item["candidates"]) == (str(done.pk), [])


def test_items_come_in_pages(shop):
    job = shop.recognition()
    items = [shop.item(shop.product(f"P-{number}"), job=job) for number in range(5)]
    seen, address = [], f"{API}/recognition-jobs/{job.pk}?page_size=2"
    while address:
        page = shop.client.get(address).json()["items"]
        seen += [row["id"] for row in page["results"]]
        address = page["next"]
    assert seen == [str(item.pk) for item in items]


@pytest.mark.parametrize("verb", ["post", "delete"])
def test_cancel(shop, verb):
    job = shop.recognition()
    address = f"{API}/recognition-jobs/{job.pk}" + ("/cancel" if verb == "post" else "")
    body = getattr(shop.client, verb)(address).json()
    assert (body["state"], body["progress"]["states"]["cancelled"]) == ("cancelled", 1)
    problem(getattr(shop.client, verb)(address), 409, "job_finished")


def test_recognitions_are_listed(shop):
    first, second = shop.recognition(), shop.recognition()
    shop.search()
    Job.objects.filter(pk=first.pk).update(state=JobState.DONE)
    rows = shop.client.get(f"{API}/recognition-jobs").json()["results"]
    assert [row["id"] for row in rows] == [str(second.pk), str(first.pk)]
    assert len(shop.client.get(f"{API}/recognition-jobs?state=done").json()["results"]) == 1


def test_an_item(shop):
    first, second = shop.product("A"), shop.product("B")
    item = shop.item(first, second, probability=0.87, reason="Two are close.")
    body = shop.client.get(f"{API}/review-items/{item.pk}").json()
    assert (body["state"], body["verdict"], body["reason"]) == ("open", "REVIEW", "Two are close.")
    assert (body["calibrated"], body["probability"], body["product"], body["job_id"]) == (False, 0.87, None, None)
    assert [hit["product"]["sku"] for hit in body["candidates"]] == ["A", "B"]
    assert "not calibrated" in body["candidates"][0]["why"]
    assert body["photo"]["url"].startswith(f"http://testserver/photos/{item.photo_id}/full?")


def test_items_are_narrowed(shop):
    job = shop.recognition()
    shop.item(job=job, verdict="SURE", state="auto")
    shop.item(verdict="UNKNOWN")
    shop.item(verdict="REVIEW")

    def verdicts(query):
        return [row["verdict"] for row in shop.client.get(f"{API}/review-items{query}").json()["results"]]

    assert verdicts("") == ["REVIEW", "UNKNOWN", "SURE"]
    assert verdicts("?state=open") == ["REVIEW", "UNKNOWN"]
    assert verdicts("?verdict=UNKNOWN&state=open") == ["UNKNOWN"]
    assert verdicts(f"?job={job.pk}") == ["SURE"]
    found = problem(shop.client.get(f"{API}/review-items?state=x&verdict=sure&job=1"), 422, "invalid")
    assert faults(found) == {"state": "invalid_choice", "verdict": "invalid_choice", "job": "invalid"}


def decide(shop, item, verb, body=None, **more):
    return shop.client.post(f"{API}/review-items/{item.pk}/{verb}", body or {}, format="json", **more)


def test_accept(shop):
    product = shop.product("A")
    item = shop.item(product)
    body = decide(shop, item, "accept").json()
    assert (body["state"], body["product"]["sku"]) == ("accepted", "A")
    assert body["decided_at"].endswith("Z")
    decision = Decision.objects.get()
    assert (decision.reviewer, decision.reviewer_name, decision.action) == (None, "API key server", "accept")
    photo = Photo.objects.get(pk=item.photo_id)
    assert (photo.product, photo.purpose, photo.origin) == (product, Purpose.INDEX, PhotoOrigin.REVIEW)
    problem(decide(shop, item, "reject"), 409, "item_decided")
    assert Decision.objects.count() == 1


def test_accept_another_candidate(shop):
    item = shop.item(shop.product("A"), shop.product("B"))
    assert decide(shop, item, "accept", {"sku": "B"}).json()["product"]["sku"] == "B"


def test_accept_without_a_candidate(shop):
    problem(decide(shop, shop.item(), "accept"), 422, "item_without_candidate")


@pytest.mark.parametrize("by", ["product_id", "sku"])
def test_correct(shop, by):
    item, right = shop.item(shop.product("A")), shop.product("B")
    choice = {"product_id": str(right.pk)} if by == "product_id" else {"sku": "B"}
    body = decide(shop, item, "correct", choice).json()
    assert (body["state"], body["product"]["sku"]) == ("corrected", "B")


def test_correct_needs_a_product_that_lives(shop):
    item, gone = shop.item(shop.product("A")), shop.product("GONE")
    shop.photo(gone)
    product_delete(product=gone)
    problem(decide(shop, item, "correct"), 422, "product_missing")
    problem(decide(shop, item, "correct", {"sku": "GONE"}), 404, "product_not_found")
    problem(decide(shop, item, "correct", {"product_id": str(gone.pk)}), 404, "product_not_found")
    found = problem(decide(shop, item, "correct", {"product_id": "7"}), 422, "invalid")
    assert faults(found) == {"product_id": "invalid"}
    item.refresh_from_db()
    assert (item.state, Decision.objects.count()) == ("open", 0)


def test_unknown(shop):
    item = shop.item(shop.product("A"))
    body = decide(shop, item, "unknown", HTTP_IDEMPOTENCY_KEY="u").json()
    assert (body["state"], body["product"]) == ("unknown", None)
    assert decide(shop, item, "unknown", HTTP_IDEMPOTENCY_KEY="u").json() == body
    problem(decide(shop, item, "unknown"), 409, "item_decided")
    decision = Decision.objects.get()
    assert (decision.action, decision.reviewer_name) == ("unknown", "API key server")
    assert Photo.objects.get(pk=item.photo_id).purpose == Purpose.RECOGNISE


def test_a_new_product(shop):
    item, other = shop.item(shop.product("A")), shop.item()
    values = {"sku": "V-1", "title": "Tall vase", "price": "9.90", "currency": "EUR", "category": "Vases"}
    body = decide(shop, item, "new-product", values, HTTP_IDEMPOTENCY_KEY="n").json()
    assert (body["state"], body["product"]["sku"], body["product"]["category"]) == ("corrected", "V-1", "Vases")
    assert decide(shop, item, "new-product", values, HTTP_IDEMPOTENCY_KEY="n").json() == body
    photo = Photo.objects.get(pk=item.photo_id)
    assert (str(photo.product_id), photo.purpose) == (body["product"]["id"], Purpose.INDEX)
    taken = problem(decide(shop, other, "new-product", values), 409, "sku_duplicate")
    nameless = problem(decide(shop, other, "new-product", {"sku": "B"}), 422, "invalid")
    assert (faults(taken), faults(nameless)) == ({"sku": "sku_duplicate"}, {"title": "title_missing"})
    other.refresh_from_db()
    assert (other.state, Decision.objects.count(), shop.merchant.products.count()) == ("open", 1, 2)


def test_undo(shop):
    item = shop.item(shop.product("A"))
    before = shop.client.get(f"{API}/review-items/{item.pk}").json()
    problem(decide(shop, item, "undo"), 409, "decision_undone")
    made = decide(shop, item, "new-product", {"sku": "V-1", "title": "Tall vase"}).json()
    body = decide(shop, item, "undo", HTTP_IDEMPOTENCY_KEY="z").json()
    assert body == before
    assert decide(shop, item, "undo", HTTP_IDEMPOTENCY_KEY="z").json() == body
    problem(decide(shop, item, "undo"), 409, "decision_undone")
    problem(shop.client.get(f"{API}/products/{made['product']['id']}"), 404, "not_found")
    undo = Decision.objects.get(action="undo")
    assert (undo.undoes.action, undo.reviewer_name, Decision.objects.count()) == ("new_product", "API key server", 2)
    assert decide(shop, item, "accept").json()["state"] == "accepted"


@pytest.mark.parametrize("verb", ["unknown", "new-product", "undo"])
def test_a_key_for_something_else_decides_nothing(shop, verb):
    item = shop.item(shop.product("A"))
    shop.key.scopes = ["searches"]
    shop.key.save()
    problem(decide(shop, item, verb, {"sku": "V-1", "title": "Vase"}), 403, "scope_missing")
    item.refresh_from_db()
    assert (item.state, Decision.objects.count(), shop.merchant.products.count()) == ("open", 0, 1)


def test_reject(shop):
    item = shop.item(shop.product("A"))
    body = decide(shop, item, "reject", HTTP_IDEMPOTENCY_KEY="r").json()
    assert (body["state"], body["product"]) == ("rejected", None)
    assert decide(shop, item, "reject", HTTP_IDEMPOTENCY_KEY="r").json() == body
    problem(decide(shop, item, "accept"), 409, "item_decided")


def test_many_photos_cost_as_much_sql_as_one_and_wake_once(shop, monkeypatch, django_capture_on_commit_callbacks):
    wakes, locked, inspected = [], [], []
    store, inspect = client.photo_store(), client.inspect_photo
    monkeypatch.setattr("catalog.services.job.dispatch_soon", lambda: wakes.append(1))
    monkeypatch.setattr("catalog.services.photo.dispatch_soon", lambda: wakes.append(1))
    monkeypatch.setattr(client, "inspect_photo", lambda data: inspected.append(1) or inspect(data))
    monkeypatch.setattr(client, "photo_store", lambda: store)
    outside = len(connection.savepoint_ids)  # a test runs in a transaction itself

    def write(data):
        locked.append(len(connection.savepoint_ids) > outside)
        return PhotoStore.write(store, data)

    monkeypatch.setattr(store, "write", write)

    def queries(count):
        with django_capture_on_commit_callbacks(execute=True), CaptureQueriesContext(connection) as seen:
            shop.recognition(*[(count, number, 0) for number in range(count)])
        return len(seen)

    assert queries(1) == queries(30)
    assert (len(wakes), len(inspected), locked) == (2, 31, [False] * 31)
    photos = Photo.objects.filter(job=Job.objects.first())
    assert photos.count() == 30 and sorted(photos.values_list("position", flat=True)) == list(range(30))
