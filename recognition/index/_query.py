"""A search, engine-neutral: what to ask, exact scores, grouping by product. Both engines run through here.

``IndexQuery`` -> one Qdrant query (one prefetch for each vector asked, fused in the engine, filtered in the engine)
-> exact scores of the candidates by point id -> rank -> group by product -> ``ProductHit``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import numpy as np

from recognition.index._schema import FUSED, IMAGE, WORDS, checked_vector, from_payload
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
    """One Qdrant query: the ``depth`` nearest by each part, fused; at most ``limit`` points come back, none of them
    with a value that ``without`` names for a field."""

    filters: Filters
    parts: tuple[Part, ...]
    depth: int
    limit: int
    without: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Found:
    """A point as the engine returns it, its id in the engine's own type; ``score`` is the fused one."""

    id: PointId
    score: float
    payload: Mapping[str, Any]


class Engine(Protocol):
    """The two batched calls that a search needs."""

    def fetch(self, asks: Sequence[Ask]) -> list[list[Found]]:
        """Candidates of each ask."""

    def score(self, asks: Sequence[tuple[Part, list[PointId]]]) -> list[dict[PointId, float]]:
        """Exact score of each named point for one part; a point that no query word occurs in is left out."""


@dataclass(frozen=True)
class _Candidate:
    score: float
    scores: Mapping[str, float]
    stored: Mapping[str, Any]  # the payload


@dataclass
class _Search:
    """One query on its way: which products it has so far, and whether more can be asked for."""

    query: IndexQuery
    parts: tuple[Part, ...]
    image_weight: float
    hits: list[ProductHit] = field(default_factory=list)
    done: bool = False

    @cached_property
    def by_cosines(self) -> bool:
        """A photo without words: ranked here by its two exact cosines, not by the engine's fusion."""
        return {part.using for part in self.parts} == {IMAGE, FUSED}

    @cached_property
    def by_weight(self) -> float | None:
        """The photo's share, where photo and words are weighed against each other here."""
        return self.query.photo_weight if len(self.parts) == 3 else None

    @property
    def depth(self) -> int:
        return max(OVERFETCH * self.query.limit, MIN_FETCH)

    def ask(self) -> Ask:
        """The next round; where candidates are ranked here, all of them are wanted and not the best fused."""
        ranked_here = self.by_cosines or self.by_weight is not None
        limit = self.depth * len(self.parts) if ranked_here else self.depth
        return Ask(self.query.filters, self.parts, self.depth, limit, self._known())

    def take(self, found: Sequence[Found], exact: Mapping[str, Mapping[PointId, float]]) -> None:
        """Rank one round of candidates and add the products in it; the search is done with enough or with no more.

        Fused and weighed scores are relative to their round, so a product of a later round stays below those of the
        rounds before; cosines and BM25 are absolute and sort freely.
        """
        best_words = max(exact.get(WORDS, {}).values(), default=0.0)
        candidates = [self._candidate(point, exact, best_words) for point in found]
        candidates.sort(key=lambda c: (-c.score, c.stored["product_id"], c.stored["photo_id"]))
        if len(self.parts) > 1 and not self.by_cosines:
            self.hits += _grouped(candidates[: self.depth], ceiling=self.hits[-1].score if self.hits else math.inf)
        else:
            self.hits += _grouped(candidates[: self.depth])
            self.hits.sort(key=lambda hit: (-hit.score, hit.product_id))
        count = self._keep_wanted()
        self.done = count >= self.query.limit or len(found) < self.depth

    def _known(self) -> Mapping[str, Sequence[str]]:
        """What the next round leaves out: the products of the rounds before, whole articles where they count once."""
        alone = [hit.product_id for hit in self.hits if not (self.query.grouped and hit.payload.group)]
        groups = {hit.payload.group: None for hit in self.hits if self.query.grouped and hit.payload.group}
        return {key: values for key, values in (("product_id", alone), ("group", list(groups))) if values}

    def _keep_wanted(self) -> int:
        """Drop what is more than was asked for; returns how many products, or articles, are left."""
        kept: dict[str, list[ProductHit]] = {}
        for hit in self.hits:
            grouped = self.query.grouped and hit.payload.group
            kept.setdefault(f"group {grouped}" if grouped else hit.product_id, []).append(hit)
        wanted = list(kept.values())[: self.query.limit]
        chosen = {hit.product_id for hits in wanted for hit in hits[:VARIANTS_KEPT]}
        self.hits = [hit for hit in self.hits if hit.product_id in chosen]
        return len(wanted)

    def _candidate(self, point: Found, exact: Mapping[str, Mapping[PointId, float]], best_words: float) -> _Candidate:
        scores = {part.using: exact[part.using].get(point.id, 0.0) for part in self.parts}
        score = point.score
        if self.by_cosines or self.by_weight is not None:
            score = self.image_weight * scores[IMAGE] + (1 - self.image_weight) * scores[FUSED]
        if self.by_weight is not None:
            spoken = scores[WORDS] / best_words if best_words else 0.0
            score = self.by_weight * score + (1 - self.by_weight) * spoken
        return _Candidate(score, scores, point.payload)


def search(engine: Engine, queries: Sequence[IndexQuery], *, dim: int, image_weight: float) -> list[list[ProductHit]]:
    """Answer all queries together. A round that finds fewer products than asked for (many photos of the same few)
    is followed by one without those products, until there are enough or no more."""
    searches = [_Search(query, _parts(query, dim), image_weight) for query in queries]
    waiting = [s for s in searches if s.parts and s.query.limit > 0]
    while waiting:
        rounds = engine.fetch([s.ask() for s in waiting])
        ids = [[point.id for point in found] for found in rounds]
        wanted = [(part, ids[i]) for i, s in enumerate(waiting) for part in s.parts if ids[i]]
        scored = iter(engine.score(wanted) if wanted else ())
        for s, found in zip(waiting, rounds, strict=True):
            s.take(found, {part.using: next(scored) for part in s.parts} if found else {})
        waiting = [s for s in waiting if not s.done]
    return [s.hits for s in searches]


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
        parts.append(Part(FUSED, _unit(_middle(units, query.photo_weight)).tolist()))
    words = query_words(query.words)
    if words is not None:
        parts.append(Part(WORDS, words))
    return tuple(parts)


def _middle(units: Sequence[np.ndarray], photo_weight: float | None) -> np.ndarray:
    """The direction between photo and text: half-way, or as much nearer to the photo as it counts more."""
    if photo_weight is None or len(units) < 2:
        return np.sum(units, axis=0)
    return photo_weight * units[0] + (1 - photo_weight) * units[1]


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def _grouped(candidates: Sequence[_Candidate], ceiling: float = math.inf) -> list[ProductHit]:
    """The best candidate of each product, in order, with the number of its photos among the candidates; no score
    exceeds ``ceiling``."""
    best: dict[str, _Candidate] = {}
    votes: dict[str, int] = {}
    for candidate in candidates:
        product_id = candidate.stored["product_id"]
        best.setdefault(product_id, candidate)
        votes[product_id] = votes.get(product_id, 0) + 1
    return [
        ProductHit(
            product_id=product_id,
            photo_id=candidate.stored["photo_id"],
            score=min(candidate.score, ceiling),
            image_score=candidate.scores.get(IMAGE),
            fused_score=candidate.scores.get(FUSED),
            text_score=candidate.scores.get(WORDS),
            votes=votes[product_id],
            payload=from_payload(candidate.stored),
        )
        for product_id, candidate in best.items()
    ]
