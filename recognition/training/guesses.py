"""What every photo was taken for, beside what it is; after seen.py (the model), before findings.py (the figures).

Two ways to answer share one form: the classifiers of a label set, and the nearest products of a gallery. Without a
gallery, photos are asked which other photos show the same thing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recognition.bundle import Bundle, LabelSet, file_sha256
from recognition.decide import Similarity, decide
from recognition.training.figures import average_precision, brier, log_loss
from recognition.training.names import Names, name_key
from recognition.training.questions import Question, Stored, Truth, products_shown, truth_in
from recognition.training.ranking import Products, Vectors, similarities
from recognition.training.seen import Odds, Seen

_BEST = 5
_ROWS = 256  # photos compared with all others at once


@dataclass(frozen=True)
class Guess:
    """What one photo was taken for.

    `known`: the right answer is among those that could be given; `unknown`: it shows none of them, or nobody says what
    it shows. Neither: only its coarse label is told. `right` and `among_best` (the first five) count only where it is
    known, `coarse_right` where it is not None.
    `scores`: ways to tell known photos from unknown ones, each higher for known; "probability" is the one that serves.
    `brier` and `log_loss` are of classifiers only.
    """

    true_fine: str | None
    true_coarse: str | None
    fine: str | None
    coarse: str | None
    probability: float
    best: list[tuple[str, float]]
    known: bool
    unknown: bool
    right: bool
    among_best: bool
    coarse_right: bool | None
    scores: dict[str, float]
    brier: float | None = None
    log_loss: float | None = None


@dataclass(frozen=True)
class Found:
    """The nearest stored photo of one photo, and where the right ones are.

    `place`: of the right product among the first five (with a gallery) or of the first right photo among all (without),
    from 0. `precision`: average precision over all right photos, None where there is none. `guess` and `verdict` come
    with a gallery; `absent`: the scores of the same photo with its product taken out of the gallery.
    """

    product: str | None
    photo: str | None
    similarity: float
    place: int | None
    precision: float | None
    guess: Guess | None = None
    verdict: str | None = None
    absent: dict[str, float] = field(default_factory=dict)

    def scores(self) -> dict[str, float]:
        """How surely the gallery has what the photo shows; empty without a gallery."""
        return self.guess.scores if self.guess else {}


def guess_labels(
    questions: Sequence[Question], chosen: Mapping[str, str], sets: Mapping[str, LabelSet], odds: Mapping[str, Odds]
) -> list[Guess]:
    """The classifiers' answer to every photo, by the label set chosen for its data."""
    names = {name: (Names(sets[name].fine), Names(sets[name].coarse)) for name in set(chosen.values())}
    found = []
    for row, question in enumerate(questions):
        name = chosen[question.data]
        fine, coarse = odds[name]
        truth = truth_in(question, sets[name], *names[name])
        found.append(_label_guess(question, sets[name], truth, fine[row], None if coarse is None else coarse[row]))
    return found


def ask_gallery(
    bundle: Bundle, questions: Sequence[Question], seen: Seen, stored: Sequence[Stored], shop: Seen
) -> list[Found]:
    """The nearest products of every photo, and what the service would decide.

    A stored photo that is the asked photo itself (the same bytes) is left out of its own question. Where no photo is
    unknown, each known one is asked again with its product taken out.
    """
    gallery = _Gallery(bundle, stored)
    content = [file_sha256(question.row.path) for question in questions]
    truths = [
        truth if truth is not None and gallery.has(truth, besides=own) else None
        for truth, own in zip(products_shown(questions, stored), content, strict=True)
    ]
    all_known = None not in truths
    found = []
    for row, scores in enumerate(similarities(bundle.similarity, seen.image, shop)):
        kept, truth = gallery.others(content[row]), truths[row]
        answer = gallery.answer(questions[row], scores, kept, truth)
        if all_known:
            absent = gallery.answer(questions[row], scores, kept & ~gallery.shows(truth), None)
            answer = replace(answer, absent=absent.scores())
        found.append(answer)
    return found


def ask_each_other(questions: Sequence[Question], image: Vectors) -> list[Found]:
    """Every photo asks all other photos of its data set, photos alone; copies of its own bytes are left out."""
    content = _numbers([file_sha256(question.row.path) for question in questions])
    data = _numbers([question.data for question in questions])
    shown = _numbers([question.shows or "" for question in questions])
    found = []
    for start in range(0, len(questions), _ROWS):
        for row, scores in enumerate(image[start : start + _ROWS] @ image.T, start):
            kept = np.flatnonzero((data == data[row]) & (content != content[row]))
            right = (shown[kept] == shown[row]) & (questions[row].shows is not None)
            order = np.argsort(-scores[kept], kind="stable")
            nearest = questions[kept[order[0]]] if len(kept) else None
            found.append(
                Found(
                    product=(nearest.row.label or nearest.row.product) if nearest else None,
                    photo=str(nearest.row.path) if nearest else None,
                    similarity=float(scores[kept[order[0]]]) if len(kept) else 0.0,
                    place=int(np.argmax(right[order])) if right.any() else None,
                    precision=average_precision(scores[kept], right),
                )
            )
    return found


