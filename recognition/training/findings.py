"""From what photos were taken for to a report that a program can read; after guesses.py, before page.py and the file.

The eight figures on top, each None where the data does not allow it:

    fine_top1, top5        share of known photos whose label comes first, or among the first five
    coarse_top1            the same for coarse labels, over the photos whose coarse label is known
    ece                    expected calibration error of the first answer's probability, 15 equal-width bins
    recall_at_1, _at_5     share of photos for which the right thing comes first, or among the first five
    map                    mean average precision over all stored photos of the right thing
    unknown_rejected_at_5_frr   share of unknown photos rejected where 5 % of the known ones are

The first four are the classifiers' where a label set of the bundle knows the data's labels, else the gallery's. A
photo is known to a label set that has its fine label, and to a gallery that has another photo of its product. A
classifier's calibration is judged on known photos; a gallery's on all that were asked, because its probabilities count
"none of these" in. Recall counts, with a gallery, products in the order of their best photo as the service lists them,
and without one, photos (Recall@K of Oh Song et al., 2016): each asks all others of its data set that are not its very
bytes, counted where one of them shows the same thing. The unknown figure is the gallery's where there is one, by the
probability that the verdict rests on; where no photo is unknown to it, each known photo is asked again with its
product taken out, and these are the unknown ones. Without a gallery it is by the first label's probability.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from recognition.training.figures import calibration_error, mean, rejection, reliability, share, wilson
from recognition.training.guesses import Found, Guess
from recognition.training.questions import Question

KEYS = ("fine_top1", "coarse_top1", "top5", "ece", "recall_at_1", "recall_at_5", "map", "unknown_rejected_at_5_frr")

Findings = dict[str, Any]

_FIVE = 5
_CONFUSED = 20  # pairs of labels that are listed


def find(
    questions: Sequence[Question],
    guesses: Sequence[Guess] | None,
    found: Sequence[Found],
    *,
    gallery: bool,
) -> Findings:
    """The report of one evaluation, without what was given on the command line.

    `guesses`: of the classifiers, where a label set knows the data. `found`: of the gallery, or of the photos among
    each other.
    """
    by_labels = _answers(guesses, [guess for guess in guesses if guess.known]) if guesses is not None else None
    taken = [one.guess for one in found if one.guess is not None]
    by_gallery = _answers(taken, taken, [one.absent for one in found if one.absent]) if gallery else None
    shown = guesses if guesses is not None else taken if gallery else None
    main, told = by_labels or by_gallery or {}, by_gallery or by_labels or {}
    counted = [one for one in found if one.precision is not None]
    findings: Findings = {key: main.get(key) for key in ("fine_top1", "coarse_top1", "top5", "ece")}
    findings |= {
        "recall_at_1": share([one.place == 0 for one in counted]),
        "recall_at_5": share([one.place is not None and one.place < _FIVE for one in counted]),
        "map": mean([one.precision for one in counted if one.precision is not None]),
        "unknown_rejected_at_5_frr": told.get("unknown_rejected_at_5_frr"),
        "fine_top1_interval": main.get("fine_top1_interval"),
        "ece_labels": (by_labels or {}).get("ece"),
        "ece_gallery": (by_gallery or {}).get("ece"),
        "photos": len(questions),
        "known": told.get("known", len(counted)),
        "unknown": told.get("unknown", 0),
        "retrieval": {"among": "gallery" if gallery else "each other", "photos": len(counted)},
        "labels": by_labels,
        "gallery": by_gallery,
        "by_data": _by_data(questions, shown, found),
        "by_label": _by_label(shown or []),
        "confused": _confused(shown or []),
        "predictions": _predictions(questions, guesses, found),
    }
    return findings


def counted(findings: Findings, key: str) -> str:
    """Which photos a figure was counted on, in words."""
    if findings[key] is None:
        return "the data does not allow it"
    by_labels = findings["labels"] if key in ("fine_top1", "coarse_top1", "top5", "ece") else None
    answers = by_labels or findings["gallery"]
    if key == "coarse_top1":
        return f"{answers['coarse_photos']} photos with a known coarse label"
    if key in ("recall_at_1", "recall_at_5", "map"):
        among = findings["retrieval"]["among"]
        where = "asked to the gallery" if among == "gallery" else "asked to each other"
        return f"{findings['retrieval']['photos']} photos {where}"
    if key == "unknown_rejected_at_5_frr":
        told = findings["gallery"] or findings["labels"]
        count = told["unknown"] or told["known"]
        return f"{count} {told['unknown_are']}"
    if key == "ece" and not by_labels:
        return f"{findings['photos']} photos"
    return f"{answers['known']} known photos"


def _answers(guesses: Sequence[Guess], judged: Sequence[Guess], absent: Sequence[dict[str, float]] = ()) -> Findings:
    """The figures of one way to answer.

    `judged`: the photos that its probabilities speak of. `absent`: scores of known photos whose product was taken out.
    """
    known = [guess for guess in guesses if guess.known]
    away = [guess.scores for guess in guesses if guess.unknown] or list(absent)
    bins = reliability([guess.probability for guess in judged], [guess.right for guess in judged])
    right = [guess.right for guess in known]
    rejections = {
        name: rejection([guess.scores[name] for guess in known], [scores[name] for scores in away])
        for name in (guesses[0].scores if guesses else {})
    }
    told = {name: asdict(found) for name, found in rejections.items() if found is not None}
    first = told.get("probability")
    return {
        "fine_top1": share(right),
        "fine_top1_interval": wilson(sum(right), len(right)),
        "coarse_top1": share([guess.coarse_right for guess in guesses if guess.coarse_right is not None]),
        "coarse_photos": sum(guess.coarse_right is not None for guess in guesses),
        "top5": share([guess.among_best for guess in known]),
        "ece": calibration_error(bins),
        "brier": mean([guess.brier for guess in known if guess.brier is not None]),
        "log_loss": mean([guess.log_loss for guess in known if guess.log_loss is not None]),
        "known": len(known),
        "unknown": sum(guess.unknown for guess in guesses),
        "unknown_are": _unknown_are(guesses, absent),
        "unknown_rejected_at_5_frr": first["rejected"] if first else None,
        "unknown_threshold": first["threshold"] if first else None,
        "unknown_auroc": first["area"] if first else None,
        "unknown_by_score": told,
        "bins": [asdict(one) for one in bins],
    }


def _unknown_are(guesses: Sequence[Guess], absent: Sequence[dict[str, float]]) -> str | None:
    if any(guess.unknown for guess in guesses):
        return "photos of the data"
    return "known photos whose product was taken out" if absent else None


def _by_data(questions: Sequence[Question], guesses: Sequence[Guess] | None, found: Sequence[Found]) -> Findings:
    """The main figures of each data set."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, question in enumerate(questions):
        rows[question.data].append(row)
    figures = {}
    for data, places in rows.items():
        known = [guesses[row] for row in places if guesses[row].known] if guesses else []
        counted = [found[row] for row in places if found[row].precision is not None]
        figures[data] = {
            "photos": len(places),
            "known": len(known) if guesses else len(counted),
            "fine_top1": share([guess.right for guess in known]),
            "recall_at_1": share([one.place == 0 for one in counted]),
        }
    return figures


