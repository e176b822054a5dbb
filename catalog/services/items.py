"""What was recognised becomes items: one a thing found, with its place in the queue of the review desk.

Comes after a worker's result (``services.result``), before the desk. A photo that is recognised again, by another
bundle or after the catalogue grew, keeps what reviewers decided about it: only its undecided items are looked at anew.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from catalog.models import (
    UNDECIDED,
    Decision,
    DecisionAction,
    Item,
    ItemState,
    Lane,
    LedgerState,
    Merchant,
    Photo,
    Product,
    Purpose,
    Verdict,
)
from catalog.models.review import REJECTED_BEFORE
from catalog.selectors.quality import JUDGED
from catalog.selectors.rejections import Look, products_rejected, same_place
from catalog.services.photo import items_drop, photos_owe
from catalog.services.thresholds import thresholds_of, verdict_kept
from config.env import load_env
from workers.contract import Candidate, ChunkResult, FoundItem, PhotoOutcome

OFTEN_WRONG = 0.2  # share of decided items from which a product that the machine is sure of is looked at anyway
LEARNT = [
    "bundle_version", "position", "box", "cut", "calibrated", "verdict", "reason", "candidates", "best_product_id",
    "probability", "state", "product_id", "fingerprint", "sketch", "lane", "doubt", "control", "control_share",
]  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """One thing that a worker found in a photo; ``alone`` where the photo was recognised as one thing."""

    photo: Photo
    found: FoundItem | PhotoOutcome
    alone: bool

    @property
    def look(self) -> Look:
        """What was compared, and with what."""
        cut = self.found.cut if isinstance(self.found, FoundItem) else None
        products = tuple(each.product_id for each in self.found.candidates)
        return Look(self.photo.sha256, cut or self.found.box, self.found.fingerprint, products)

    def is_of(self, item: Item) -> bool:
        """Whether an item that is there already is about this thing."""
        return self.alone or same_place(item.box, self.found.box)


def photos_recognise_again(*, merchant: Merchant | None = None) -> int:
    """Owe the photos whose items wait to the workers again: a new bundle, or a catalogue that grew, may know better.

    Returns how many. What was decided stays, also on other items of these photos.
    """
    waiting = Item.objects.filter(state__in=UNDECIDED)
    if merchant is not None:
        waiting = waiting.filter(merchant=merchant)
    done = Photo.objects.filter(purpose=Purpose.RECOGNISE, state=LedgerState.DONE, pk__in=waiting.values("photo"))
    return photos_owe(done, bundle_version="")


def items_store(*, done: Sequence[tuple[Photo, PhotoOutcome]], result: ChunkResult) -> None:
    """Make or renew the items of these photos, in a constant number of queries. Called inside a transaction.

    Candidates that were deleted since lose their link only. A photo in which nothing was found gets no item.
    """
    things = [thing for photo, outcome in done for thing in _things(photo, outcome)]
    held: dict[UUID | None, list[Item]] = defaultdict(list)
    photos = [photo for photo, _ in done]
    for item in Item.objects.select_for_update().filter(photo__in=photos).order_by("position", "pk"):
        held[item.photo_id].append(item)
    values = _values(things, result)
    new: list[Item] = []
    renewed: list[Item] = []
    for photo in photos:
        fresh = [(thing, each) for thing, each in zip(things, values, strict=True) if thing.photo is photo]
        _place(photo, held[photo.pk], fresh, new, renewed)
    Item.objects.bulk_update(renewed, LEARNT)
    gone = {item.pk for items in held.values() for item in items if item.state in UNDECIDED}
    gone -= {item.pk for item in renewed}
    if gone:
        items_drop(items=Item.objects.filter(pk__in=gone))
    Item.objects.bulk_create(new, ignore_conflicts=True)


def _things(photo: Photo, outcome: PhotoOutcome) -> list[Thing]:
    if outcome.items is None:
        return [Thing(photo, outcome, alone=True)]
    return [Thing(photo, item, alone=False) for item in outcome.items]


def _place(
    photo: Photo,
    held: Sequence[Item],
    fresh: Sequence[tuple[Thing, dict[str, Any]]],
    new: list[Item],
    renewed: list[Item],
) -> None:
    """Sort what was found in one photo: decided already, known and renewed, or new.

    The surest has position 0, unless the place is taken: an item of this bundle keeps the position that it has.
    """
    settled = [item for item in held if item.state not in UNDECIDED]
    waiting = [item for item in held if item.state in UNDECIDED]
    taken = {(item.bundle_version, item.position) for item in held}
    for thing, values in fresh:
        if any(thing.is_of(item) for item in settled):
            continue
        item = next((each for each in waiting if thing.is_of(each)), None)
        if item is None:
            item = Item(merchant_id=photo.merchant_id, photo=photo, job_id=photo.job_id)
            new.append(item)
        else:
            waiting.remove(item)
            renewed.append(item)
        if item.bundle_version != (version := values["bundle_version"]):
            item.position = next(place for place in count() if (version, place) not in taken)
            taken.add((version, item.position))
        for name, value in values.items():
            setattr(item, name, value)


def _values(things: Sequence[Thing], result: ChunkResult) -> list[dict[str, Any]]:
    """The columns of each thing's item."""
    if not things:
        return []
    looks = [thing.look for thing in things]
    rejected = products_rejected(merchant_id=things[0].photo.merchant_id, looks=looks)  # a chunk is of one merchant
    named = {product for look in looks for product in look.products}
    known = _Known(
        categories=dict(Product.objects.filter(pk__in=named).values_list("pk", "category")),
        wrong=_share_wrong({thing.found.candidates[0].product_id for thing in things if _may_be_sure(thing)}),
        thresholds=_thresholds(things[0].photo.merchant_id, result),
    )
    return [_columns(thing, said, known, result) for thing, said in zip(things, rejected, strict=True)]


