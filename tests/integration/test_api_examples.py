"""Photos as examples: like these, but not like those; sent, fetched, or taken from an earlier search."""

import base64
import json
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import ExamplePhoto, Job, LooseBytes
from catalog.services.job import jobs_forget, search_message
from catalog.services.photo import bytes_sweep
from catalog.services.result import search_result_store
from tests.api_support import API, candidate, faults, jpeg, problem, search_result
from tests.integration.test_photo_addresses import server  # noqa: F401 - a fixture
from workers import client

RED, BLUE, GREEN = (jpeg(colour) for colour in ((250, 0, 0), (0, 0, 250), (0, 250, 0)))
HALF = [0, 0, 1, 0.5]


def encoded(data):
    return base64.b64encode(data).decode()


def start(shop, **body):
    return shop.client.post(f"{API}/search-jobs", body, format="json")


def made(response):
    assert response.status_code == 202, response.json()
    return Job.objects.get(pk=response.json()["id"])


def sent(examples):
    """Which photos a worker is told, and which part of each."""
    return [(client.photo_store().read(each.key), each.region and list(each.region)) for each in examples]


def test_photos_beside_products(shop):
    product = shop.product()
    photo = shop.photo(product)
    like = [str(product.pk), {"photo": encoded(RED)}, {"product_id": str(product.pk)}]
    unlike = [{"photo": encoded(BLUE), "region": HALF}]
    response = start(shop, photo=encoded(GREEN), like=like, unlike=unlike)
    job = made(response)
    message = search_message(job)
    assert message.like == (photo.pk, photo.pk)
    assert (sent(message.like_photos), sent(message.unlike_photos)) == ([(RED, None)], [(BLUE, HALF)])
    asked = response.json()["request"]
    assert asked["like"] == [str(product.pk)] * 2
    assert asked["like_photos"] == [{"region": None, "search_id": None}]
    assert asked["unlike_photos"] == [{"region": HALF, "search_id": None}]
    found = shop.product("B")
    search_result_store(result=search_result(job, candidate(found, shop.photo(found), probability=None)))
    (hit,) = shop.client.get(f"{API}/search-jobs/{job.pk}").json()["hits"]
    assert hit["why"].endswith(" You asked for what is like 3 of your examples, unlike 1.")


def test_examples_alone_as_a_form(shop):
    body = {
        "like": json.dumps([{"photo": "first"}, {"photo": "second", "region": HALF}]),
        "unlike": json.dumps([{"photo": "not this"}]),
        "first": SimpleUploadedFile("a.jpg", RED),
        "second": SimpleUploadedFile("b.jpg", BLUE),
        "not this": SimpleUploadedFile("c.jpg", GREEN),
    }
    message = search_message(made(shop.client.post(f"{API}/search-jobs", body)))
    assert sent(message.like_photos) == [(RED, None), (BLUE, HALF)]
    assert sent(message.unlike_photos) == [(GREEN, None)]
    assert message.key is None


def test_a_form_with_odd_parts(shop):
    stray = {"words": "mug", "stray": SimpleUploadedFile("a.jpg", RED)}
    assert faults(problem(shop.client.post(f"{API}/search-jobs", stray), 422, "invalid")) == {"stray": "field_unknown"}
    for photo in ("nowhere", "words", ["x"], None):
        body = {"words": "mug", "like": json.dumps([{"photo": photo}])}
        refused = problem(shop.client.post(f"{API}/search-jobs", body), 422, "invalid")
        assert faults(refused) == {"like.0": "example_ambiguous"}
    text = {"words": "mug", "like": '[{"photo": "x"}]', "x": "no base64!"}
    problem(shop.client.post(f"{API}/search-jobs", text), 422, "photo_base64_invalid")


def test_the_photo_of_an_earlier_search(shop):
    marked = shop.search(photo=RED)
    whole = shop.search(photo=BLUE)
    Job.objects.filter(pk=marked.pk).update(box=[0.1, 0.1, 0.6, 0.6])
    like = [{"search_id": str(marked.pk)}, {"search_id": str(whole.pk)}, {"search_id": str(marked.pk), "region": HALF}]
    response = start(shop, like=like)
    message = search_message(made(response))
    assert sent(message.like_photos) == [(RED, [0.1, 0.1, 0.6, 0.6]), (BLUE, None), (RED, HALF)]
    told = response.json()["request"]["like_photos"]
    assert [each["search_id"] for each in told] == [str(marked.pk), str(whole.pk), str(marked.pk)]


