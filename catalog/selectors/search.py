"""Turns the candidates that a worker sent into hits: living products, in order, each with the reason why.

Comes after a result was stored; before the API and the page show it. Two queries, however many candidates.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from catalog.annotated import ProductWithFigures
from catalog.models import Merchant, Photo, Purpose
from catalog.selectors.product import product_list, with_photos
from workers.contract import Candidate

LEADS = {
    "same": "The same product as in the photo",
    "similar": "Looks similar to the photo",
    "other": "Among the nearest to the photo",
}
LEAD_WORDS = "Its text matches the words"


@dataclass(frozen=True)
class Hit:
    """A candidate whose product still exists. ``photo_id`` is the matched photo, or the main one when that is gone."""

    product: ProductWithFigures
    photo_id: UUID | None
    candidate: Candidate
    why: str


def hits_of(*, merchant: Merchant, candidates: Sequence[dict], calibrated: bool) -> list[Hit]:
    """The hits of one job or item."""
    return hits_of_many(merchant=merchant, lists=[(candidates, calibrated)])[0]


def hits_of_many(*, merchant: Merchant, lists: Iterable[tuple[Sequence[dict], bool]]) -> list[list[Hit]]:
    """The hits of several jobs or items, each given as its stored candidates and whether they are calibrated."""
    parsed = [([Candidate.model_validate(each) for each in candidates], calibrated) for candidates, calibrated in lists]
    wanted = [candidate for candidates, _ in parsed for candidate in candidates]
    products = with_photos(product_list(merchant=merchant)).in_bulk({each.product_id for each in wanted})
    photos = Photo.objects.filter(merchant=merchant, purpose=Purpose.INDEX, pk__in={each.photo_id for each in wanted})
    known = set(photos.values_list("pk", flat=True))
    return [
        [_hit(products[each.product_id], each, known, calibrated) for each in candidates if each.product_id in products]
        for candidates, calibrated in parsed
    ]


def why(*, candidate: Candidate, calibrated: bool) -> str:
    """One sentence for people: what was compared, how close it was, and how far to trust it."""
    scores = candidate.scores
    from_photo = scores.image is not None or candidate.probability is not None
    parts = [
        f"{candidate.probability:.0%} probable{'' if calibrated else ' (not calibrated)'}"
        if candidate.probability is not None
        else "",
        f"photo similarity {scores.image:.2f}" if scores.image is not None else "",
        f"similarity with its text and price {scores.fused:.2f}" if scores.fused is not None else "",
        f"{candidate.votes} of its photos are among the nearest" if candidate.votes > 1 else "",
        f"words score {scores.text:.2f}" if scores.text is not None else "",
    ]
    lead = LEADS[candidate.match] if from_photo else LEAD_WORDS
    details = ", ".join(part for part in parts if part)
    return f"{lead}: {details}." if details else f"{lead}."


def _hit(product: ProductWithFigures, candidate: Candidate, known: set[UUID], calibrated: bool) -> Hit:
    photo_id = candidate.photo_id if candidate.photo_id in known else product.main_photo_id
    return Hit(product, photo_id, candidate, why(candidate=candidate, calibrated=calibrated))
