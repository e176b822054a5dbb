"""The folder of a training run: what it began with and where its last epoch ended; used by loop.py, read by export.py.

    photos.csv           the photos and what each is used for (photo_list.py)
    start.safetensors    the weights before the first step, as a bundle has them
    before.safetensors   the vectors of all photos by those weights
    epoch-N/             weights as they are trained (norms folded), their average also as a bundle has it
    run.json             settings, labels, scores, and which epoch is the last and which the best

A checkpoint is written whole, then named in run.json by a rename: a kill at any moment loses one epoch.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recognition.bundle import Preprocessing
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.photo_list import write_photos

_RUN, _START, _BEFORE = "run.json", "start.safetensors", "before.safetensors"
_MODEL, _PROXIES, _OPTIMISER = "model.safetensors", "proxies.safetensors", "optimiser.pt"
_FOLDED_AVERAGE, _AVERAGE = "folded-average.safetensors", "average.safetensors"

Tensors = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that a run goes on with; tensors by name, norms folded."""

    model: Tensors
    proxies: Tensors
    average: Tensors
    optimiser: dict[str, Any]


def write_start(folder: Path, photos: Sequence[Photo], weights: Tensors, before: Tensor) -> None:
    """Keep what a run begins with: `weights` as a bundle has them, `before` [P, D] of all photos."""
    write_photos(photos, folder)
    save_file({"before": before}, folder / _BEFORE)
    save_file(weights, folder / _START)


def read_before(folder: Path) -> Tensor:
    """The vectors [P, D] of all photos by the starting weights."""
    return load_file(folder / _BEFORE)["before"]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, average: Tensors, facts: Mapping[str, Any]) -> None:
    """Keep the end of an epoch, and forget all epochs but this and the best. `average`: as a bundle has it.

    `facts`: what run.json says; its "checkpoint" and "best" name the folders of the two epochs.
    """
    place = folder / facts["checkpoint"]
    place.mkdir(exist_ok=True)
    save_file(checkpoint.model, place / _MODEL)
    save_file(checkpoint.proxies, place / _PROXIES)
    save_file(checkpoint.average, place / _FOLDED_AVERAGE)
    save_file(average, place / _AVERAGE)
    torch.save(checkpoint.optimiser, place / _OPTIMISER)
    part = folder / f"{_RUN}.part"
    part.write_text(json.dumps(facts, indent=1))
    part.replace(folder / _RUN)
    for old in folder.glob("epoch-*"):
        if old.name not in (facts["checkpoint"], facts["best"]):
            shutil.rmtree(old)


def read_facts(folder: Path) -> dict[str, Any] | None:
    """What run.json says; None before the end of the first epoch."""
    try:
        facts: dict[str, Any] = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return facts


def read_checkpoint(folder: Path, facts: Mapping[str, Any], device: torch.device) -> Checkpoint:
    """The last checkpoint; its average on the device, where it is moved on with the weights."""
    place = folder / facts["checkpoint"]
    return Checkpoint(
        model=load_file(place / _MODEL),
        proxies=load_file(place / _PROXIES),
        average=load_file(place / _FOLDED_AVERAGE, device=str(device)),
        optimiser=torch.load(place / _OPTIMISER, map_location=device, weights_only=True),
    )


def read_run(folder: Path) -> tuple[dict[str, Any], Tensors]:
    """What a run ended as: the facts of run.json, and the weights of its best epoch as a bundle has them.

    Raises DataError when it has no finished epoch.
    """
    facts = read_facts(folder)
    if facts is None:
        raise DataError(f"{folder} holds no run with a finished epoch.")
    return facts, load_file(folder / facts["best"] / _AVERAGE)


def look_of(facts: Mapping[str, Any]) -> Preprocessing:
    """How the run's network sees a photo."""
    look = facts["look"]
    return Preprocessing(**look | {name: tuple(look[name]) for name in ("mean", "std")})