def test_photos_by_their_address_are_fetched_together(shop, server):  # noqa: F811 - the fixture
    like = [{"photo_url": f"{server.url}/mug.jpg"}, {"photo": encoded(RED)}]
    message = search_message(made(start(shop, photo_url=f"{server.url}/mug.jpg", like=like)))
    assert sent(message.like_photos) == [(jpeg(), None), (RED, None)]
    assert client.photo_store().read(message.key) == jpeg()
    bad = [{"photo_url": f"{server.url}/gone"}, {"photo_url": f"{server.url}/mug.jpg"}]
    refused = problem(start(shop, words="mug", like=like, unlike=bad), 422, "photos_refused")
    assert faults(refused) == {"unlike.0": "photo_url_status"}
    problem(start(shop, photo_url=f"{server.url}/gone", like=like), 422, "photo_url_status")
    body = {"like": [{"photo_url": f"{server.url}/mug.jpg"}]}
    problem(shop.public.post(f"{API}/search-jobs", body, format="json"), 403, "permission_denied")
    assert Job.objects.count() == 1
    assert shop.public.post(f"{API}/search-jobs", {"like": [{"photo": encoded(RED)}]}, format="json").status_code == 202


def test_searches_that_are_no_example(shop, other):
    theirs, words, old = other.search(photo=RED), shop.search(), shop.search(photo=RED)
    search_result_store(result=search_result(old))
    Job.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=31))
    for search in (theirs, old):
        problem(start(shop, like=[{"search_id": str(search.pk)}]), 404, "example_not_found")
    problem(start(shop, like=[{"search_id": str(words.pk)}]), 422, "example_without_photo")
    problem(start(shop, like=[{"product_id": str(words.pk)}]), 404, "product_not_found")
    assert not ExamplePhoto.objects.exists()


def test_bad_photos_are_all_named(shop):
    bad, good = {"photo": encoded(b"no photo")}, {"photo": encoded(RED)}
    refused = problem(start(shop, like=[good, bad], unlike=[bad]), 422, "photos_refused")
    assert faults(refused) == {"like.1": "photo_not_an_image", "unlike.0": "photo_not_an_image"}
    assert not Job.objects.exists()


EXAMPLE = {"photo": encoded(RED)}


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"unlike": [EXAMPLE]}, "invalid", {"unlike": "invalid"}),
        ({"like": [EXAMPLE] * 3, "unlike": [EXAMPLE] * 3}, "invalid", {"unlike": "example_photos_too_many"}),
        ({"like": [EXAMPLE] * 11}, "invalid", {"like": "max_length"}),
        ({"photo": EXAMPLE["photo"], "like": [EXAMPLE], "match": "same"}, "invalid", {"like": "invalid"}),
        ({"like": [EXAMPLE], "photo_weight": 0.5, "words": ""}, "invalid", {"photo_weight": "invalid"}),
        ({"like": [{}]}, "invalid", {"like.0": "example_ambiguous"}),
        ({"like": [EXAMPLE | {"search_id": str(Job().pk)}]}, "invalid", {"like.0": "example_ambiguous"}),
        ({"like": [EXAMPLE | {"photo_url": "http://a.test"}]}, "photo_twice", {}),
        ({"like": [EXAMPLE | {"box": 1}]}, "invalid", {"like.0.box": "field_unknown"}),
        ({"like": [EXAMPLE | {"region": [1, 0, 0, 1]}]}, "region_invalid", {}),
        ({"like": [{"product_id": str(Job().pk), "region": HALF}]}, "region_without_photo", {}),
        ({"like": [{"photo": "?"}]}, "photo_base64_invalid", {}),
        ({"like": ["x"]}, "invalid", {"like.0": "invalid"}),
    ],
)
def test_examples_that_mean_nothing(shop, body, code, fields):
    assert faults(problem(start(shop, **{"words": "mug", **body}), 422, code)) == fields
    assert not Job.objects.exists()


def test_weighing_words_against_examples(shop):
    assert search_message(made(start(shop, words="mug", like=[EXAMPLE], photo_weight=0.5))).photo_weight == 0.5


def test_statements_do_not_grow(shop):
    searches = [shop.search(photo=jpeg((n, 1, 1))) for n in range(5)]

    def statements(count):
        like = [{"search_id": str(each.pk)} for each in searches[:count]]
        with CaptureQueriesContext(connection) as seen:
            job = made(start(shop, like=like))
        with CaptureQueriesContext(connection) as sending:
            search_message(job)
        return len(seen), len(sending)

    statements(1)
    assert statements(1) == statements(5)
    assert statements(1)[1] == 2  # the examples, and the live bundle


def test_bytes_are_kept_as_long_as_a_search_needs_them(shop):
    old = made(start(shop, like=[EXAMPLE]))
    kept = made(start(shop, like=[EXAMPLE], unlike=[{"photo": encoded(BLUE)}]))
    red, blue = (each.key for each in kept.example_photos.all())
    search_result_store(result=search_result(old))
    Job.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=31))
    now = timezone.now()
    assert jobs_forget(now=now) == 1
    assert [row.key for row in LooseBytes.objects.all()] == [red]
    assert bytes_sweep(now=now + timedelta(hours=2)) == 0
    assert client.photo_store().exists(red)

    search_result_store(result=search_result(kept))
    Job.objects.filter(pk=kept.pk).update(finished_at=timezone.now() - timedelta(days=31))
    assert jobs_forget(now=now) == 1
    assert bytes_sweep(now=now + timedelta(hours=2)) == 2
    assert not client.photo_store().exists(red) and not client.photo_store().exists(blue)
    assert not ExamplePhoto.objects.exists()
