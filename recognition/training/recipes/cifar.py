"""CIFAR-10 (Krizhevsky, 2009) as arrays: 50,000 photos to train on and 10,000 to test, 32 px; before training.py.

Read from a folder `train/<label>/` and `test/<label>/` of small photos, or downloaded in its original form.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from recognition._torchvision import CIFAR10
from recognition.training.errors import DataError
from recognition.training.tables import PHOTO_SUFFIXES

SIDE = 32
_CACHE = "photos-32px.npz"


@dataclass(frozen=True, eq=False)
class Part:
    """`photos` uint8 [N, 3, 32, 32] and `labels` int64 [N]."""

    photos: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> "Part":
        """The same photos on a device."""
        return Part(self.photos.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Cifar:
    """Both parts, and the names of the labels in the order of their numbers."""

    train: Part
    test: Part
    names: tuple[str, ...]


def open_cifar(folder: Path, *, download: bool = False) -> Cifar:
    """The photos of a folder; decoded once, then read from a cache in it. `download` brings them there first.

    Raises DataError that says what is missing.
    """
    if download:
        return _downloaded(folder)
    cache = folder / _CACHE
    if not cache.exists():
        _fill(folder, cache)
    kept = np.load(cache, allow_pickle=False)
    train, test = (
        Part(torch.from_numpy(kept[f"{part}_photos"]), torch.from_numpy(kept[f"{part}_labels"]))
        for part in ("train", "test")
    )
    return Cifar(train, test, tuple(str(name) for name in kept["names"]))


def _downloaded(folder: Path) -> Cifar:
    try:
        parts = [CIFAR10(folder, train=train, download=True) for train in (True, False)]
    except (URLError, OSError, RuntimeError) as error:
        raise DataError(f"CIFAR-10 could not be downloaded ({error}): give its folder with --data.") from error
    train, test = (
        Part(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets)) for part in parts
    )
    return Cifar(train, test, tuple(parts[0].classes))


def _fill(folder: Path, cache: Path) -> None:
    names = sorted(child.name for child in folder.glob("train/*") if child.is_dir())
    if len(names) < 2:
        raise DataError(f"There are no photos to train on in {folder}/train: put them into a folder a label.")
    arrays: dict[str, np.ndarray] = {"names": np.array(names)}
    for part in ("train", "test"):
        found = [
            (path, number)
            for number, name in enumerate(names)
            for path in sorted((folder / part / name).glob("*"))
            if path.suffix.lower() in PHOTO_SUFFIXES
        ]
        if not found:
            raise DataError(f"There are no photos in {folder}/{part}.")
        with ThreadPoolExecutor(2) as pool:
            arrays[f"{part}_photos"] = np.stack(list(pool.map(_decode, [path for path, _ in found])))
        arrays[f"{part}_labels"] = np.array([number for _, number in found])
    part_file = cache.with_suffix(".part.npz")
    np.savez(part_file, allow_pickle=False, **arrays)
    part_file.replace(cache)


def _decode(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            photo = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} cannot be decoded ({error}).") from error
    if photo.shape != (SIDE, SIDE, 3):
        raise DataError(f"{path} has {photo.shape[1]} x {photo.shape[0]} pixels; this recipe is for {SIDE} x {SIDE}.")
    return photo.transpose(2, 0, 1)
