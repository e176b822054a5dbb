"""Both cosines of a photo as one score, for an engine that keeps its two vectors apart: asked for each, weighed here.

A server does so, whose graphs are of one vector each; the embedded engine compares both in one scan (``_edge``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from recognition.index._engine import Ask, Engine, Found, Lack, Mix, Part, PointId, Ranking, complete, lack
from recognition.index._schema import FUSED, IMAGE

Scores = dict[PointId, float]


class Apart:
    """An ``Engine`` that knows a ``Mix``, over one that knows each ``Part`` alone."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def fetch(self, asks: Sequence[Ask]) -> list[Found]:
        """The nearest by each half of a mix, then the exact score of each photo by the half that did not find it."""
        apart = [[replace(ask, parts=parts) for parts in _parts_apart(ask)] for ask in asks]
        told = iter(self._engine.fetch([each for some in apart for each in some]))
        answers = [[next(told).scores for _ in some] for some in apart]
        lacks = [each for ask, its in zip(asks, answers, strict=True) for each in _lacks(ask.parts[0], its)]
        complete(self._engine, lacks)
        return [_found(ask, scores) for ask, scores in zip(asks, answers, strict=True)]

    def score(self, asks: Sequence[tuple[Ranking, list[PointId]]]) -> list[Scores]:
        """Exact scores, of a mix by its halves."""
        told = iter(self._engine.score([(half, ids) for part, ids in asks for half in _halves(part)]))
        return [_weighed(part, [next(told) for _ in _halves(part)]) for part, _ in asks]

    def payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """As the engine tells them."""
        return self._engine.payloads(ids)


def _halves(part: Ranking) -> tuple[Part, ...]:
    return (part.image, part.fused) if isinstance(part, Mix) else (part,)


def _parts_apart(ask: Ask) -> list[tuple[Ranking, ...]]:
    """The parts of the queries that an ask becomes: a mix is never one of several parts."""
    return [(half,) for half in _halves(ask.parts[0])] if len(ask.parts) == 1 else [ask.parts]


def _lacks(part: Ranking, scores: Sequence[Scores]) -> list[Lack]:
    """Of a mix what each half found, by the other one."""
    if not isinstance(part, Mix):
        return []
    image, fused = scores
    return [lack(part.image, fused, image), lack(part.fused, image, fused)]


def _found(ask: Ask, scores: Sequence[Scores]) -> Found:
    if len(scores) == 1:
        return Found(scores[0])
    image, fused = scores
    best = sorted(_weighed(ask.parts[0], scores).items(), key=lambda scored: -scored[1])[: ask.depth]
    return Found(dict(best), {IMAGE: image, FUSED: fused})


def _weighed(part: Ranking, scores: Sequence[Scores]) -> Scores:
    """The scores of a part; of a mix those of the photos that both halves tell of: a photo may be gone since."""
    if not isinstance(part, Mix):
        return scores[0]
    image, fused = scores
    return {
        point: part.weight * score + (1 - part.weight) * fused[point]
        for point, score in image.items()
        if point in fused
    }
