"""What a rejection is remembered for: the photo, its near-duplicates, whatever runs again; and what lifts it."""

import pytest
from django.core.management import call_command

from catalog.models import Item, ItemState, Lane, Photo, Purpose, Rejection
from catalog.selectors.rejections import items_hits
from catalog.services.items import photos_recognise_again
from catalog.services.photo import photos_reindex
from catalog.services.review import item_accept, item_correct, item_reject, item_unknown
from catalog.services.reviewing.opinions import items_make_gold
from catalog.services.reviewing.undo import decision_undo
from recognition.fingerprint import fingerprint
from tests.api_support import Shop, candidate
from tests.drawing import draw
from tests.review_support import act, answered
from tests.unit.test_fingerprint import pixels, recompressed

pytestmark = pytest.mark.django_db

MARK = fingerprint(pixels(draw(1)))
NEAR = fingerprint(pixels(recompressed(draw(1))))
FAR = fingerprint(pixels(draw(2)))


@pytest.fixture
def shop(setting):
    setting("VITRINE_CONTROL_SHARE", "0")
    return Shop("harbour")


def recognised(shop, *products, mark=MARK, verdict="REVIEW", bundle="b1", photo=None, chances=(0.6, 0.3)):
    photo = photo or shop.photo(purpose=Purpose.RECOGNISE, job=shop.recognition())
    found = tuple(
        candidate(product, shop.photo(product), probability=chance)
        for product, chance in zip(products, chances, strict=False)
    )
    answered(photo, bundle, verdict=verdict, reason="weak_match", candidates=found, fingerprint=mark)
    return Item.objects.select_related("photo", "merchant", "best_product", "job").get(photo=photo)


def shown(item):
    return [hit.product.sku for hit in items_hits(merchant=item.merchant, items=[item])[item.pk]]


def test_a_rejected_photo_suggests_none_of_what_it_suggested(shop, mug, cup):
    item = recognised(shop, mug, cup)
    item_reject(item=item, reviewer=None)
    assert shown(item) == []
    body = shop.client.get(f"/api/v1/review-items/{item.pk}").json()
    assert body["candidates"] == []


def test_a_correction_is_remembered_against_what_stood_before_it(shop, mug, cup):
    item = recognised(shop, mug, cup)
    item_correct(item=item, reviewer=None, product=cup)
    assert [each.product for each in Rejection.objects.all()] == [mug]
    assert shown(item) == ["CUP-1"]


def test_a_near_duplicate_that_waits_is_suggested_something_else_and_accepts_that(shop, mug, cup):
    item, near, far = (recognised(shop, mug, cup, mark=mark) for mark in (MARK, NEAR, FAR))
    item_correct(item=item, reviewer=None, product=cup)
    assert (shown(near), shown(far)) == (["CUP-1"], ["MUG-1", "CUP-1"])
    item_accept(item=near, reviewer=None)
    near.refresh_from_db()
    assert near.product == cup


def test_a_near_duplicate_that_comes_later_is_never_sure_of_it(shop, mug, cup):
    item_correct(item=recognised(shop, mug, cup), reviewer=None, product=cup)
    near = recognised(shop, mug, cup, mark=NEAR, verdict="SURE", chances=(0.95, 0.02))
    assert (near.state, near.verdict, near.reason) == (ItemState.OPEN, "REVIEW", "rejected_before")
    assert (near.best_product, near.probability, near.lane) == (cup, 0.02, Lane.UNCERTAIN)
    assert "A reviewer said" in near.explanation
    far = recognised(shop, mug, cup, mark=FAR, verdict="SURE")
    assert (far.state, far.product) == (ItemState.AUTO, mug)


def test_a_near_duplicate_of_a_rejected_photo_is_unknown(shop, mug):
    item_reject(item=recognised(shop, mug), reviewer=None)
    near = recognised(shop, mug, mark=NEAR, verdict="SURE")
    assert (near.state, near.verdict, near.best_product) == (ItemState.OPEN, "UNKNOWN", None)


def test_a_near_duplicate_that_was_accepted_by_the_machine_becomes_a_likely_mistake(shop, mug):
    near, far = (recognised(shop, mug, mark=mark, verdict="SURE") for mark in (NEAR, FAR))
    item_reject(item=recognised(shop, mug), reviewer=None)
    near.refresh_from_db()
    far.refresh_from_db()
    assert (near.lane, near.doubt, near.state) == (Lane.MISTAKE, 1.0, ItemState.AUTO)
    assert far.lane is None


