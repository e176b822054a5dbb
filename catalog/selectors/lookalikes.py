"""Look-alikes of an item among those that wait: the same photo again, or another photo of what it shows.

Read by the desk, which offers to decide on all of them at once. Two marks are compared, neither of which needs the
index or the photos: the fingerprint of the pixels, and the sketch of the vector, among items of one bundle.
"""

from collections.abc import Sequence
from uuid import UUID

from django.contrib.auth.models import User

from catalog.models import Item
from catalog.selectors.queue import QueueFilters, queue_for
from workers.client import is_near_duplicate, likeness

ALIKE = 0.8  # about the cosine of two vectors from which two photos are offered as one thing
ALIKE_SAME_GUESS = 0.65  # where the machine's first guess is the same product too
LOOKED_AT = 2_000  # of a merchant's waiting items, the first in the queue
MOST = 24


def items_alike(*, reviewer: User, items: Sequence[Item]) -> dict[UUID, list[Item]]:
    """For each item, those that wait and look like it, the most alike first. One query for each merchant."""
    found: dict[UUID, list[Item]] = {}
    for merchant in {item.merchant_id: item.merchant for item in items}.values():
        queue = queue_for(reviewer=reviewer, filters=QueueFilters(merchant=merchant.slug))
        waiting = list(queue.only("id", "fingerprint", "sketch", "bundle_version", "best_product", "photo")[:LOOKED_AT])
        for item in items:
            if item.merchant_id == merchant.pk:
                found[item.pk] = _alike(item, waiting)
    return found


def _alike(item: Item, waiting: Sequence[Item]) -> list[Item]:
    scored = [(closeness(item, other), other) for other in waiting if other.pk != item.pk]
    near = sorted((each for each in scored if each[0]), key=lambda each: -each[0])
    return [other for _, other in near[:MOST]]


def closeness(one: Item, other: Item) -> float:
    """How alike two items are, 0 to 1; 0 where they are not to be offered as one thing."""
    if one.bundle_version == other.bundle_version:
        guess_is_same = one.best_product_id is not None and one.best_product_id == other.best_product_id
        alike = likeness(one.sketch, other.sketch)
        if alike >= (ALIKE_SAME_GUESS if guess_is_same else ALIKE):
            return alike
    return 1.0 if is_near_duplicate(one.fingerprint, other.fingerprint) else 0.0
