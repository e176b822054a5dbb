"""Fits the probabilities of a finished bundle to other photos; after export.py, and optional.

    python -m recognition.training calibrate --bundle DIR --data … [--from-reviews …] --out DIR

A shop's own photos say best what an answer is worth there. Nothing is trained: temperatures and least probabilities of
the labels, the probabilities of candidates and the thresholds of verdicts are fitted to the photos held out to
calibrate, figures are measured on the reported ones, and the card is written anew. Neither the folder of the run nor
its photos are needed. Vectors do not change, so the version stays: what is stored under it need not be embedded again.

What these photos do not show keeps its values: a label set of which none is held out, and the verdicts where no shop's
photos are given. Photos that the bundle's record knows as trained on are refused.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from safetensors.numpy import load_file

from recognition.bundle import Bundle, load_bundle, save_bundle
from recognition.training.calibrate import USUAL, Sure
from recognition.training.card import write_card
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.export import measured
from recognition.training.options import (
    add_data,
    add_finished,
    add_licences,
    add_sure,
    licences_of,
    photos_of,
    sure_of,
    without_copies,
)
from recognition.training.record import Record, contents, counts, read_record

_SHOWN = 5  # photos that one error names


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `calibrate` to the commands of `python -m recognition.training`."""
    parser = commands.add_parser("calibrate", help="fit a bundle's probabilities and thresholds to other photos")
    add_finished(parser)
    add_data(parser)
    add_licences(parser)
    add_sure(parser)
    parser.set_defaults(run_command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    licences, sure = licences_of(options), sure_of(options)
    photos = without_copies(photos_of(options), console)
    bundle = recalibrate(
        options.bundle,
        photos,
        options.out,
        console,
        version=options.version,
        mirrored=options.mirrored_views,
        licences=licences,
        sure=sure,
    )
    console.print_json(json.dumps(bundle.metrics))


def recalibrate(
    folder: Path,
    photos: Sequence[Photo],
    out: Path,
    console: Console,
    *,
    version: str | None = None,
    mirrored: bool | None = None,
    licences: Mapping[str, str] | None = None,
    sure: Sure = USUAL,
) -> Bundle:
    """Write the bundle in `folder`, fitted to these photos, to `out`; None: as it is. `licences` are added.

    Raises DataError when nothing of the bundle can be fitted to them, when one of those held out was trained on, or
    when a label set would be judged mirrored (or no longer) by probabilities that were not fitted to that.
    """
    bundle, record = load_bundle(folder), read_record(folder)
    held = [photo for photo in photos if photo.role in ("calibrate", "report")]
    _check_unseen(held, record, console)
    changed = replace(
        bundle,
        version=version or bundle.version,
        mirrored=bundle.mirrored if mirrored is None else mirrored,
        metrics={},
        path=None,
    )
    _check_fitting(
        changed, held, {photo.source for photo in photos if photo.stored}, changed.mirrored != bundle.mirrored
    )
    tensors = load_file(bundle.weights_path)
    fitted = measured(changed, tensors, photos, sure)
    record = replace(record, photos={**record.photos, **_counted(record, photos)})
    record = replace(record, licences={**record.licences, **(licences or {})})
    return save_bundle(fitted, tensors, write_card(fitted, record), out, record.as_json())


def _check_unseen(held: Sequence[Photo], record: Record, console: Console) -> None:
    """Raises DataError that names held-out photos which the network learnt from; says where nobody can tell."""
    if record.trained_on is None:
        console.print(
            "[yellow]note:[/yellow] the bundle does not say which photos it was trained on. Probabilities that are "
            "fitted to those are too high: make sure that none of them is held out here.",
            soft_wrap=True,
        )
        return
    known = {photo.path for photo in held if contents([photo.path]) <= record.trained_on}
    if known:
        named = ", ".join(sorted(str(path) for path in known)[:_SHOWN]) + (" …" if len(known) > _SHOWN else "")
        raise DataError(f"The bundle was trained on {len(known)} of the photos held out here: {named}.")


def _check_fitting(bundle: Bundle, held: Sequence[Photo], shops: set[str], other_views: bool) -> None:
    calibrating = [photo for photo in held if photo.role == "calibrate"]
    told = {
        name
        for name, known in bundle.labels.items()
        if any(photo.source == name and photo.label in known.fine for photo in calibrating)
    }
    if not told and not any(photo.source in shops for photo in calibrating):
        sets = f"its label sets are {', '.join(bundle.labels)}" if bundle.labels else "it has no label sets"
        raise DataError(
            f"Nothing of {bundle.version} can be fitted to these photos: none is held out to calibrate whose label it "
            f"knows ({sets}; --data NAME=PATH names one) or whose product has stored photos."
        )
    if other_views and (missing := sorted(set(bundle.labels) - told)):
        raise DataError(
            f"No photo is held out to calibrate {', '.join(missing)}: its probabilities would not hold for other views."
        )


def _counted(record: Record, photos: Sequence[Photo]) -> dict[str, dict[str, int]]:
    """What these photos are used for now; what was trained on stays as it was."""
    now = {}
    for source, count in counts(photos).items():
        stored = sum(photo.stored for photo in photos if photo.source == source)
        before = record.photos.get(source, {"train": 0, "gallery": stored})
        now[source] = count | {role: before[role] for role in ("train", "gallery")}
    return now
