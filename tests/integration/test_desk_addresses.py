"""The desk's addresses: what the page is told, what it may ask, and that who may not review changes nothing."""

import json
import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.models import Decision, DeskKeys, Item, ItemState, Lane, Product, Role
from tests.api_support import Shop
from tests.review_support import reviewer

pytestmark = pytest.mark.django_db
DESK = str(uuid.uuid4())


@pytest.fixture
def mug(shop):
    return shop.product("MUG-1", price="9.90", currency="EUR")


def waiting(shop, *products, **values):
    return shop.item(*products, **{"lane": Lane.UNCERTAIN, **values})


def address(name, *args):
    return reverse(f"admin:catalog_item_{name}", args=args)


def post(client, name, **message):
    body = json.dumps({"desk": DESK, **message}, default=str)
    return client.post(address(f"desk_{name}"), body, content_type="application/json")


def order(item, action, **more):
    return {"id": str(uuid.uuid4()), "item": str(item.pk), "action": action, **more}


def test_the_page_runs_nothing_that_is_not_its_own(client, ana):
    response = client.get(address("desk"))
    policy = response.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    html = response.content.decode()
    scripts = [line for line in html.split("<script")[1:] if 'type="application/json"' not in line]
    assert [" src=" in line.partition(">")[0] for line in scripts] == [True]
    assert " style=" not in html and " onclick=" not in html


def test_items_come_complete(client, ana, shop, mug):
    item = waiting(shop, mug, calibrated=True, reason="weak_match", box=[0.1, 0.1, 0.5, 0.5])
    body = post(client, "next", count=5).json()
    (shown,) = body["items"]
    assert (shown["id"], shown["lane"], shown["verdict"], body["waiting"]) == (str(item.pk), "Uncertain", "REVIEW", 1)
    assert shown["photo"].startswith(f"/photos/{item.photo_id}/large?")
    assert (shown["box"], shown["form"]["category"]) == ([0.1, 0.1, 0.5, 0.5], "Mugs")
    (choice,) = shown["candidates"]
    assert (choice["product"], choice["price"], choice["score"]) == (str(mug.pk), "€9.90", "87 %")
    assert choice["because"] == "photo 0.91 · with text 0.81 · 2 photos near"
    assert Item.objects.get().claimed_by == ana


def test_the_site_asks_as_often_for_one_item_as_for_twenty(client, ana, shop, mug):
    cup = shop.product("CUP-1")

    def queries(count):
        Item.objects.all().delete()
        for _ in range(count):
            waiting(shop, mug, cup)
        with CaptureQueriesContext(connection) as asked:
            assert len(post(client, "next", count=count).json()["items"]) == count
        return len(asked)

    queries(1)
    assert queries(1) == queries(20)


def test_decisions_in_their_order_and_one_that_is_refused_stands_in_nobodys_way(client, ana, shop, mug):
    first, second, third = waiting(shop, mug), waiting(shop, mug), waiting(shop, mug)
    made = order(first, "new_product", values={"sku": "V-1", "title": "Vase", "price": ""}, seconds=2.5)
    orders = [made, order(second, "new_product", values={"sku": "MUG-1", "title": "x"}), order(third, "correct")]
    orders += [order(third, "correct", same_as=made["id"])]
    told = post(client, "decide", decisions=orders).json()["decisions"]
    assert [each["code"] for each in told] == ["", "sku_duplicate", "product_missing", ""]
    assert [item.state for item in (Item.objects.get(pk=each.pk) for each in (first, second, third))] == [
        "corrected", "open", "corrected",
    ]  # fmt: skip
    assert Item.objects.get(pk=third.pk).product == Product.objects.get(sku="V-1")
    decision = Decision.objects.get(pk=made["id"])
    assert (decision.reviewer, decision.seconds, decision.lane) == (ana, 2.5, Lane.UNCERTAIN)
    assert LogEntry.objects.filter(user=ana).count() == 2


def test_a_batch_that_is_sent_twice_changes_nothing_the_second_time(client, ana, shop, mug):
    one, two = waiting(shop, mug), waiting(shop, mug)
    orders = [order(one, "accept", product=mug.pk), order(two, "reject")]
    orders += [order(two, "undo", undoes=orders[1]["id"])]
    first = post(client, "decide", decisions=orders).json()
    Item.objects.update(claimed_until=None)  # a claim is renewed, and nothing else
    before = everything()
    assert post(client, "decide", decisions=orders).json() == first
    Item.objects.update(claimed_until=None)
    assert everything() == before
    assert (len(before[1]), LogEntry.objects.count()) == (3, 3)
    assert Item.objects.get(pk=two.pk).claim == uuid.UUID(DESK)  # it is shown again at once


