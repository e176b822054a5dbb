"""The queue of the review desk: which items wait for whom, in the order in which a decision teaches most.

Uncertain items come first, then likely mistakes, then random control samples of what the machine accepted; within each
the most doubtful first. Read by claims, by the desk's page, by the overview and by the page of an item.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Case, Exists, IntegerField, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from catalog.models import UNDECIDED, Item, Merchant

Whose = Literal["", "mine", "free", "taken"]
ORDER = ("lane", "-doubt", "created_at", "pk")


@dataclass(frozen=True)
class QueueFilters:
    """What a reviewer wants to see; empty means any. ``older_hours``: waiting for at least so long.

    ``whose``: only what is assigned to the reviewer, to nobody, or to anybody; else the reviewer's and nobody's. What
    is assigned to somebody who may no longer decide on it is nobody's.
    """

    merchant: str = ""
    category: str = ""
    upload: UUID | None = None
    verdict: str = ""
    lane: int | None = None
    older_hours: int | None = None
    whose: Whose = ""


def merchants_reviewed(reviewer: User) -> QuerySet[Merchant]:
    """The merchants on whose items a person may decide."""
    if not reviewer.is_active:
        return Merchant.objects.none()
    return Merchant.objects.all() if reviewer.is_superuser else Merchant.objects.filter(memberships__user=reviewer)


def queue_for(*, reviewer: User, filters: QueueFilters, lost: bool = False) -> QuerySet[Item]:
    """The items that this reviewer may be given, the most instructive first; what is assigned to others is theirs.

    ``lost``: also what left the queue meanwhile, whatever the filters say, in the same order.
    """
    items = Item.objects.filter(state__in=UNDECIDED)
    if not reviewer.is_superuser or not reviewer.is_active:
        items = items.filter(merchant__in=list(merchants_reviewed(reviewer).values_list("pk", flat=True)))
    if not lost:
        items = _filtered(items.filter(lane__isnull=False), reviewer, filters)
    mine_first = Case(When(assigned_to=reviewer, then=Value(0)), default=Value(1), output_field=IntegerField())
    return items.order_by(mine_first, *ORDER)


def queue_of(*, merchant: Merchant) -> QuerySet[Item]:
    """What an API key may be given of its merchant, in the same order; what is assigned to reviewers is theirs."""
    return queue_whole(merchants=[merchant.pk]).filter(_nobodys()).order_by(*ORDER)


def queue_whole(*, merchants: Collection[UUID]) -> QuerySet[Item]:
    """All that waits for a decision in these shops, whoever it is assigned to; in no order."""
    return Item.objects.filter(merchant__in=merchants, state__in=UNDECIDED, lane__isnull=False)


def unclaimed(now: datetime) -> Q:
    """What no open desk and no key has, or what has lapsed."""
    return Q(claim=None) | Q(claimed_until__lte=now)


def still_assigned() -> Exists:
    """Whether an item is assigned to somebody who may decide on it: an active member of its shop, or a superuser."""
    person = User.objects.filter(pk=OuterRef("assigned_to"), is_active=True)
    return Exists(person.filter(Q(is_superuser=True) | Q(memberships__merchant=OuterRef("merchant"))))


def decided_for(*, reviewer: User, filters: QueueFilters) -> QuerySet[Item]:
    """Items of this reviewer's shops that were in the queue and are decided, by the same filters."""
    items = Item.objects.filter(merchant__in=merchants_reviewed(reviewer), lane__isnull=False, photo__isnull=False)
    return _filtered(items.exclude(state__in=UNDECIDED), reviewer, filters)


def _nobodys() -> Q:
    return Q(assigned_to=None) | ~Q(still_assigned())


def _filtered(items: QuerySet[Item], reviewer: User, filters: QueueFilters) -> QuerySet[Item]:
    mine, nobodys = Q(assigned_to=reviewer), _nobodys()
    items = items.filter({"mine": mine, "free": nobodys, "taken": ~nobodys}.get(filters.whose, mine | nobodys))
    if filters.merchant:
        items = items.filter(merchant__slug=filters.merchant)
    if filters.category:
        below = Q(best_product__category__startswith=f"{filters.category}/")
        items = items.filter(Q(best_product__category=filters.category) | below)
    if filters.upload:
        items = items.filter(photo__upload=filters.upload)
    if filters.verdict:
        items = items.filter(verdict=filters.verdict)
    if filters.lane:
        items = items.filter(lane=filters.lane)
    if filters.older_hours:
        items = items.filter(created_at__lte=timezone.now() - timedelta(hours=filters.older_hours))
    return items
