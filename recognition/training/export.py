"""Makes a bundle of a training run; the last step. Calibrates, measures, writes.

Everything that is fitted here (probabilities, thresholds) is fitted on the photos held out to calibrate; the reported
ones are measured at the end, for the card. A run that trained on those photos too (the last one before a release) takes
all of it from its sibling: a run with the same settings that held them out. Which photos a run held out is what its
folder says (photo_list.py): nobody can have photos measured that it was trained on.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from recognition.bundle import Bundle, LabelSet, load_bundle, save_bundle
from recognition.errors import BundleError
from recognition.recogniser import Recogniser
from recognition.training.calibrate import USUAL, Sure, fit_calibration, fit_thresholds
from recognition.training.card import write_card
from recognition.training.checkpoints import look_of, read_run
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.evaluate import Metrics, asked_and_stored, report
from recognition.training.label_calibration import fit_labels, judge_labels, label_figures
from recognition.training.photo_list import as_in_run
from recognition.training.plan import Plan
from recognition.training.ranking import answers, embed
from recognition.training.record import record_of_run


def export(
    run: Path,
    photos: Sequence[Photo],
    out: Path,
    version: str,
    sibling: Path | None,
    console: Console,
    learned: Mapping[str, NDArray[np.float32]] | None = None,
    *,
    steps: Sequence[str] = (),
    licences: Mapping[str, str] | None = None,
    sure: Sure = USUAL,
) -> Bundle:
    """Write the bundle of a run. `photos`: those of the run, with whatever roles: its own are taken. `sibling`: the
    bundle of the run whose probabilities and figures are taken over. `learned`: tensors to take in place of the run's;
    `steps`: sentences for the card about how they came about; `licences`: of data sets, for the card;
    `sure`: what SURE is to mean.

    Raises DataError when the run has no finished epoch or had other photos, or the sibling is of another network or of
    other labels.
    """
    facts, average = read_run(run)
    photos = as_in_run(photos, run)
    tensors = {name: tensor.numpy() for name, tensor in average.items()} | dict(learned or {})
    bundle = Bundle(
        version=version,
        arch=facts["plan"]["arch"],
        dim=facts["plan"]["dim"],
        preprocessing=look_of(facts),
        labels={name: _label_set(known) for name, known in facts["labels"].items()},
        mirrored=bool(facts["labels"]) and facts["plan"].get("mirror", Plan.mirror),
    )
    if sibling:
        bundle = _as_calibrated(bundle, sibling)
        console.print(f"probabilities, thresholds and figures are those of {bundle.metrics['measured_on']}")
    else:
        bundle = measured(bundle, tensors, photos, sure)
    record = record_of_run(facts, photos, licences or {}, steps)
    return save_bundle(bundle, tensors, write_card(bundle, record), out, record.as_json())


def _label_set(values: dict[str, Any]) -> LabelSet:
    return LabelSet(**values | {name: tuple(values[name]) for name in ("fine", "coarse", "parents")})


def _as_calibrated(bundle: Bundle, sibling: Path) -> Bundle:
    try:
        other = load_bundle(sibling)
    except BundleError as error:
        raise DataError(str(error)) from error
    ours, theirs = ({name: known.names for name, known in each.labels.items()} for each in (bundle, other))
    if other.arch != bundle.arch or theirs != ours:
        raise DataError(f"{sibling} is of another network or of other labels: its probabilities would not hold here.")
    return replace(
        bundle,
        similarity=other.similarity,
        calibration=other.calibration,
        thresholds=other.thresholds,
        labels=other.labels,
        mirrored=other.mirrored,  # what its temperatures were fitted to
        metrics=other.metrics | {"measured_on": other.version},
    )


def measured(bundle: Bundle, tensors: dict[str, Any], photos: Sequence[Photo], sure: Sure) -> Bundle:
    """The bundle with everything fitted on the photos held out to calibrate, and measured on the reported ones.

    What none of them shows keeps its values. Raises DataError where a shop's own bundle is fitted to several shops.
    """
    shown = asked_and_stored(photos)
    shops = {photo.source for photo in shown}
    if sure.own_shop and len(shops) != 1:
        named = ", ".join(sorted(shops)) or "none"
        raise DataError(f"--own-shop is for the photos of one shop; here photos are stored of {named}.")
    with tempfile.TemporaryDirectory() as folder:
        save_bundle(bundle, tensors, "", Path(folder) / "bundle")
        recogniser = Recogniser.load(Path(folder) / "bundle")
    judged = judge_labels(recogniser, photos)
    labels = dict(bundle.labels)
    for name, found in judged.items():
        labels[name] = fit_labels(labels[name], found.where([photo.role == "calibrate" for photo in found.photos]))
    fitted = replace(bundle, labels=labels)
    metrics: Metrics = {"measured_on": bundle.version, "labels": label_figures(labels, judged)}
    if shown:
        embedded = embed(recogniser, shown)
        known = answers(embedded, bundle.similarity, "calibrate", absent=False)
        unknown = answers(embedded, bundle.similarity, "calibrate", absent=True)
        calibration = fit_calibration(known, unknown)
        if calibration.calibrated or not bundle.calibration.calibrated:
            thresholds = fit_thresholds(known, unknown, calibration, sure.precision, own_shop=sure.own_shop)
            fitted = replace(fitted, calibration=calibration, thresholds=thresholds)
        recogniser.bundle = fitted
        metrics |= report(recogniser, embedded)
    return replace(fitted, metrics=metrics)
