"""Claims over the API: two tools share no item with each other or with a desk; what somebody has is theirs alone."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from catalog.models import Decision, Item, KeyKind, Lane
from catalog.selectors.queue import QueueFilters
from catalog.services.key import api_key_create
from catalog.services.review import item_reject
from catalog.services.reviewing.claims import items_claim
from tests.api_support import client_of, faults, problem
from tests.review_support import act

CLAIMS = "/api/v1/review-items/claims"
LAPSES = timedelta(seconds=120)

pytestmark = pytest.mark.django_db


@pytest.fixture
def second(shop):
    """Another tool of the same merchant."""
    _, token = api_key_create(merchant=shop.merchant, name="tool", kind=KeyKind.SECRET)
    return client_of(token)


@pytest.fixture
def items(shop, mug):
    """The queue, in its order."""
    return [shop.item(mug, lane=Lane.UNCERTAIN, doubt=1 - number / 10) for number in range(5)]


def claim(client, count, **more):
    return client.post(CLAIMS, {"count": count, **more}, format="json")


def claimed(client, count, **more):
    return [each["id"] for each in claim(client, count, **more).json()["items"]]


def ids(items):
    return [str(item.pk) for item in items]


def decide(client, item, verb="reject", body=None):
    return client.post(f"/api/v1/review-items/{item.pk}/{verb}", body or {}, format="json")


def lapsed():
    Item.objects.exclude(claim=None).update(claimed_until=timezone.now())


def at_desk(person, count):
    return ids(items_claim(reviewer=person, desk=uuid.uuid4(), filters=QueueFilters(), count=count))


def test_a_key_is_given_the_front_of_the_queue_and_the_rest_goes_to_others(shop, items, second, ana):
    before = timezone.now()
    body = claim(shop.client, 2).json()
    assert [each["id"] for each in body["items"]] == ids(items[:2])
    assert body["items"][0] == shop.client.get(f"/api/v1/review-items/{items[0].pk}").json()
    assert before + LAPSES <= datetime.fromisoformat(body["claimed_until"]) <= timezone.now() + LAPSES
    assert claimed(second, 2) == ids(items[2:4])
    assert at_desk(ana, 5) == ids(items[4:])


def test_what_a_key_has_it_is_told_again_and_more_only_up_to_the_count(shop, items):
    assert claimed(shop.client, 2) == claimed(shop.client, 2) == ids(items[:2])
    assert claimed(shop.client, 3) == claimed(shop.client, 0) == ids(items[:3])
    decide(shop.client, items[0])
    assert claimed(shop.client, 3) == ids(items[1:4])


def test_claiming_again_renews_what_is_held(shop, items, second):
    claim(shop.client, 5)
    Item.objects.update(claimed_until=timezone.now() + timedelta(seconds=1))
    claim(shop.client, 0)
    assert Item.objects.filter(claimed_until__gt=timezone.now() + timedelta(seconds=60)).count() == 5
    lapsed()
    assert claimed(shop.client, 5) == ids(items)  # nobody else asked
    lapsed()
    assert (claimed(second, 2), claimed(shop.client, 5)) == (ids(items[:2]), ids(items[2:]))


def test_what_is_skipped_goes_to_others(shop, items, second):
    claim(shop.client, 2)
    assert claimed(shop.client, 2, skip=ids(items[:1])) == ids(items[1:3])
    assert claimed(second, 1, skip=ids(items[1:2])) == ids(items[:1])
    assert claimed(shop.client, 0, skip=ids(items)) == []
    assert Item.objects.exclude(claim=None).count() == 1


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("accept", {}),
        ("correct", {"sku": "MUG-1"}),
        ("reject", {}),
        ("unknown", {}),
        ("new-product", {"sku": "V-1", "title": "Vase"}),
    ],
)
def test_only_the_key_that_has_an_item_decides_on_it(shop, items, second, ana, verb, body):
    claim(shop.client, 1)
    before = Item.objects.filter(pk=items[0].pk).values().get()
    refused = problem(decide(second, items[0], verb, body), 409, "item_claimed")
    assert refused["title"] == "Item claimed"
    assert Item.objects.filter(pk=items[0].pk).values().get() == before
    assert (Decision.objects.count(), shop.merchant.products.count()) == (0, 1)
    assert decide(shop.client, items[0], verb, body).status_code == 200
    items[0].refresh_from_db()
    assert (items[0].claim, items[0].claimed_until) == (None, None)


def test_a_desk_and_a_key_do_not_meet(shop, items, ana, admin):
    at_desk(ana, 1)
    problem(decide(shop.client, items[0]), 409, "item_claimed")
    assert claimed(shop.client, 1) == ids(items[1:2])
    admin.force_login(ana)
    admin.post(f"/admin/catalog/item/{items[1].pk}/reject/")
    assert not Decision.objects.exists()
    lapsed()
    assert decide(shop.client, items[0]).status_code == 200
    item_reject(item=items[1], reviewer=None, act=act(ana, desk=uuid.uuid4()))
    assert Decision.objects.count() == 2


def test_what_is_assigned_is_its_reviewers(shop, items, ana):
    Item.objects.filter(pk=items[0].pk).update(assigned_to=ana)
    assert claimed(shop.client, 5) == ids(items[1:])
    ana.memberships.all().delete()
    assert set(claimed(shop.client, 5)) == {*ids(items)}


def test_nothing_is_given_that_needs_no_look_or_is_anothers(shop, mug, other):
    shop.item(mug, state="auto")
    shop.item(mug, lane=Lane.UNCERTAIN, state="rejected")
    other.item(other.product(), lane=Lane.UNCERTAIN)
    control = shop.item(mug, lane=Lane.CONTROL, state="auto")
    assert claimed(shop.client, 100) == ids([control])


def test_claims_cost_as_much_sql_for_many_as_for_one(shop, items, django_assert_max_num_queries):
    claim(shop.client, 1)
    with django_assert_max_num_queries(20) as asked:
        claim(shop.client, 1)
    with django_assert_max_num_queries(len(asked) + 1):  # the queue is read, too
        claim(shop.client, 5)


def test_what_cannot_be_asked_for(shop, items, second):
    found = problem(claim(shop.client, 101, skip=["x"]), 422, "invalid")
    assert faults(found) == {"count": "max_value", "skip.0": "invalid"}
    assert faults(problem(shop.client.post(CLAIMS, {}, format="json"), 422, "invalid")) == {"count": "required"}
    problem(shop.public.post(CLAIMS, {"count": 1}, format="json"), 403, "permission_denied")
    shop.key.scopes = ["searches"]
    shop.key.save()
    problem(claim(shop.client, 1), 403, "scope_missing")
    assert not Item.objects.exclude(claim=None).exists()
