"""Opinions at the desk: an item that is decided is shown as if it waited, and nothing but an opinion comes of it."""

import json
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from catalog.models import Decision, Item, Lane, Opinion, Photo, Product, Rejection, Role
from catalog.services.review import item_accept, item_correct, item_reject
from catalog.services.reviewing.opinions import items_make_gold
from catalog.services.reviewing.undo import decision_undo
from tests.api_support import Shop
from tests.review_support import act, reviewer

pytestmark = pytest.mark.django_db
DESK = str(uuid.uuid4())


def waiting(shop, *products):
    return shop.item(*products, lane=Lane.UNCERTAIN, state="open")


def corrected(shop, by, mug, cup, *, gold=True):
    """An item of which the machine said mug, and a person cup."""
    item = waiting(shop, mug, cup)
    decision = item_correct(item=item, reviewer=by, product=cup)
    if gold:
        items_make_gold(items=Item.objects.filter(pk=item.pk), gold=True)
    item.refresh_from_db()
    return item, decision


def post(client, name, desk=DESK, **message):
    body = json.dumps({"desk": desk, **message}, default=str)
    return client.post(reverse(f"admin:catalog_item_desk_{name}"), body, content_type="application/json").json()


def order(item, action, **more):
    return {"id": str(uuid.uuid4()), "item": str(item.pk), "action": action, **more}


def everything():
    """All that an opinion must leave as it is."""
    models = (Item, Decision, Rejection, Photo, Product, LogEntry)
    return [list(model.objects.order_by("pk").values()) for model in models]


def shown(client, **more):
    return {each["id"]: each for each in post(client, "next", **more)["items"]}


