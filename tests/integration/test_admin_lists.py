"""Every page of the admin: it opens, it says what is so, and a list costs as many queries for 20 rows as for one."""

import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.models import Decision, Lane, LedgerState, Membership, Opinion, Threshold, Upload, UploadState
from catalog.services.result import search_result_store
from catalog.services.synonyms import synonyms_create
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
from tests.api_support import Shop, candidate, search_result
from tests.drawing import jpeg
from workers.contract import WORKER_KEY_PREFIX, Fault, WorkerCard

pytestmark = pytest.mark.django_db


def one_of_each(number):
    """A merchant with one more row of every kind."""
    shop = Shop(f"shop-{number}")
    product = shop.product(price="9.90", currency="EUR")
    shop.photo(product)
    shop.photo(product, state=LedgerState.FAILED, position=1)
    job = shop.recognition((number, 1, 1))
    item = shop.item(product, job=job)
    decision = Decision.objects.create(item=item, action="accept", product=product, reviewer_name="ana")
    Upload.objects.create(merchant=shop.merchant, name=f"{number}.zip", source="x", state=UploadState.PROCESSING)
    person = User.objects.create(username=f"person-{number}")
    Membership.objects.create(user=person, merchant=shop.merchant)
    Opinion.objects.create(
        item=item, reviewer=person, about=decision, kind="second", desk=uuid.uuid4(), action="reject", agrees=False
    )
    Threshold.objects.create(merchant=shop.merchant, category="Mugs", bundle_version="b1", value=0.9)
    endpoint, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/", events=["job.finished"])
    endpoint_test(endpoint=endpoint)
    synonyms_create(merchant=shop.merchant, words=["mug", "cup"])
    return shop


LISTS = [
    "catalog_product", "catalog_photo", "catalog_upload", "catalog_job", "catalog_item", "catalog_decision",
    "catalog_merchant", "catalog_apikey", "catalog_webhookendpoint", "catalog_webhookdelivery", "catalog_synonyms",
    "catalog_opinion", "catalog_threshold", "auth_user",
]  # fmt: skip


def test_no_list_is_forgotten():
    page_of_its_own = {"catalog_bundle"}  # no list: tests/browser/test_bundles_page.py
    registered = {f"{model._meta.app_label}_{model._meta.model_name}" for model in site._registry}
    assert registered == {*LISTS, *page_of_its_own}


@pytest.mark.parametrize("name", LISTS)
def test_list_costs_the_same_for_one_row_and_for_many(admin, name):
    one_of_each(0)
    one_of_each(1)  # filters by merchant show from two on
    address = reverse(f"admin:{name}_changelist")
    with CaptureQueriesContext(connection) as few:
        response = admin.get(address)
    before = len(response.context["cl"].result_list)
    for number in range(2, 20):
        one_of_each(number)
    with CaptureQueriesContext(connection) as many:
        response = admin.get(address)
    assert response.status_code == 200
    assert len(response.context["cl"].result_list) >= before + 18
    assert len(many) == len(few), [query["sql"] for query in many]


def test_dashboard_costs_the_same_for_one_row_and_for_many(admin):
    one_of_each(0)
    with CaptureQueriesContext(connection) as few:
        admin.get(reverse("admin:index"))
    for number in range(1, 20):
        one_of_each(number)
    with CaptureQueriesContext(connection) as many:
        admin.get(reverse("admin:index"))
    assert len(many) == len(few)


def test_product_list_shows_price_and_photo_states(admin):
    one_of_each(0)
    html = admin.get(reverse("admin:catalog_product_changelist")).content.decode()
    assert "€9.90" in html
    assert '<span class="v-count" data-state="done">2 indexed</span>' in html
    assert '<span class="v-count" data-state="failed">1 failed</span>' in html
    assert "/thumb?until=" in html


def test_product_list_narrows(admin, shop):
    mug, lamp = shop.product("MUG-1"), shop.product("LAMP-1", brand="Zen", category="Home/Lamps", in_stock=False)
    address = reverse("admin:catalog_product_changelist")
    for query, found in (
        ({"q": "lamp"}, [lamp]),
        ({"brand__icontains": "hear"}, [mug]),
        ({"category__icontains": "lamps"}, [lamp]),
        ({"in_stock__exact": "1"}, [mug]),
        ({"merchant__id__exact": str(Shop("empty").merchant.pk)}, []),
    ):
        assert list(admin.get(address, query).context["cl"].result_list) == found, query


def test_dashboard_tells_the_numbers(admin, shop):
    product = shop.product()
    for state in (LedgerState.DONE, LedgerState.DONE, LedgerState.FAILED):
        shop.photo(product, state=state)
    shop.item(product, lane=Lane.UNCERTAIN)
    shop.item(product, lane=Lane.MISTAKE, state="auto")
    shop.item(product, lane=Lane.CONTROL, state="auto")
    shop.item(product, state="auto")  # nobody need look at it
    shop.item(product, lane=Lane.UNCERTAIN, state="rejected")
    Upload.objects.create(merchant=shop.merchant, name="a.zip", source="x", state=UploadState.IMPORTING)
    Upload.objects.create(merchant=shop.merchant, name="b.zip", source="x", state=UploadState.DONE)
    context = admin.get(reverse("admin:index")).context
    assert [(each["label"], each["number"]) for each in context["figures"]] == [
        ("Items to review", 3),
        ("Uploads in progress", 1),
        ("Products", 1),
    ]
    assert (context["queue"]["total"], [each["number"] for each in context["queue"]["lanes"]]) == (3, [1, 1, 1])
    assert {each["state"]: each["number"] for each in context["photo_states"]["states"]} == {
        "done": 12,
        "dispatched": 0,
        "pending": 0,
        "failed": 1,
    }  # fmt: skip  (items' photos and their candidates' are done too)
    assert "broker_trouble" in context


