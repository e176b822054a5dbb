"""Turns similarities into honest probabilities and thresholds; after ranking.py, before export.py.

Fitted on photos that the network never saw and that are not reported. Every held-out photo is asked twice: with its
product in the shop, and with its product taken out. The second kind counts a quarter of the first: one in five photos
is taken to show something the shop does not sell.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recognition.decide import Calibration, Thresholds, decide, evidence
from recognition.training.figures import BINS, surely_at_least
from recognition.training.ranking import Answer

UNKNOWN_WEIGHT = 0.25
SURE_PRECISION = 0.95
_SAME_PRECISION = 0.9
_MISSED = 0.05  # share of right answers that may fall below REVIEW
_PENALTY = 1e-3

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sure:
    """What SURE is to mean: right with at least this precision. `own_shop`: as in `fit_thresholds`."""

    precision: float = SURE_PRECISION
    own_shop: bool = False


USUAL = Sure()


def fit_calibration(known: Sequence[Answer], unknown: Sequence[Answer]) -> Calibration:
    """Fit the logistic model of decide.py on all candidates of these answers, every data set counting the same."""
    rivals = [answer.candidates[0].similarity for answer in unknown if answer.candidates]
    start = Calibration(background=float(np.median(rivals)) if rivals else Calibration.background)
    queries: list[tuple[Floats, Floats, float]] = []
    for answer, weight in weighted(known, unknown):
        if answer.candidates:
            rows = np.array([(1.0, *row) for row in evidence(answer.candidates, start)])
            right = np.array([candidate.product_id == answer.truth for candidate in answer.candidates], float)
            queries.append((rows, right, weight))
    if not any(right.any() for _, right, _ in queries) or all(right.any() for _, right, _ in queries):
        return start  # nothing to learn from: it stays a guess, and says so
    intercept, similarity, margin, votes = (round(float(value), 4) for value in _conditional_logit(queries))
    return Calibration(True, intercept, similarity, margin, votes, round(start.background, 4))


def fit_thresholds(
    known: Sequence[Answer],
    unknown: Sequence[Answer],
    calibration: Calibration,
    precision: float = SURE_PRECISION,
    *,
    own_shop: bool = False,
) -> Thresholds:
    """SURE where answers surely have this precision, REVIEW so low that at most 5 % of right answers are missed, "same"
    at 90 % precision.

    Too few answers are never sure: SURE is then at 1, where nothing comes. `own_shop`: all answers are of the one shop
    that the bundle will serve, so that a category gets a least probability for SURE of its own, if it surely has it.
    "similar" is where a shop's nearest wrong product usually lies: half of them are at least that similar. Where no
    answer is right there is nothing to miss, and REVIEW stays where it is by default.
    """
    if not calibration.calibrated:
        return Thresholds()
    chances, similarities, right, weights, categories = [], [], [], [], []
    for answer, weight in weighted(known, unknown):
        if answer.candidates:
            chances.append(decide(answer.candidates, calibration, Thresholds()).probabilities[0])
            similarities.append(answer.candidates[0].similarity)
            categories.append(answer.candidates[0].category)
            right.append(answer.rank == 0)
            weights.append(weight)
    hits, counts = np.array(right), np.array(weights)
    sure = max(0.5, surely_threshold(np.array(chances), hits, counts, precision))
    same = least_threshold(np.array(similarities), hits, counts, _SAME_PRECISION)
    review = float(np.quantile(np.array(chances)[hits], _MISSED)) if hits.any() else Thresholds.review
    similar = min(same, calibration.background)
    by_category = {}
    for category in sorted(set(filter(None, categories))) if own_shop else ():
        shown = np.array([each == category for each in categories])
        least = surely_threshold(np.array(chances)[shown], hits[shown], counts[shown], precision)
        if least < 1:
            by_category[category] = round(max(0.5, least), 4)
    sure, review, same, similar = (round(value, 4) for value in (sure, min(sure, review), same, similar))
    return Thresholds(sure, review, same, similar, sure_by_category=by_category)


def expected_calibration_error(chances: Floats, right: Floats, weights: Floats, bins: int = BINS) -> float:
    """Weighted mean distance of probability and share of right answers: as figures.py has it, where answers weigh."""
    if not len(chances):
        return 0.0
    place = np.minimum((chances * bins).astype(int), bins - 1)
    gaps = [
        abs(np.sum((weights * (chances - right))[place == number])) for number in range(bins) if (place == number).any()
    ]
    return float(np.sum(gaps) / np.sum(weights))


def least_threshold(scores: Floats, right: NDArray[np.bool_], weights: Floats, precision: float) -> float:
    """The lowest score such that answers at or above it are right with at least this precision (1.0 if none is)."""
    order = np.argsort(-scores, kind="stable")
    hits, total = np.cumsum((weights * right)[order]), np.cumsum(weights[order])
    good = np.flatnonzero(hits / total >= precision)
    return float(scores[order][good[-1]]) if len(good) else 1.0


def surely_threshold(scores: Floats, right: NDArray[np.bool_], weights: Floats, precision: float) -> float:
    """The lowest score such that answers at or above it surely have at least this precision (1.0 if none has).

    Surely: by the one-sided lower bound at 95 % (Wilson, 1927) of as many answers as the weights are worth (Kish,
    1965).
    """
    order = np.argsort(-scores, kind="stable")
    hits, total = np.cumsum((weights * right)[order]), np.cumsum(weights[order])
    worth = total**2 / np.cumsum(weights[order] ** 2)
    good = np.flatnonzero(surely_at_least(hits / total, worth) >= precision)
    return float(scores[order][good[-1]]) if len(good) else 1.0


def weighted(known: Sequence[Answer], unknown: Sequence[Answer]) -> list[tuple[Answer, float]]:
    """Answers with what they count: each data set the same in all, unknown photos a quarter of known ones."""
    sizes = Counter(answer.source for answer in known)
    pairs = [(answer, 1.0 / sizes[answer.source]) for answer in known]
    return pairs + [(answer, UNKNOWN_WEIGHT / max(1, sizes[answer.source])) for answer in unknown]


def _conditional_logit(queries: Sequence[tuple[Floats, Floats, float]]) -> Floats:
    """Fit the model of decide.py by Newton's method, with a small ridge penalty.

    A query: what is known of its C candidates, [C, F] with a first column of ones; which one is right [C], none of them
    in an unknown photo; and what it counts. "None of them" has score 0.
    """
    total = sum(weight for _, _, weight in queries)
    width = queries[0][0].shape[1]
    found = np.zeros(width)
    ridge = _PENALTY * np.eye(width)
    ridge[0, 0] = 0.0
    for _ in range(50):
        slope, bend = -ridge @ found, ridge.copy()
        for rows, right, weight in queries:
            odds = np.exp(np.clip(rows @ found, -30, 30))
            chance = odds / (1 + odds.sum())
            slope += weight / total * rows.T @ (right - chance)
            bend += weight / total * rows.T @ (np.diag(chance) - np.outer(chance, chance)) @ rows
        step = np.linalg.solve(bend, slope)
        found += step
        if np.abs(step).max() < 1e-6:
            break
    return found
