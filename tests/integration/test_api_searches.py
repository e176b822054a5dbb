"""Searches: by photo, words, both or neither; what a finished, failed, expired or waiting one says."""

import base64
import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from catalog.models import Job, JobState, Product
from catalog.services.product import product_delete
from catalog.services.result import search_result_store
from tests.api_support import API, candidate, faults, jpeg, problem, search_result
from workers.contract import Fault

PHOTO = base64.b64encode(jpeg()).decode()
FILTERS = {
    "categories": ["Mugs"],
    "brands": ["Hearth"],
    "price_min": "1.00",
    "price_max": "20",
    "currency": "eur",
    "in_stock": True,
    "attributes": {"colour": ["red", "red", 5, True], "volume_ml": {"min": 300, "max": None}, "size": {"max": 40.5}},
}
STORED_FILTERS = {
    "categories": ["Mugs"],
    "brands": ["Hearth"],
    "price_min": "1.00",
    "price_max": "20.00",
    "currency": "EUR",
    "in_stock": True,
    "attributes": {"colour": ["red", "5", "true"], "volume_ml": {"min": 300.0}, "size": {"max": 40.5}},
}
NO_FILTERS = {
    "categories": [],
    "brands": [],
    "price_min": None,
    "price_max": None,
    "currency": None,
    "in_stock": None,
    "attributes": {},
}


def start(shop, body, **more):
    return shop.client.post(f"{API}/search-jobs", body, format="json", **more)


def test_by_words(shop):
    response = start(shop, {"words": "  blue mug "})
    assert response.status_code == 202
    body = response.json()
    assert response.headers["Location"] == f"http://testserver{API}/search-jobs/{body['id']}"
    assert "Preference-Applied" not in response.headers
    assert body["state"] == "dispatched" and body["hits"] == [] and body["error"] is None
    assert body["request"] == {
        "words": "blue mug",
        "filters": NO_FILTERS,
        "region": None,
        "limit": 10,
        "photo_url": None,
        "sort": "relevance",
        "match": "any",
        "min_probability": None,
        "min_score": None,
        "read_as": [],
        "facets": [],
        "photo_weight": None,
        "like": [],
        "unlike": [],
        "like_photos": [],
        "unlike_photos": [],
        "group_variants": True,
    }
    assert body["queue"] == {"position": 1, "eta_seconds": None}
    assert Job.objects.get().key == ""


def test_by_photo_and_words_with_everything(shop):
    region = [0.1, 0.2, 0.9, 1]
    response = start(shop, {"photo": PHOTO, "words": "mug", "filters": FILTERS, "region": region, "limit": 3})
    assert response.status_code == 202
    request = response.json()["request"]
    assert request["filters"] == STORED_FILTERS
    assert (request["region"], request["limit"]) == (region, 3)
    assert request["photo_url"].startswith("http://testserver/photos/searches/")
    assert Job.objects.get().key


def test_as_a_form(shop):
    body = {
        "photo": SimpleUploadedFile("a.jpg", jpeg()),
        "words": "mug",
        "filters": json.dumps(FILTERS),
        "region": "[0, 0, 0.5, 0.5]",
        "limit": "4",
    }
    response = shop.client.post(f"{API}/search-jobs", body)
    assert response.status_code == 202, response.json()
    request = response.json()["request"]
    assert (request["filters"], request["region"], request["limit"]) == (STORED_FILTERS, [0, 0, 0.5, 0.5], 4)
    assert Job.objects.get().key


def test_an_empty_form_field_is_one_that_was_not_sent(shop):
    body = {"words": "mug", "photo": "", "filters": "", "region": "", "limit": ""}
    assert shop.client.post(f"{API}/search-jobs", body).status_code == 202


@pytest.mark.parametrize("body", [{}, {"words": "  "}, {"words": "", "photo": None, "filters": {}, "region": None}])
def test_neither_photo_nor_words(shop, body):
    problem(start(shop, body), 422, "search_empty")
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "region",
    [
        [0, 0, 1],
        [0, 0, 1, 1, 1],
        [0.5, 0, 0.5, 1],
        [0.6, 0, 0.5, 1],
        [0, 0, 1.1, 1],
        [-0.1, 0, 1, 1],
        ["0", 0, 1, 1],
        [True, 0, 1, 1],
        {},
        "all",
        [],
        [[], 0, 1, 1],
    ],
)
def test_a_bad_region(shop, region):
    problem(start(shop, {"photo": PHOTO, "region": region}), 422, "region_invalid")
    assert not Job.objects.exists()


