"""Claims: which open desk or API key has which items now, so that two reviewers never meet on one; and assignments.

Among them are a few that are decided already (``opinions``): these any number of reviewers may have at once. Called by
the desk before it shows items; a claim lapses by itself, so a browser that was closed gives its items back. The id of a
desk opens nothing by itself: what it has is its reviewer's. A key is the desk of a program: its own id is the desk's,
and there is no reviewer.
"""

import random
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from catalog.models import UNDECIDED, ApiKey, Item
from catalog.selectors.queue import ORDER, QueueFilters, queue_for, queue_of, unclaimed
from catalog.services.errors import Refused
from catalog.services.reviewing.acting import may_review
from catalog.services.reviewing.opinions import opinions_ask, opinions_open, opinions_release
from config.env import load_env

MOST = 100  # items that one desk, or one key, has at once


def items_claim(
    *,
    reviewer: User,
    desk: UUID,
    filters: QueueFilters,
    count: int,
    holding: Collection[UUID] = (),
    without: Collection[UUID] = (),
) -> list[Item]:
    """Renew the claims on what the desk holds, and claim more until it has ``count`` items; returns the new ones.

    A claim that lapsed while nobody else asked is still the desk's. Items that the desk has by an answer that got lost
    are among the new ones. ``without``: items that were skipped.
    Items for an opinion come beside them, at random places.
    """
    count = min(count, MOST)
    now = timezone.now()
    until = now + timedelta(seconds=load_env().review_claim_seconds)
    with transaction.atomic():
        mine = Item.objects.filter(claim=desk, claimed_by=reviewer, state__in=UNDECIDED).order_by("pk")
        known = set(mine.select_for_update().values_list("pk", flat=True))
        wanted = count - len(known | set(holding))
        queue = queue_for(reviewer=reviewer, filters=filters).filter(unclaimed(now))
        taken = _locked(queue.exclude(pk__in=[*holding, *without]))[:wanted] if wanted > 0 else []
        claimed = [*known, *taken]
        Item.objects.filter(pk__in=claimed).update(claim=desk, claimed_by=reviewer, claimed_until=until)
    new = known.difference(holding) | set(taken)
    asked = opinions_ask(
        reviewer=reviewer, desk=desk, filters=filters, beside=len(taken), holding=holding, without=without
    )
    items = list(_with_all(queue_for(reviewer=reviewer, filters=filters, lost=True).filter(pk__in=new)))
    for item in _with_all(Item.objects.filter(pk__in=asked)) if asked else ():
        items.insert(random.randint(0, len(items)), item)
    return items


def items_claim_by_key(*, key: ApiKey, count: int, without: Collection[UUID] = ()) -> tuple[list[Item], datetime]:
    """Renew the claims of a key, and claim more for it until it has ``count`` items; returns all that it has, and until
    when. ``without``: items that it gives back, and is not given now.

    No opinions are asked of a key: they measure people.
    """
    now = timezone.now()
    until = now + timedelta(seconds=load_env().review_claim_seconds)
    with transaction.atomic():
        held = Item.objects.filter(claim=key.pk, claimed_by=None)
        held.filter(pk__in=without).update(claim=None, claimed_until=None)
        known = held.filter(state__in=UNDECIDED).order_by("pk").select_for_update().values_list("pk", flat=True)
        claimed = list(known)
        if (wanted := min(count, MOST) - len(claimed)) > 0:
            queue = queue_of(merchant=key.merchant).filter(unclaimed(now)).exclude(pk__in=[*claimed, *without])
            claimed += _locked(queue)[:wanted]
        Item.objects.filter(pk__in=claimed).update(claim=key.pk, claimed_by=None, claimed_until=until)
    return list(_with_all(Item.objects.filter(pk__in=claimed).order_by(*ORDER))), until


def items_held(*, reviewer: User, desk: UUID, among: Collection[UUID]) -> set[UUID]:
    """Those of these items that the desk still has."""
    claimed = Item.objects.filter(claim=desk, claimed_by=reviewer, pk__in=among).values_list("pk", flat=True)
    asked = opinions_open(desk=desk, reviewer=reviewer).filter(item__in=among).values_list("item", flat=True)
    return {*claimed, *asked}


def items_claim_these(*, reviewer: User, desk: UUID, item_ids: Collection[UUID]) -> list[UUID]:
    """Claim these for a decision in bulk; returns those that the desk has now: free ones, and its own."""
    now = timezone.now()
    until = now + timedelta(seconds=load_env().review_claim_seconds)
    with transaction.atomic():
        mine = Q(claim=desk, claimed_by=reviewer) | unclaimed(now)
        queue = queue_for(reviewer=reviewer, filters=QueueFilters(), lost=True)
        taken = _locked(queue.filter(mine, pk__in=list(item_ids)[:MOST]))
        Item.objects.filter(pk__in=taken).update(claim=desk, claimed_by=reviewer, claimed_until=until)
    return list(taken)


def claims_release(*, reviewer: User, desk: UUID, item_ids: Collection[UUID] | None = None) -> int:
    """Give items back (all of the desk's without ``item_ids``); returns how many."""
    items = Item.objects.filter(claim=desk, claimed_by=reviewer)
    if item_ids is not None:
        items = items.filter(pk__in=item_ids)
    asked = opinions_release(reviewer=reviewer, desk=desk, item_ids=item_ids)
    return items.update(claim=None, claimed_by=None, claimed_until=None) + asked


def items_assign(*, items: QuerySet[Item], merchant_id: UUID, reviewer: User | None, count: int) -> int:
    """Give the first ``count`` of a merchant's waiting items to one reviewer, or to nobody; returns how many.

    Raises ``Refused("reviewer_not_member")`` for somebody who may not decide on items of this merchant.
    """
    if reviewer is not None and not may_review(reviewer, merchant_id):
        raise Refused("reviewer_not_member", f"{reviewer.get_username()} is no member of this shop.")
    chosen = items.filter(merchant_id=merchant_id, state__in=UNDECIDED)
    ids = list(chosen.values_list("pk", flat=True)[:count])
    return Item.objects.filter(pk__in=ids, state__in=UNDECIDED).update(assigned_to=reviewer)


def _locked(queue: QuerySet[Item]) -> Sequence[UUID]:
    """Ids in the queue's order, each locked for this transaction; what another one has locked is passed over.

    SQLite has no row locks: there a transaction that writes is alone from its start.
    """
    if connection.features.has_select_for_update_skip_locked:
        queue = queue.select_for_update(skip_locked=True, of=("self",))
    return cast(Sequence[UUID], queue.values_list("pk", flat=True))


def _with_all(items: QuerySet[Item]) -> QuerySet[Item]:
    return items.select_related("merchant", "photo", "best_product", "job")
