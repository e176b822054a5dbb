"""From the nearest products of a photo to a verdict; after the index, before the result message.

Pure arithmetic over numbers that travel in the bundle: the same candidates always give the same verdict. The
probability that a candidate *is* the product comes from a conditional logistic model with "none of these" as one more
choice (McFadden, 1974), over its similarity, its lead over the next product and the number of its photos among the
nearest; it was fitted on photos that training never saw.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["SURE", "REVIEW", "UNKNOWN"]
Relation = Literal["same", "similar", "other"]

REASONS = frozenset({"clear_match", "close_runner_up", "weak_match", "nothing_like_it", "no_candidates"})
VOTERS = 10  # the nearest photos of a query, over all products, that vote
_MAX_VOTES = 5


@dataclass(frozen=True)
class Similarity:
    """One candidate product: its best similarity (-1..1) and how many of the VOTERS nearest photos are its own."""

    product_id: str
    similarity: float
    votes: int
    category: str = ""


@dataclass(frozen=True)
class Calibration:
    """The logistic model's weights; `calibrated` is False where it was never fitted and its numbers are a guess.

    `background` is the usual similarity of the best *wrong* product: the rival of a candidate that stands alone.
    """

    calibrated: bool = False
    intercept: float = -6.0
    similarity: float = 8.0
    margin: float = 12.0
    votes: float = 0.5
    background: float = 0.4


@dataclass(frozen=True)
class Thresholds:
    """`sure`, `review`: least probability for that verdict. `same`, `similar`: least similarity for that relation.

    `sure_by_category`: least probability for SURE where the first candidate is of that category, chosen for the same
    precision. Only of a bundle that serves the one shop whose photos chose it: the same word is another thing
    elsewhere. A category that too few held-out photos showed is not in it.
    """

    sure: float = 0.9
    review: float = 0.25
    same: float = 0.75
    similar: float = 0.5
    close_margin: float = 0.05
    sure_by_category: Mapping[str, float] = field(default_factory=dict)

    def sure_of(self, category: str) -> float:
        """The least probability for SURE in a category."""
        return self.sure_by_category.get(category, self.sure)


@dataclass(frozen=True)
class Decision:
    """A verdict, its reason (one of REASONS) and a probability for each candidate, in the order given."""

    verdict: Verdict
    reason: str
    probabilities: tuple[float, ...]


def decide(candidates: Sequence[Similarity], calibration: Calibration, thresholds: Thresholds) -> Decision:
    """Judge the candidates of one photo, best first, at most one entry a product.

    The verdict is about the first: it is what is shown, and what is accepted where the verdict is SURE.
    """
    if not candidates:
        return Decision("UNKNOWN", "no_candidates", ())
    probabilities = _probabilities(candidates, calibration)
    best = probabilities[0]
    if best >= thresholds.sure_of(candidates[0].category):
        return Decision("SURE", "clear_match", probabilities)
    if best >= thresholds.review:
        margin = evidence(candidates, calibration)[0][1]
        close = len(candidates) > 1 and margin < thresholds.close_margin
        return Decision("REVIEW", "close_runner_up" if close else "weak_match", probabilities)
    return Decision("UNKNOWN", "nothing_like_it", probabilities)


def relation(similarity: float, thresholds: Thresholds) -> Relation:
    """What a search hit is to the photo: the same product, one that looks similar, or neither."""
    if similarity >= thresholds.same:
        return "same"
    return "similar" if similarity >= thresholds.similar else "other"


def evidence(candidates: Sequence[Similarity], calibration: Calibration) -> list[tuple[float, float, float]]:
    """What the logistic model sees of each candidate: similarity, lead over the best other product, votes (log)."""
    rows = []
    for at, candidate in enumerate(candidates):
        others = [other.similarity for place, other in enumerate(candidates) if place != at]
        rival = max(others, default=calibration.background)
        votes = math.log1p(min(max(candidate.votes, 0), _MAX_VOTES))
        rows.append((candidate.similarity, candidate.similarity - rival, votes))
    return rows


def _probabilities(candidates: Sequence[Similarity], calibration: Calibration) -> tuple[float, ...]:
    """Each candidate against the others and against "none of them", whose score is 0; they add up to less than 1."""
    weights = (calibration.similarity, calibration.margin, calibration.votes)
    scores = [
        calibration.intercept + sum(weight * value for weight, value in zip(weights, row, strict=True))
        for row in evidence(candidates, calibration)
    ]
    highest = max(0.0, *scores)
    odds = [math.exp(score - highest) for score in scores]
    total = math.exp(-highest) + sum(odds)
    return tuple(odd / total for odd in odds)
