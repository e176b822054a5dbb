"""Between the words of the messages and those of the science: products in, points out; hits in, candidates out.

Pure functions used by ``pipeline``, before and after the index.
"""

from collections.abc import Sequence
from uuid import UUID

from recognition.bundle import Bundle
from recognition.decide import Decision, Similarity, decide, relation
from recognition.index import AttributeFilter, Filters, PhotoPoint, PointPayload, ProductHit
from recognition.text import ProductText
from workers.batching import Vector
from workers.contract import Candidate, PhotoWork, ProductFacts, Scores, SearchFilters


def judge(bundle: Bundle, hits: Sequence[ProductHit]) -> tuple[Decision, tuple[Candidate, ...]]:
    """A verdict on what a photo's nearest products mean, and the products as candidates with their probabilities.

    The similarity that is judged is the one that calibration was fitted on, both cosines weighed as the bundle says,
    also where words took part in the search and ordered the list by something else.
    """
    weight = bundle.similarity.image
    likeness = [weight * (hit.image_score or 0.0) + (1 - weight) * (hit.fused_score or 0.0) for hit in hits]
    nearest = [
        Similarity(hit.product_id, value, hit.votes, hit.payload.category)
        for hit, value in zip(hits, likeness, strict=True)
    ]
    decision = decide(nearest, bundle.calibration, bundle.thresholds)
    candidates = (
        to_candidate(hit).model_copy(update={"probability": chance, "match": relation(value, bundle.thresholds)})
        for hit, value, chance in zip(hits, likeness, decision.probabilities, strict=True)
    )
    return decision, tuple(candidates)


def to_candidate(hit: ProductHit) -> Candidate:
    """A product that the index found, not judged yet."""
    scores = Scores(rank=hit.score, image=hit.image_score, fused=hit.fused_score, text=hit.text_score)
    return Candidate(product_id=UUID(hit.product_id), photo_id=UUID(hit.photo_id), scores=scores, votes=hit.votes)


def to_point(merchant_id: str, work: PhotoWork, image: Vector, fused: Vector) -> PhotoPoint:
    """A photo as the index stores it. ValueError where it came without its product: a bug of the sender."""
    product = work.product
    if product is None:
        raise ValueError(f"photo {work.photo_id} is to be indexed but comes without its product")
    payload = PointPayload(
        merchant_id=merchant_id,
        product_id=str(product.product_id),
        photo_id=str(work.photo_id),
        category=product.category,
        brand=product.brand,
        price=product.price,
        currency=product.currency,
        in_stock=product.in_stock,
        group=product.group,
        attributes=product.attributes,
    )
    words = " ".join((product.title, product.brand, product.category, product.description))
    return PhotoPoint(payload, image, fused, words)


def to_filters(merchant_id: UUID, filters: SearchFilters) -> Filters:
    """What a search is narrowed to, as the index takes it."""
    attributes = tuple(AttributeFilter(**each.model_dump()) for each in filters.attributes)
    return Filters(merchant_id=str(merchant_id), attributes=attributes, **filters.model_dump(exclude={"attributes"}))


def to_text(product: ProductFacts) -> ProductText:
    """A product's words and price as the network reads them."""
    return ProductText(**product.model_dump(include={"title", "brand", "category", "description", "price", "currency"}))
