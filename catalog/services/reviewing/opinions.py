"""Opinions: items that are decided already, shown at the desk as if they waited, to measure reviewers.

Asked when a desk claims items (``claims``), answered through its orders (``desk``), read by ``selectors.quality``. An
answer is a row of its own: item, index, memory and log stay as they are.
"""

import random
from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from catalog.models import UNDECIDED, Decision, DecisionAction, Item, Opinion, OpinionKind, Product
from catalog.selectors.queue import QueueFilters, decided_for
from catalog.services.errors import Refused
from catalog.services.reviewing.acting import Act
from config.env import load_env

# What can be asked again: a new product is in the catalogue since, and what was split is in parts.
COMPARABLE = (DecisionAction.ACCEPT, DecisionAction.CORRECT, DecisionAction.REJECT, DecisionAction.UNKNOWN)
NEWEST = 200  # decisions among which is drawn
OPEN_FOR = timedelta(hours=1)  # a question at a desk that was closed may be asked anew then


def opinions_ask(
    *,
    reviewer: User,
    desk: UUID,
    filters: QueueFilters,
    beside: int,
    holding: Collection[UUID] = (),
    without: Collection[UUID] = (),
) -> list[UUID]:
    """Draw items to be shown beside so many that really wait; returns their ids, and those that an answer lost.

    Nobody is asked about what they decided, or twice about the same. No query where the draw says none.
    """
    env = load_env()
    asked = list(opinions_open(desk=desk, reviewer=reviewer).exclude(item__in=holding).values_list("item", flat=True))
    for kind, share in ((OpinionKind.GOLD, env.gold_share), (OpinionKind.SECOND, env.second_share)):
        count = sum(random.random() < share for _ in range(beside))
        if count:
            pool = _pool(reviewer, filters, kind).exclude(item__in=[*without, *holding, *asked])
            asked += _ask(reviewer, desk, kind, list(pool[:NEWEST]), count)
    return asked


def opinions_open(*, desk: UUID, reviewer: User) -> QuerySet[Opinion]:
    """Questions that wait for an answer at this desk."""
    opinions = Opinion.objects.filter(desk=desk, reviewer=reviewer, action="").order_by()
    return opinions.exclude(item__state__in=UNDECIDED)


def opinions_release(*, reviewer: User, desk: UUID, item_ids: Collection[UUID] | None = None) -> int:
    """Take questions back that nobody answered (all of the desk's without ``item_ids``); returns how many."""
    opinions = Opinion.objects.filter(reviewer=reviewer, desk=desk, action="")
    if item_ids is not None:
        opinions = opinions.filter(item__in=item_ids)
    return opinions.delete()[0]


def opinion_asked(*, item: Item, reviewer: User, order: UUID, undoes: UUID | None) -> Opinion | None:
    """The question that this order of the desk answers (or takes back); None where the order is a real decision."""
    if item.state in UNDECIDED:
        return None
    opinion = Opinion.objects.filter(item=item, reviewer=reviewer).select_related("about").first()
    if opinion is None or opinion.order in (order, undoes):
        return opinion
    is_real = undoes is not None and Decision.objects.filter(pk=undoes).exists()
    return None if opinion.action or is_real else opinion


@transaction.atomic
def opinion_give(*, opinion: Opinion, order: UUID, act: Act, action: DecisionAction, product: Product | None) -> bool:
    """Write an answer down; returns whether it was written before. Raises ``Refused("item_decided")`` (409)."""
    held = Opinion.objects.select_for_update().get(pk=opinion.pk)
    if held.action:
        if held.order != order:
            raise Refused("item_decided", "Somebody has already decided on this item.", status=409)
        return True
    about = _standing(held) or held.about
    held.about, held.order, held.action, held.product = about, order, action, product
    held.seconds, held.created_at = act.counted_seconds, timezone.now()
    held.agrees = _agree(about, action, product)
    held.save()
    return False


@transaction.atomic
def opinion_take_back(*, opinion: Opinion, act: Act) -> bool:
    """Undo: the question is open again, at the desk that asks; returns whether it was already."""
    held = Opinion.objects.select_for_update().get(pk=opinion.pk)
    already = not held.action
    held.order = held.product = held.seconds = held.agrees = None
    held.action, held.desk = "", act.desk or held.desk
    held.save()
    return already


def items_make_gold(*, items: QuerySet[Item], gold: bool) -> int:
    """Use decided items as gold items, or no longer; returns how many changed. What cannot be asked again is left."""
    if gold:
        standing = Decision.objects.filter(action__in=COMPARABLE, undone_by=None)
        items = items.exclude(state__in=UNDECIDED).filter(pk__in=standing.values("item"))
    ids = list(items.exclude(gold=gold).values_list("pk", flat=True))
    return Item.objects.filter(pk__in=ids).update(gold=gold)


def _pool(reviewer: User, filters: QueueFilters, kind: OpinionKind) -> QuerySet[Decision]:
    gold = kind == OpinionKind.GOLD
    items = decided_for(reviewer=reviewer, filters=filters).filter(gold=gold)
    mine = Opinion.objects.filter(reviewer=reviewer).exclude(action="", created_at__lt=timezone.now() - OPEN_FOR)
    decisions = Decision.objects.filter(action__in=COMPARABLE, undone_by=None, item__in=items)
    if not gold:
        decisions = decisions.exclude(reviewer=None)
    seen = Decision.objects.filter(reviewer=reviewer).values("item")
    return decisions.exclude(item__in=seen).exclude(item__in=mine.values("item")).order_by("-created_at")


def _ask(reviewer: User, desk: UUID, kind: OpinionKind, pool: list[Decision], count: int) -> list[UUID]:
    drawn = random.sample(pool, min(count, len(pool)))
    items = [decision.item_id for decision in drawn]
    Opinion.objects.filter(reviewer=reviewer, item__in=items, action="").delete()
    Opinion.objects.bulk_create(
        (Opinion(item_id=each.item_id, reviewer=reviewer, about=each, kind=kind, desk=desk) for each in drawn),
        ignore_conflicts=True,
    )
    return items


def _standing(opinion: Opinion) -> Decision | None:
    decisions = Decision.objects.filter(item=opinion.item_id, undone_by=None).exclude(action=DecisionAction.UNDO)
    return decisions.order_by("-created_at").first()


def _agree(about: Decision, action: DecisionAction, product: Product | None) -> bool:
    """The same product, however it was said; without one, the same verb."""
    said = about.after.get("product")
    if said or product:
        return product is not None and said == str(product.pk)
    return about.action == action
