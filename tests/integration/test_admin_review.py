"""The review list: what a reviewer sees of an item, and that each button changes, logs and goes on."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.models import Decision, Item, ItemState, Lane, Photo, PhotoOrigin, Purpose
from catalog.services.photo import photos_delete
from catalog.services.review import item_accept
from tests.api_support import Shop
from tests.review_support import reviewer

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client):
    client.force_login(User.objects.create(username="rita", is_staff=True, is_superuser=True))
    return client


def page(item):
    return reverse("admin:catalog_item_change", args=[item.pk])


def press(admin, item, verb, product=None):
    data = {"product": product.pk} if product else {}
    return admin.post(reverse(f"admin:catalog_item_{verb}", args=[item.pk]), data)


def test_item_shows_photo_candidates_verdict_and_reason(admin, shop):
    mug, cup = shop.product("MUG-1", price="9.90", currency="EUR"), shop.product("CUP-1")
    item = shop.item(mug, cup, reason="The first two are close together.", calibrated=True)
    html = admin.get(page(item)).content.decode()
    for words in (
        f"/photos/{item.photo_id}/medium", "Mug MUG-1", "Mug CUP-1", "€9.90", "The first two are close together.",
        "Probabilities are calibrated on held-out photos.", "probability, calibrated", "Nobody has decided",
    ):  # fmt: skip
        assert words in html
    assert html.count(">Accept<") + html.count("Accept\n") >= 1
    assert html.count("It is this one") == 1


def test_uncalibrated_scores_say_so(admin, shop):
    html = admin.get(page(shop.item(shop.product(), calibrated=False))).content.decode()
    assert "<strong>not calibrated</strong>" in html
    assert "score, not calibrated" in html


def test_page_costs_the_same_for_one_candidate_and_for_many(admin, shop):
    one = shop.item(shop.product())
    many = shop.item(*(shop.product(f"P-{number}") for number in range(20)))
    admin.get(page(one))  # what Django keeps for the whole process is looked up now
    with CaptureQueriesContext(connection) as few:
        admin.get(page(one))
    with CaptureQueriesContext(connection) as more:
        assert admin.get(page(many)).content.decode().count("It is this one") == 19
    assert len(more) == len(few)


def test_accept_makes_the_photo_a_reference(admin, shop):
    mug = shop.product()
    item, waiting = shop.item(mug), shop.item(mug, lane=Lane.UNCERTAIN)
    response = press(admin, item, "accept")
    assert response.headers["Location"] == page(waiting)
    item.refresh_from_db()
    item.photo.refresh_from_db()
    assert (item.state, item.product) == (ItemState.ACCEPTED, mug)
    assert (item.photo.product, item.photo.purpose, item.photo.origin) == (mug, Purpose.INDEX, PhotoOrigin.REVIEW)
    decision = Decision.objects.get()
    assert (decision.item, decision.action, decision.product, decision.reviewer_name) == (item, "accept", mug, "rita")
    assert (decision.before["state"], decision.after["state"]) == ("open", "accepted")


def test_the_reviewer_is_told_what_became_of_the_photo(admin, shop):
    mug = shop.product()
    first, same, gone = (shop.item(mug) for _ in range(3))
    Photo.objects.filter(pk=same.photo_id).update(sha256=first.photo.sha256)
    Item.objects.filter(pk=gone.pk).update(photo=None)
    told = []
    for item in (first, same, gone):
        response = admin.post(reverse("admin:catalog_item_accept", args=[item.pk]), follow=True)
        told += [str(message).partition(". ")[2] for message in response.context["messages"]]
    assert told == [
        "The photo becomes a reference of it.",
        "This very photo is a reference of it already.",
        "The photo was deleted, so it becomes no reference.",
    ]
    made = Decision.objects.order_by("created_at")
    assert [decision.after["reference"] for decision in made] == ["added", "held", "gone"]
    assert mug.photos.get(origin=PhotoOrigin.REVIEW) == first.photo


def test_correct_to_another_candidate_or_any_product(admin, shop):
    mug, lamp = shop.product("MUG-1"), shop.product("LAMP-1")
    item = shop.item(mug)
    response = press(admin, item, "correct", lamp)
    assert response.headers["Location"] == reverse("admin:catalog_item_changelist")  # nothing else waits
    item.refresh_from_db()
    assert (item.state, item.product) == (ItemState.CORRECTED, lamp)
    assert Decision.objects.get().action == "correct"
    assert "rita</strong> corrected" in admin.get(page(item)).content.decode()


def test_the_next_item_is_the_queues_next_that_nobody_has(admin, shop):
    mug = shop.product()
    item, oldest = shop.item(mug, lane=Lane.UNCERTAIN), shop.item(mug, lane=Lane.CONTROL, state=ItemState.AUTO)
    open_at_a_desk = {"claim": uuid.uuid4(), "claimed_by": User.objects.get(), "claimed_until": soon(minutes=1)}
    shop.item(mug, lane=Lane.UNCERTAIN, doubt=0.9, **open_at_a_desk)
    shop.item(mug, lane=Lane.UNCERTAIN, doubt=0.8, assigned_to=reviewer("ben", shop.merchant))
    lapsed = shop.item(mug, lane=Lane.UNCERTAIN, doubt=0.7, **open_at_a_desk | {"claimed_until": soon(minutes=-1)})
    Shop("other").item(lane=Lane.UNCERTAIN, doubt=1.0)
    assert "2 more wait for review" in admin.get(page(item)).content.decode()
    assert press(admin, item, "reject").headers["Location"] == page(lapsed)
    assert "1 more waits for review" in admin.get(page(lapsed)).content.decode()
    assert press(admin, lapsed, "accept").headers["Location"] == page(oldest)
    assert press(admin, oldest, "accept").headers["Location"] == reverse("admin:catalog_item_changelist")


def soon(**more):
    return timezone.now() + timedelta(**more)


def test_reject(admin, shop):
    item = shop.item(shop.product())
    press(admin, item, "reject")
    item.refresh_from_db()
    item.photo.refresh_from_db()
    assert (item.state, item.product, item.photo.product) == (ItemState.REJECTED, None, None)
    assert Decision.objects.get().action == "reject"


def test_item_is_decided_once(admin, shop):
    item = shop.item(shop.product())
    press(admin, item, "reject")
    response = admin.post(reverse("admin:catalog_item_accept", args=[item.pk]), follow=True)
    assert "Somebody has already decided on this item. (item_decided)" in response.content.decode()
    item.refresh_from_db()
    assert item.state == ItemState.REJECTED
    assert Decision.objects.count() == 1
    html = admin.get(page(item)).content.decode()
    assert reverse("admin:catalog_item_reject", args=[item.pk]) not in html


def test_item_without_a_candidate_cannot_be_accepted(admin, shop):
    item = shop.item()
    response = admin.post(reverse("admin:catalog_item_accept", args=[item.pk]), follow=True)
    assert "item_without_candidate" in response.content.decode()
    assert not Decision.objects.exists()


def test_product_of_another_merchant_is_not_accepted(admin, shop):
    foreign = Shop("other").product()
    item = shop.item(shop.product())
    for verb in ("accept", "correct"):
        assert press(admin, item, verb, foreign).status_code == 404
    assert admin.post(reverse("admin:catalog_item_correct", args=[item.pk]), {"product": "x"}).status_code == 404
    item.refresh_from_db()
    assert item.state == ItemState.OPEN


@pytest.mark.parametrize("verb", ["accept", "correct", "reject"])
def test_looking_decides_nothing(admin, shop, verb):
    item = shop.item(shop.product())
    assert admin.get(reverse(f"admin:catalog_item_{verb}", args=[item.pk])).status_code == 405
    assert not Decision.objects.exists()


def test_search_for_the_right_product(admin, shop):
    item = shop.item(shop.product("MUG-1"))
    lamp = shop.product("LAMP-1", title="Brass lamp", price="5.00", currency="USD")
    Shop("other").product("LAMP-2", title="Foreign lamp")
    address = reverse("admin:catalog_item_products", args=[item.pk])
    html = admin.get(address, {"words": "lamp brass"}).content.decode()
    assert "Brass lamp" in html
    assert "$5.00" in html
    assert f'value="{lamp.pk}"' in html
    assert "Foreign lamp" not in html
    assert "No product contains “zeppelin”." in admin.get(address, {"words": "zeppelin"}).content.decode()
    assert admin.get(address, {"words": " "}).content.strip() == b""


def test_decisions_are_read_only(admin, shop):
    item = shop.item(shop.product())
    press(admin, item, "reject")
    decision = Decision.objects.get()
    assert admin.get(reverse("admin:catalog_decision_change", args=[decision.pk])).status_code == 200
    for verb in ("change", "delete"):
        address = reverse(f"admin:catalog_decision_{verb}", args=[decision.pk])
        assert admin.post(address, {"post": "yes"}).status_code == 403
    assert admin.get(reverse("admin:catalog_decision_add")).status_code == 403
    assert Decision.objects.get().action == "reject"


def test_an_item_whose_photo_was_deleted_is_still_shown(admin, shop):
    mug = shop.product("MUG-1")
    item = shop.item(mug, job=shop.recognition())
    item_accept(item=item, reviewer=None, reviewer_name="rita")
    photos_delete(photos=[item.photo])
    for address in (
        page(item),
        reverse("admin:catalog_item_changelist"),
        reverse("admin:catalog_decision_changelist"),
        reverse("admin:catalog_job_change", args=[item.job_id]),
    ):
        assert admin.get(address).status_code == 200, address
    assert "Deleted" in admin.get(page(item)).content.decode()
    assert shop.client.get(f"/api/v1/review-items/{item.pk}").json()["photo"] is None
