"""The queue: its order and filters, claims that lapse, assignments; and where the machine's answers stand in it."""

import threading
import uuid
from contextlib import closing
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from catalog.models import Item, ItemState, Lane, Opinion, OpinionKind, Purpose, Role
from catalog.selectors.queue import QueueFilters, merchants_reviewed, queue_for
from catalog.selectors.queue_figures import reviewer_rows
from catalog.services.errors import Refused
from catalog.services.review import item_accept, item_reject
from catalog.services.reviewing.claims import (
    claims_release,
    items_assign,
    items_claim,
    items_claim_these,
    items_held,
)
from tests.api_support import Shop, candidate
from tests.review_support import act, answered, reviewer

pytestmark = pytest.mark.django_db
ALL = QueueFilters()


@pytest.fixture
def ana(shop):
    return reviewer("ana", shop.merchant)


def waiting(shop, **values):
    return shop.item(**{"lane": Lane.UNCERTAIN, **values})


def claim(person, desk, count=20, **more):
    return [item.pk for item in items_claim(reviewer=person, desk=desk, filters=ALL, count=count, **more)]


def found(shop, product, probability, verdict, mark=""):
    photo = shop.photo(purpose=Purpose.RECOGNISE, job=shop.recognition())
    answered(photo, verdict=verdict, candidates=(candidate(product, shop.photo(product), probability=probability),))
    return Item.objects.get(photo=photo)


# Order and filters ---------------------------------------------------------------------------------------------------


def test_the_uncertain_come_first_then_likely_mistakes_then_control_samples(shop, ana):
    control = waiting(shop, lane=Lane.CONTROL, state="auto")
    mistake = waiting(shop, lane=Lane.MISTAKE, state="auto", doubt=0.9)
    calm, torn = waiting(shop, doubt=0.1), waiting(shop, doubt=0.8)
    waiting(shop, lane=None, state="auto")
    waiting(shop, state="rejected")
    assert list(queue_for(reviewer=ana, filters=ALL)) == [torn, calm, mistake, control]


@pytest.mark.parametrize(("probability", "doubt"), [(0.5, 1.0), (0.9, 0.2), (0.0, 0.0)])
def test_the_nearer_two_answers_are_the_more_a_decision_teaches(shop, probability, doubt):
    item = found(shop, shop.product(), probability, "REVIEW")
    assert (item.lane, item.doubt) == (Lane.UNCERTAIN, pytest.approx(doubt))


@pytest.mark.parametrize(("share", "lane"), [("1", Lane.CONTROL), ("0", None)])
def test_of_what_the_machine_accepted_a_share_is_drawn_for_control(shop, setting, share, lane):
    setting("VITRINE_CONTROL_SHARE", share)
    item = found(shop, shop.product(), 0.99, "SURE")
    assert (item.state, item.lane, item.control) == (ItemState.AUTO, lane, share == "1")


def test_a_product_that_was_often_wrong_is_looked_at_though_the_machine_is_sure(shop, setting):
    setting("VITRINE_CONTROL_SHARE", "0")
    mug, cup = shop.product("MUG-1"), shop.product("CUP-1")
    for _ in range(2):
        item_reject(item=shop.item(mug), reviewer=None)
        item_accept(item=shop.item(cup), reviewer=None)
    assert found(shop, mug, 0.99, "SURE").lane == Lane.MISTAKE
    assert found(shop, cup, 0.99, "SURE").lane is None