def test_dashboard_links_lead_to_what_they_count(admin, shop):
    product = shop.product()
    shop.item(product, lane=Lane.UNCERTAIN)
    shop.item(product, lane=Lane.CONTROL, state="auto")
    shop.item(product, lane=Lane.UNCERTAIN, state="rejected")
    shop.photo(product, state=LedgerState.FAILED)
    context = admin.get(reverse("admin:index")).context
    (row,) = admin.get(context["figures"][0]["address"]).context["shops"]
    assert row.waiting == context["figures"][0]["number"] == 2
    failed = next(each for each in context["photo_states"]["states"] if each["state"] == "failed")
    assert len(admin.get(failed["address"]).context["cl"].result_list) == 1


def test_dashboard_names_the_workers_alive(admin, shop, redis_server):
    card = WorkerCard(
        name="gpu-1", bundle_version="2026-a", calibrated=True, device="cuda:0", engine="embedded", points=12_000,
        photos_done=5, searches_done=6, started_at=datetime.now(UTC), notes=("The index is outgrown.",),
    )  # fmt: skip
    with redis_server.client() as redis:
        redis.set(f"{WORKER_KEY_PREFIX}gpu-1", card.model_dump_json())
        redis.rpush("vitrine.bulk", "a", "b")
    response = admin.get(reverse("admin:index"))
    html = response.content.decode()
    assert ("Bulk chunks", 2) in response.context["queues"]
    for words in ("gpu-1", "bundle 2026-a, calibrated", "12,000 points", "The index is outgrown."):
        assert words in html


def test_dashboard_of_a_member_is_of_their_merchant(client, shop):
    Shop("other").product()
    member = User.objects.create(username="ana", is_staff=True)
    Membership.objects.create(user=member, merchant=shop.merchant)
    client.force_login(member)
    context = client.get(reverse("admin:index")).context
    assert [each["number"] for each in context["figures"]] == [0, 0, 0]
    assert "workers_shown" not in context


def test_page_of_a_search(admin, shop):
    mug = shop.product(title="Red mug")
    job = shop.search(photo=jpeg(1))
    found = (candidate(mug, shop.photo(mug)),)
    search_result_store(result=search_result(job, *found, verdict="SURE", reason="Far ahead."))
    html = admin.get(reverse("admin:catalog_job_change", args=[job.pk])).content.decode()
    for words in (
        "Red mug",
        "1 candidate",
        "Far ahead.",
        "probability, calibrated",
        f"/photos/searches/{job.pk}/medium",
    ):
        assert words in html


def test_page_of_a_failed_search_keeps_the_trace(admin, shop):
    job = shop.search()
    fault = Fault(code="internal_error", message="Broke.", kind="bug", trace="Traceback: <here>")
    search_result_store(result=search_result(job, fault=fault))
    assert "Traceback: &lt;here&gt;" in admin.get(reverse("admin:catalog_job_change", args=[job.pk])).content.decode()


def test_page_of_a_recognition(admin, shop):
    mug = shop.product(title="Red mug")
    job = shop.recognition((1, 2, 3), (4, 5, 6))
    shop.item(mug, job=job)
    html = admin.get(reverse("admin:catalog_job_change", args=[job.pk])).content.decode()
    assert "0 of 2 photos" in html or "of 3 photos" in html
    assert "Red mug" in html


def test_page_of_a_photo_offers_another_try(admin, shop):
    photo = shop.photo(shop.product(), state=LedgerState.FAILED)
    page = reverse("admin:catalog_photo_change", args=[photo.pk])
    assert "Try again" in admin.get(page).content.decode()
    retry = reverse("admin:catalog_photo_retry", args=[photo.pk])
    assert admin.get(retry).status_code == 405
    assert admin.post(retry).headers["Location"] == page
    photo.refresh_from_db()
    assert (photo.state, photo.attempts, photo.error_code) == (LedgerState.PENDING, 0, "")
    assert "Try again" not in admin.get(page).content.decode()


def test_retry_in_bulk_leaves_photos_that_did_not_fail(admin, shop):
    product = shop.product()
    failed, done = shop.photo(product, state=LedgerState.FAILED), shop.photo(product)
    chosen = {"action": "retry", "_selected_action": [failed.pk, done.pk]}
    response = admin.post(reverse("admin:catalog_photo_changelist"), chosen, follow=True)
    assert "1 failed photo owed to the workers again." in response.content.decode()
    failed.refresh_from_db()
    done.refresh_from_db()
    assert (failed.state, done.state) == (LedgerState.PENDING, LedgerState.DONE)


@pytest.mark.parametrize(
    "name",
    [
        "catalog_product",
        "catalog_merchant",
        "catalog_apikey",
        "catalog_upload",
        "catalog_webhookendpoint",
        "catalog_synonyms",
        "auth_user",
    ],
)
def test_pages_to_add_open(admin, shop, name):
    assert admin.get(reverse(f"admin:{name}_add")).status_code == 200


def test_page_of_a_person(admin, shop):
    person = User.objects.create(username="ana")
    Membership.objects.create(user=person, merchant=shop.merchant)
    assert admin.get(reverse("admin:auth_user_change", args=[person.pk])).status_code == 200