def lanes(*items):
    rows = Item.objects.in_bulk([item.pk for item in items])
    return [(rows[item.pk].lane, rows[item.pk].doubt) for item in items]


def test_undo_takes_the_doubt_back_that_the_decision_cast(shop, mug, cup):
    near, control = (recognised(shop, mug, cup, mark=NEAR, verdict="SURE") for _ in range(2))
    Item.objects.filter(pk=control.pk).update(lane=Lane.CONTROL, doubt=0.25)
    before = list(Item.objects.filter(pk__in=[near.pk, control.pk]).order_by("pk").values())
    decision = item_correct(item=recognised(shop, mug, cup), reviewer=None, product=cup)
    assert lanes(near, control) == [(Lane.MISTAKE, 1.0)] * 2
    decision_undo(decision=decision, act=act())
    assert list(Item.objects.filter(pk__in=[near.pk, control.pk]).order_by("pk").values()) == before
    assert lanes(near, control) == [(None, 0.0), (Lane.CONTROL, 0.25)]


@pytest.mark.parametrize("first_undone", [0, 1])
def test_what_two_decisions_doubt_is_doubted_until_both_are_undone(shop, mug, first_undone):
    near = recognised(shop, mug, mark=NEAR, verdict="SURE")
    items = [recognised(shop, mug) for _ in range(2)]
    decisions = [item_reject(item=item, reviewer=None) for item in items]
    decision_undo(decision=decisions.pop(first_undone), act=act())
    assert lanes(near) == [(Lane.MISTAKE, 1.0)]
    decision_undo(decision=decisions.pop(), act=act())
    assert lanes(near) == [(None, 0.0)]


def test_a_doubted_item_that_was_decided_meanwhile_is_as_it_was_before_both(shop, mug):
    near = recognised(shop, mug, mark=NEAR, verdict="SURE")
    before = Item.objects.filter(pk=near.pk).values().get()
    rejected = item_reject(item=recognised(shop, mug), reviewer=None)
    near.refresh_from_db()
    unknown = item_unknown(item=near, act=act())
    decision_undo(decision=rejected, act=act())
    decision_undo(decision=unknown, act=act())
    assert Item.objects.filter(pk=near.pk).values().get() == before


def test_an_undone_item_is_no_gold_item(shop, mug):
    item = recognised(shop, mug)
    before = Item.objects.filter(pk=item.pk).values().get()
    decision = item_accept(item=item, reviewer=None)
    assert items_make_gold(items=Item.objects.filter(pk=item.pk), gold=True) == 1
    decision_undo(decision=decision, act=act())
    assert Item.objects.filter(pk=item.pk).values().get() == before


def test_another_merchant_remembers_nothing(shop, mug):
    item_reject(item=recognised(shop, mug), reviewer=None)
    other = Shop("other")
    assert recognised(other, other.product(), mark=MARK, verdict="SURE").state == ItemState.AUTO


def test_undo_forgets_and_a_decision_for_it_lifts(shop, mug, cup):
    item, near = recognised(shop, mug, cup), recognised(shop, mug, cup, mark=NEAR)
    rejected = item_reject(item=item, reviewer=None)
    accepted = item_accept(item=near, reviewer=None, product=mug)  # a person sees that it is the mug after all
    assert Rejection.objects.get(product=mug).lifted_by == accepted
    assert shown(item) == ["MUG-1"]
    decision_undo(decision=accepted, act=act())
    assert shown(item) == []
    decision_undo(decision=rejected, act=act())
    assert (shown(item), shown(near)) == (["MUG-1", "CUP-1"], ["MUG-1", "CUP-1"])


# What runs again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", ["b1", "b2"])
@pytest.mark.parametrize("verb", [item_reject, item_accept])
def test_what_was_decided_survives_recognising_again(shop, mug, cup, bundle, verb):
    item = recognised(shop, mug, cup)
    decision = verb(item=item, reviewer=None)
    before = Item.objects.filter(pk=item.pk).values().get()
    assert photos_recognise_again() == 0  # nothing waits: nobody is asked
    if verb is item_reject:  # a worker answers all the same, as one does whose lease was lost
        Photo.objects.filter(pk=item.photo_id).update(bundle_version="")
        answered(item.photo, bundle, verdict="SURE", candidates=(candidate(mug, shop.photo(mug)),), fingerprint=MARK)
    assert Item.objects.filter(photo=item.photo_id).values().get() == before
    assert shown(item) == ([] if verb is item_reject else ["MUG-1", "CUP-1"])
    assert list(item.decisions.all()) == [decision]