def test_filters(shop, ana, ben):
    mug = shop.product("MUG-1", category="Kitchen/Mugs")
    old = waiting(shop, verdict="UNKNOWN")
    Item.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=30))
    mine = waiting(shop, best_product=mug, assigned_to=ana)
    theirs = waiting(shop, lane=Lane.CONTROL, state="auto", assigned_to=ben)
    other = waiting(Shop("other"))

    def seen(person=ana, **filters):
        return set(queue_for(reviewer=person, filters=QueueFilters(**filters)))

    assert seen() == {mine, old}
    assert seen(ben) == {theirs, old}
    assert seen(category="Kitchen") == seen(category="Kitchen/Mugs") == {mine}
    assert seen(category="Kit") == set()
    assert seen(verdict="UNKNOWN") == seen(older_hours=24) == {old}
    assert seen(whose="mine") == {mine}
    assert seen(whose="free") == {old}
    assert seen(whose="taken") == {mine, theirs}
    assert seen(ben, lane=Lane.CONTROL) == {theirs}
    assert seen(merchant="other") == set()
    assert seen(upload=uuid.uuid4()) == set()
    assert seen(reviewer("sue", is_superuser=True)) == {old, other}
    assert seen(reviewer("nobody")) == set()


# Claims --------------------------------------------------------------------------------------------------------------


def test_two_desks_share_no_item(shop, ana, ben):
    items = {waiting(shop).pk for _ in range(10)}
    one, other = uuid.uuid4(), uuid.uuid4()
    hers, his = claim(ana, one, 6), claim(ben, other, 6)
    assert (len(hers), len(his)) == (6, 4)
    assert set(hers) | set(his) == items
    assert claim(ana, one, 6, holding=hers) == []
    assert claim(ana, uuid.uuid4(), 6) == []  # another window of the same person


def test_what_a_lost_answer_named_is_told_again(shop, ana):
    desk = uuid.uuid4()
    waiting(shop)
    assert claim(ana, desk) == claim(ana, desk) != []


def test_a_claim_lapses_and_what_was_skipped_goes_to_others(shop, ana, ben):
    one, other = uuid.uuid4(), uuid.uuid4()
    first, second = waiting(shop, doubt=0.5), waiting(shop)
    claim(ana, one)
    assert claim(ben, other) == []
    claims_release(reviewer=ana, desk=one, item_ids=[first.pk])
    assert claim(ben, other) == [first.pk]
    assert claim(ana, one, holding=[second.pk], without=[first.pk]) == []
    Item.objects.filter(pk=second.pk).update(claimed_until=timezone.now())
    assert claim(ben, other, holding=[first.pk]) == [second.pk]


def test_an_item_at_another_desk_is_not_decided_on(shop, ana, ben):
    item, desk = waiting(shop), uuid.uuid4()
    claim(ana, desk)
    for stranger in (act(ben), act(ben, desk=uuid.uuid4()), act(ana, desk=uuid.uuid4())):
        with pytest.raises(Refused) as refused:
            item_reject(item=item, reviewer=None, act=stranger)
        assert refused.value.code == "item_claimed"
    item.refresh_from_db()
    assert (item.state, item.claim) == (ItemState.OPEN, desk)
    item_reject(item=item, reviewer=None, act=act(ana, desk=desk))
    item.refresh_from_db()
    assert (item.state, item.claim) == (ItemState.REJECTED, None)


@pytest.mark.parametrize("left", ["the account is closed", "no member any more"])
def test_what_somebody_had_who_may_no_longer_review_is_everybodys(shop, ana, ben, left):
    items = [waiting(shop, doubt=number / 10) for number in range(3)]
    everything = queue_for(reviewer=ana, filters=QueueFilters(whose="free"))
    items_assign(items=everything, merchant_id=shop.merchant.pk, reviewer=ben, count=2)
    assert list(queue_for(reviewer=ana, filters=ALL)) == [items[0]]
    if left == "no member any more":
        ben.memberships.all().delete()
        Shop("other").merchant.memberships.create(user=ben, role=Role.REVIEWER)
    else:
        User.objects.filter(pk=ben.pk).update(is_active=False)
    assert list(queue_for(reviewer=ana, filters=ALL)) == items[::-1]
    assert list(everything.all()) == items[::-1]
    assert not queue_for(reviewer=ana, filters=QueueFilters(whose="taken")).exists()
    (row,) = (each for each in reviewer_rows(merchants=merchants_reviewed(ana)) if each.reviewer == ana)
    assert (row.assigned, claim(ana, uuid.uuid4())) == (0, [item.pk for item in items[::-1]])
    assert items_assign(items=everything, merchant_id=shop.merchant.pk, reviewer=ana, count=3) == 3
    assert [each.assigned for each in reviewer_rows(merchants=merchants_reviewed(ana))] == [3]


