"""Who may do what: no key, wrong keys, revoked keys, publishable keys, and never another merchant's rows."""

import hashlib
import re
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from catalog.models import (
    ApiKey,
    IdempotencyRecord,
    Job,
    JobKind,
    Photo,
    Product,
    Synonyms,
    Upload,
    WebhookDelivery,
    WebhookEndpoint,
)
from catalog.services.key import api_key_find, api_key_revoke
from catalog.services.synonyms import synonyms_create
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import API, client_of, jpeg, problem

UUID_TEXT = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def test_without_a_key(shop):
    response = APIClient().get(f"{API}/products")
    problem(response, 401, "not_authenticated")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="vitrine"'


@pytest.mark.parametrize("header", ["Bearer vit_sk_wrong", "Bearer", "Bearer a b", "bearer ü"])
def test_a_wrong_key(shop, header):
    response = APIClient().get(f"{API}/products", HTTP_AUTHORIZATION=header)
    problem(response, 401, "key_invalid")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="vitrine"'


def test_another_scheme_is_no_key(shop):
    problem(APIClient().get(f"{API}/products", HTTP_AUTHORIZATION="Basic eDp5"), 401, "not_authenticated")


def test_a_revoked_key(shop):
    assert shop.client.get(f"{API}/products").status_code == 200
    first = api_key_revoke(key=shop.key).revoked_at
    problem(shop.client.get(f"{API}/products"), 401, "key_invalid")
    assert api_key_revoke(key=shop.key).revoked_at == first


def test_only_the_digest_is_stored(shop):
    assert shop.token.startswith("vit_sk_") and shop.public_token.startswith("vit_pk_")
    stored = ApiKey.objects.values().get(pk=shop.key.pk)
    assert stored["digest"] == hashlib.sha256(shop.token.encode()).hexdigest()
    assert shop.token not in str(stored)
    assert stored["hint"] == f"{shop.token[:10]}…{shop.token[-4:]}"


def test_use_is_noted_at_most_once_a_minute(shop, django_assert_num_queries):
    with django_assert_num_queries(5):  # the key; then savepoint, lock, write, release
        api_key_find(shop.token)
    first = ApiKey.objects.get(pk=shop.key.pk).last_used_at
    with django_assert_num_queries(1):
        api_key_find(shop.token)
    assert ApiKey.objects.get(pk=shop.key.pk).last_used_at == first
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    api_key_find(shop.token)
    assert ApiKey.objects.get(pk=shop.key.pk).last_used_at >= first


def test_a_publishable_key_searches(shop):
    started = shop.public.post(f"{API}/search-jobs", {"words": "mug"}, format="json")
    assert started.status_code == 202
    assert shop.public.get(started.headers["Location"]).json()["id"] == started.json()["id"]


def test_a_publishable_key_does_nothing_else(shop):
    job, product, item = shop.search(), shop.product(), shop.item()
    photo = shop.photo(product)
    before = (Product.objects.count(), Photo.objects.count(), Job.objects.count())
    denied = [
        ("get", "products"),
        ("post", "products"),
        ("get", f"products/{product.pk}"),
        ("patch", f"products/{product.pk}"),
        ("delete", f"products/{product.pk}"),
        ("put", "products/by-sku/X"),
        ("get", f"products/by-sku/{product.sku}"),
        ("patch", f"products/by-sku/{product.sku}"),
        ("delete", f"products/by-sku/{product.sku}"),
        ("get", f"products/{product.pk}/photos"),
        ("post", f"products/{product.pk}/photos"),
        ("get", f"photos/{photo.pk}"),
        ("delete", f"photos/{photo.pk}"),
        ("get", "uploads"),
        ("post", "uploads"),
        ("get", "search-jobs"),
        ("delete", f"search-jobs/{job.pk}"),
        ("post", f"search-jobs/{job.pk}/cancel"),
        ("get", "recognition-jobs"),
        ("post", "recognition-jobs"),
        ("get", "review-items"),
        ("get", f"review-items/{item.pk}"),
        ("post", f"review-items/{item.pk}/reject"),
        ("post", "products/bulk"),
        ("get", "products/export.zip"),
        ("get", "synonyms"),
        ("post", "synonyms"),
        ("get", "webhook-endpoints"),
        ("post", "webhook-endpoints"),
        *((method, path) for method, path, _ in webhooks_of(shop)),
    ]
    for method, path in denied:
        problem(getattr(shop.public, method)(f"{API}/{path}"), 403, "permission_denied")
    assert before == (Product.objects.count(), Photo.objects.count(), Job.objects.count())
    job.refresh_from_db()
    assert job.state == "dispatched"


