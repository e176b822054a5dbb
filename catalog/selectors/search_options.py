"""What a search may be asked beyond its query: which hits count, in what order, and what is counted about them.

Kept in a job's ``request`` when it is made; applied to the hits whenever it is read, so that nothing of it travels to
a worker but how many candidates it takes. Pure functions over hits.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from catalog.models import Product
from workers.contract import Candidate

DEPTH = 100  # candidates that are looked at where hits are sorted, sifted or counted; the most that a worker sends
FACETS = ("categories", "brands", "in_stock", "prices")
ATTRIBUTE = "attributes."  # a facet of one attribute: attributes.colour

Sort = Literal["relevance", "price_asc", "price_desc", "newest"]
Match = Literal["any", "similar", "same"]

_ALLOWED = {"any": {"same", "similar", "other"}, "similar": {"same", "similar"}, "same": {"same"}}


class SearchOptions(BaseModel):
    """``match``: only the same product, or also what looks similar. ``min_score`` is the least ``scores.rank``.

    ``photo_weight`` (0..1) weighs the photo against the words; ``like`` and ``unlike`` are products to be near to and
    far from, which are no hits themselves.
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

    @property
    def depth(self) -> int:
        """How many candidates these options need to look at; 0: no more than are shown."""
        asked = self.model_copy(update={"photo_weight": None, "like": (), "unlike": ()})
        return DEPTH if asked != SearchOptions() else 0


class Found(Protocol):
    """What is asked of a hit here."""

    @property
    def product(self) -> Product:
        """The product."""

    @property
    def candidate(self) -> Candidate:
        """As the worker sent it."""


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


def facets_of(hits: Sequence[Found], names: Iterable[str]) -> list[Facet]:
    """The facets asked for, counted over these hits."""
    return [Facet(name, _prices(hits) if name == "prices" else _counted(hits, name)) for name in names]


def sort_key(sort: Sort) -> Callable[[Found], Any] | None:
    """The order of hits: ``None`` leaves that of the search; equals keep it, and what has no price comes last."""
    keys: dict[str, Callable[[Found], Any]] = {
        "price_asc": lambda hit: (hit.product.price is None, hit.product.price or 0),
        "price_desc": lambda hit: (hit.product.price is None, -(hit.product.price or 0)),
        "newest": lambda hit: -hit.product.created_at.timestamp(),
    }
    return keys.get(sort)


def _counted(hits: Sequence[Found], name: str) -> tuple[FacetValue, ...]:
    counts = Counter(value for hit in hits for value in set(_values(hit.product, name)))
    return tuple(
        FacetValue(value, counts[value]) for value in sorted(counts, key=lambda value: (-counts[value], value))
    )


def _values(product: Product, name: str) -> list[str]:
    if name == "in_stock":
        return ["true" if product.in_stock else "false"]
    if name in ("categories", "brands"):
        return [value] if (value := product.category if name == "categories" else product.brand) else []
    return attribute_values(product.attributes.get(name.removeprefix(ATTRIBUTE)))


def attribute_values(value: Any) -> list[str]:
    """An attribute as the texts that one filters by: of a list each, of an object none."""
    each = value if isinstance(value, list) else [value]
    plain = [str(one).lower() if isinstance(one, bool) else str(one) for one in each if _is_plain(one)]
    return [text for text in plain if text]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _prices(hits: Sequence[Found]) -> tuple[FacetValue, ...]:
    prices: dict[str, list[Decimal]] = {}
    for hit in hits:
        if hit.product.price is not None:
            prices.setdefault(hit.product.currency, []).append(hit.product.price)
    found = (FacetValue(currency, len(each), min(each), max(each)) for currency, each in prices.items())
    return tuple(sorted(found, key=lambda value: (-value.count, value.value)))