def test_a_misspelt_field_is_not_overlooked(shop):
    found = problem(start(shop, {"words": "mug", "filter": {}}), 422, "invalid")
    assert faults(found) == {"filter": "field_unknown"}
    found = problem(shop.client.post(f"{API}/search-jobs", {"words": "mug", "filter": "{}"}), 422, "invalid")
    assert faults(found) == {"filter": "field_unknown"}


def test_a_region_without_a_photo(shop):
    problem(start(shop, {"words": "mug", "region": [0, 0, 1, 1]}), 422, "region_without_photo")


@pytest.mark.parametrize(
    ("filters", "field", "code"),
    [
        ({"price_min": 5}, "filters.currency", "invalid"),
        ({"price_min": 5, "price_max": 4, "currency": "EUR"}, "filters.price_max", "invalid"),
        ({"currency": "QQQ"}, "filters.currency", "currency_unknown"),
        ({"price_min": "NaN", "currency": "EUR"}, "filters.price_min", "invalid"),
        ({"categories": "Mugs"}, "filters.categories", "not_a_list"),
        ({"brands": ["x"] * 51}, "filters.brands", "max_length"),
        ({"category": ["Mugs"]}, "filters.category", "field_unknown"),
        ([], "filters", "invalid"),
        ("x", "filters", "invalid"),
    ],
)
def test_bad_filters(shop, filters, field, code):
    assert faults(problem(start(shop, {"words": "mug", "filters": filters}), 422, "invalid")) == {field: code}


@pytest.mark.parametrize("filters", ["{", "[]", "7"])
def test_bad_filters_in_a_form(shop, filters):
    found = problem(shop.client.post(f"{API}/search-jobs", {"words": "mug", "filters": filters}), 422, "invalid")
    assert list(faults(found)) == ["filters"]


def test_a_photo_that_cannot_be_used(shop):
    problem(start(shop, {"photo": base64.b64encode(b"text").decode()}), 422, "photo_not_an_image")
    problem(start(shop, {"photo": "%"}), 422, "photo_base64_invalid")
    text_part = shop.client.post(f"{API}/search-jobs", {"photo": "no file!"})
    problem(text_part, 422, "photo_base64_invalid")
    assert not Job.objects.exists()


def test_a_finished_search(shop):
    first, second = shop.product("A", price="12.90", currency="EUR"), shop.product("B")
    photos = shop.photo(first), shop.photo(second)
    job = shop.search(words="mug", photo=jpeg())
    best = candidate(first, photos[0], text=3.5)
    next_best = candidate(second, photos[1], rank=0.5, image=0.4, probability=0.02, match="similar", votes=1)
    search_result_store(result=search_result(job, best, next_best, verdict="SURE", reason="Far ahead."))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}").json()
    assert (body["state"], body["verdict"], body["reason"]) == ("done", "SURE", "Far ahead.")
    assert (body["calibrated"], body["bundle_version"], body["seconds"]) == (True, "test-1", 0.05)
    assert body["degraded"] is False
    assert (body["queue"], body["error"]) == (None, None)
    photo_url = body["hits"][0].pop("photo_url")
    assert photo_url.startswith(f"http://testserver/photos/{photos[0].pk}/full?")
    thumbnail_url = body["hits"][0].pop("thumbnail_url")
    assert thumbnail_url.startswith(f"http://testserver/photos/{photos[0].pk}/medium?")
    assert body["hits"][0] == {
        "product": {
            "id": str(first.pk),
            "sku": "A",
            "title": "Mug A",
            "brand": "Hearth",
            "category": "Mugs",
            "price": "12.90",
            "currency": "EUR",
            "in_stock": True,
            "variant_group": "",
            "attributes": {},
        },
        "variants": [],
        "match": "same",
        "probability": 0.87,
        "scores": {"rank": 0.9, "image": 0.91, "fused": 0.81, "text": 3.5},
        "why": "The same product as in the photo: 87% probable, photo similarity 0.91, similarity with its text and "
        "price 0.81, 2 of its photos are among the nearest, words score 3.50.",
    }
    assert [hit["product"]["sku"] for hit in body["hits"]] == ["A", "B"]
    assert body["hits"][1]["why"].startswith("Looks similar to the photo: 2% probable")


