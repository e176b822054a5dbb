"""One model with everything it needs, as a folder; written by training/export.py, read by recogniser.py.

    weights.safetensors   the tensors, float16 (never a pickle: loading runs no code)
    bundle.json           version, network, preprocessing, labels, thresholds, calibration, checksum of the weights
    card.md               what it was trained on, how well it does, and what it cannot do
    record.json           what the card was written from; for training alone, a bundle may lack it

No torch here: the web process may read a bundle's version and thresholds.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from recognition._bundle_facts import check_facts
from recognition.decide import Calibration, Thresholds
from recognition.errors import BundleError

FORMAT = 3  # of the folder; raised when an older Vitrine could not read it

CARD, RECORD = "card.md", "record.json"
_WEIGHTS, _FACTS = "weights.safetensors", "bundle.json"


@dataclass(frozen=True)
class Preprocessing:
    """Pixels as the network wants them: side in pixels, share of the short side kept, then (x / 255 - mean) / std."""

    size: int = 192
    crop: float = 1.0
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class SimilarityWeights:
    """How the two comparisons of a photo query count: with stored photos, and with stored photo + text; sum 1."""

    image: float = 0.5
    fused: float = 0.5


@dataclass(frozen=True)
class LabelSet:
    """The names one classifier knows. `parents`: for each fine label the place of its coarse one; empty without any.

    `temperature` divides the scores before the softmax; `known` is the least probability of the first fine label at
    which a photo is taken to show one of these at all.
    """

    fine: tuple[str, ...]
    coarse: tuple[str, ...] = ()
    parents: tuple[int, ...] = ()
    temperature: float = 1.0
    known: float = 0.0

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
        """What training gave it; two sets with the same names can share a classifier."""
        return self.fine, self.coarse, self.parents


@dataclass(frozen=True)
class Subject:
    """How to find things in a photo; a bundle without it has no head for that, and the whole photo is the only thing.

    `width`: channels of the head. `side`: pixels of the square in which a whole photo is seen for many items. `score`:
    least score of an item. `overlap`: two items overlap by no more (intersection over union). A photo's main subject
    is cut out when it scores at least `sure` and covers at most `small` of what is seen, with `margin` of its long
    side all round.
    """

    width: int = 96
    side: int = 448
    score: float = 0.4
    overlap: float = 0.5
    sure: float = 0.5
    small: float = 0.35
    margin: float = 0.08


@dataclass(frozen=True)
class Bundle:
    """Everything of a bundle but its tensors; `path` is None until it is loaded or saved.

    `mirrored`: classifiers see a photo and its mirror image, and their scores are averaged; temperatures and least
    probabilities of the labels were fitted to that.
    """

    version: str
    arch: str
    dim: int = 256
    preprocessing: Preprocessing = Preprocessing()
    similarity: SimilarityWeights = SimilarityWeights()
    thresholds: Thresholds = field(default_factory=Thresholds)
    calibration: Calibration = field(default_factory=Calibration)
    labels: dict[str, LabelSet] = field(default_factory=dict)
    subject: Subject | None = None
    mirrored: bool = False
    metrics: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    path: Path | None = None

    @property
    def weights_path(self) -> Path:
        """The file with the tensors. Raises BundleError for a bundle that is not on disk."""
        if self.path is None:
            raise BundleError(f"The bundle {self.version} was never saved.")
        return self.path / _WEIGHTS


def load_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle: format, fields, checksum of the weights.

    Raises BundleError with one sentence that names what is wrong. Whether the network exists and the tensors fit it is
    checked where they are loaded (`Recogniser.load`).
    """
    facts = _read_facts(folder / _FACTS)
    if facts.get("format") != FORMAT:
        raise BundleError(f"The bundle in {folder} has format {facts.get('format')}, this Vitrine reads {FORMAT}.")
    try:
        bundle = _parse(facts, folder)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / _FACTS} is incomplete or wrong: {error}.") from error
    if not bundle.weights_path.is_file():
        raise BundleError(f"The bundle in {folder} has no {_WEIGHTS}.")
    if file_sha256(bundle.weights_path) != bundle.weights_sha256:
        raise BundleError(f"The checksum of {bundle.weights_path} is wrong: the file is damaged or was exchanged.")
    return bundle


def save_bundle(
    bundle: Bundle,
    tensors: dict[str, NDArray[Any]],
    card: str,
    folder: Path,
    record: Mapping[str, Any] | None = None,
) -> Bundle:
    """Write a bundle beside `folder`, then put it in its place; floating-point tensors are stored as float16.

    Returns the bundle as it is on disk (path and checksum set).
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        staging.chmod(0o755)
        save_file({name: _compact(tensor) for name, tensor in tensors.items()}, staging / _WEIGHTS)
        facts = asdict(bundle) | {"format": FORMAT, "weights_sha256": file_sha256(staging / _WEIGHTS)}
        del facts["path"]
        if not bundle.mirrored:
            del facts["mirrored"]  # a release that does not know it reads all other bundles
        _write_json(staging / _FACTS, facts)
        (staging / CARD).write_text(card, encoding="utf-8")
        if record is not None:
            _write_json(staging / RECORD, record)
        for file in staging.iterdir():  # safetensors writes for the owner only; a worker may be another user
            file.chmod(0o644)
        _exchange(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return load_bundle(folder)


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(facts, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"There is no bundle in {path.parent}: {path.name} is missing.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}.") from error
    if not isinstance(facts, dict):
        raise BundleError(f"{path} holds no object.")
    return facts


def _parse(facts: dict[str, Any], folder: Path) -> Bundle:
    values = {name: value for name, value in facts.items() if name != "format"}
    check_facts(values)
    look = dict(values.pop("preprocessing"))
    look |= {name: tuple(float(value) for value in look[name]) for name in ("mean", "std")}
    return Bundle(
        **values
        | {
            "preprocessing": Preprocessing(**look),
            "similarity": SimilarityWeights(**values["similarity"]),
            "thresholds": Thresholds(**values["thresholds"]),
            "calibration": Calibration(**values["calibration"]),
            "labels": {name: _label_set(known) for name, known in values["labels"].items()},
            "subject": Subject(**values["subject"]) if values.get("subject") else None,
            "path": folder,
        }
    )


def _label_set(values: dict[str, Any]) -> LabelSet:
    lists = {name: tuple(values[name]) for name in ("fine", "coarse", "parents")}
    known = LabelSet(**values | lists)
    if len(known.parents) != (len(known.fine) if known.coarse else 0):
        raise ValueError("its fine and coarse labels do not fit together")
    if any(not 0 <= parent < len(known.coarse) for parent in known.parents):
        raise ValueError("a fine label names a coarse label that is not there")
    return known


def _compact(tensor: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(tensor, dtype=np.float16 if tensor.dtype.kind == "f" else tensor.dtype)


def _exchange(staging: Path, folder: Path) -> None:
    """Put the new folder in place of the old one; a reader finds one of the two, whole, or for a moment none."""
    if not folder.exists():
        staging.rename(folder)
        return
    old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
    folder.rename(old)
    staging.rename(folder)
    shutil.rmtree(old)
