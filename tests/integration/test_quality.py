"""The figures of quality from rows: precision of auto-accept, thresholds that follow it, drift, and the dashboard."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.measures import Share
from catalog.models import Decision, Item, ItemState, Lane, Opinion, Role, Threshold
from catalog.selectors.drift import acceptance_drift, pace_of, throughput
from catalog.selectors.quality import auto_precision, confused_pairs, reviewer_quality
from catalog.services.review import item_accept, item_correct, item_unknown
from catalog.services.reviewing.undo import decision_undo
from catalog.services.thresholds import merchant_thresholds_follow, thresholds_follow, thresholds_of
from tests.api_support import Shop, candidate
from tests.review_support import act, answered, reviewer

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=28)


def since():
    return timezone.now() - MONTH


def control(shop, product):
    return shop.item(
        product, verdict="SURE", state="auto", product=product, lane=Lane.CONTROL, control=True, control_share=0.5
    )


def decided(shop, product, said, count, *, probability=0.6, days=0, by=None, seconds=None, **values):
    """Uncertain items that reviewers decided, made in bulk: the machine said ``product``, they ``said``."""
    values = {"lane": Lane.UNCERTAIN, "state": "accepted", "verdict": "REVIEW", "calibrated": True, **values}
    items = Item.objects.bulk_create(
        Item(
            merchant=shop.merchant, bundle_version=f"b{values.get('control', '')}-{uuid.uuid4()}", best_product=product,
            probability=probability, product=said, **values,
        )
        for _ in range(count)
    )  # fmt: skip
    Item.objects.filter(pk__in=[item.pk for item in items]).update(bundle_version="b1")
    decisions = Decision.objects.bulk_create(
        Decision(
            item=item, action="accept" if said == product else "correct", product=said, lane=item.lane,
            reviewer=by, reviewer_name=by.username if by else "", seconds=seconds,
        )
        for item in items
    )  # fmt: skip
    ids = [each.pk for each in decisions]
    Decision.objects.filter(pk__in=ids).update(created_at=timezone.now() - timedelta(days=days, minutes=1))
    return decisions


def test_precision_is_of_decided_control_samples_that_stand(shop, mug, cup):
    item_accept(item=control(shop, mug), reviewer=None)
    item_accept(item=control(shop, mug), reviewer=None)
    item_correct(item=control(shop, mug), reviewer=None, product=cup)
    item_unknown(item=control(shop, mug), act=act())
    undone = item_correct(item=control(shop, mug), reviewer=None, product=cup)
    decision_undo(decision=undone, act=act())
    item_accept(item=shop.item(cup, verdict="SURE", lane=Lane.MISTAKE), reviewer=None)  # no sample: somebody doubted
    found = auto_precision(merchants=[shop.merchant.pk], since=since())
    assert (found.overall, found.waiting, found.left_out) == (Share(2, 3), 1, 1)
    assert [(each.category, each.share) for each in found.categories] == [("Mugs", Share(2, 3))]
    assert auto_precision(merchants=[Shop("other").merchant.pk], since=since()).overall == Share(0, 0)


def test_pairs_that_are_confused(shop, mug, cup):
    for _ in range(2):
        item_correct(item=shop.item(mug, cup), reviewer=None, product=cup)
    item_correct(item=shop.item(cup, mug), reviewer=None, product=mug)
    found = confused_pairs(merchants=[shop.merchant.pk], since=since())
    assert [(each.guess, each.truth, each.times) for each in found] == [(mug.pk, cup.pk, 2), (cup.pk, mug.pk, 1)]


def test_reviewers_speed_and_quality(shop, mug):
    ana, ben = (reviewer(name, shop.merchant) for name in ("ana", "ben"))
    for seconds in (1.0, 2.0, 9.0):
        decided(shop, mug, mug, 1, by=ana, seconds=seconds)
    for number, (kind, agrees) in enumerate([("gold", True), ("gold", False), ("second", True), ("second", False)]):
        (about,) = decided(shop, mug, mug, 1, by=ana if kind == "second" else None)
        Opinion.objects.create(
            item=about.item, reviewer=ben, about=about, kind=kind, desk=uuid.uuid4(), action="accept", agrees=agrees
        )
        if number == 3:  # an opinion on what was undone says nothing
            Decision.objects.create(item=about.item, action="undo", undoes=about, reviewer=ana)
    rows = {row.name: row for row in reviewer_quality(merchants=[shop.merchant.pk], since=since())}
    assert (rows["ana"].decided, rows["ana"].seconds, rows["ana"].agreement) == (4, 2.0, Share(1, 1))
    assert (rows["ben"].decided, rows["ben"].gold, rows["ben"].agreement) == (0, Share(1, 2), Share(1, 1))


def test_drift_compares_the_last_week_with_the_four_before(shop, mug, cup):
    decided(shop, mug, mug, 40, days=10)
    decided(shop, mug, mug, 10, days=2)
    decided(shop, mug, cup, 10, days=2)
    decided(shop, mug, cup, 50, days=40)
    decided(shop, mug, cup, 50, days=2, control=True, lane=Lane.CONTROL)
    drift = acceptance_drift(merchants=[shop.merchant.pk], now=timezone.now())
    assert (drift.now, drift.before, drift.notable) == (Share(10, 20), Share(40, 40), True)
    assert acceptance_drift(merchants=None, now=timezone.now()) == drift
    assert acceptance_drift(merchants=[], now=timezone.now()).z is None


def test_the_metrics_tell_the_drift(client, shop, mug, cup):
    assert "vitrine_acceptance_drift_errors 0.0" in client.get("/metrics").content.decode()
    decided(shop, mug, mug, 40, days=10)
    decided(shop, mug, mug, 10, days=2)
    decided(shop, mug, cup, 10, days=2)
    text = client.get("/metrics").content.decode()
    assert 'vitrine_acceptance_rate{days="7"} 0.5' in text
    assert "vitrine_acceptance_drift_errors -4.8" in text


def test_throughput_by_day(shop, mug):
    decided(shop, mug, mug, 3)
    decided(shop, mug, mug, 5, days=1)
    days = throughput(merchants=[shop.merchant.pk], days=3, now=timezone.now() - timedelta(minutes=1))
    assert [(day.decided, day.timed, day.an_hour) for day in days] == [(0, 0, None), (5, 0, None), (3, 0, None)]
    assert pace_of(days) is None


def test_the_pace_is_of_the_time_that_photos_were_looked_at(shop, mug):
    """Two people at once look two hours in an hour; a lone decision takes no hour; an undone one is not counted."""
    ana, ben = (reviewer(name, shop.merchant) for name in ("ana", "ben"))
    for by in (ana, ben):
        decided(shop, mug, mug, 60, by=by, seconds=6.0)
    decided(shop, mug, mug, 30, by=ana)  # look-alikes that went with another one
    (undone,) = decided(shop, mug, mug, 1, by=ana, seconds=900.0)
    Decision.objects.create(item=undone.item, action="undo", undoes=undone, reviewer=ana)
    decided(shop, mug, mug, 1, days=1, by=ana, seconds=30.0)
    days = throughput(merchants=[shop.merchant.pk], days=2, now=timezone.now() - timedelta(minutes=1))
    found = [(day.decided, day.timed, day.seconds, day.an_hour) for day in days]
    assert found == [(1, 1, 30.0, 120.0), (150, 120, 720.0, 600.0)]
    assert pace_of(days) == pytest.approx(3600 * 121 / 750)


# Thresholds ----------------------------------------------------------------------------------------------------------


def sure_from_six(shop, mug, cup):
    """Right from 0.6 on, wrong below."""
    decided(shop, mug, mug, 200, probability=0.62)
    decided(shop, mug, cup, 100, probability=0.4)
    shop.merchant.wanted_precision = 0.9
    shop.merchant.save()


def test_thresholds_follow_what_is_wanted_and_every_change_is_written_down(shop, mug, cup):
    assert thresholds_follow() == []
    sure_from_six(shop, mug, cup)
    (made,) = thresholds_follow()
    assert (made.category, made.bundle_version, made.value, made.wanted) == ("Mugs", "b1", 0.45, 0.9)
    assert (made.precision, made.decided) == (1.0, 200)
    assert made.lower >= 0.9
    assert thresholds_follow() == []
    assert thresholds_of(merchant_id=shop.merchant.pk, bundle_version="b1") == {"Mugs": 0.45}
    assert thresholds_of(merchant_id=shop.merchant.pk, bundle_version="b2") == {}
    shop.merchant.wanted_precision = None
    shop.merchant.save()
    (lifted,) = thresholds_follow()
    assert (lifted.value, Threshold.objects.count()) == (None, 2)
    assert thresholds_of(merchant_id=shop.merchant.pk, bundle_version="b1") == {}


@pytest.mark.parametrize("values", [{"calibrated": False}, {"lane": Lane.MISTAKE}, {"verdict": "UNKNOWN"}])
def test_what_says_nothing_about_chance_chooses_nothing(shop, mug, values):
    decided(shop, mug, mug, 300, **values)
    shop.merchant.wanted_precision = 0.9
    shop.merchant.save()
    assert merchant_thresholds_follow(merchant=shop.merchant) == []


def recognised(shop, product, probability, verdict, **more):
    photo = shop.photo(purpose="recognise")
    found = candidate(product, shop.photo(product), probability=probability)
    answered(photo, verdict=verdict, candidates=(found,), reason="clear_match", **more)
    return Item.objects.get(photo=photo)


def test_items_keep_to_the_threshold(shop, mug, cup, setting):
    setting("VITRINE_CONTROL_SHARE", "0")
    other = shop.product("LAMP-1", category="Lamps")
    Threshold.objects.create(merchant=shop.merchant, category="Mugs", bundle_version="b1", value=0.8, wanted=0.9)
    low, high = recognised(shop, mug, 0.75, "SURE"), recognised(shop, mug, 0.85, "REVIEW")
    assert (low.verdict, low.state, low.reason, low.lane) == (
        "REVIEW", ItemState.OPEN, "below_shop_threshold", Lane.UNCERTAIN,
    )  # fmt: skip
    assert (high.verdict, high.state, high.reason, high.lane) == ("SURE", ItemState.AUTO, "above_shop_threshold", None)
    assert "not likely enough" in low.explanation
    assert recognised(shop, mug, 0.95, "UNKNOWN").verdict == "UNKNOWN"
    assert recognised(shop, other, 0.75, "SURE").reason == "clear_match"
    assert recognised(shop, mug, 0.75, "SURE", bundle="b2").verdict == "SURE"


def test_a_manager_says_which_precision_is_wanted(client, shop, mug, cup):
    sure_from_six(shop, mug, cup)
    client.force_login(reviewer("max", shop.merchant, role=Role.MANAGER))
    address = reverse("admin:catalog_merchant_change", args=[shop.merchant.pk])
    form = {
        "name": "Harbour", "slug": "harbour", "wanted_precision": "0.8", "memberships-TOTAL_FORMS": "0",
        "memberships-INITIAL_FORMS": "0",
    }  # fmt: skip
    assert client.post(address, form | {"wanted_precision": "7"}).status_code == 200
    assert not Threshold.objects.exists()
    assert client.post(address, form).status_code == 302
    assert Threshold.objects.get().wanted == 0.8
    html = client.get(reverse("admin:catalog_threshold_changelist")).content.decode()
    assert "45.0 %" in html and "100.0 %, at least" in html


# The dashboard -------------------------------------------------------------------------------------------------------


def test_the_dashboard_is_of_ones_own_shops_and_sensible_when_empty(client, shop, mug):
    other = Shop("other")
    decided(other, other.product("VASE-1"), None, 5)
    client.force_login(reviewer("max", shop.merchant, role=Role.MANAGER))
    html = client.get(reverse("admin:index")).content.decode()
    for words in (
        "Nobody has decided",
        "nothing is known",
        "Too few decisions",
        "No product was taken",
        "Nobody reviews",
    ):
        assert words in html


def test_the_dashboard_costs_the_same_for_few_decisions_and_for_many(client, shop, mug, cup):
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    people = [reviewer(f"r{number}", shop.merchant) for number in range(6)]

    def queries(person, count):
        decided(shop, mug, cup, count, by=person, seconds=2.0)
        decided(shop, cup, cup, count, by=person, days=9, control=True, lane=Lane.CONTROL)
        with CaptureQueriesContext(connection) as asked:
            response = client.get(reverse("admin:index"))
        return len(asked), response

    few, _ = queries(people[0], 1)
    for person in people[1:-1]:
        queries(person, 3)
    many, response = queries(people[-1], 20)
    assert many == few
    assert (len(response.context["reviewers"]), response.context["precision"].overall.total) == (6, 33)
    html = response.content.decode()
    assert "Mug MUG-1" in html
    assert "1,800 an hour of looking" in html  # of those that took 2 s; the others have no time