@dataclass(frozen=True)
class _Known:
    """What is known of the candidates of a chunk: the living ones' categories, how often reviewers said "not it" of
    those that may be sure, and the merchant's own thresholds by category.
    """

    categories: dict[UUID, str]
    wrong: dict[UUID, float]
    thresholds: dict[str, float]


def _may_be_sure(thing: Thing) -> bool:
    return thing.found.verdict in (Verdict.SURE, Verdict.REVIEW) and bool(thing.found.candidates)


def _thresholds(merchant_id: UUID, result: ChunkResult) -> dict[str, float]:
    if not result.calibrated:
        return {}
    return thresholds_of(merchant_id=merchant_id, bundle_version=result.bundle_version)


def _columns(thing: Thing, rejected: frozenset[UUID], known: _Known, result: ChunkResult) -> dict[str, Any]:
    found = thing.found
    possible = [each for each in found.candidates if each.product_id not in rejected]
    first = possible[0] if possible else None
    verdict, reason = Verdict(found.verdict or Verdict.UNKNOWN), found.reason[:300]
    if first != next(iter(found.candidates), None):
        verdict, reason = (Verdict.REVIEW if first else Verdict.UNKNOWN), REJECTED_BEFORE
    best = first.product_id if first and first.product_id in known.categories else None
    if first and best:
        verdict, reason = verdict_kept(verdict, reason, first.probability, known.thresholds.get(known.categories[best]))
    sure = verdict == Verdict.SURE and best is not None
    share = load_env().control_share
    control = sure and random.random() < share
    lane, doubt = _lane(possible, known.wrong.get(best, 0.0) if best else 0.0, sure=sure, control=control)
    return {
        "bundle_version": result.bundle_version,
        "box": found.box,
        "cut": found.cut if isinstance(found, FoundItem) else None,
        "calibrated": result.calibrated,
        "verdict": verdict,
        "reason": reason,
        "candidates": [candidate.model_dump(mode="json") for candidate in found.candidates],
        "best_product_id": best,
        "probability": first.probability if first else None,
        "state": ItemState.AUTO if sure else ItemState.OPEN,
        "product_id": best if sure else None,
        "fingerprint": found.fingerprint,
        "sketch": found.sketch,
        "lane": lane,
        "doubt": doubt,
        "control": control,
        "control_share": share if control else None,
    }


def _lane(possible: Sequence[Candidate], wrong: float, *, sure: bool, control: bool) -> tuple[Lane | None, float]:
    if not sure:
        return Lane.UNCERTAIN, _doubt(possible)
    if wrong >= OFTEN_WRONG:
        return Lane.MISTAKE, wrong
    return (Lane.CONTROL if control else None), 0.0


def _doubt(possible: Sequence[Candidate]) -> float:
    """1 less the lead of the likeliest answer over the next, "none of them" being one more answer: 0 to 1.

    Margin sampling (Scheffer et al., 2001), which with many classes asks better than entropy (Joshi et al., 2009).
    """
    chances = [each.probability or 0.0 for each in possible]
    first, second = sorted([*chances, max(0.0, 1 - sum(chances)), 0.0], reverse=True)[:2]
    return min(1.0, 1 - (first - second))


def _share_wrong(products: Collection[UUID]) -> dict[UUID, float]:
    """Of each product, how often reviewers said "not it" where the machine named it first; cautious with few."""
    if not products:
        return {}
    said = Decision.objects.filter(item__best_product__in=products, action__in=JUDGED, undone_by=None)
    counted = (
        said.order_by()
        .values("item__best_product")
        .annotate(total=Count("pk"), wrong=Count("pk", filter=~Q(action=DecisionAction.ACCEPT)))
    )
    return {row["item__best_product"]: row["wrong"] / (row["total"] + 2) for row in counted}