def test_a_search_while_the_index_is_behind_says_so(shop):
    job = shop.search()
    search_result_store(result=search_result(job, degraded=True))
    assert shop.client.get(f"{API}/search-jobs/{job.pk}").json()["degraded"] is True


def test_why_says_when_a_probability_is_not_calibrated(shop):
    product = shop.product()
    job = shop.search(photo=jpeg())
    search_result_store(result=search_result(job, candidate(product, shop.photo(product)), calibrated=False))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}").json()
    assert body["calibrated"] is False
    assert "87% probable (not calibrated)" in body["hits"][0]["why"]


def test_why_of_a_search_by_words(shop):
    product = shop.product()
    job = shop.search()
    found = candidate(product, shop.photo(product), image=None, probability=None, text=2.25, match="other", votes=1)
    search_result_store(result=search_result(job, found))
    (hit,) = shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"]
    assert hit["why"] == "Its text matches the words: words score 2.25."
    assert (hit["probability"], hit["scores"]["image"]) == (None, None)


def test_deleted_products_and_photos_are_left_out(shop):
    gone, stays = shop.product("GONE"), shop.product("STAYS")
    main, matched = shop.photo(stays, position=0), shop.photo(stays, position=1)
    job = shop.search()
    search_result_store(
        result=search_result(job, candidate(gone, shop.photo(gone)), candidate(stays, matched), candidate(stays, main))
    )
    product_delete(product=gone)
    matched.delete()
    hits = shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"]
    assert [hit["product"]["sku"] for hit in hits] == ["STAYS", "STAYS"]
    assert f"/photos/{main.pk}/" in hits[0]["photo_url"]
    Product.objects.all().delete()
    assert shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"] == []


def test_a_failed_search(shop):
    job = shop.search()
    fault = Fault(code="photo_truncated", message="The photo is cut off.", kind="client", trace="secret trace")
    search_result_store(result=search_result(job, fault=fault))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}").json()
    assert (body["state"], body["hits"], body["queue"]) == ("failed", [], None)
    assert body["error"] == {"code": "photo_truncated", "message": "The photo is cut off."}
    assert "secret trace" not in str(body)


def test_an_expired_search(shop):
    job = shop.search()
    search_result_store(result=search_result(job, expired=True))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}").json()
    assert (body["state"], body["error"]["code"]) == ("expired", "deadline_passed")


def test_place_in_the_queue(shop, other):
    done = shop.search()
    Job.objects.filter(pk=done.pk).update(state=JobState.DONE, seconds=0.5)
    jobs = [shop.search(), other.search(), shop.search()]
    place = shop.client.get(f"{API}/search-jobs/{jobs[2].pk}").json()["queue"]
    assert place == {"position": 3, "eta_seconds": 1.5}
    Job.objects.filter(pk=jobs[0].pk).update(deadline=timezone.now() - timedelta(seconds=1))
    assert shop.client.get(f"{API}/search-jobs/{jobs[2].pk}").json()["queue"]["position"] == 2


@pytest.mark.parametrize("verb", ["post", "delete"])
def test_cancel(shop, verb):
    job = shop.search()
    address = f"{API}/search-jobs/{job.pk}" + ("/cancel" if verb == "post" else "")
    assert getattr(shop.client, verb)(address).json()["state"] == "cancelled"
    problem(getattr(shop.client, verb)(address), 409, "job_finished")
    assert search_result_store(result=search_result(job)) is False


def test_searches_are_listed_without_hits(shop):
    job, failed = shop.search(), shop.search(photo=jpeg())
    Job.objects.filter(pk=failed.pk).update(state=JobState.FAILED, error_code="x", error_message="X.")
    shop.recognition()
    rows = shop.client.get(f"{API}/search-jobs").json()["results"]
    assert [row["id"] for row in rows] == [str(failed.pk), str(job.pk)]
    assert "hits" not in rows[0] and rows[0]["error"] == {"code": "x", "message": "X."}
    assert len(shop.client.get(f"{API}/search-jobs?state=failed").json()["results"]) == 1


def test_a_recognition_is_no_search(shop):
    problem(shop.client.get(f"{API}/search-jobs/{shop.recognition().pk}"), 404, "not_found")
    problem(shop.client.get(f"{API}/recognition-jobs/{shop.search().pk}"), 404, "not_found")


def test_the_broker_away_is_no_reason_to_refuse(shop, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True) as ran:
        response = start(shop, {"words": "mug"})
    assert (response.status_code, len(ran)) == (202, 1)
    assert Job.objects.get().state == JobState.PENDING
