"""Makes a bundle of a training run; the last step. Chooses, calibrates, measures, writes.

How far to walk from the starting weights to the fine-tuned ones (weight interpolation keeps what ImageNet taught about
things that the training photos do not show: WiSE-FT, Wortsman et al., 2022), the side of the photos when serving, and
how much the two comparisons count are chosen on the calibration photos. Most of those show products that training knew,
so the choice is careful: of all that lie within one standard error of the best, the one that trusts training least
(Breiman et al., 1984). The reported photos are measured at the end, for the card: nothing is
chosen by them.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from safetensors.numpy import load_file

from recognition.bundle import Bundle, Preprocessing, SimilarityWeights, save_bundle
from recognition.recogniser import Recogniser
from recognition.training.calibrate import fit_calibration, fit_thresholds
from recognition.training.card import write_card
from recognition.training.data import DataError, Photo, share
from recognition.training.evaluate import Metrics, asked_and_stored, report, retrieval
from recognition.training.loop import AVERAGE, RUN_FILE, START
from recognition.training.ranking import Embedded, answers, embed

STEPS = (0.0, 0.5, 1.0)  # shares of the way from the starting to the fine-tuned weights
_MIXES = (0.0, 0.25, 0.5, 0.75, 1.0)  # what the comparison with the photo alone counts
_LARGER = 32  # serving photos somewhat larger than in training often helps (FixRes, Touvron et al., 2019)
_THIN = 6  # while choosing, a shop that stores many photos keeps one in so many


@dataclass(frozen=True)
class Choice:
    """One way to make a bundle of a run, and its mean recall@1 over the data sets of the calibration photos."""

    step: float
    size: int
    similarity: SimilarityWeights
    recall: float
    error: float  # standard error of the recall


def export(run: Path, photos: Sequence[Photo], out: Path, version: str, command: str, console: Console) -> Bundle:
    """Write the best bundle of a run. Raises DataError when the run has no finished epoch."""
    facts, start, tuned = _read_run(run)
    base = Bundle(version=version, arch=facts["plan"]["arch"], dim=facts["plan"]["dim"], labels={})
    look = Preprocessing(**{**facts["look"], "mean": tuple(facts["look"]["mean"]), "std": tuple(facts["look"]["std"])})
    choices: list[Choice] = []
    for step in STEPS:
        for size in (look.size, look.size + _LARGER):
            candidate = replace(base, preprocessing=replace(look, size=size))
            tried = _try(candidate, _between(start, tuned, step), _thinned(photos), step)
            highest = max(choice.recall for choice in tried)
            console.print(f"{step:.1f} of the way at {size} px: recall@1 {highest:.3f}", highlight=False)
            choices += tried
    best = careful(choices)
    console.print(f"chosen: {best}", highlight=False, soft_wrap=True)
    chosen = replace(base, preprocessing=replace(look, size=best.size), similarity=best.similarity)
    tensors = _between(start, tuned, best.step)
    measured, metrics = _measure(chosen, tensors, photos)
    metrics |= {"chosen": asdict(best), "selection": [asdict(choice) for choice in choices]}
    measured = replace(measured, metrics=metrics)
    return save_bundle(measured, tensors, write_card(measured, facts, photos, command), out)


def _read_run(run: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    try:
        facts = json.loads((run / RUN_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{run} holds no run with a finished epoch.") from error
    return facts, load_file(run / START), load_file(run / facts["checkpoint"] / AVERAGE)


def _between(start: dict[str, Any], tuned: dict[str, Any], step: float) -> dict[str, Any]:
    """Photo weights part of the way; words and gate were untrained at the start, so they are taken as trained."""
    return {
        name: start[name] + step * (tensor - start[name]) if name.startswith("image.") else tensor
        for name, tensor in tuned.items()
    }


def _thinned(photos: Sequence[Photo]) -> list[Photo]:
    chosen = [photo for photo in asked_and_stored(photos) if photo.role != "report"]
    return [
        photo for photo in chosen if photo.source != "grocery" or not photo.stored or share(photo.path.name, _THIN) == 0
    ]


def _recogniser(bundle: Bundle, tensors: dict[str, Any], folder: Path) -> Recogniser:
    save_bundle(bundle, tensors, "", folder)
    return Recogniser.load(folder)


def careful(choices: Sequence[Choice]) -> Choice:
    """Of the choices within one standard error of the best: the shortest step, then the most even weights."""
    best = max(choices, key=lambda choice: choice.recall)
    level = [choice for choice in choices if choice.recall >= best.recall - best.error]
    return min(level, key=lambda choice: (choice.step, abs(choice.similarity.image - 0.5), -choice.recall))


def _try(bundle: Bundle, tensors: dict[str, Any], photos: Sequence[Photo], step: float) -> list[Choice]:
    """One choice for every mix of the two comparisons; the photos are embedded once."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = embed(_recogniser(bundle, tensors, Path(folder) / "bundle"), photos)
    mixes = [SimilarityWeights(mix, 1 - mix) for mix in _MIXES]
    return [Choice(step, bundle.preprocessing.size, mix, *_mean_recall(embedded, mix)) for mix in mixes]


def _mean_recall(embedded: Embedded, weights: SimilarityWeights) -> tuple[float, float]:
    """Mean over the data sets, and its standard error."""
    figures = retrieval(answers(embedded, weights, "calibrate", absent=False)).values()
    number = max(1, len(figures))
    variance = sum(figure["recall@1"] * (1 - figure["recall@1"]) / figure["queries"] for figure in figures)
    return round(sum(figure["recall@1"] for figure in figures) / number, 4), round(variance**0.5 / number, 4)


def _measure(bundle: Bundle, tensors: dict[str, Any], photos: Sequence[Photo]) -> tuple[Bundle, Metrics]:
    """Calibrate a bundle, then measure it on the reported photos."""
    with tempfile.TemporaryDirectory() as folder:
        recogniser = _recogniser(bundle, tensors, Path(folder) / "bundle")
        embedded = embed(recogniser, asked_and_stored(photos))
        known = answers(embedded, bundle.similarity, "calibrate", absent=False)
        unknown = answers(embedded, bundle.similarity, "calibrate", absent=True)
        calibration = fit_calibration(known, unknown)
        thresholds = fit_thresholds(known, unknown, calibration)
        recogniser.bundle = replace(bundle, calibration=calibration, thresholds=thresholds)
        return recogniser.bundle, report(recogniser, embedded)
