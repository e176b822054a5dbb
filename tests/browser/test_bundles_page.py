"""The page "Bundles" in a real browser: how two bundles stand, what would change, and the button that changes it."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from catalog.models import (
    Bundle,
    BundleState,
    ComparedPhoto,
    Comparison,
    LedgerState,
    Membership,
    Merchant,
    Photo,
    PhotoOrigin,
    Product,
    Role,
    ShadowPhoto,
)
from catalog.services.photo import photo_add
from config.env import ROOT
from tests.browser.conftest import overflow
from workers.contract import WORKER_KEY_PREFIX, Candidate, Scores, WorkerCard

PAGE = "admin:catalog_bundle_changelist"
OLD, NEW = "2026-11-23-mnv2-b", "2026-12-01-convnext"
SKUS = ("BAG-281", "BEA-233", "BOO-164", "BOX-152")


@pytest.fixture
def operator(transactional_db, log_in):
    user = User.objects.create(username="rita", is_staff=True, is_superuser=True)
    log_in(user)
    return user


@pytest.fixture
def worker(redis_server):
    def comes(*bundles, faults=None):
        card = WorkerCard(
            name="worker-1", bundle_version=OLD, calibrated=True, device="cuda", engine="server", points=4,
            photos_done=0, searches_done=0, started_at=datetime.now(UTC), bundles=bundles, bundle_faults=faults or {},
        )  # fmt: skip
        with redis_server.client() as client:
            client.set(f"{WORKER_KEY_PREFIX}worker-1", card.model_dump_json())

    return comes


@pytest.fixture
def compared(transactional_db):
    """Two bundles of which each finds one photo that the other does not; all photos are in the shadow."""
    facts = {"arch": "mobilenet_v2", "dim": 256}
    Bundle.objects.create(
        version=OLD, state=BundleState.LIVE, facts=facts, live_since=timezone.now() - timedelta(days=9)
    )
    Bundle.objects.create(version=NEW, state=BundleState.SHADOW, facts=facts | {"arch": "convnext_tiny"})
    merchant = Merchant.objects.create(slug="harbour", name="Harbour")
    products = [Product.objects.create(merchant=merchant, sku=sku, title=f"Thing {sku}") for sku in SKUS]
    comparison = Comparison.objects.create(live=OLD, shadow=NEW, created_by="rita")
    for at, product in enumerate(products):
        data = (ROOT / "sample" / "photos" / f"{product.sku}.jpg").read_bytes()
        photo, _ = photo_add(
            merchant=merchant, product=product, data=data, name=f"{product.sku}.jpg", origin=PhotoOrigin.API
        )
        Photo.objects.filter(pk=photo.pk).update(state=LedgerState.DONE, bundle_version=OLD)
        ShadowPhoto.objects.create(photo=photo, state=LedgerState.DONE)
        for version, right in ((OLD, at != 0), (NEW, at != 1)):
            first = product if right else products[at - 1]
            found = Candidate(
                product_id=first.pk, photo_id=uuid.uuid4(), scores=Scores(rank=0.8), probability=0.91 if right else 0.44
            )
            ComparedPhoto.objects.create(
                comparison=comparison, photo=photo, product=product, reviewed=at == 0, bundle_version=version,
                state=LedgerState.DONE, verdict="SURE" if right else "REVIEW",
                candidates=[found.model_dump(mode="json")],
            )  # fmt: skip


def test_what_would_change_is_seen_before_it_is_changed(page, operator, worker, compared, size):
    worker(OLD, NEW)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(reverse(PAGE))
    expect(page.get_by_text("4 of 4 photos embedded.")).to_be_visible()
    rows = page.locator(".v-compared tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text(SKUS[1])  # what would be lost comes first
    expect(rows.nth(1)).to_contain_text("confirmed by a reviewer")
    images = page.locator(".v-compared img")
    expect(images).to_have_count(2)
    for image in images.all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    assert overflow(page) == 0


def test_made_live_and_taken_back_by_buttons(page, operator, worker, compared):
    worker(OLD, NEW)
    page.goto(reverse(PAGE))
    page.get_by_role("button", name="Make it live").click()
    expect(page.get_by_text("Promoted.")).to_be_visible()
    assert Bundle.objects.get(state=BundleState.LIVE).version == NEW
    page.get_by_role("button", name=f"Roll back to {OLD}").click()
    expect(page.get_by_text("Rolled back.")).to_be_visible()
    assert Bundle.objects.get(state=BundleState.LIVE).version == OLD
    told = [(entry.user, entry.change_message, entry.object_repr) for entry in LogEntry.objects.order_by("pk")]
    assert told == [(operator, "Promoted", NEW), (operator, "Rolled back", OLD)]


def test_made_live_without_the_photos_that_it_cannot_embed(page, operator, worker, compared):
    worker(OLD, NEW)
    failed, waiting = ShadowPhoto.objects.order_by("pk")[:2]
    ShadowPhoto.objects.filter(pk=failed.pk).update(state=LedgerState.FAILED, error_code="photo_truncated")
    ShadowPhoto.objects.filter(pk=waiting.pk).update(state=LedgerState.PENDING)
    page.goto(reverse(PAGE))
    expect(page.get_by_text("2 of 4 photos embedded, 1 failed.")).to_be_visible()
    expect(page.get_by_text("1 × photo_truncated")).to_be_visible()
    expect(page.get_by_role("button", name="Make it live")).to_have_count(0)  # a worker may embed what waits
    ShadowPhoto.objects.filter(pk=waiting.pk).update(state=LedgerState.DONE)
    page.goto(reverse(PAGE))
    page.get_by_role("button", name="Make it live without 1 photo", exact=True).click()
    expect(page.get_by_text("Promoted.")).to_be_visible()
    assert Bundle.objects.get(state=BundleState.LIVE).version == NEW
    assert Photo.objects.get(state=LedgerState.PENDING) == failed.photo


def test_a_worker_that_cannot_load_it_says_why_and_there_is_no_button(page, operator, worker, compared):
    worker(OLD, faults={NEW: "The checksum of weights.safetensors is wrong."})
    page.goto(reverse(PAGE))
    expect(page.get_by_text("The checksum of weights.safetensors is wrong.")).to_be_visible()
    expect(page.get_by_role("button", name="Make it live")).to_have_count(0)


def test_only_the_operator_sees_it(client, compared):
    manager = User.objects.create(username="mona", is_staff=True)
    Membership.objects.create(user=manager, merchant=Merchant.objects.get(), role=Role.MANAGER)
    client.force_login(manager)
    assert client.get(reverse(PAGE)).status_code == 403
    assert client.get(reverse("admin:catalog_bundle_now")).status_code == 403
    for verb in ("shadow", "compare", "promote", "rollback", "retire"):
        assert client.post(reverse(f"admin:catalog_bundle_{verb}"), {"version": NEW}).status_code == 403
        client.force_login(manager)
    assert Bundle.objects.get(state=BundleState.LIVE).version == OLD
