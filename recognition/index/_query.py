"""A search, engine-neutral: what to ask, exact scores, grouping by product. Both engines run through here.

``IndexQuery`` -> the nearest photos by each vector asked, filtered in the engine, and fused there where its fusion
ranks -> the exact scores that are still missing, by point id -> rank -> payloads of the best -> group by product ->
``ProductHit``.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import numpy as np

from recognition.index._schema import FUSED, IMAGE, TENANT, WORDS, checked_vector, from_payload
from recognition.index._words import SparseWords, query_words
from recognition.index.types import Filters, IndexQuery, ProductHit

OVERFETCH = 6
MIN_FETCH = 60
VARIANTS_KEPT = 10  # of one article, the best; more of them tell nothing new and would fill the answer
NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})

PointId: TypeAlias = int | str | UUID


@dataclass(frozen=True)
class Part:
    """One vector of a query: the stored vector's name and what to compare it with."""

    using: str
    vector: list[float] | SparseWords


@dataclass(frozen=True)
class Ask:
    """One Qdrant query: the ``depth`` nearest by its part, or by each of its parts and then fused; none of them with a
    value that ``without`` names for a field."""

    filters: Filters
    parts: tuple[Part, ...]
    depth: int
    without: Mapping[str, Sequence[str]]


class Engine(Protocol):
    """The batched calls that a search needs. Points go by their ids, in the engine's own type."""

    def fetch(self, asks: Sequence[Ask]) -> list[dict[PointId, float]]:
        """Candidates of each ask, the best first, with their scores: exact ones for an ask of one part, for one of
        several what the fusion made of them."""

    def score(self, asks: Sequence[tuple[Part, list[PointId]]]) -> list[dict[PointId, float]]:
        """Exact score of each named point for one part; a point that no query word occurs in is left out."""

    def payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """What the points tell of their products (``_schema.ANSWERED``); one that is gone is left out."""


class _Round:
    """What one round of a search has found: its photos with the engine's scores, and their exact scores by part."""

    def __init__(self, asks: Sequence[Ask]) -> None:
        self.asks = asks
        self.parts = [part for ask in asks for part in ask.parts]
        self.found: dict[PointId, float] = {}
        self.exact: dict[str, dict[PointId, float]] = {part.using: {} for part in self.parts}

    def add(self, ask: Ask, scores: dict[PointId, float]) -> None:
        """An ask of one part has told the exact scores of what it found."""
        self.found |= scores
        if len(ask.parts) == 1:
            self.exact[ask.parts[0].using] = scores

    def missing(self) -> Iterator[tuple[Part, list[PointId]]]:
        """What must still be scored: each photo by the parts that did not find it."""
        for part in self.parts:
            ids = [point for point in self.found if point not in self.exact[part.using]]
            if ids:
                yield part, ids


@dataclass(frozen=True, slots=True)
class _Product:
    """A product found, by its best photo; most of them never become a hit."""

    score: float
    product_id: str
    group: str
    votes: int
    point: PointId
    stored: Mapping[str, Any]  # the payload
    exact: Mapping[str, Mapping[PointId, float]]

    def hit(self) -> ProductHit:
        scores = {using: told.get(self.point, 0.0) for using, told in self.exact.items()}
        return ProductHit(
            product_id=self.product_id,
            photo_id=self.stored["photo_id"],
            score=self.score,
            image_score=scores.get(IMAGE),
            fused_score=scores.get(FUSED),
            text_score=scores.get(WORDS),
            votes=self.votes,
            payload=from_payload(self.stored),
        )


@dataclass
class _Search:
    """One query on its way: which products it has so far, and whether more can be asked for."""

    query: IndexQuery
    parts: tuple[Part, ...]
    image_weight: float
    products: list[_Product] = field(default_factory=list)
    done: bool = False

    @cached_property
    def by_cosines(self) -> bool:
        """A photo without words: ranked here by its two exact cosines, not by the engine's fusion."""
        return {part.using for part in self.parts} == {IMAGE, FUSED}

    @cached_property
    def by_weight(self) -> float | None:
        """The photo's share, where photo and words are weighed against each other here."""
        return self.query.photo_weight if len(self.parts) == 3 else None

    @cached_property
    def by_fusion(self) -> bool:
        """The engine ranks: its fusion needs the parts in one query, and tells none of their exact scores."""
        return len(self.parts) > 1 and not self.by_cosines and self.by_weight is None

    @property
    def depth(self) -> int:
        return max(OVERFETCH * self.query.limit, MIN_FETCH)

    def asks(self) -> list[Ask]:
        """The next round: one query for all parts where the engine fuses them, else one for each."""
        known = self._known()
        together = [self.parts] if self.by_fusion else [(part,) for part in self.parts]
        return [Ask(self.query.filters, parts, self.depth, known) for parts in together]

    def rank(self, found: _Round) -> dict[PointId, float]:
        """The ``depth`` best photos of a round, best first, with what they rank by. Which of equal ones are the last of
        them, the engine says: products are known for these alone."""
        scores, exact = found.found, found.exact
        if self.by_cosines or self.by_weight is not None:
            weight, image, fused = self.image_weight, exact[IMAGE], exact[FUSED]
            scores = {p: weight * image.get(p, 0.0) + (1 - weight) * fused.get(p, 0.0) for p in scores}
        if self.by_weight is not None:
            best = max(exact[WORDS].values(), default=0.0) or math.inf
            spoken = exact[WORDS]
            scores = {
                p: self.by_weight * s + (1 - self.by_weight) * spoken.get(p, 0.0) / best for p, s in scores.items()
            }
        return dict(sorted(scores.items(), key=lambda scored: -scored[1])[: self.depth])

    def take(
        self, ranked: Mapping[PointId, float], payloads: Mapping[PointId, Mapping[str, Any]], found: _Round
    ) -> None:
        """Add the products of a round that are new; the search is done with enough, or where there are no more.

        Fused and weighed scores are relative to their round, so a product of a later round stays below those of the
        rounds before; cosines and BM25 are absolute and sort freely.
        """
        relative = len(self.parts) > 1 and not self.by_cosines
        ceiling = self.products[-1].score if relative and self.products else math.inf
        known = {product.product_id for product in self.products}
        theirs = self.query.filters.merchant_id
        stored = {point: payload for point, payload in payloads.items() if payload.get(TENANT) == theirs}
        new = [each for each in _grouped(ranked, stored, found.exact, ceiling) if each.product_id not in known]
        self.products += new
        if not relative:
            self.products.sort(key=lambda product: (-product.score, product.product_id))
        count = self._keep_wanted()
        self.done = count >= self.query.limit or len(found.found) < self.depth or not new

    def _known(self) -> Mapping[str, Sequence[str]]:
        """What the next round leaves out: the products of the rounds before, whole articles where they count once."""
        alone = [each.product_id for each in self.products if not (self.query.grouped and each.group)]
        groups = {each.group: None for each in self.products if self.query.grouped and each.group}
        return {key: values for key, values in (("product_id", alone), ("group", list(groups))) if values}

    def _keep_wanted(self) -> int:
        """Drop what is more than was asked for; returns how many products, or articles, are left."""
        kept: dict[str, list[_Product]] = {}
        for product in self.products:
            grouped = self.query.grouped and product.group
            kept.setdefault(f"group {grouped}" if grouped else product.product_id, []).append(product)
        wanted = list(kept.values())[: self.query.limit]
        chosen = {product.product_id for some in wanted for product in some[:VARIANTS_KEPT]}
        self.products = [product for product in self.products if product.product_id in chosen]
        return len(wanted)