def test_who_knows_the_id_of_somebody_elses_desk_has_nothing_of_it(shop, ana, ben):
    item, asked, desk = waiting(shop), waiting(shop), uuid.uuid4()
    about = item_reject(item=asked, reviewer=None)
    claim(ana, desk, 2)
    opinion = Opinion.objects.create(item=asked, reviewer=ana, about=about, kind=OpinionKind.SECOND, desk=desk)
    before = [list(model.objects.order_by("pk").values()) for model in (Item, Opinion)]
    assert claims_release(reviewer=ben, desk=desk) == 0
    assert claims_release(reviewer=ben, desk=desk, item_ids=[item.pk, asked.pk]) == 0
    assert claim(ben, desk) == claim(ben, desk, holding=[item.pk]) == []
    assert items_claim_these(reviewer=ben, desk=desk, item_ids=[item.pk]) == []
    assert items_held(reviewer=ben, desk=desk, among=[item.pk, asked.pk]) == set()
    with pytest.raises(Refused) as refused:
        item_reject(item=item, reviewer=None, act=act(ben, desk=desk))
    assert refused.value.code == "item_claimed"
    assert [list(model.objects.order_by("pk").values()) for model in (Item, Opinion)] == before
    assert items_held(reviewer=ana, desk=desk, among=[item.pk, asked.pk]) == {item.pk, opinion.item_id}


def test_who_has_an_item_at_the_desk_may_decide_on_its_page(shop, ana):
    item = waiting(shop)
    claim(ana, uuid.uuid4())
    item_reject(item=item, reviewer=ana)
    item.refresh_from_db()
    assert (item.state, item.claim) == ("rejected", None)


def test_look_alikes_are_claimed_unless_somebody_has_them(shop, ana, ben):
    free, taken, foreign = waiting(shop), waiting(shop), waiting(Shop("other"))
    items_claim_these(reviewer=ben, desk=uuid.uuid4(), item_ids=[taken.pk])
    wanted = [free.pk, taken.pk, foreign.pk]
    assert items_claim_these(reviewer=ana, desk=uuid.uuid4(), item_ids=wanted) == [free.pk]


def test_assigned_items_come_first_and_to_nobody_else(shop, ana, ben):
    items = [waiting(shop, doubt=number / 10) for number in range(4)]
    queue = queue_for(reviewer=ana, filters=QueueFilters(whose="free"))
    assert items_assign(items=queue, merchant_id=shop.merchant.pk, reviewer=ben, count=2) == 2
    assert list(queue_for(reviewer=ben, filters=ALL)) == [items[3], items[2], items[1], items[0]]
    assert list(queue_for(reviewer=ana, filters=ALL)) == [items[1], items[0]]
    with pytest.raises(Refused) as refused:
        items_assign(items=queue, merchant_id=shop.merchant.pk, reviewer=reviewer("eve"), count=2)
    assert refused.value.code == "reviewer_not_member"
    assert Item.objects.filter(assigned_to=None).count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL (.ci/with-postgres)")
def test_desks_that_ask_at_the_same_moment_share_no_item():
    shop = Shop("harbour")
    people = [reviewer(f"p{number}", shop.merchant, role=Role.REVIEWER) for number in range(6)]
    items = {waiting(shop).pk for _ in range(60)}
    taken, start = [], threading.Barrier(len(people))

    def take(person):
        with closing(connection):
            start.wait(20)
            taken.extend(claim(person, uuid.uuid4(), 10))

    threads = [threading.Thread(target=take, args=[person]) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(taken) == len(set(taken))
    assert set(taken) <= items
    claim(people[0], uuid.uuid4(), 100)
    assert not Item.objects.filter(claim=None).exists()
