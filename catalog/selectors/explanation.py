"""What an explanation is about: a query and the photo of a product that it matched, read from an item or a search.

Comes after a result was stored; before ``services.explanation`` asks a worker about it.
"""

from dataclasses import dataclass
from uuid import UUID

from catalog.models import Item, Job, JobState, Merchant, Photo, Purpose
from catalog.selectors.search import Hit, hits_of
from catalog.services.errors import Refused
from workers.contract import REASONS, Region


@dataclass(frozen=True)
class Comparison:
    """One hit with what was asked. ``key`` is empty for a search by words, ``photo_id`` for every search.

    ``region`` is the part of the photo that was compared.

    ``verdict``, ``reason`` (a sentence) and ``bundle_version`` are those of the answer that the hit belongs to.
    """

    merchant: Merchant
    key: str
    photo_id: UUID | None
    job_id: UUID | None
    region: Region | None
    words: str
    hit: Hit
    matched: Photo
    verdict: str
    reason: str
    bundle_version: str


def item_comparison(*, item: Item, product_id: UUID | None = None) -> Comparison:
    """An item and one of its candidates, the first unless one is named.

    Raises ``Refused``: ``candidate_not_found`` (404), ``photo_gone`` (410).
    """
    hit = _chosen(hits_of(merchant=item.merchant, candidates=item.candidates, calibrated=item.calibrated), product_id)
    if item.photo is None:
        raise _gone()
    return Comparison(
        merchant=item.merchant,
        key=item.photo.key,
        photo_id=item.photo.pk,
        job_id=None,
        region=item.compared,
        words="",
        hit=hit,
        matched=_matched(hit),
        verdict=item.verdict,
        reason=item.explanation,
        bundle_version=item.bundle_version,
    )


def search_comparison(*, job: Job, product_id: UUID) -> Comparison:
    """A finished search and one of its hits. Raises as ``item_comparison``."""
    candidates = job.candidates if job.state == JobState.DONE else []
    hit = _chosen(hits_of(merchant=job.merchant, candidates=candidates, calibrated=job.calibrated), product_id)
    return Comparison(
        merchant=job.merchant,
        key=job.key,
        photo_id=None,
        job_id=job.pk if job.key else None,
        region=job.box or job.request["region"],
        words=job.request["words"],
        hit=hit,
        matched=_matched(hit),
        verdict=job.verdict,
        reason=REASONS.get(job.reason, job.reason),
        bundle_version=job.bundle_version,
    )


def _chosen(hits: list[Hit], product_id: UUID | None) -> Hit:
    for hit in hits:
        if product_id in (None, hit.product.pk):
            return hit
    raise Refused("candidate_not_found", "This product is not among what was found.", status=404)


def _matched(hit: Hit) -> Photo:
    photo = Photo.objects.filter(pk=hit.photo_id, purpose=Purpose.INDEX).first() if hit.photo_id else None
    if photo is None:
        raise _gone()
    return photo


def _gone() -> Refused:
    return Refused("photo_gone", "The photo was deleted: there is nothing to look at any more.", status=410)
