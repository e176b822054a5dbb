"""What a search asks of an engine, and how an engine answers: the words between ``_query`` and both of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeAlias, cast
from uuid import UUID

import numpy as np

from recognition.index._words import SparseWords
from recognition.index.types import Filters

NOTHING: Mapping[str, Sequence[str]] = MappingProxyType({})

PointId: TypeAlias = int | str | UUID


@dataclass(frozen=True)
class Part:
    """One vector of a query: what it is compared with (``IMAGE``, ``FUSED``: its cosine; ``WORDS``: BM25), and itself,
    float32 ``[dim]`` of unit length or words."""

    using: str
    vector: np.ndarray | SparseWords

    @property
    def dense(self) -> np.ndarray:
        """The vector of a part that is no words."""
        return cast(np.ndarray, self.vector)


@dataclass(frozen=True)
class Mix:
    """Both cosines of a photo in one score: ``weight * image + (1 - weight) * fused``."""

    using: ClassVar[str] = "mix"
    image: Part
    fused: Part
    weight: float


Ranking: TypeAlias = Part | Mix


@dataclass(frozen=True)
class Ask:
    """One Qdrant query: the ``depth`` nearest by its part, or by each of its parts and then fused; none of them with a
    value that ``without`` names for a field."""

    filters: Filters
    parts: tuple[Ranking, ...]
    depth: int
    without: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Found:
    """Candidates of an ask, the best first, with their scores: exact ones for an ask of one part, for one of several
    what the fusion made of them. ``exact``: what other scores the engine has learned on its way."""

    scores: dict[PointId, float]
    exact: Mapping[str, Mapping[PointId, float]] = field(default_factory=dict)


class Engine(Protocol):
    """The batched calls that a search needs. Points go by their ids, in the engine's own type."""

    def fetch(self, asks: Sequence[Ask]) -> list[Found]:
        """Candidates of each ask."""

    def score(self, asks: Sequence[tuple[Ranking, list[PointId]]]) -> list[dict[PointId, float]]:
        """Exact score of each named point for one part; a point that is gone, or that no query word occurs in, is left
        out."""

    def payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """What the points tell of their products (``_schema.ANSWERED``); one that is gone is left out."""


Lack: TypeAlias = tuple[Ranking, list[PointId], dict[PointId, float]]
"""A part, the points that have no exact score by it yet, and where their scores belong."""


def lack(part: Ranking, points: Collection[PointId], known: dict[PointId, float]) -> Lack:
    """Those of the points whose score by the part is not known."""
    return part, [point for point in points if point not in known], known


def complete(engine: Engine, lacks: Sequence[Lack]) -> None:
    """Ask for all exact scores that are lacking, in one batch, and put them where they belong."""
    asked = [(part, ids, known) for part, ids, known in lacks if ids]
    told = engine.score([(part, ids) for part, ids, _ in asked]) if asked else []
    for (_, _, known), scores in zip(asked, told, strict=True):
        known.update(scores)
