"""A real worker explains: from a question of the API over Redis to heat maps, splits and pictures, and faults."""

import time

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from catalog.services.result import search_result_store
from config.env import ROOT
from tests.api_support import API, candidate, problem, search_result
from tests.environment import REDIS, VAR
from tests.worker import WorkerProcess, bundle_folder
from workers import client as workers_client

PATIENT = {"headers": {"Prefer": "wait=30"}}


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    """One worker for the whole module, on the Redis and the photo store that the settings name."""
    folder = tmp_path_factory.mktemp("worker")
    settings = {"VITRINE_BUNDLE": str(bundle_folder()), "VITRINE_PHOTO_STORE": str(VAR / "photos")}
    with REDIS:
        with REDIS.client() as server:
            server.flushall()
        with WorkerProcess(folder, REDIS.url, **settings) as worker:
            assert worker.process.poll() is None, worker.output()
            yield worker


def sample(name):
    return (ROOT / "sample" / name).read_bytes()


def stored(photo, name):
    """Give a photo's row the bytes of a sample photo."""
    kept = workers_client.photo_store().write(sample(name))
    photo.key, photo.sha256 = kept.key, kept.sha256
    photo.save()
    return photo


@pytest.fixture
def bag(shop):
    return shop.product("BAG-281", title="Kestrel backpack", price="59.00", currency="EUR")


@pytest.fixture
def item(shop, bag):
    """A customer's photo of the bag, recognised, and the bag's own photo as the matched one."""
    item = shop.item(bag)
    stored(item.photo, "customer/BAG-281-1.jpg")
    stored(bag.photos.get(), "photos/BAG-281.jpg")
    return item


def test_an_item_is_explained(worker, shop, item, bag, client):
    response = shop.client.get(f"{API}/review-items/{item.pk}/explanation", **PATIENT)
    assert response.status_code == 200, response.json()
    body = response.json()
    similarity = body["similarity"]
    assert sum(part["contribution"] for part in similarity["parts"].values()) == pytest.approx(
        similarity["fused"], abs=1e-5
    )
    assert all(part["share"] > 0 for part in similarity["parts"].values())
    assert body["sentence"].startswith(f"Of the similarity of {similarity['fused']:.2f}, ")
    assert body["matched"]["photo_id"] == str(bag.photos.get().pk)
    for seen in (body["query"], body["matched"]):
        heat = seen["heat_map"]
        assert len(heat["values"]) == heat["rows"] * heat["columns"] > 36
        assert (min(heat["values"]), max(heat["values"])) == (0.0, 1.0)
        assert heat["box"] == [0.0, 0.0, 1.0, 1.0]
        picture = client.get(seen["overlay_url"].removeprefix("http://testserver"))
        assert (picture.status_code, picture.headers["Content-Type"]) == (200, "image/webp")

    made = worker.output().count(" done seconds=")
    again = shop.client.get(f"{API}/review-items/{item.pk}/explanation?product_id={bag.pk}", **PATIENT)
    assert again.json()["similarity"] == similarity
    assert worker.output().count(" done seconds=") == made  # the second answer is the first


def test_a_hit_is_explained_by_the_region_that_was_searched(worker, shop, bag, item):
    job = shop.search(words="", photo=sample("customer/BAG-281-1.jpg"))
    job.request["region"] = [0.3, 0.1, 0.9, 0.8]
    job.save()
    search_result_store(result=search_result(job, candidate(bag, bag.photos.get())))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}/hits/{bag.pk}/explanation", **PATIENT).json()
    box = body["query"]["heat_map"]["box"]
    assert 0.3 <= box[0] < box[2] <= 0.9 and 0.1 <= box[1] < box[3] <= 0.8
    assert body["query"]["photo_id"] is None
    assert f"/photos/searches/{job.pk}/heat?map=" in body["query"]["overlay_url"]
    whole = shop.client.get(f"{API}/review-items/{item.pk}/explanation", **PATIENT).json()
    assert body["similarity"]["image"] != pytest.approx(whole["similarity"]["image"], abs=1e-4)


def test_a_search_by_words_is_explained_without_heat(worker, shop, bag, item):
    job = shop.search(words="kestrel backpack")
    search_result_store(result=search_result(job, candidate(bag, bag.photos.get(), image=None, probability=None)))
    body = shop.client.get(f"{API}/search-jobs/{job.pk}/hits/{bag.pk}/explanation", **PATIENT).json()
    assert (body["query"], body["matched"]["heat_map"], body["similarity"]["image"]) == (None, None, None)
    assert "search by words" in body["no_heat_map"]
    parts = body["similarity"]["parts"]
    assert parts["words"]["contribution"] > parts["image"]["contribution"]


def test_photos_that_are_gone_or_broken_are_told(worker, shop, bag, item):
    missing = shop.item(bag)
    problem(shop.client.get(f"{API}/review-items/{missing.pk}/explanation", **PATIENT), 410, "photo_gone")
    kept = workers_client.photo_store().write(sample("customer/BAG-281-1.jpg")[:3000])
    item.photo.key, item.photo.sha256 = kept.key, kept.sha256
    item.photo.save()
    problem(shop.client.get(f"{API}/review-items/{item.pk}/explanation", **PATIENT), 422, "photo_truncated")


def test_the_admin_shows_it(worker, shop, bag, item, client):
    client.force_login(User.objects.create(username="rita", is_staff=True, is_superuser=True))
    place = reverse("admin:catalog_item_explanation", args=[item.pk, bag.pk])
    until = time.monotonic() + 60
    while "v-heat" not in (html := client.get(place).content.decode()):
        assert "A worker is looking" in html, html
        assert time.monotonic() < until
    assert "Why Kestrel backpack?" in html
    assert html.count("/heat?map=") == 2
