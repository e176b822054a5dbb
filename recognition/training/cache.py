"""Decodes every photo once into one memory-mapped file; between data.py and the batches of sampling.py.

A row is one photo, letterboxed to a square, with a fourth channel: 255 where the product is, 0 on a plain (studio)
background and on the letterbox. Augmentation can so put a studio product in front of anything.

Nothing is compressed: a photo takes 4 bytes a pixel of the square, so 20,000 photos at 256 px (for training at 192 px)
take 5.2 GB on disk, at 288 px (for 224 px) 6.6 GB.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from recognition.training.data import Photo
from recognition.training.errors import DataError

_TOLERANCE = 16  # how far a background pixel may lie from the border's median colour
_SHOWN = 10  # broken photos that one error names
_STUDIO_BORDER = 0.75  # this share of the border must be plain for a photo to count as a studio photo


@dataclass(frozen=True, eq=False)
class Cache:
    """`pixels` uint8 [P, side, side, 4]; `boxes` float32 [P, 4] (left, top, right, bottom of the photo in 0..1);
    `studio` bool [P]."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    studio: NDArray[np.bool_]


def open_cache(photos: Sequence[Photo], folder: Path, side: int) -> Cache:
    """The cache of these photos at `side` pixels, made if need be.

    Raises DataError that names the photos that cannot be decoded, with the line that speaks of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{photo.path}:{photo.path.stat().st_size}" for photo in photos]
    key = hashlib.sha256("\n".join([str(side), *names]).encode())
    stem = folder / f"photos-{key.hexdigest()[:16]}"
    pixel_path, meta_path = stem.with_suffix(".npy"), stem.with_suffix(".npz")
    if not meta_path.exists():
        _fill(photos, pixel_path, meta_path, side)
    meta = np.load(meta_path, allow_pickle=False)
    return Cache(np.load(pixel_path, mmap_mode="r", allow_pickle=False), meta["boxes"], meta["studio"])


def _fill(photos: Sequence[Photo], pixel_path: Path, meta_path: Path, side: int) -> None:
    shape = (len(photos), side, side, 4)
    pixels = np.lib.format.open_memmap(pixel_path, mode="w+", dtype=np.uint8, shape=shape)
    boxes = np.zeros((len(photos), 4), np.float32)
    studio = np.zeros(len(photos), np.bool_)
    broken: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for row, found in enumerate(pool.map(lambda photo: _row(photo, side), photos)):
            if isinstance(found, str):
                broken.append(found)
            else:
                pixels[row], boxes[row], studio[row] = found
    if broken:
        more = [f"and {len(broken) - _SHOWN} more"] if len(broken) > _SHOWN else []
        raise DataError("\n".join([*broken[:_SHOWN], *more]))
    pixels.flush()
    np.savez(meta_path, boxes=boxes, studio=studio)


def _row(photo: Photo, side: int) -> tuple[NDArray[np.uint8], tuple[float, float, float, float], bool] | str:
    """One row of the cache, or the sentence that says why there is none."""
    try:
        with Image.open(photo.path, formats=("JPEG", "PNG", "WEBP")) as image:
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image)
            has_alpha = "A" in upright.getbands() or "transparency" in upright.info
            rgba = upright.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{photo.where}: {photo.path.name} cannot be decoded ({error})."
    scale = side / max(rgba.size)
    width, height = (max(1, round(length * scale)) for length in rgba.size)
    small = np.asarray(rgba.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    mask, plain = (small[..., 3], True) if has_alpha else studio_mask(small[..., :3])
    left, top = (side - width) // 2, (side - height) // 2
    row = np.zeros((side, side, 4), np.uint8)
    row[top : top + height, left : left + width] = np.dstack([small[..., :3], mask])
    return row, (left / side, top / side, (left + width) / side, (top + height) / side), plain


def studio_mask(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """Where the product is (255) in a photo uint8 [H, W, 3] on a plain background, and whether it is plain at all.

    The background is what can be reached from the border over pixels of the border's median colour.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(-1) <= _TOLERANCE).mean() < _STUDIO_BORDER:
        return np.full(rgb.shape[:2], 255, np.uint8), False
    plain = np.abs(rgb.astype(np.int16) - colour).max(-1) <= _TOLERANCE
    outside = np.zeros_like(plain)
    outside[[0, -1]], outside[:, [0, -1]] = plain[[0, -1]], plain[:, [0, -1]]
    while True:
        grown = outside.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= plain
        if (grown == outside).all():
            return np.where(outside, 0, 255).astype(np.uint8), True
        outside = grown