def _by_label(guesses: Sequence[Guess]) -> Findings:
    """For every true label: photos, right ones, and what the others were most often taken for."""
    labels: dict[str, list[Guess]] = defaultdict(list)
    for guess in guesses:
        if guess.known and guess.true_fine is not None:
            labels[guess.true_fine].append(guess)
    return {
        label: {
            "photos": len(group),
            "right": sum(guess.right for guess in group),
            "fine_top1": share([guess.right for guess in group]),
            "taken_for": Counter(guess.fine for guess in group if not guess.right).most_common(3),
        }
        for label, group in sorted(labels.items())
    }


def _confused(guesses: Sequence[Guess]) -> list[Findings]:
    pairs = Counter((guess.true_fine, guess.fine) for guess in guesses if guess.known and not guess.right)
    return [{"true": true, "taken_for": fine, "photos": count} for (true, fine), count in pairs.most_common(_CONFUSED)]


def _predictions(
    questions: Sequence[Question], guesses: Sequence[Guess] | None, found: Sequence[Found]
) -> list[Findings]:
    """One entry a photo. Without a label set the answers are the gallery's, without a gallery too there are none."""
    entries = []
    for row, (question, one) in enumerate(zip(questions, found, strict=True)):
        entry: Findings = {"path": str(question.row.path), "data": question.data}
        guess = guesses[row] if guesses is not None else one.guess
        entry |= _guess_entry(guess) if guess is not None else {"true_fine": question.row.label}
        entry["unknown_score"] = one.guess.scores["probability"] if one.guess else entry.get("probability")
        if one.product is not None or one.photo is not None:
            entry["nearest"] = _nearest_entry(one)
        entries.append(entry)
    return entries


def _guess_entry(guess: Guess) -> Findings:
    return {
        "true_fine": guess.true_fine,
        "true_coarse": guess.true_coarse,
        "fine": guess.fine,
        "coarse": guess.coarse,
        "probability": round(guess.probability, 6),
        "best": [{"fine": fine, "probability": round(chance, 6)} for fine, chance in guess.best],
        "known": guess.known,
        "unknown": guess.unknown,
        "right": guess.right if guess.known else None,
        "coarse_right": guess.coarse_right,
    }


def _nearest_entry(one: Found) -> Findings:
    entry: Findings = {
        "product": one.product,
        "photo": one.photo,
        "similarity": round(one.similarity, 6),
        "place": one.place,
        "average_precision": one.precision,
    }
    if one.guess is not None:
        entry |= {
            "probability": round(one.guess.probability, 6),
            "verdict": one.verdict,
            "known": one.guess.known,
            "right": one.guess.right if one.guess.known else None,
            "score": one.guess.scores["probability"],
            "score_without_its_product": one.absent.get("probability"),
        }
    return entry
