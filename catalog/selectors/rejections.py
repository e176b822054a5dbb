"""Which products reviewers said a photo does not show: read wherever candidates are judged or shown.

Comes after ``services.reviewing.memory`` wrote it down; before items are stored and before the desk shows them. It
lies in SQL and names products and pixels, no vectors: a new bundle or a new index changes nothing about it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from catalog.models import Item, Merchant, Rejection
from catalog.selectors.search import Hit, hits_of_many
from workers.client import is_near_duplicate
from workers.contract import Region

SAME_PLACE = 0.3  # intersection over union from which two parts of one photo are the same thing


@dataclass(frozen=True)
class Look:
    """What was compared: part of the photo with these bytes, and the products that it may be.

    ``before``: the item as it was before anybody decided on it, so that its own decision rejects nothing.
    """

    sha256: str
    region: Region | None
    fingerprint: str
    products: tuple[UUID, ...]
    before: UUID | None = None


def look_of(item: Item, *, as_waiting: bool = False) -> Look:
    """An item as it is looked at, or was while it waited; its photo is to be selected with it."""
    products = tuple(UUID(each["product_id"]) for each in item.candidates)
    sha256 = item.photo.sha256 if item.photo else ""
    return Look(sha256, item.compared, item.fingerprint, products, item.pk if as_waiting else None)


def products_rejected(*, merchant_id: UUID, looks: Sequence[Look]) -> list[frozenset[UUID]]:
    """For each look, those of its products that a reviewer said it is not. One query, or none without products."""
    wanted = {product for look in looks for product in look.products}
    said: dict[UUID, list[Rejection]] = defaultdict(list)
    if wanted:
        rows = Rejection.objects.filter(merchant_id=merchant_id, product__in=wanted, lifted_by=None)
        for each in rows.select_related("decision"):
            said[each.product_id].append(each)
    return [
        frozenset(product for product in look.products if any(is_about(each, look) for each in said[product]))
        for look in looks
    ]


def is_about(rejection: Rejection, look: Look) -> bool:
    """Whether it was said of this very photo and part, or of a near-duplicate of its pixels."""
    if look.before is not None and rejection.decision.item_id == look.before:
        return False
    if rejection.sha256 and rejection.sha256 == look.sha256:
        return same_place(rejection.region, look.region)
    return is_near_duplicate(rejection.fingerprint, look.fingerprint)


def same_place(one: Region | None, other: Region | None) -> bool:
    """Whether two parts of one photo are the same thing; all of the photo is the same as any part of it."""
    if one is None or other is None:
        return True
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(across, 0.0) * max(down, 0.0)
    return shared >= SAME_PLACE * (_area(one) + _area(other) - shared)


def _area(box: Region) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def items_hits(*, merchant: Merchant, items: Sequence[Item], as_waiting: bool = False) -> dict[UUID, list[Hit]]:
    """The hits of a merchant's items by item, without the products that reviewers said each is not.

    ``as_waiting``: as if none of them were decided yet. The items come with their photo. Three queries, however many
    items.
    """
    lists = [(item.candidates, item.calibrated) for item in items]
    rejected = products_rejected(
        merchant_id=merchant.pk, looks=[look_of(item, as_waiting=as_waiting) for item in items]
    )
    every = hits_of_many(merchant=merchant, lists=lists)
    return {
        item.pk: [hit for hit in hits if hit.product.pk not in said]
        for item, hits, said in zip(items, every, rejected, strict=True)
    }


def by_merchant(items: Iterable[Item]) -> list[list[Item]]:
    """Items in groups of one merchant each, in the order given."""
    groups: dict[UUID, list[Item]] = defaultdict(list)
    for item in items:
        groups[item.merchant_id].append(item)
    return list(groups.values())