def _label_guess(
    question: Question,
    known: LabelSet,
    truth: Truth,
    fine: Vectors,
    coarse: Vectors | None,
) -> Guess:
    true_fine, true_coarse = truth.fine, truth.coarse
    order = np.argsort(-fine, kind="stable")[:_BEST]
    odds = fine.astype(np.float64)
    first = int(order[0])
    above = int(np.argmax(coarse)) if coarse is not None else None
    return Guess(
        true_fine=known.fine[true_fine] if true_fine is not None else question.row.label,
        true_coarse=known.coarse[true_coarse] if true_coarse is not None else question.row.coarse,
        fine=known.fine[first],
        coarse=known.coarse[above] if above is not None else None,
        probability=float(odds[first]),
        best=[(known.fine[place], float(odds[place])) for place in order],
        known=true_fine is not None,
        unknown=truth.unknown,
        right=first == true_fine,
        among_best=true_fine in order.tolist(),
        coarse_right=above == true_coarse if above is not None and true_coarse is not None else None,
        scores={
            "probability": float(odds[first]),
            "lead": float(odds[first] - odds[order[1]]) if len(order) > 1 else float(odds[first]),
            "entropy": float((odds * np.log(np.maximum(odds, 1e-12))).sum()),
        },
        brier=brier(odds, true_fine) if true_fine is not None else None,
        log_loss=log_loss(odds, true_fine) if true_fine is not None else None,
    )


class _Gallery:
    """The M stored photos as one question after another sees them; what is bool [M] is made for one question alone."""

    def __init__(self, bundle: Bundle, stored: Sequence[Stored]) -> None:
        self._bundle = bundle
        self._stored = stored
        first = {photo.product: photo for photo in reversed(stored)}
        self._names = {product: photo.name for product, photo in first.items()}
        categories = {product: photo.row.text.category for product, photo in first.items()}
        self._products = Products([photo.product for photo in stored], categories)
        self._number = {str(name): number for number, name in enumerate(self._products.names)}
        self._copies: dict[str, list[int]] = defaultdict(list)  # places of the photos with the same bytes
        self._contents: dict[str, set[str]] = defaultdict(set)
        for place, photo in enumerate(stored):
            self._copies[photo.sha256].append(place)
            self._contents[photo.product].add(photo.sha256)
        self._coarse = {
            product: photo.row.coarse or photo.row.text.category or None for product, photo in first.items()
        }

    def has(self, product: str, *, besides: str) -> bool:
        """Whether a photo of this product is stored that has other bytes than these (SHA-256)."""
        return bool(self._contents[product] - {besides})

    def others(self, content: str) -> NDArray[np.bool_]:
        """Which stored photos have other bytes than these (SHA-256)."""
        kept = np.ones(len(self._stored), np.bool_)
        kept[self._copies.get(content, [])] = False
        return kept

    def shows(self, product: str | None) -> NDArray[np.bool_]:
        """Which stored photos show this product."""
        return self._products.numbers == self._number.get(product or "", -1)

    def answer(self, question: Question, scores: Vectors, kept: NDArray[np.bool_], truth: str | None) -> Found:
        """One photo against the stored photos that are kept; `truth`: the key of its product, None if none is kept."""
        candidates = self._products.best(scores, kept)
        decision = decide(candidates, self._bundle.calibration, self._bundle.thresholds)
        ids = [candidate.product_id for candidate in candidates]
        nearest = self._stored[int(np.flatnonzero(kept)[np.argmax(scores[kept])])] if ids else None
        return Found(
            product=self._names[ids[0]] if ids else None,
            photo=str(nearest.row.path) if nearest else None,
            similarity=candidates[0].similarity if candidates else -1.0,
            place=ids.index(truth) if truth in ids else None,
            precision=average_precision(scores[kept], self.shows(truth)[kept]),
            guess=self._guess(question, candidates, decision.probabilities, truth),
            verdict=decision.verdict,
        )

    def _guess(
        self, question: Question, candidates: Sequence[Similarity], chances: Sequence[float], truth: str | None
    ) -> Guess:
        ids = [candidate.product_id for candidate in candidates]
        true_coarse = question.row.coarse or (self._coarse[truth] if truth else None)
        coarse = self._coarse[ids[0]] if ids else None
        return Guess(
            true_fine=self._names[truth] if truth else question.row.label or question.row.product,
            true_coarse=true_coarse,
            fine=self._names[ids[0]] if ids else None,
            coarse=coarse,
            probability=chances[0] if ids else 0.0,
            best=[(self._names[product], chance) for product, chance in zip(ids, chances, strict=True)],
            known=truth is not None,
            unknown=truth is None,
            right=truth is not None and ids[:1] == [truth],
            among_best=truth in ids,
            coarse_right=name_key(coarse) == name_key(true_coarse) if coarse and true_coarse and truth else None,
            scores=_gallery_scores(candidates, chances),
        )


def _numbers(names: Sequence[str]) -> NDArray[np.intp]:
    """Equal names to equal numbers, which are compared much faster."""
    return np.unique(np.array(names), return_inverse=True)[1]


def _gallery_scores(candidates: Sequence[Similarity], chances: Sequence[float]) -> dict[str, float]:
    """The probability that the verdict rests on, that of any of the candidates together, and the similarity."""
    return {
        "probability": chances[0] if chances else 0.0,
        "any_candidate": sum(chances),
        "similarity": candidates[0].similarity if candidates else -1.0,
    }
