"""What reviewers decided, as it stands now: each decided item with its photo, its product and its history.

Read by ``decision_files``, which writes it for people, for training and for other tools, and by what undoes. A page of
items at a time, in a constant number of queries. What was undone, and what only the machine accepted, is not decided.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from django.db.models import QuerySet

from catalog.models import UNDECIDED, Decision, DecisionAction, Item, ItemState, Merchant, Photo
from catalog.selectors.item import later_than

PAGE = 200
DECIDED = tuple(state for state in ItemState if state not in UNDECIDED)


@dataclass(frozen=True)
class Decided:
    """An item, the decision on it that stands, and every decision on it, the oldest first; ``undone``: their ids."""

    item: Item
    decision: Decision
    history: Sequence[Decision]
    undone: frozenset[UUID]


def decision_standing(*, item: Item) -> Decision | None:
    """The latest decision on an item that was not undone: the one that an undo takes back."""
    standing = item.decisions.exclude(action=DecisionAction.UNDO).filter(undone_by=None).select_related("item")
    return standing.order_by("-created_at").first()


def decided_items(*, merchant: Merchant) -> QuerySet[Item]:
    """The merchant's items that a person decided on."""
    return Item.objects.filter(merchant=merchant, state__in=DECIDED)


def decided(*, merchant: Merchant) -> Iterator[Decided]:
    """All of them, the oldest item first. Two queries a page."""
    items = _whole(decided_items(merchant=merchant)).order_by("created_at", "pk")
    page = list(items[:PAGE])
    while page:
        yield from _with_history(page)
        page = list(items.filter(later_than(page[-1].created_at, page[-1].pk))[:PAGE])


def decided_by_photo(*, merchant: Merchant) -> Iterator[list[Decided]]:
    """Those whose photo is still there, all of one photo's bytes together, by content hash. Three queries a page."""
    photos = Photo.objects.filter(merchant=merchant, items__state__in=DECIDED)
    hashes = photos.order_by("sha256").values_list("sha256", flat=True).distinct()
    page = list(hashes[:PAGE])
    while page:
        items = _whole(decided_items(merchant=merchant)).filter(photo__sha256__in=page)
        found = _with_history(list(items.order_by("photo__sha256", "position", "pk")))
        yield from (list(same) for _, same in groupby(found, key=_content))
        page = list(hashes.filter(sha256__gt=page[-1])[:PAGE])


def _whole(items: QuerySet[Item]) -> QuerySet[Item]:
    return items.select_related("photo", "product", "best_product")


def _content(decided: Decided) -> str:
    return decided.item.photo.sha256 if decided.item.photo else ""


def _with_history(items: Sequence[Item]) -> Iterator[Decided]:
    histories: dict[UUID, list[Decision]] = defaultdict(list)
    for decision in Decision.objects.filter(item__in=items).select_related("product").order_by("created_at", "pk"):
        histories[decision.item_id].append(decision)
    for item in items:
        history = histories[item.pk]
        undone = frozenset(each.undoes_id for each in history if each.undoes_id)
        standing = [each for each in history if each.action != DecisionAction.UNDO and each.pk not in undone]
        if standing:  # else it is being undone at this moment
            yield Decided(item, standing[-1], history, undone)
