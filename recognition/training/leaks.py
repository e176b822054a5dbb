"""Finds photos that training and measuring share; between data.py (who is held out) and whatever is trained.

A held-out photo that is also trained on measures memory, not skill. Copies are the same bytes (SHA-256) or look the
same: their difference hashes (Krawetz, "Kind of Like That", 2013: is each pixel of a 9 × 8 thumbnail brighter than its
left neighbour?) differ in few of 64 bits, and their colour thumbnails hardly differ. The hash forgives another size
and another compression; the thumbnail keeps apart what only shares an outline, such as two colours of one shirt.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from recognition.training.data import Photo, Role
from recognition.training.errors import DataError

MOST_BITS = 6  # of 64 that near copies may differ in
MOST_DIFFERENCE = 6.0  # mean absolute difference of their thumbnails, of 255
_SIDE = 16  # of the thumbnail in pixels
_ROWS = 512  # photos compared with all others at once

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Prints:
    """What N photos are compared by: `content` (SHA-256 in hex), `hashes` uint64 [N], `thumbnails` uint8 [N, 16, 16, 3]."""

    paths: list[Path]
    content: list[str]
    hashes: NDArray[np.uint64]
    thumbnails: _Bytes


@dataclass(frozen=True)
class Copy:
    """Two photos that are one: `bits` (0..64) and `difference` (0..255) between their hashes and their thumbnails."""

    first: Path
    second: Path
    kind: Literal["same bytes", "looks the same"]
    bits: int = 0
    difference: float = 0.0


def fingerprints(paths: Sequence[Path]) -> Prints:
    """Read photos. Raises DataError naming one that cannot be decoded."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(_fingerprint, paths))
    return Prints(
        paths=list(paths),
        content=[content for content, _, _ in found],
        hashes=np.array([bits for _, bits, _ in found], np.uint64),
        thumbnails=np.array([thumbnail for _, _, thumbnail in found], np.uint8).reshape(-1, _SIDE, _SIDE, 3),
    )


def copies(first: Prints, second: Prints) -> list[Copy]:
    """Every pair, one of `first` and one of `second`, that is the same photo; in the order of `first`."""
    return [_copy(first, second, row, other) for row, other in _pairs(first, second)]


def without_leaks(photos: Sequence[Photo]) -> tuple[list[Photo], list[Copy]]:
    """The photos without the training copy of held-out ones, in their order, and the copies that were found.

    A photo that is reported is neither trained on nor calibrated with, and one that calibrates is not trained on: of two
    copies the one for the earlier step is dropped. Copies with the same role stay; nothing is measured by them twice
    over. Stored photos of products that are held out whole (role "gallery") stay too: nothing learns from them.
    """
    order: tuple[Role, ...] = ("train", "calibrate", "report")
    by_role = {role: fingerprints([photo.path for photo in photos if photo.role == role]) for role in order}
    found = [copy for early, late in combinations(order, 2) for copy in copies(by_role[late], by_role[early])]
    dropped = {copy.second for copy in found}
    return [photo for photo in photos if photo.path not in dropped or photo.role == "gallery"], found


def _fingerprint(path: Path) -> tuple[str, int, _Bytes]:
    try:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            image.draft("RGB", (4 * _SIDE, 4 * _SIDE))  # the smallest scale that a JPEG decodes at cheaply
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be decoded ({error}).") from error
    on_white = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    grey = np.asarray(on_white.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()
    return content, int.from_bytes(bits, "big"), np.asarray(on_white.resize((_SIDE, _SIDE), Image.Resampling.BOX))


def _pairs(first: Prints, second: Prints) -> Iterator[tuple[int, int]]:
    """Places of pairs whose bytes agree, or whose hashes are near; the second kind is only a suspicion."""
    places: dict[str, list[int]] = {}
    for place, content in enumerate(second.content):
        places.setdefault(content, []).append(place)
    for start in range(0, len(first.paths), _ROWS):
        bits = np.bitwise_count(first.hashes[start : start + _ROWS, None] ^ second.hashes[None])
        for offset, near in enumerate(bits <= MOST_BITS):
            row = start + offset
            same = places.get(first.content[row], [])
            alike = [int(other) for other in np.flatnonzero(near) if _difference(first, second, row, other) <= MOST_DIFFERENCE]
            yield from ((row, other) for other in sorted({*same, *alike}))


def _copy(first: Prints, second: Prints, row: int, other: int) -> Copy:
    pair = (first.paths[row], second.paths[other])
    if first.content[row] == second.content[other]:
        return Copy(*pair, "same bytes")
    bits = (int(first.hashes[row]) ^ int(second.hashes[other])).bit_count()
    return Copy(*pair, "looks the same", bits, round(_difference(first, second, row, other), 2))


def _difference(first: Prints, second: Prints, row: int, other: int) -> float:
    gap = first.thumbnails[row].astype(np.int16) - second.thumbnails[other].astype(np.int16)
    return float(np.abs(gap).mean())
