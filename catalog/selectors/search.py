"""Turns the candidates that a worker sent into hits: living products, in order, each with the reason why.

Comes after a result was stored; before the API and the page show it. Two queries, however many candidates, and a third
for other variants of what is shown.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q, Window
from django.db.models.functions import RowNumber

from catalog.annotated import ProductWithMainPhoto, Variant
from catalog.models import Job, JobState, Merchant, Photo, Product, Purpose
from catalog.selectors.attributes import attribute_values
from catalog.selectors.product import product_list, with_main_photo
from catalog.selectors.search_options import Facet, SearchOptions, articles_of, facets_of, passes, sort_key
from workers.contract import AttributeFilter, Candidate, SearchFilters

VARIANTS_SHOWN = 50  # of one article

LEADS = {
    "same": "The same product as in the photo",
    "similar": "Looks similar to the photo",
    "other": "Among the nearest to the photo",
}
LEAD_WORDS = "Its text matches the words"


@dataclass(frozen=True)
class Hit:
    """A candidate whose product still exists. ``photo_id`` is the matched photo, or the main one when that is gone.

    ``variants`` are the others of its article, where that is one hit: those that were found, and those that were not.
    ``order`` is what the list is ordered by; its last number is the candidate's place, whatever became of the others.
    """

    product: ProductWithMainPhoto
    photo_id: UUID | None
    candidate: Candidate
    why: str
    order: tuple[float, ...]
    variants: Sequence[Variant] = ()


@dataclass(frozen=True)
class Answer:
    """What a search found: the hits to show, how many there are of them (an article counts once), what was counted.

    ``living``: candidates whose product still exists, those that the options sift out included.
    """

    hits: list[Hit]
    found: int
    living: int
    facets: list[Facet]


def search_answer(*, merchant: Merchant, job: Job, all_found: bool = False) -> Answer:
    """The hits of a finished search as its options want them; nothing of one that is not done.

    As many as its ``limit`` says, or ``all_found``.
    """
    if job.state != JobState.DONE:
        return Answer([], 0, 0, [])
    options = SearchOptions.model_validate(job.request)
    every = hits_of(merchant=merchant, candidates=job.candidates, calibrated=job.calibrated)
    readings = job.request.get("read_as", ())
    examples = {*options.like, *options.unlike}
    hits = [hit for hit in every if passes(hit.candidate, options) and hit.product.pk not in examples]
    if key := sort_key(options.sort):
        hits = sorted((replace(hit, order=(*key(hit), *hit.order)) for hit in hits), key=attrgetter("order"))
    articles = articles_of(hits, grouped=options.group_variants)
    shown = articles if all_found else articles[: job.request.get("limit")]
    variants = _variants(merchant, shown) if options.group_variants else {}
    asked = f"{_why_asked(options)}{_why_read(readings)}"
    filters = SearchFilters.model_validate(job.request.get("filters") or {})
    answered = [_explained(hit, len(more), variants, filters, asked) for hit, *more in shown]
    return Answer(answered, len(articles), len(every), facets_of(articles, options.facets))


def hits_of(*, merchant: Merchant, candidates: Sequence[dict], calibrated: bool) -> list[Hit]:
    """The hits of one job or item."""
    return hits_of_many(merchant=merchant, lists=[(candidates, calibrated)])[0]


def hits_of_many(*, merchant: Merchant, lists: Iterable[tuple[Sequence[dict], bool]]) -> list[list[Hit]]:
    """The hits of several jobs or items, each given as its stored candidates and whether they are calibrated."""
    parsed = [([Candidate.model_validate(each) for each in candidates], calibrated) for candidates, calibrated in lists]
    wanted = [candidate for candidates, _ in parsed for candidate in candidates]
    products = with_main_photo(product_list(merchant=merchant)).in_bulk({each.product_id for each in wanted})
    photos = Photo.objects.filter(merchant=merchant, purpose=Purpose.INDEX, pk__in={each.photo_id for each in wanted})
    known = set(photos.values_list("pk", flat=True))
    return [
        [
            _hit(products[each.product_id], each, known, calibrated, place)
            for place, each in enumerate(candidates)
            if each.product_id in products
        ]
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


def _variants(merchant: Merchant, articles: Sequence[Sequence[Hit]]) -> dict[str, list[Variant]]:
    """The variants of these articles by their group, found ones first. One query, where there are any."""
    groups = {hits[0].product.variant_group for hits in articles} - {""}
    if not groups:
        return {}
    found = Q(pk__in=[hit.product.pk for hits in articles for hit in hits])
    place = Window(RowNumber(), partition_by="variant_group", order_by=["-found", "sku"])
    products = with_main_photo(product_list(merchant=merchant).filter(variant_group__in=groups))
    marked = products.annotate(found=ExpressionWrapper(found, output_field=BooleanField())).annotate(place=place)
    variants: dict[str, list[Variant]] = {}
    for product in marked.filter(place__lte=VARIANTS_SHOWN + 1).order_by("place"):
        variants.setdefault(product.variant_group, []).append(product)
    return variants


def _explained(hit: Hit, found: int, variants: dict[str, list[Variant]], filters: SearchFilters, asked: str) -> Hit:
    """A hit as it is shown, ``found`` other variants of which were found too."""
    article = variants.get(hit.product.variant_group, []) if hit.product.variant_group else []
    others = [each for each in article if each.pk != hit.product.pk][:VARIANTS_SHOWN]
    reasons = f"{_why_attributes(hit.product, filters.attributes)}{_why_variants(len(others), found)}{asked}"
    return replace(hit, why=f"{hit.why}{reasons}", variants=others)


def _why_attributes(product: Product, asked: Sequence[AttributeFilter]) -> str:
    """What of the attributes that were asked for it has."""
    told = [f"{each.name} {' and '.join(_having(product, each))}" for each in asked]
    return f" It has {', '.join(told)}." if told else ""


def _having(product: Product, asked: AttributeFilter) -> list[str]:
    """The values that were asked for; all that it has now where none of them is left, or a range was asked for."""
    values = attribute_values(product.attributes.get(asked.name))
    return [value for value in values if value in asked.values] or values or ["no more"]


def _why_variants(others: int, found: int) -> str:
    """That it stands for more than itself."""
    if not others:
        return ""
    return f" It stands for {others + 1} variants of one article, {found + 1} of which were found."


def _why_asked(options: SearchOptions) -> str:
    """What of the question, beside photo and words, made the list what it is."""
    like, unlike = len(options.like + options.like_photos), len(options.unlike + options.unlike_photos)
    said = [
        f"like {like} of your examples" if like else "",
        f"unlike {unlike}" if unlike else "",
        f"with the photo counting {options.photo_weight:.0%} beside the words"
        if options.photo_weight is not None
        else "",
    ]
    asked = ", ".join(part for part in said if part)
    return f" You asked for what is {asked}." if asked else ""


def _why_read(readings: Sequence[dict[str, str]]) -> str:
    """What else the words were taken for."""
    told = ", ".join(f"“{each['word']}” also as “{each['read_as']}”" for each in readings)
    return f" The words were read: {told}." if told else ""


def _hit(product: ProductWithMainPhoto, candidate: Candidate, known: set[UUID], calibrated: bool, place: int) -> Hit:
    photo_id = candidate.photo_id if candidate.photo_id in known else product.main_photo_id
    return Hit(product, photo_id, candidate, why(candidate=candidate, calibrated=calibrated), order=(place,))
