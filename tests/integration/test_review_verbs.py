"""The review verbs: what each changes, that each is one decision however often it is sent, what undoing restores."""

import uuid

import pytest

from catalog.models import (
    Decision,
    DecisionAction,
    Item,
    ItemState,
    LedgerState,
    Photo,
    PhotoOrigin,
    Product,
    Purpose,
    Rejection,
)
from catalog.services.errors import Refused
from catalog.services.photo import photos_delete
from catalog.services.review import item_accept, item_correct, item_new_product, item_reject, item_unknown
from catalog.services.reviewing.split import item_split
from catalog.services.reviewing.undo import decision_undo
from tests.review_support import act, answered, reviewer

pytestmark = pytest.mark.django_db
VALUES = {"sku": "VASE-1", "title": "Tall vase"}
PARTS = [(0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)]


@pytest.fixture
def lamp(shop):
    return shop.product("LAMP-1")


@pytest.fixture
def item(shop, mug, lamp):
    return shop.item(mug, lamp, job=shop.recognition(), lane=1)


def row(instance):
    """All columns, as they lie in SQL."""
    return type(instance).objects.filter(pk=instance.pk).values().get()


def verbs(lamp):
    return {
        "accept": lambda item, **how: item_accept(item=item, reviewer=None, **how),
        "correct": lambda item, **how: item_correct(item=item, reviewer=None, product=lamp, **how),
        "reject": lambda item, **how: item_reject(item=item, reviewer=None, **how),
        "unknown": lambda item, **how: item_unknown(item=item, **how),
        "new_product": lambda item, **how: item_new_product(item=item, values=VALUES, **how),
        "split": lambda item, **how: item_split(item=item, parts=PARTS, **how),
    }


EVERY = ("accept", "correct", "reject", "unknown", "new_product", "split")


def test_a_new_product_is_made_with_the_photo_as_its_reference(shop, item):
    decision = item_new_product(item=item, act=act(seconds=4.5), values=VALUES)
    item.refresh_from_db()
    vase = Product.objects.get(sku="VASE-1")
    assert (item.state, item.product, item.photo.product, item.photo.purpose) == ("corrected", vase, vase, "index")
    assert (decision.action, decision.product, decision.seconds, decision.lane) == ("new_product", vase, 4.5, 1)
    assert set(Rejection.objects.values_list("product__sku", flat=True)) == {"MUG-1", "LAMP-1"}


def test_a_new_product_whose_sku_is_taken_changes_nothing(shop, item, mug):
    before = row(item)
    with pytest.raises(Refused) as refused:
        item_new_product(item=item, act=act(), values={"sku": "MUG-1", "title": "Another"})
    assert refused.value.code == "sku_duplicate"
    assert (row(item), Product.objects.count(), Decision.objects.count()) == (before, 2, 0)


def test_unknown_teaches_nothing(item):
    item_unknown(item=item, act=act())
    item.refresh_from_db()
    assert (item.state, item.product, item.photo.purpose) == (ItemState.UNKNOWN, None, Purpose.RECOGNISE)
    assert not Rejection.objects.exists()


def test_split_owes_each_part_to_the_workers(shop, item, mug):
    decision = item_split(item=item, act=act(), parts=PARTS)
    item.refresh_from_db()
    parts = Photo.objects.filter(pk__in=decision.after["parts"]).order_by("position")
    assert item.state == ItemState.SPLIT
    assert [(part.purpose, part.state, part.region, part.sha256) for part in parts] == [
        ("recognise", "pending", list(part), item.photo.sha256) for part in PARTS
    ]
    answered(parts[0], verdict="UNKNOWN", box=PARTS[0])
    assert Item.objects.get(photo=parts[0]).box == list(PARTS[0])


@pytest.mark.parametrize("parts", [[], PARTS[:1], [(0, 0, 1, 1), (0.5, 0, 0.505, 1)], [(0, 0, 2, 1)] * 2, PARTS * 13])
def test_parts_that_are_none(item, parts):
    with pytest.raises(Refused) as refused:
        item_split(item=item, act=act(), parts=parts)
    assert refused.value.code == "split_parts_invalid"
    item.refresh_from_db()
    assert (item.state, Photo.objects.filter(origin=PhotoOrigin.REVIEW).count()) == (ItemState.OPEN, 0)


@pytest.mark.parametrize("verb", EVERY)
def test_a_decision_that_is_sent_twice_is_one(item, lamp, verb):
    how = {"act": act(decision_id=uuid.uuid4())}
    first = verbs(lamp)[verb](item, **how)
    after = row(item), Photo.objects.count(), Product.objects.count(), Rejection.objects.count()
    assert verbs(lamp)[verb](item, **how) == first
    assert Decision.objects.count() == 1
    assert (row(item), Photo.objects.count(), Product.objects.count(), Rejection.objects.count()) == after


def test_an_id_is_not_used_for_two_decisions(shop, item, mug):
    other = shop.item(mug)
    how = {"act": act(decision_id=uuid.uuid4())}
    item_accept(item=item, reviewer=None, **how)
    with pytest.raises(Refused) as refused:
        item_accept(item=other, reviewer=None, **how)
    other.refresh_from_db()
    assert (refused.value.code, other.state) == ("decision_id_reused", ItemState.OPEN)


