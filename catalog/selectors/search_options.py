"""What a search may be asked beyond its query: which hits count, in what order, and what is counted about them.

Kept in a job's ``request`` when it is made; applied to the hits whenever it is read, so that nothing of it travels to
a worker but how many candidates it takes. Pure functions over hits.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from catalog.models import Product
from catalog.selectors.attributes import attribute_values
from workers.contract import Candidate, Region

DEPTH = 100  # candidates that are looked at where hits are sorted, sifted or counted; the most that a worker sends
FACETS = ("categories", "brands", "in_stock", "prices")
ATTRIBUTE = "attributes."  # a facet of one attribute: attributes.colour

Sort = Literal["relevance", "price_asc", "price_desc", "newest"]
Match = Literal["any", "similar", "same"]

SIFTING = ("sort", "match", "min_probability", "min_score", "facets")  # options that need to see more than is shown

_ALLOWED = {"any": {"same", "similar", "other"}, "similar": {"same", "similar"}, "same": {"same"}}


class ExampleAsked(BaseModel):
    """What is told later of a photo that was an example: the part that counted, and the search that it came from."""

    model_config = ConfigDict(frozen=True)

    region: Region | None = None
    search_id: UUID | None = None


class SearchOptions(BaseModel):
    """``match``: only the same product, or also what looks similar. ``min_score`` is the least ``scores.rank``.

    ``photo_weight`` (0..1) weighs the photo against the words; ``like`` and ``unlike`` are products to be near to and
    far from, which are no hits themselves, ``like_photos`` and ``unlike_photos`` other photos. With ``group_variants``
    an article is one hit, whichever of its variants are found.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    sort: Sort = "relevance"
    match: Match = "any"
    min_probability: float | None = None
    min_score: float | None = None
    facets: tuple[str, ...] = ()
    photo_weight: float | None = None
    like: tuple[UUID, ...] = ()
    unlike: tuple[UUID, ...] = ()
    like_photos: tuple[ExampleAsked, ...] = ()
    unlike_photos: tuple[ExampleAsked, ...] = ()
    group_variants: bool = True

    @property
    def depth(self) -> int:
        """How many candidates these options need to look at; 0: no more than are shown."""
        return DEPTH if any(getattr(self, each) != SearchOptions.model_fields[each].default for each in SIFTING) else 0


class Found(Protocol):
    """What is asked of a hit here."""

    @property
    def product(self) -> Product:
        """The product."""

    @property
    def candidate(self) -> Candidate:
        """As the worker sent it."""


AnyFound = TypeVar("AnyFound", bound=Found)


@dataclass(frozen=True)
class FacetValue:
    """One value and how many hits have it; of prices the value is a currency, and the lowest and highest are told."""

    value: str
    count: int
    min: Decimal | None = None
    max: Decimal | None = None


@dataclass(frozen=True)
class Facet:
    """The values of one facet, the most frequent first."""

    name: str
    values: tuple[FacetValue, ...]


def passes(candidate: Candidate, options: SearchOptions) -> bool:
    """Whether a candidate is good enough."""
    probability, rank = candidate.probability, candidate.scores.rank
    return (
        candidate.match in _ALLOWED[options.match]
        and (options.min_probability is None or (probability or 0.0) >= options.min_probability)
        and (options.min_score is None or rank >= options.min_score)
    )


def articles_of(hits: Iterable[AnyFound], *, grouped: bool) -> list[list[AnyFound]]:
    """The hits as articles in their order, the variants of one together where they are ``grouped``."""
    articles: dict[str, list[AnyFound]] = {}
    for number, hit in enumerate(hits):
        group = hit.product.variant_group if grouped else ""
        articles.setdefault(f"group {group}" if group else f"hit {number}", []).append(hit)
    return list(articles.values())


def facets_of(articles: Sequence[Sequence[Found]], names: Iterable[str]) -> list[Facet]:
    """The facets asked for. An article counts once for each value that any of its found variants has: as many hits
    come back when the search is narrowed to it."""
    return [Facet(name, _prices(articles) if name == "prices" else _counted(articles, name)) for name in names]


def sort_key(sort: Sort) -> Callable[[Found], tuple[float, ...]] | None:
    """The order of hits: ``None`` leaves that of the search; equals keep it, and what has no price comes last."""
    keys: dict[str, Callable[[Found], tuple[float, ...]]] = {
        "price_asc": lambda hit: (hit.product.price is None, float(hit.product.price or 0)),
        "price_desc": lambda hit: (hit.product.price is None, -float(hit.product.price or 0)),
        "newest": lambda hit: (-hit.product.created_at.timestamp(),),
    }
    return keys.get(sort)


def _counted(articles: Sequence[Sequence[Found]], name: str) -> tuple[FacetValue, ...]:
    counts = Counter(
        value for hits in articles for value in {each for hit in hits for each in _values(hit.product, name)}
    )
    return tuple(
        FacetValue(value, counts[value]) for value in sorted(counts, key=lambda value: (-counts[value], value))
    )


def _values(product: Product, name: str) -> list[str]:
    if name == "in_stock":
        return ["true" if product.in_stock else "false"]
    if name in ("categories", "brands"):
        return [value] if (value := product.category if name == "categories" else product.brand) else []
    return attribute_values(product.attributes.get(name.removeprefix(ATTRIBUTE)))


def _prices(articles: Sequence[Sequence[Found]]) -> tuple[FacetValue, ...]:
    prices: dict[str, list[Decimal]] = {}
    counts: Counter[str] = Counter()
    for hits in articles:
        priced = [hit.product for hit in hits if hit.product.price is not None]
        counts.update({product.currency for product in priced})
        for product in priced:
            prices.setdefault(product.currency, []).append(cast(Decimal, product.price))
    found = (FacetValue(currency, counts[currency], min(each), max(each)) for currency, each in prices.items())
    return tuple(sorted(found, key=lambda value: (-value.count, value.value)))