def test_a_decision_of_somebody_else_is_told(client, ana, shop, mug):
    item = waiting(shop, mug, state="rejected")
    (told,) = post(client, "decide", decisions=[order(item, "accept")]).json()["decisions"]
    assert (told["code"], told["message"]) == ("item_decided", "Somebody has already decided on this item.")


@pytest.mark.parametrize(
    "message",
    [
        {"decisions": []},
        {"decisions": [{"id": "x"}]},
        {"decisions": [{"id": str(uuid.uuid4()), "item": str(uuid.uuid4()), "action": "burn"}]},
        {"decisions": [{"id": str(uuid.uuid4()), "item": str(uuid.uuid4()), "action": "reject", "seconds": -1}]},
        {"desk": "mine", "decisions": []},
        {"stray": 1},
    ],
)
def test_messages_that_make_no_sense(client, ana, message):
    response = post(client, "decide", **message)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")


def test_what_the_page_lost_is_told(client, ana, shop, mug):
    item = waiting(shop, mug)
    post(client, "next")
    Item.objects.update(state="rejected", claim=None)
    body = post(client, "next", holding=[item.pk]).json()
    assert (body["items"], body["lost"]) == ([], [str(item.pk)])


def test_a_closing_page_gives_back_what_it_had(client, ana, shop, mug):
    waiting(shop, mug)
    post(client, "next")
    client.post(address("desk_release"), {"message": json.dumps({"desk": DESK})})
    assert Item.objects.get().claim is None


def test_products_by_words_are_of_the_items_shop(client, ana, shop, mug):
    item = waiting(shop, mug)
    Shop("other").product("MUG-2", title="Mug of others")
    found = client.get(address("desk_products", item.pk), {"words": "mug"}).json()["products"]
    assert [row["sku"] for row in found] == ["MUG-1"]


def test_the_categories_of_the_items_shop_are_suggested_for_a_new_product(client, ana, shop, mug):
    item = waiting(shop, mug)
    shop.product("MUG-2")
    shop.product("BOX-1", category="")
    shop.product("LAMP-1", category="Home/Lamps")  # nothing that waits looks like it
    gone = shop.product("OLD-1", category="Gone")
    Product.objects.filter(pk=gone.pk).update(deleted_at=timezone.now())
    Shop("other").product(category="Elsewhere")
    found = client.get(address("desk_categories", item.pk)).json()
    assert found == {"categories": ["Home/Lamps", "Mugs"]}


def test_keys_are_kept_for_the_person(client, ana):
    assert post(client, "keys", keys={"reject": "q"}).json()["keys"]["reject"] == "q"
    assert '"reject": "q"' in client.get(address("desk")).content.decode()
    for wrong in ({"reject": "u"}, {"reject": "1"}, {"reject": "Escape"}, {"fly": "f"}):
        assert post(client, "keys", keys=wrong).json()["code"] == "keys_invalid"
    assert DeskKeys.objects.get().keys == {"reject": "q"}


# Who may -------------------------------------------------------------------------------------------------------------

OTHERS = {"no shop": [], "another shop": ["other"]}


@pytest.fixture(params=OTHERS)
def stranger(request, client):
    user = reviewer("eve", *(Shop(slug).merchant for slug in OTHERS[request.param]))
    client.force_login(user)
    return user


def everything():
    return [list(model.objects.order_by("pk").values()) for model in (Item, Decision, Product)]


@pytest.mark.parametrize("action", ["accept", "correct", "reject", "unknown", "new_product", "split", "undo"])
def test_a_stranger_decides_nothing(client, stranger, shop, mug, action):
    item = waiting(shop, mug)
    done = Decision.objects.create(item=waiting(shop, mug, state="rejected"), action="reject")
    before = everything()
    asked = {
        "correct": {"product": mug.pk},
        "new_product": {"values": {"sku": "V-1", "title": "Vase"}},
        "split": {"parts": [[0, 0, 0.5, 1], [0.5, 0, 1, 1]]},
        "undo": {"undoes": done.pk},
    }.get(action, {})
    body = post(client, "decide", decisions=[order(done.item if action == "undo" else item, action, **asked)]).json()
    codes = [body.get("code")] if "code" in body else [each["code"] for each in body["decisions"]]
    assert codes in (["review_forbidden"], ["not_found"])
    assert everything() == before
    assert not LogEntry.objects.exists()