def everything_of(shop):
    """One of each thing, and every address that names one: method, path, body."""
    product, job, recognition = shop.product(), shop.search(), shop.recognition()
    photo, item = shop.photo(product), shop.item(product, job=recognition)
    upload = Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")
    words = synonyms_create(merchant=shop.merchant, words=["mug", "cup"])
    return [
        ("get", f"products/{product.pk}", None),
        ("patch", f"products/{product.pk}", {"title": "Mine"}),
        ("delete", f"products/{product.pk}", None),
        ("get", f"products/{product.pk}/photos", None),
        ("post", f"products/{product.pk}/photos", {"photo": "AAAA"}),
        ("get", f"photos/{photo.pk}", None),
        ("delete", f"photos/{photo.pk}", None),
        ("get", f"uploads/{upload.pk}", None),
        ("get", f"uploads/{upload.pk}/rows", None),
        ("get", f"uploads/{upload.pk}/bad-rows.csv", None),
        ("post", f"uploads/{upload.pk}/cancel", {}),
        ("get", f"search-jobs/{job.pk}", None),
        ("delete", f"search-jobs/{job.pk}", None),
        ("post", f"search-jobs/{job.pk}/cancel", {}),
        ("get", f"recognition-jobs/{recognition.pk}", None),
        ("delete", f"recognition-jobs/{recognition.pk}", None),
        ("post", f"recognition-jobs/{recognition.pk}/cancel", {}),
        ("get", f"review-items/{item.pk}", None),
        ("post", f"review-items/{item.pk}/accept", {}),
        ("post", f"review-items/{item.pk}/correct", {"sku": "MUG-1"}),
        ("post", f"review-items/{item.pk}/reject", {}),
        ("post", f"review-items/{item.pk}/unknown", {}),
        ("post", f"review-items/{item.pk}/new-product", {"sku": "MUG-9", "title": "Mine"}),
        ("post", f"review-items/{item.pk}/undo", {}),
        ("get", f"review-items/{item.pk}/explanation", None),
        ("get", f"search-jobs/{job.pk}/hits", None),
        ("get", f"search-jobs/{job.pk}/events", None),
        ("get", f"recognition-jobs/{recognition.pk}/events", None),
        ("get", f"uploads/{upload.pk}/events", None),
        ("get", f"search-jobs/{job.pk}/hits/{product.pk}/explanation", None),
        ("get", f"keys/{shop.public_key.pk}", None),
        ("patch", f"keys/{shop.public_key.pk}", {"name": "Mine"}),
        ("delete", f"keys/{shop.public_key.pk}", None),
        ("post", f"keys/{shop.public_key.pk}/rotate", {}),
        ("get", f"synonyms/{words.pk}", None),
        ("put", f"synonyms/{words.pk}", {"words": ["mug", "plate"]}),
        ("delete", f"synonyms/{words.pk}", None),
        *webhooks_of(shop),
    ]


def webhooks_of(shop):
    endpoint, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/hook", events=["job.finished"])
    delivery = endpoint_test(endpoint=endpoint)
    return [
        ("get", f"webhook-endpoints/{endpoint.pk}", None),
        ("patch", f"webhook-endpoints/{endpoint.pk}", {"enabled": False}),
        ("delete", f"webhook-endpoints/{endpoint.pk}", None),
        ("post", f"webhook-endpoints/{endpoint.pk}/rotate-secret", {}),
        ("post", f"webhook-endpoints/{endpoint.pk}/test", {}),
        ("get", f"webhook-deliveries/{delivery.pk}", None),
        ("post", f"webhook-deliveries/{delivery.pk}/replay", {}),
    ]


def rows_of(merchant):
    models = (Product, Photo, Upload, Job, Synonyms, WebhookEndpoint, WebhookDelivery)
    return [list(model.objects.filter(merchant=merchant).order_by("pk").values()) for model in models] + [
        list(merchant.items.order_by("pk").values())
    ]


def test_another_merchants_ids_are_not_found_and_nothing_changes(shop, other):
    addresses = everything_of(shop)
    other.product("MUG-1")
    before = rows_of(shop.merchant)
    for method, path, body in addresses:
        response = getattr(other.client, method)(f"{API}/{path}", body, format="json")
        problem(response, 404, "not_found")
    problem(other.public.get(f"{API}/search-jobs/{Job.objects.filter(kind=JobKind.SEARCH)[0].pk}"), 404, "not_found")
    assert rows_of(shop.merchant) == before


LISTS = [
    "products", "uploads", "search-jobs", "recognition-jobs", "review-items", "webhook-endpoints", "webhook-deliveries",
]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
def test_lists_hold_no_other_merchants_rows(shop, other, path):
    everything_of(shop)
    assert len(shop.client.get(f"{API}/{path}").json()["results"]) == 1
    assert other.client.get(f"{API}/{path}").json()["results"] == []


def test_every_address_with_an_id_is_covered(shop):
    """A new address that names a row must be added to ``everything_of``."""
    schema = APIClient().get("/api/schema?format=json").json()
    named = {
        (method, path.replace(f"{API}/", "").split("{")[0], path.rsplit("}")[-1])
        for path, methods in schema["paths"].items()
        for method in methods
        if "id}" in path
    }
    covered = set()
    for method, path, _ in everything_of(shop):
        resource, *_, tail = UUID_TEXT.split(path)
        covered.add((method, resource, tail))
    assert named == covered


def test_an_upsert_by_sku_stays_in_its_merchant(shop, other):
    mine = shop.product("MUG-1")
    assert other.client.put(f"{API}/products/by-sku/MUG-1", {"title": "Theirs"}, format="json").status_code == 201
    mine.refresh_from_db()
    assert mine.title == "Mug MUG-1"


def test_another_merchants_product_is_no_correction(shop, other):
    item, theirs = shop.item(shop.product()), other.product("THEIRS")
    for choice in ({"product_id": str(theirs.pk)}, {"sku": "THEIRS"}):
        problem(
            shop.client.post(f"{API}/review-items/{item.pk}/correct", choice, format="json"), 404, "product_not_found"
        )
    item.refresh_from_db()
    assert item.state == "open"


def test_an_idempotency_key_is_one_merchants(shop, other):
    body = {"sku": "A", "title": "A"}
    for each in (shop, other):
        response = each.client.post(f"{API}/products", body, format="json", HTTP_IDEMPOTENCY_KEY="same")
        assert response.status_code == 201
    assert IdempotencyRecord.objects.count() == 2


def test_a_search_finds_no_other_merchants_products(shop, other):
    theirs = other.product()
    job = shop.search(photo=jpeg(), words="")
    job.candidates = other.item(theirs).candidates
    job.state = "done"
    job.save()
    assert client_of(shop.token).get(f"{API}/search-jobs/{job.pk}").json()["hits"] == []