@pytest.mark.parametrize("verb", EVERY)
@pytest.mark.parametrize("who", ["stranger", "former"])
def test_who_may_not_review_changes_nothing(shop, item, lamp, verb, who):
    stranger = reviewer("eve", *([] if who == "stranger" else [shop.merchant]), is_active=who == "stranger")
    before = row(item), row(item.photo)
    with pytest.raises(Refused) as refused:
        verbs(lamp)[verb](item, act=act(stranger))
    assert (refused.value.code, refused.value.status) == ("review_forbidden", 403)
    assert (row(item), row(item.photo)) == before
    assert (Decision.objects.count(), Product.objects.count(), Rejection.objects.count()) == (0, 2, 0)


# Undo ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", EVERY)
def test_undo_restores_everything(shop, item, lamp, verb):
    volatile = {"queued_at", "finished_at", "state", "chunk_id", "lease_until"}
    before = row(item), row(item.photo), set(Product.objects.values_list("sku", flat=True))
    decision = verbs(lamp)[verb](item, act=act())
    undo = decision_undo(decision=decision, act=act())
    photo = Photo.objects.get(pk=item.photo_id)
    if photo.purpose == Purpose.WITHDRAW:  # until a worker has told the index
        answered(photo)
    photo = row(photo)
    photo["bundle_version"] = before[1]["bundle_version"]
    expected = {name: value for name, value in before[1].items() if name not in volatile}
    assert {name: value for name, value in photo.items() if name not in volatile} == expected | {
        "width": photo["width"], "height": photo["height"],
    }  # fmt: skip
    assert (row(item), photo["state"]) == (before[0], "done")
    assert set(Product.objects.values_list("sku", flat=True)) == before[2]
    assert Photo.objects.filter(origin=PhotoOrigin.REVIEW).count() == 0
    assert (undo.undoes, undo.action, Rejection.objects.count()) == (decision, DecisionAction.UNDO, 0)


def test_undo_happens_once_and_only_to_what_stands(item):
    first = item_reject(item=item, reviewer=None)
    how = act(decision_id=uuid.uuid4())
    undo = decision_undo(decision=first, act=how)
    assert decision_undo(decision=first, act=how) == undo
    second = item_accept(item=item, reviewer=None)
    for decision in (first, undo):
        with pytest.raises(Refused) as refused:
            decision_undo(decision=decision, act=act())
        assert refused.value.code == "decision_undone"
    item.refresh_from_db()
    assert (item.state, Decision.objects.count()) == (ItemState.ACCEPTED, 3)
    assert second.action == "accept"


def test_a_stranger_undoes_nothing(item):
    decision = item_reject(item=item, reviewer=None)
    with pytest.raises(Refused) as refused:
        decision_undo(decision=decision, act=act(reviewer("eve")))
    item.refresh_from_db()
    assert (refused.value.code, item.state, Decision.objects.count()) == ("review_forbidden", "rejected", 1)


def test_a_decision_survives_the_undo_of_a_later_one(shop, item, mug):
    later = shop.item(mug)
    item_accept(item=item, reviewer=None)
    answered(Photo.objects.get(pk=item.photo_id))
    decision_undo(decision=item_reject(item=later, reviewer=None), act=act())
    item.refresh_from_db()
    photo = Photo.objects.get(pk=item.photo_id)
    assert (item.state, item.product, photo.product, photo.purpose, photo.state) == (
        "accepted", mug, mug, "index", LedgerState.DONE,
    )  # fmt: skip


def test_undo_while_a_worker_has_the_reference_withdraws_it_afterwards(item):
    decision = item_accept(item=item, reviewer=None)
    Photo.objects.filter(pk=item.photo_id).update(state=LedgerState.DISPATCHED, chunk_id=uuid.uuid4())
    decision_undo(decision=decision, act=act())
    photo = Photo.objects.get(pk=item.photo_id)
    assert (photo.state, photo.changed, photo.purpose, photo.product) == ("dispatched", True, "withdraw", None)


def test_accept_after_undo_is_a_reference_again(item, mug):
    decision_undo(decision=item_accept(item=item, reviewer=None), act=act())
    item_accept(item=item, reviewer=None)
    photo = Photo.objects.get(pk=item.photo_id)
    assert (photo.purpose, photo.product, photo.state) == (Purpose.INDEX, mug, LedgerState.PENDING)


def test_a_new_product_that_others_use_by_now_stays(shop, item, mug):
    other = shop.item(mug)
    decision = item_new_product(item=item, act=act(), values=VALUES)
    item_correct(item=other, reviewer=None, product=decision.product)
    decision_undo(decision=decision, act=act())
    vase = Product.objects.get(sku="VASE-1")
    assert (vase.deleted_at, list(vase.items.all())) == (None, [other])


def test_parts_that_were_decided_on_keep_a_split(item, mug):
    decision = item_split(item=item, act=act(), parts=PARTS)
    part = Photo.objects.get(pk=decision.after["parts"][0])
    answered(part, verdict="UNKNOWN", box=PARTS[0])
    item_reject(item=part.items.get(), reviewer=None)
    with pytest.raises(Refused) as refused:
        decision_undo(decision=decision, act=act())
    item.refresh_from_db()
    assert (refused.value.code, item.state) == ("split_decided", ItemState.SPLIT)


def test_the_log_outlives_an_item_that_waits_again_and_its_photo(item):
    decision_undo(decision=item_reject(item=item, reviewer=None), act=act())
    photos_delete(photos=[item.photo])
    item.refresh_from_db()
    assert (item.photo, item.state, item.lane, item.decisions.count()) == (None, ItemState.OPEN, None, 2)


def test_undo_without_the_photo_restores_the_item(item):
    decision = item_accept(item=item, reviewer=None)
    photos_delete(photos=[item.photo])
    decision_undo(decision=decision, act=act())
    item.refresh_from_db()
    assert (item.state, item.product, item.photo) == (ItemState.OPEN, None, None)
