"""Finds photos that training and measuring share; between data.py (who is held out) and whatever is trained.

A held-out photo that is also trained on measures memory, not skill. Copies are the same bytes (SHA-256) or look the
same: their difference hashes (Krawetz, "Kind of Like That", 2013: is each pixel of a 9 × 8 thumbnail brighter than its
left neighbour?) differ in few of 64 bits, and nowhere do their colour thumbnails differ much. The hash forgives another
size and another compression; the thumbnail keeps apart what only shares an outline. Its worst cell is looked at, not
the mean: one shirt in two colours on a white ground differs little on the whole, and much where the shirt is.
"""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from recognition.training.data import Photo, Role
from recognition.training.errors import DataError

# Measured on 180 real photos, made 0.4 to 1.5 times as large and saved as JPEG of quality 60 to 90: at most 5 bits and
# 19 levels. The most alike photos of different things in the sample shops: 7 bits and 25 levels.
MOST_BITS = 6  # of 64 that near copies may differ in
MOST_DIFFERENCE = 20  # levels of 255, between two thumbnails at the cell and colour where they differ most
_SIDE = 16  # of the thumbnail in pixels
_ROWS = 512  # photos compared with all others at once
_DRAFT = 256  # pixels that a large JPEG is decoded to: four times cheaper than whole, and the same thumbnail

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Prints:
    """What N photos are compared by: SHA-256 in hex, difference hashes uint64 [N], thumbnails uint8 [N, 16, 16, 3]."""

    paths: list[Path]
    content: list[str]
    hashes: NDArray[np.uint64]
    thumbnails: _Bytes


@dataclass(frozen=True)
class Copy:
    """Two photos that are one: `bits` (0..64) and levels (0..255) by which their hashes and thumbnails differ."""

    first: Path
    second: Path
    kind: Literal["same bytes", "looks the same"]
    bits: int = 0
    levels: int = 0


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
    """The photos, in their order, and the copies that were found: the training copy of a held-out photo becomes one.

    A photo that is reported is neither trained on nor calibrated with, and one that calibrates is not trained on: of
    two copies the one for the earlier step is dropped. Copies with the same role stay, and so do the stored photos of
    products that are held out whole (role "gallery"): nothing learns from them. Raises DataError for a photo that
    cannot be decoded.
    """
    order: tuple[Role, ...] = ("train", "calibrate", "report")
    rows = {role: [row for row, photo in enumerate(photos) if photo.role == role] for role in order}
    prints = {role: fingerprints([photos[row].path for row in rows[role]]) for role in order}
    found: list[Copy] = []
    dropped: set[int] = set()  # rows, not paths: one file may be trained on in one row and reported in another
    for early, late in combinations(order, 2):
        for place, other in _pairs(prints[late], prints[early]):
            found.append(_copy(prints[late], prints[early], place, other))
            dropped.add(rows[early][other])
    marked = [
        replace(photo, role="copy", stored=False) if row in dropped else photo for row, photo in enumerate(photos)
    ]
    return marked, found


def _fingerprint(path: Path) -> tuple[str, int, _Bytes]:
    try:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            image.draft("RGB", (_DRAFT, _DRAFT))
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be decoded ({error}).") from error
    on_white = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")
    grey = np.asarray(on_white.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()
    return content, int.from_bytes(bits, "big"), np.asarray(on_white.resize((_SIDE, _SIDE), Image.Resampling.BOX))


def _pairs(first: Prints, second: Prints) -> Iterator[tuple[int, int]]:
    """Places of the pairs that are copies. Hashes that are near are a suspicion; the thumbnails decide."""
    places: dict[str, list[int]] = {}
    for place, content in enumerate(second.content):
        places.setdefault(content, []).append(place)
    for start in range(0, len(first.paths), _ROWS):
        bits = np.bitwise_count(first.hashes[start : start + _ROWS, None] ^ second.hashes[None])
        for offset, near in enumerate(bits <= MOST_BITS):
            row = start + offset
            same = places.get(first.content[row], [])
            suspects = np.flatnonzero(near).tolist()
            alike = [other for other in suspects if _levels(first, second, row, other) <= MOST_DIFFERENCE]
            yield from ((row, other) for other in sorted({*same, *alike}))


def _copy(first: Prints, second: Prints, row: int, other: int) -> Copy:
    pair = (first.paths[row], second.paths[other])
    if first.content[row] == second.content[other]:
        return Copy(*pair, "same bytes")
    bits = (int(first.hashes[row]) ^ int(second.hashes[other])).bit_count()
    return Copy(*pair, "looks the same", bits, _levels(first, second, row, other))


def _levels(first: Prints, second: Prints, row: int, other: int) -> int:
    gap = first.thumbnails[row].astype(np.int16) - second.thumbnails[other].astype(np.int16)
    return int(np.abs(gap).max())
