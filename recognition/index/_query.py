"""A search, whatever the engine: what to ask, exact scores, grouping by product. Both engines run through here.

``IndexQuery`` -> the nearest photos by what ranks them, filtered in the engine, and fused there where its fusion
ranks -> payloads of the best -> group by product, until there are enough -> the exact scores that are still missing, of
what is shown alone -> ``ProductHit``.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from recognition.index._engine import Ask, Engine, Found, Lack, Mix, Part, PointId, Ranking, complete, lack
from recognition.index._schema import FUSED, IMAGE, TENANT, WORDS, checked_vector, from_payload
from recognition.index._words import query_words
from recognition.index.types import IndexQuery, ProductHit

OVERFETCH = 6
MIN_FETCH = 60
VARIANTS_KEPT = 10  # of one article, the best; more of them tell nothing new and would fill the answer


class _Round:
    """What one round of a search has found: its photos with the engine's scores, and their exact scores by part."""

    def __init__(self, asks: Sequence[Ask]) -> None:
        self.asks = asks
        self.found: dict[PointId, float] = {}
        self.exact: dict[str, dict[PointId, float]] = defaultdict(dict)

    def add(self, ask: Ask, found: Found) -> None:
        """An ask of one part has told the exact scores of what it found."""
        self.found |= found.scores
        if len(ask.parts) == 1:
            self.exact[ask.parts[0].using] |= found.scores
        for using, told in found.exact.items():
            self.exact[using] |= told

    def lacks(self) -> list[Lack]:
        """Where parts are weighed against each other: each photo by the parts that did not find it."""
        weighed = [part for ask in self.asks for part in ask.parts] if len(self.asks) > 1 else []
        return [lack(part, self.found, self.exact[part.using]) for part in weighed]


@dataclass(frozen=True, slots=True)
class _Product:
    """A product found, by its best photo; most of them never become a hit."""

    score: float
    product_id: str
    group: str
    votes: int
    point: PointId
    stored: Mapping[str, Any]  # the payload

    def hit(self, scores: Mapping[str, float]) -> ProductHit:
        """``scores``: its exact ones, by the parts of the query."""
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
    exact: dict[str, dict[PointId, float]] = field(default_factory=lambda: defaultdict(dict))
    done: bool = False

    @cached_property
    def ranking(self) -> tuple[Ranking, ...]:
        """What photos rank by: a photo by its two cosines as one score, but for a photo with words that the engine's
        fusion ranks, each by itself."""
        weighed = len(self.parts) == 2 or self.by_weight is not None
        if weighed and self.parts[0].using == IMAGE:
            return Mix(self.parts[0], self.parts[1], self.image_weight), *self.parts[2:]
        return self.parts

    @cached_property
    def by_weight(self) -> float | None:
        """The photo's share, where photo and words are weighed against each other here."""
        return self.query.photo_weight if len(self.parts) == 3 else None

    @cached_property
    def by_fusion(self) -> bool:
        """The engine ranks: its fusion needs the parts in one query, and tells none of their exact scores."""
        return len(self.ranking) > 1 and self.by_weight is None

    @property
    def depth(self) -> int:
        return max(OVERFETCH * self.query.limit, MIN_FETCH)

    def asks(self) -> list[Ask]:
        """The next round: one query for all parts where the engine fuses them, else one for each."""
        known = self._known()
        together = [self.ranking] if self.by_fusion else [(part,) for part in self.ranking]
        return [Ask(self.query.filters, parts, self.depth, known) for parts in together]

    def rank(self, found: _Round) -> dict[PointId, float]:
        """The ``depth`` best photos of a round, best first, with what they rank by. Which of equal ones are the last of
        them, the engine says: products are known for these alone."""
        scores = found.found
        if self.by_weight is not None:
            looks, spoken = found.exact[Mix.using], found.exact[WORDS]
            best = max(spoken.values(), default=0.0) or math.inf
            scores = {
                p: self.by_weight * looks.get(p, 0.0) + (1 - self.by_weight) * spoken.get(p, 0.0) / best for p in scores
            }
        return dict(sorted(scores.items(), key=lambda scored: -scored[1])[: self.depth])

    def take(
        self, ranked: Mapping[PointId, float], payloads: Mapping[PointId, Mapping[str, Any]], found: _Round
    ) -> None:
        """Add the products of a round that are new; the search is done with enough, or where there are no more.

        Fused and weighed scores are relative to their round, so a product of a later round stays below those of the
        rounds before; cosines and BM25 are absolute and sort freely.
        """
        relative = len(self.ranking) > 1
        ceiling = self.products[-1].score if relative and self.products else math.inf
        known = {product.product_id for product in self.products}
        theirs = self.query.filters.merchant_id
        new = [each for each in _grouped(ranked, payloads, theirs, ceiling) if each.product_id not in known]
        for using, told in found.exact.items():
            self.exact[using] |= told
        self.products += new
        if not relative:
            self.products.sort(key=lambda product: (-product.score, product.product_id))
        count = self._keep_wanted()
        self.done = count >= self.query.limit or len(found.found) < self.depth or not new

    def lacks(self) -> list[Lack]:
        """The exact scores that hits tell and no round has told yet."""
        shown = [product.point for product in self.products]
        return [lack(part, shown, self.exact[part.using]) for part in self.parts]

    def hits(self) -> list[ProductHit]:
        """What is shown, without photos that are gone since they were found: a vector of theirs has no score then."""
        vectors = [part.using for part in self.parts if part.using != WORDS]
        return [
            each.hit({part.using: self.exact[part.using].get(each.point, 0.0) for part in self.parts})
            for each in self.products
            if all(each.point in self.exact[using] for using in vectors)
        ]

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
    complete(engine, [each for its in searches for each in its.lacks()])
    return [each.hits() for each in searches]


def _rounds(engine: Engine, searches: Sequence[_Search]) -> list[_Round]:
    """One round of each search, all its photos with all that they rank by."""
    rounds = [_Round(each.asks()) for each in searches]
    answers = iter(engine.fetch([ask for its in rounds for ask in its.asks]))
    for its in rounds:
        for ask in its.asks:
            its.add(ask, next(answers))
    complete(engine, [each for its in rounds for each in its.lacks()])
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
        parts.append(Part(IMAGE, units[0]))
    if units:
        fused = units[0] if len(units) == 1 else _unit(_middle(units, query.photo_weight))
        parts.append(Part(FUSED, fused))
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
    merchant_id: str,
    ceiling: float,
) -> list[_Product]:
    """The merchant's products by their best photos, in order, with the number of their photos among the ranked; no
    score exceeds ``ceiling``. Equal scores are told apart by product, then photo."""
    photos = [
        (-score, stored["product_id"], stored["photo_id"], point)
        for point, score in ranked.items()
        if (stored := payloads.get(point)) is not None and stored.get(TENANT) == merchant_id
    ]
    photos.sort(key=lambda photo: photo[:3])
    best: dict[str, tuple[float, PointId]] = {}
    votes: dict[str, int] = {}
    for below, product_id, _, point in photos:
        best.setdefault(product_id, (min(-below, ceiling), point))
        votes[product_id] = votes.get(product_id, 0) + 1
    return [
        _Product(score, product_id, payloads[point].get("group", ""), votes[product_id], point, payloads[point])
        for product_id, (score, point) in best.items()
    ]