def test_a_gold_item_looks_like_one_that_waits(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    item, _ = corrected(shop, ben, mug, cup)
    other = waiting(shop, mug, cup)
    told = shown(client)
    gold, real = told[str(item.pk)], told[str(other.pk)]
    of_their_own = {"id", "photo", "full", "page", "heat", "candidates", "alike"}
    assert {name: gold[name] for name in gold.keys() - of_their_own} == {
        name: real[name] for name in real.keys() - of_their_own
    }
    products = [[each["product"] for each in entry["candidates"]] for entry in (gold, real)]
    assert products == [[str(mug.pk), str(cup.pk)]] * 2  # what the decision rejected is there, as it was
    body = post(client, "next", holding=list(told))
    assert (body["items"], body["lost"], body["waiting"]) == ([], [], 2)
    assert gold["alike"] == []


@pytest.mark.parametrize(
    ("action", "right", "agrees"),
    [
        ("correct", True, True),
        ("accept", True, True),
        ("correct", False, False),
        ("accept", False, False),
        ("reject", None, False),
        ("unknown", None, False),
        ("new_product", None, False),
        ("split", None, False),
    ],
)
def test_nothing_but_an_opinion_comes_of_it(client, setting, ana, ben, shop, mug, cup, action, right, agrees):
    setting("VITRINE_GOLD_SHARE", "1")
    item, decision = corrected(shop, ben, mug, cup)
    other = waiting(shop, mug, cup)
    post(client, "next")
    before = everything()
    asked = {
        "new_product": {"values": {"sku": "V-1", "title": "Vase"}},
        "split": {"parts": [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]},
    }.get(action, {})
    if right is not None:
        asked = {"product": (cup if right else mug).pk}
    sent = order(item, action, seconds=2.5, **asked)
    (told,) = post(client, "decide", decisions=[sent])["decisions"]
    assert everything() == before
    opinion = Opinion.objects.get()
    assert (opinion.item, opinion.reviewer, opinion.action, opinion.agrees) == (item, ana, action, agrees)
    assert (opinion.kind, opinion.about, opinion.seconds) == ("gold", decision, 2.5)
    assert post(client, "decide", decisions=[sent])["decisions"] == [told]
    (real,) = post(client, "decide", decisions=[order(other, action, seconds=2.5, **asked)])["decisions"]
    assert {**told, "id": "", "item": ""} == {**real, "id": "", "item": ""}


def test_what_is_wrong_is_refused_as_of_any_item(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    item, _ = corrected(shop, ben, mug, cup)
    other = waiting(shop, mug, cup)
    post(client, "next")
    for action, asked in (
        ("correct", {}),
        ("correct", {"product": uuid.uuid4()}),
        ("new_product", {"values": {"sku": "MUG-1", "title": "Taken"}}),
        ("split", {"parts": []}),
    ):
        told = post(client, "decide", decisions=[order(item, action, **asked), order(other, action, **asked)])
        gold, real = ({**each, "id": "", "item": ""} for each in told["decisions"])
        assert gold == real
        assert gold["code"]
    assert Opinion.objects.get().action == ""


def test_undo_takes_the_opinion_back_and_the_item_is_shown_again(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    item, _ = corrected(shop, ben, mug, cup)
    waiting(shop, mug, cup)
    held = list(shown(client))
    before = everything()
    sent = order(item, "reject")
    undo = order(item, "undo", undoes=sent["id"])
    told = post(client, "decide", decisions=[sent, undo, undo])["decisions"]
    assert [each["state"] for each in told] == ["rejected", "open", "open"]
    opinion = Opinion.objects.get()
    assert (opinion.action, opinion.agrees, opinion.order) == ("", None, None)
    assert everything() == before
    assert post(client, "next", holding=held)["lost"] == []
    post(client, "decide", decisions=[order(item, "correct", product=cup.pk)])
    assert Opinion.objects.get().agrees is True


def test_nobody_is_asked_about_what_they_decided_or_twice(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    setting("VITRINE_SECOND_SHARE", "1")
    own, _ = corrected(shop, ana, mug, cup)
    theirs, _ = corrected(shop, ben, mug, cup, gold=False)
    keys, _ = corrected(shop, None, mug, cup, gold=False)  # by an API key: nobody to agree with
    waiting(shop, mug)
    told = shown(client)
    assert str(theirs.pk) in told
    assert {str(own.pk), str(keys.pk)}.isdisjoint(told)
    assert Opinion.objects.get().kind == "second"
    post(client, "decide", decisions=[order(theirs, "correct", product=cup.pk)])
    waiting(shop, mug)
    assert str(theirs.pk) not in shown(client, desk=str(uuid.uuid4()))


def test_a_closed_page_takes_its_questions_along(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    item, _ = corrected(shop, ben, mug, cup)
    waiting(shop, mug)
    assert str(item.pk) in shown(client)
    assert post(client, "release")["released"] == 2
    assert not Opinion.objects.exists()


def test_an_item_that_waits_again_is_decided_for_real(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    item, decision = corrected(shop, ben, mug, cup)
    waiting(shop, mug)
    post(client, "next")
    decision_undo(decision=decision, act=act(ben))
    post(client, "decide", decisions=[order(item, "reject")])
    item.refresh_from_db()
    assert (item.state, Opinion.objects.get().action) == ("rejected", "")


def test_filters_hold_for_gold_items_too(client, setting, ana, ben, shop, mug, cup):
    setting("VITRINE_GOLD_SHARE", "1")
    corrected(shop, ben, mug, cup)
    other = Shop("second")
    other.merchant.memberships.create(user=ana, role="reviewer")
    item = waiting(other, other.product("VASE-1"))
    address = reverse("admin:catalog_item_desk_next") + "?merchant=second"
    body = client.post(address, json.dumps({"desk": DESK}), content_type="application/json").json()
    assert [each["id"] for each in body["items"]] == [str(item.pk)]


# Gold items and opinions in the admin -----------------------------------------------------------------------------


def choose_gold(client, *items, action="use_as_gold"):
    chosen = {"action": action, "_selected_action": [str(item.pk) for item in items]}
    return client.post(reverse("admin:catalog_item_changelist"), chosen)


def test_a_manager_makes_gold_of_what_is_decided(client, ben, shop, mug, cup):
    max_ = reviewer("max", shop.merchant, role=Role.MANAGER)
    client.force_login(max_)
    decided, open_ = waiting(shop, mug), waiting(shop, mug)
    item_accept(item=decided, reviewer=ben)
    foreign = Shop("second")
    foreign.merchant.memberships.create(user=max_, role="reviewer")  # who sees it, and manages it not
    theirs = waiting(foreign, foreign.product())
    item_reject(item=theirs, reviewer=None)
    choose_gold(client, decided, open_, theirs)
    assert list(Item.objects.filter(gold=True)) == [decided]
    assert list(
        client.get(reverse("admin:catalog_item_changelist"), {"gold__exact": "1"}).context["cl"].result_list
    ) == [decided]
    choose_gold(client, decided, action="no_longer_gold")
    assert not Item.objects.filter(gold=True).exists()


def test_a_reviewer_neither_sees_nor_changes_it(client, ana, ben, shop, mug, cup):
    item, decision = corrected(shop, ben, mug, cup)
    opinion = Opinion.objects.create(
        item=item, reviewer=ben, about=decision, kind="gold", desk=uuid.uuid4(), action="accept", agrees=False
    )
    before = [*everything(), list(Opinion.objects.values())]
    choose_gold(client, item, action="no_longer_gold")
    assert client.get(reverse("admin:catalog_item_changelist"), {"gold__exact": "1"}).status_code in (302, 400)
    assert client.get(reverse("admin:catalog_opinion_changelist")).status_code == 403
    assert client.get(reverse("admin:catalog_opinion_change", args=[opinion.pk])).status_code in (302, 403)
    html = client.get(reverse("admin:catalog_item_change", args=[item.pk])).content.decode()
    assert "gold" not in html.lower()
    home = client.get(reverse("admin:index"))
    assert home.context["reviewers"] == []
    assert "Gold right" not in home.content.decode()
    merchant = reverse("admin:catalog_merchant_change", args=[shop.merchant.pk])
    client.post(merchant, {"wanted_precision": "0.9", "name": "X", "slug": "harbour"})
    shop.merchant.refresh_from_db()
    assert (shop.merchant.wanted_precision, shop.merchant.name) == (None, "Harbour")
    assert [*everything(), list(Opinion.objects.values())] == before


def test_a_manager_reads_who_said_what(client, ben, shop, mug, cup):
    client.force_login(reviewer("max", shop.merchant, role=Role.MANAGER))
    item, decision = corrected(shop, ben, mug, cup)
    eve = reviewer("eve", shop.merchant)
    values = {"item": item, "about": decision, "kind": "gold", "desk": uuid.uuid4()}
    Opinion.objects.create(reviewer=eve, action="accept", product=mug, agrees=False, seconds=1.5, **values)
    Opinion.objects.create(reviewer=reviewer("pia", shop.merchant), **values, created_at=timezone.now())  # open still
    response = client.get(reverse("admin:catalog_opinion_changelist"), {"agrees__exact": "0"})
    html = response.content.decode()
    assert len(response.context["cl"].result_list) == 1
    for words in ("disagrees", "eve", "Accept: Mug MUG-1", "Correct: Mug CUP-1", "ben", "1.5 s"):
        assert words in html