def search(engine: Engine, queries: Sequence[IndexQuery], *, dim: int, image_weight: float) -> list[list[ProductHit]]:
    """Answer all queries together. A round that finds fewer products than asked for (many photos of the same few)
    is followed by one without those products, until there are enough or no more."""
    searches = [_Search(query, _parts(query, dim), image_weight) for query in queries]
    waiting = [each for each in searches if each.parts and each.query.limit > 0]
    while waiting:
        rounds = _rounds(engine, waiting)
        ranked = [each.rank(its) for each, its in zip(waiting, rounds, strict=True)]
        wanted = list({point: None for some in ranked for point in some})
        payloads = engine.payloads(wanted) if wanted else {}
        for each, some, its in zip(waiting, ranked, rounds, strict=True):
            each.take(some, payloads, its)
        waiting = [each for each in waiting if not each.done]
    return [[product.hit() for product in each.products] for each in searches]


def _rounds(engine: Engine, searches: Sequence[_Search]) -> list[_Round]:
    """One round of each search, all its photos with all their exact scores."""
    rounds = [_Round(each.asks()) for each in searches]
    answers = iter(engine.fetch([ask for its in rounds for ask in its.asks]))
    for its in rounds:
        for ask in its.asks:
            its.add(ask, next(answers))
    missing = [(its, *asked) for its in rounds for asked in its.missing()]
    scores = engine.score([(part, ids) for _, part, ids in missing]) if missing else []
    for (its, part, _), told in zip(missing, scores, strict=True):
        its.exact[part.using] |= told
    return rounds


def _parts(query: IndexQuery, dim: int) -> tuple[Part, ...]:
    """Which stored vectors a query is compared with; none where its only words hold no term (``"!!"``)."""
    if query.image is None and query.text is None and not query.words.strip():
        raise ValueError("a query needs a photo's vector, a text vector or words")
    parts = []
    units = [
        _unit(checked_vector(vector, dim, what))
        for vector, what in ((query.image, "query image"), (query.text, "query text"))
        if vector is not None
    ]
    if query.image is not None:
        parts.append(Part(IMAGE, units[0].tolist()))
    if units:
        fused = units[0] if len(units) == 1 else _unit(_middle(units, query.photo_weight))
        parts.append(Part(FUSED, fused.tolist()))
    words = query_words(query.words)
    if words is not None:
        parts.append(Part(WORDS, words))
    return tuple(parts)


def _middle(units: Sequence[np.ndarray], photo_weight: float | None) -> np.ndarray:
    """The direction between photo and text: half-way, or as much nearer to the photo as it counts more."""
    if photo_weight is None:
        return np.sum(units, axis=0)
    return photo_weight * units[0] + (1 - photo_weight) * units[1]


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def _grouped(
    ranked: Mapping[PointId, float],
    payloads: Mapping[PointId, Mapping[str, Any]],
    exact: Mapping[str, Mapping[PointId, float]],
    ceiling: float,
) -> list[_Product]:
    """The best photo of each product, in order, with the number of its photos among the ranked; no score exceeds
    ``ceiling``. Equal scores are told apart by product, then photo."""
    photos = [
        (-score, stored["product_id"], stored["photo_id"], point)
        for point, score in ranked.items()
        if (stored := payloads.get(point)) is not None
    ]
    photos.sort(key=lambda photo: photo[:3])
    best: dict[str, tuple[float, PointId]] = {}
    votes: dict[str, int] = {}
    for below, product_id, _, point in photos:
        best.setdefault(product_id, (min(-below, ceiling), point))
        votes[product_id] = votes.get(product_id, 0) + 1
    return [
        _Product(score, product_id, payloads[point].get("group", ""), votes[product_id], point, payloads[point], exact)
        for product_id, (score, point) in best.items()
    ]
