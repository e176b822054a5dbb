"""Arithmetic of how good reviewers and the machine are: shares with their intervals, drift, and the threshold that
keeps a wanted precision. Pure functions, without a database.

Used by ``selectors.quality``, ``selectors.drift`` and ``services.thresholds``. Why so: docs/decisions/quality.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

CONFIDENCE = 0.95
# Probabilities that may become a threshold. They are fixed before the data is seen, so that the bound can be made to
# hold for all of them at once (Bonferroni).
GRID = (*(step / 20 for step in range(1, 20)), 0.975, 0.99)
SURELY = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / len(GRID))


@dataclass(frozen=True)
class Share:
    """``right`` of ``total``, with the interval of 95 % confidence, from 0 to 1. ``value`` is None where total is 0."""

    right: int
    total: int

    @property
    def value(self) -> float | None:
        """The share itself."""
        return self.right / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies."""
        return wilson(self.right, self.total)


def wilson(right: float, total: float, z: float = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)) -> tuple[float, float]:
    """The score interval of a share (Wilson, 1927), which keeps its promise with few and with extreme counts too.

    Counts may be fractions, such as an effective sample size. (0, 1) where nothing was counted.
    """
    if total <= 0:
        return 0.0, 1.0
    share, square = right / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = z * sqrt(share * (1 - share) / total + square / (4 * total * total)) / (1 + square / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(now: Share, before: Share) -> float | None:
    """How many standard errors the share of now lies above the one of before (two-proportion z-test, pooled).

    None where one of them counted nothing; 0 where both are all or nothing alike.
    """
    if not now.total or not before.total:
        return None
    pooled = (now.right + before.right) / (now.total + before.total)
    error = sqrt(pooled * (1 - pooled) * (1 / now.total + 1 / before.total))
    return (now.right / now.total - before.right / before.total) / error if error else 0.0


@dataclass(frozen=True)
class Judged:
    """One decided item: the machine's probability, whether it was right, and how many items it stands for."""

    probability: float
    right: bool
    weight: float = 1.0


@dataclass(frozen=True)
class Chosen:
    """A threshold, the precision at and above it as estimated, its lower bound, and the decided items behind it."""

    value: float
    precision: float
    lower: float
    decided: int


def threshold_choose(judged: Sequence[Judged], wanted: float) -> Chosen | None:
    """The smallest threshold of ``GRID`` at and above which precision surely reaches what is wanted; None: none does.

    "Surely": the lower bound at 95 %, one-sided, for all of the grid at once. The weights make fewer items of the data
    than were counted: its effective size is (sum of weights)² / (sum of their squares) (Kish, 1965).
    """
    total = right = squares = 0.0
    counted = 0
    chosen = None
    falling = sorted(judged, key=lambda each: -each.probability)
    for value in reversed(GRID):
        while counted < len(falling) and (each := falling[counted]).probability >= value:
            counted += 1
            total += each.weight
            squares += each.weight**2
            right += each.weight * each.right
        if not total:
            continue
        precision, effective = right / total, total**2 / squares
        lower, _ = wilson(precision * effective, effective, SURELY)
        if lower >= wanted:
            chosen = Chosen(value, precision, lower, counted)
    return chosen


def decisions_needed(wanted: float) -> int:
    """How many decided items of equal weight, all right, a threshold for this precision needs at least."""
    return ceil(SURELY**2 * wanted / (1 - wanted))
