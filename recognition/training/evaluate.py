"""How good a bundle is, on photos that nothing was chosen by; after ranking.py, into the card and the terminal."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recognition.bundle import Bundle
from recognition.decide import decide
from recognition.recogniser import Recogniser
from recognition.training.calibrate import expected_calibration_error, weighted
from recognition.training.data import Photo
from recognition.training.ranking import Answer, Embedded, answers, word_answers

Metrics = dict[str, Any]


def asked_and_stored(photos: Sequence[Photo]) -> list[Photo]:
    """The photos that evaluation needs: what a shop stores, and the held-out photos of shops that store something."""
    shops = {photo.source for photo in photos if photo.stored}
    return [
        photo for photo in photos if photo.stored or (photo.role not in ("train", "copy") and photo.source in shops)
    ]


def report(recogniser: Recogniser, embedded: Embedded) -> Metrics:
    """The figures of photos with the role "report", by data set, and over all for probabilities and verdicts."""
    bundle = recogniser.bundle
    known = answers(embedded, bundle.similarity, "report", absent=False)
    unknown = answers(embedded, bundle.similarity, "report", absent=True)
    return {
        "retrieval": retrieval(known),
        "words": retrieval(word_answers(recogniser, embedded)),
        "decisions": decisions(bundle, known, unknown),
    }


def retrieval(found: Sequence[Answer]) -> dict[str, dict[str, float]]:
    """Share of queries whose product came first, or among the first five, by data set."""
    figures = {}
    for source in sorted({answer.source for answer in found}):
        ranks = [answer.rank for answer in found if answer.source == source]
        figures[source] = {
            "queries": len(ranks),
            "recall@1": _share([rank == 0 for rank in ranks]),
            "recall@5": _share([rank is not None for rank in ranks]),
        }
    return figures


def decisions(bundle: Bundle, known: Sequence[Answer], unknown: Sequence[Answer]) -> Metrics:
    """Calibration error of the first candidate's probability, and what became of known and of unknown photos."""
    chances, right, weights = [], [], []
    for answer, weight in weighted(known, unknown):
        probabilities = decide(answer.candidates, bundle.calibration, bundle.thresholds).probabilities
        chances.append(probabilities[0] if probabilities else 0.0)
        right.append(answer.rank == 0)
        weights.append(weight)
    error = expected_calibration_error(np.array(chances), np.array(right, float), np.array(weights))
    return {
        "expected_calibration_error": round(error, 4),
        "known": _verdicts(bundle, known),
        "unknown": _verdicts(bundle, unknown),
    }


def _verdicts(bundle: Bundle, found: Sequence[Answer]) -> Metrics:
    """Shares of the verdicts, and how often the first product was right where the verdict was SURE."""
    verdicts = [decide(answer.candidates, bundle.calibration, bundle.thresholds).verdict for answer in found]
    sure = [answer.rank == 0 for answer, verdict in zip(found, verdicts, strict=True) if verdict == "SURE"]
    shares = {name: _share([verdict == name for verdict in verdicts]) for name in ("SURE", "REVIEW", "UNKNOWN")}
    return {"queries": len(found), **shares, "right_when_sure": _share(sure)}


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
