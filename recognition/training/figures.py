"""The arithmetic of an evaluation: numbers in, figures out; used by findings.py (which says of what) and by plots.

Every figure is None where there is nothing to count. Nothing is rounded here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15  # of equal width, as in Guo et al. (2017): of reliability diagrams, reports and cards alike
_REJECTED_KNOWN = 20  # one known photo in so many may be rejected: 5 %
_NORMAL_95 = 1.959963984540054
_ONE_SIDED_95 = 1.6448536269514722

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """Photos whose probability lies in [low, high), the last bin [low, 1]; means of probability and of being right."""

    low: float
    high: float
    count: int
    probability: float
    right: float


@dataclass(frozen=True)
class Rejection:
    """At `threshold` at most 5 % of known photos score lower; `rejected` is the share of unknown ones that do."""

    threshold: float
    rejected: float
    area: float


def share(values: Sequence[bool]) -> float | None:
    """How many are true, 0..1."""
    return sum(values) / len(values) if len(values) else None


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean."""
    return math.fsum(values) / len(values) if len(values) else None


def wilson(right: int, count: int) -> tuple[float, float] | None:
    """The 95 % interval of a share (Wilson, 1927), which stays in 0..1 and holds for few photos too."""
    if not count:
        return None
    part, extra = right / count, _NORMAL_95**2 / count
    middle = part + extra / 2
    reach = _NORMAL_95 * math.sqrt(part * (1 - part) / count + extra / (4 * count))
    return (max(0.0, (middle - reach) / (1 + extra)), min(1.0, (middle + reach) / (1 + extra)))


def surely_at_least(share: Floats, count: Floats) -> Floats:
    """The one-sided lower bound at 95 % of shares [N] of so many [N] (Wilson, 1927)."""
    extra = _ONE_SIDED_95**2 / count
    reach = _ONE_SIDED_95 * np.sqrt(share * (1 - share) / count + extra / (4 * count))
    return np.asarray((share + extra / 2 - reach) / (1 + extra))


def reliability(chances: ArrayLike, right: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Photos sorted into equal-width bins of their probability; empty bins are left out."""
    chance, hit = np.asarray(chances, np.float64), np.asarray(right, np.float64)
    place = np.clip((chance * bins).astype(int), 0, bins - 1)
    found = []
    for number in range(bins):
        inside = place == number
        if inside.any():
            means = float(chance[inside].mean()), float(hit[inside].mean())
            found.append(Bin(number / bins, (number + 1) / bins, int(inside.sum()), *means))
    return found


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error: the mean distance of probability and share of right answers over all photos.

    Naeini et al. (2015), with the 15 equal-width bins of Guo et al. (2017).
    """
    total = sum(one.count for one in bins)
    return math.fsum(one.count * abs(one.probability - one.right) for one in bins) / total if total else None


def brier(odds: Floats, truth: int) -> float:
    """Squared distance of probabilities [L] from the truth, summed over the labels (Brier, 1950): 0 best, 2 worst."""
    return float(np.square(odds).sum() - 2 * odds[truth] + 1)


def log_loss(odds: Floats, truth: int) -> float:
    """Negative log-likelihood of the truth in nats; a probability of 0 counts as 1e-12."""
    return -math.log(max(float(odds[truth]), 1e-12))


def average_precision(scores: ArrayLike, relevant: ArrayLike) -> float | None:
    """Mean, over the relevant items, of the share of relevant ones among all at or above it; no interpolation.

    Best score first; of equal scores the one given first. None without a relevant item.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    hits = np.asarray(relevant, bool)[order]
    places = np.flatnonzero(hits)
    return float(np.mean(np.arange(1, len(places) + 1) / (places + 1))) if len(places) else None


def rejection(known: Sequence[float], unknown: Sequence[float]) -> Rejection | None:
    """How many unknown photos a score tells apart when it may reject 5 % of the known ones, right or wrong.

    Rejected is what scores lower than the threshold, which is the score of a known photo: so of N known photos at most
    floor(N / 20) are, fewer where scores are equal.
    """
    if not known or not unknown:
        return None
    threshold = sorted(known)[len(known) // _REJECTED_KNOWN]
    rejected = sum(score < threshold for score in unknown) / len(unknown)
    return Rejection(threshold, rejected, area_under_curve(known, unknown))


def area_under_curve(known: Sequence[float], unknown: Sequence[float]) -> float:
    """Chance that a known photo scores higher than an unknown one, ties half (area under the ROC curve)."""
    ordered = np.sort(np.asarray(unknown, np.float64))
    below = np.searchsorted(ordered, known, side="left")
    level = np.searchsorted(ordered, known, side="right") - below
    return float((below.sum() + level.sum() / 2) / (len(known) * len(unknown)))


def coverage(chances: Sequence[float], right: Sequence[bool]) -> list[tuple[float, float]]:
    """Share of photos answered and share of right answers among them, as the least probability to answer falls.

    One point for every probability that occurs (Geifman and El-Yaniv, 2017).
    """
    order = np.argsort(-np.asarray(chances, np.float64), kind="stable")
    ordered, hits = np.asarray(chances, np.float64)[order], np.asarray(right, bool)[order]
    totals = np.cumsum(hits)
    last = [place for place in range(len(order)) if place + 1 == len(order) or ordered[place] != ordered[place + 1]]
    return [((place + 1) / len(order), float(totals[place]) / (place + 1)) for place in last]