def test_a_stranger_sees_and_claims_nothing(client, stranger, shop, mug):
    item = waiting(shop, mug)
    before = everything()
    assert not post(client, "next").json().get("items")
    assert not post(client, "claim", items=[item.pk]).json().get("items")
    for name in ("desk_products", "desk_categories", "desk_heat"):
        assert client.get(address(name, item.pk)).status_code in (403, 404)
    response = client.post(address("assign"), {"merchant": "harbour", "count": 5, "reviewer": "eve"})
    assert response.status_code in (403, 404)
    for name in ("desk", "queue"):
        response = client.get(address(name))
        assert response.status_code == (200 if stranger.memberships.exists() else 403)
        assert "Harbour" not in response.content.decode()
    assert client.post(address("undo", item.pk)).status_code == 404
    assert everything() == before


def test_the_id_of_a_desk_opens_nothing_to_another_reviewer(client, ana, shop, mug):
    item = waiting(shop, mug)
    post(client, "next", count=1)
    before = everything()
    client.force_login(reviewer("ben", shop.merchant))
    assert post(client, "release").json() == {"released": 0}
    assert post(client, "release", items=[item.pk]).json() == {"released": 0}
    assert post(client, "claim", items=[item.pk]).json() == {"items": []}
    body = post(client, "next", holding=[item.pk]).json()
    assert (body["items"], body["lost"]) == ([], [str(item.pk)])
    post(client, "next", skipped=[item.pk])
    (told,) = post(client, "decide", decisions=[order(item, "reject")]).json()["decisions"]
    assert told["code"] == "item_claimed"
    assert everything() == before


@pytest.mark.parametrize("name", ["next", "decide", "claim", "release", "keys"])
def test_a_page_of_somebody_else_says_nothing_in_my_name(client, ana, shop, mug, name):
    """Ben logged in in another tab of the browser in which ana's desk is open."""
    item = waiting(shop, mug)
    before = everything()
    client.force_login(reviewer("ben", shop.merchant))
    more = {"decide": {"decisions": [order(item, "reject")]}, "claim": {"items": [item.pk]}, "keys": {"keys": {}}}
    response = post(client, name, reviewer="ana", **more.get(name, {}))
    assert (response.status_code, response.json()["code"]) == (403, "other_reviewer")
    assert everything() == before
    assert not DeskKeys.objects.exists()
    response = post(client, name, reviewer="ben", **more.get(name, {}))
    assert (response.status_code, "code" in response.json()) == (200, False)


@pytest.mark.parametrize("name", ["next", "decide", "claim", "release", "keys"])
def test_who_has_not_logged_in_is_sent_to_the_door(client, shop, mug, name):
    item = waiting(shop, mug)
    response = post(client, name, decisions=[order(item, "reject")])
    assert (response.status_code, response.headers["Location"].partition("?")[0]) == (302, reverse("admin:login"))
    item.refresh_from_db()
    assert item.state == ItemState.OPEN


def test_a_reviewer_assigns_nothing_and_a_manager_does(client, ana, shop, mug):
    waiting(shop, mug)
    asked = {"merchant": "harbour", "count": 5, "reviewer": "ana"}
    assert client.post(address("assign"), asked).status_code == 404
    assert Item.objects.get().assigned_to is None
    client.force_login(reviewer("max", shop.merchant, role=Role.MANAGER))
    client.post(address("assign"), asked)
    assert Item.objects.get().assigned_to == ana
    client.post(address("assign"), asked | {"reviewer": ""})
    assert Item.objects.get().assigned_to is None


def test_the_overview_counts(client, ana, shop, mug):
    item = waiting(shop, mug)
    waiting(shop, mug, lane=Lane.CONTROL, state="auto")
    post(client, "next", count=1)
    post(client, "decide", decisions=[order(item, "accept", product=mug.pk, seconds=3.0)])
    with CaptureQueriesContext(connection) as asked:
        response = client.get(address("queue"))
    (row,), (person,) = response.context["shops"], response.context["reviewers"]
    assert (row.waiting, row.lanes, row.decided) == (
        1, [("Uncertain", 0), ("Likely mistake", 0), ("Control sample", 1)], 1,
    )  # fmt: skip
    assert (person.reviewer, person.decided, person.undone, person.seconds) == (ana, 1, 0, 3.0)
    Shop("second").merchant.memberships.create(user=ana, role="reviewer")
    with CaptureQueriesContext(connection) as more:
        client.get(address("queue"))
    assert len(more) == len(asked)
