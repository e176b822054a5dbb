"""Numbers about the review queue: what waits where, who has it, who decided what.

Read by the desk for its filters, by the overview of the queue, and by the dashboard.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Avg, Count, Min, Q, QuerySet
from django.utils import timezone

from catalog.models import UNDECIDED, Decision, DecisionAction, Item, Lane, Membership, Merchant, Upload
from catalog.selectors.queue import merchants_reviewed, queue_whole, still_assigned

CHOICES = 100
DAY = timedelta(days=1)


@dataclass(frozen=True)
class QueueChoices:
    """What the queue can be narrowed to."""

    merchants: list[Merchant]
    categories: list[str]
    uploads: list[Upload]


def queue_choices(*, reviewer: User) -> QueueChoices:
    """The shops of a reviewer, and the categories and uploads of what waits there. Three queries."""
    merchants = list(merchants_reviewed(reviewer))
    waiting = queue_whole(merchants=[merchant.pk for merchant in merchants])
    categories = waiting.exclude(best_product__category="").exclude(best_product=None)
    names = categories.order_by("best_product__category").values_list("best_product__category", flat=True).distinct()
    uploads = Upload.objects.filter(pk__in=waiting.order_by().values("photo__upload")).order_by("-created_at")
    return QueueChoices(merchants, list(names[:CHOICES]), list(uploads.select_related("merchant")[:CHOICES]))


def lanes_waiting(*, merchants: Collection[UUID]) -> dict[Lane, int]:
    """How many items of these merchants wait in each lane, in the order in which they are served. One query."""
    counted = dict(queue_whole(merchants=merchants).order_by().values_list("lane").annotate(Count("pk")))
    return {lane: counted.get(lane, 0) for lane in Lane}


@dataclass(frozen=True)
class ShopRow:
    """One merchant in the overview; ``lanes``: what waits in each, by lane."""

    merchant: Merchant
    waiting: int
    lanes: list[tuple[str, int]]
    open_now: int
    oldest: datetime | None
    decided: int


@dataclass(frozen=True)
class ReviewerRow:
    """One person in the overview: decisions and undone ones of the last 24 hours, mean seconds a decision."""

    reviewer: User
    assigned: int
    open_now: int
    decided: int
    undone: int
    seconds: float | None


def shop_rows(*, merchants: QuerySet[Merchant]) -> list[ShopRow]:
    """What waits in each merchant. Three queries."""
    now = timezone.now()
    rows = list(merchants)
    counted: Mapping[UUID, Mapping[str, Any]] = {
        row["merchant"]: row
        for row in queue_whole(merchants=[merchant.pk for merchant in rows])
        .order_by()
        .values("merchant")
        .annotate(
            total=Count("pk"),
            open_now=Count("pk", filter=Q(claimed_until__gt=now)),
            oldest=Min("created_at"),
            **{f"lane_{lane}": Count("pk", filter=Q(lane=lane)) for lane in Lane.values},
        )
    }
    today = Decision.objects.filter(created_at__gt=now - DAY).exclude(action=DecisionAction.UNDO).order_by()
    decided = dict(today.values_list("item__merchant").annotate(Count("pk")))
    return [_shop_row(merchant, counted.get(merchant.pk, {}), decided.get(merchant.pk, 0)) for merchant in rows]


def reviewer_rows(*, merchants: QuerySet[Merchant]) -> list[ReviewerRow]:
    """What the people of these merchants have before them and behind them. Three queries."""
    now = timezone.now()
    waiting = Item.objects.filter(merchant__in=merchants, state__in=UNDECIDED).order_by()
    assigned = dict(waiting.filter(still_assigned()).values_list("assigned_to").annotate(Count("pk")))
    claimed = dict(waiting.filter(claimed_until__gt=now).values_list("claimed_by").annotate(Count("pk")))
    made: Mapping[int | None, Mapping[str, Any]] = {
        row["reviewer"]: row
        for row in Decision.objects.filter(item__merchant__in=merchants, created_at__gt=now - DAY)
        .order_by()
        .values("reviewer")
        .annotate(
            decided=Count("pk", filter=~Q(action=DecisionAction.UNDO)),
            undone=Count("pk", filter=Q(action=DecisionAction.UNDO)),
            seconds=Avg("seconds"),
        )
    }
    members = Membership.objects.filter(merchant__in=merchants).values_list("user", flat=True)
    people = User.objects.filter(Q(pk__in=members) | Q(pk__in=[*assigned, *claimed, *filter(None, made)]))
    return [
        ReviewerRow(person, assigned.get(person.pk, 0), claimed.get(person.pk, 0), **_made(made.get(person.pk)))
        for person in people.filter(is_active=True).order_by("username")
    ]


def _made(row: Mapping[str, Any] | None) -> dict[str, Any]:
    row = row or {}
    return {"decided": row.get("decided", 0), "undone": row.get("undone", 0), "seconds": row.get("seconds")}


def _shop_row(merchant: Merchant, row: Mapping[str, Any], decided: int) -> ShopRow:
    lanes = [(str(lane.label), row.get(f"lane_{lane.value}", 0)) for lane in Lane]
    return ShopRow(merchant, row.get("total", 0), lanes, row.get("open_now", 0), row.get("oldest"), decided)