@pytest.mark.parametrize(("bundle", "asked"), [("b1", {}), ("b2", {"done_by_other_than": "b2"})])
def test_a_reference_survives_a_reindex_also_under_another_bundle(shop, mug, bundle, asked):
    item = recognised(shop, mug)
    item_accept(item=item, reviewer=None)
    answered(Photo.objects.get(pk=item.photo_id))
    photos_reindex(**asked)
    assert Photo.objects.get(pk=item.photo_id).state == "pending"
    answered(Photo.objects.get(pk=item.photo_id), bundle)
    item.refresh_from_db()
    photo = Photo.objects.get(pk=item.photo_id)
    assert (item.state, item.product) == (ItemState.ACCEPTED, mug)
    assert (photo.product, photo.purpose, photo.state, photo.bundle_version) == (mug, "index", "done", bundle)


def test_a_decision_survives_the_undoing_of_a_later_one(shop, mug, cup):
    """Also where the later one is about a near-duplicate, for the same product and against the same other."""
    item, near = recognised(shop, mug, cup), recognised(shop, mug, cup, mark=NEAR)
    decision = item_correct(item=item, reviewer=None, product=cup)
    tables = (
        Item.objects.filter(pk=item.pk),
        Photo.objects.filter(pk=item.photo_id),
        Rejection.objects.filter(decision=decision),
    )
    before = [list(rows.values()) for rows in tables]
    assert [len(rows) for rows in before] == [1, 1, 1]
    later = item_correct(item=near, reviewer=None, product=cup)
    decision_undo(decision=later, act=act())
    assert [list(rows.values()) for rows in tables] == before
    assert (shown(item), shown(near)) == (["CUP-1"], ["CUP-1"])
    assert list(item.decisions.all()) == [decision]
    assert Photo.objects.get(pk=near.photo_id).product is None


@pytest.mark.parametrize("bundle", ["b1", "b2"])
def test_what_waits_is_looked_at_anew_and_keeps_its_claim(shop, mug, cup, bundle, capsys):
    item = recognised(shop, mug)
    Item.objects.filter(pk=item.pk).update(claim=item.photo_id)
    call_command("reindex", "--items", "--merchant", "harbour")
    assert capsys.readouterr().out == "1 photos are to be recognised again.\n"
    answered(item.photo, bundle, verdict="SURE", candidates=(candidate(cup, shop.photo(cup)),), fingerprint=MARK)
    again = Item.objects.get()
    assert (again.pk, again.best_product, again.state, again.bundle_version) == (item.pk, cup, "auto", bundle)
    assert (again.claim, again.position) == (item.photo_id, 0)


def test_in_a_photo_of_many_only_what_was_decided_stays(shop, mug, cup):
    from_left, from_right = (0.0, 0.0, 0.4, 1.0), (0.6, 0.0, 1.0, 1.0)
    photo = shop.photo(purpose=Purpose.RECOGNISE, job=shop.recognition())

    def things(*found):
        said = {"verdict": "REVIEW", "reason": "weak_match"}
        return tuple(said | {"box": box, "candidates": (candidate(each, shop.photo(each)),)} for each, box in found)

    answered(photo, items=things((mug, from_left), (cup, from_right)))
    left, right = photo.items.order_by("position")
    item_reject(item=left, reviewer=None)
    for bundle in ("b1", "b2"):
        assert photos_recognise_again(merchant=shop.merchant) == 1
        again = things((cup, (0.62, 0.0, 1.0, 1.0)), (cup, from_left), (mug, (0.4, 0.4, 0.6, 0.6)))
        answered(photo, bundle, items=again)
    items = {item.pk: item for item in photo.items.all()}
    assert len(items) == 3
    assert (items[left.pk].state, items[left.pk].bundle_version) == (ItemState.REJECTED, "b1")
    assert (items[right.pk].box, items[right.pk].bundle_version) == ([0.62, 0.0, 1.0, 1.0], "b2")
