"""Decodes every photo once into one memory-mapped file; between data.py and the batches of sampling.py.

A row is one photo, letterboxed to SIDE x SIDE, with a fourth channel: 255 where the product is, 0 on a plain (studio)
background and on the letterbox. Augmentation can so put a studio product in front of anything.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from recognition.training.data import DataError, Photo

SIDE = 224  # a little more than the training size, so that a crop is seldom blown up

_TOLERANCE = 16  # how far a background pixel may lie from the border's median colour
_STUDIO_BORDER = 0.75  # this share of the border must be plain for a photo to count as a studio photo


@dataclass(frozen=True, eq=False)
class Cache:
    """`pixels` uint8 [P, SIDE, SIDE, 4]; `boxes` float32 [P, 4] (left, top, right, bottom of the photo in 0..1);
    `studio` bool [P]."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    studio: NDArray[np.bool_]


def open_cache(photos: Sequence[Photo], folder: Path) -> Cache:
    """The cache of these photos, made if need be. Raises DataError for a photo that cannot be decoded."""
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256("\n".join(f"{photo.path}:{photo.path.stat().st_size}" for photo in photos).encode())
    stem = folder / f"photos-{key.hexdigest()[:16]}"
    pixel_path, meta_path = stem.with_suffix(".npy"), stem.with_suffix(".npz")
    if not meta_path.exists():
        _fill(photos, pixel_path, meta_path)
    meta = np.load(meta_path, allow_pickle=False)
    return Cache(np.load(pixel_path, mmap_mode="r", allow_pickle=False), meta["boxes"], meta["studio"])


def _fill(photos: Sequence[Photo], pixel_path: Path, meta_path: Path) -> None:
    shape = (len(photos), SIDE, SIDE, 4)
    pixels = np.lib.format.open_memmap(pixel_path, mode="w+", dtype=np.uint8, shape=shape)
    boxes = np.zeros((len(photos), 4), np.float32)
    studio = np.zeros(len(photos), np.bool_)
    with ThreadPoolExecutor(2) as pool:
        for row, (pixel, box, plain) in enumerate(pool.map(lambda photo: _row(photo.path), photos)):
            pixels[row], boxes[row], studio[row] = pixel, box, plain
    pixels.flush()
    np.savez(meta_path, boxes=boxes, studio=studio)


def _row(path: Path) -> tuple[NDArray[np.uint8], tuple[float, float, float, float], bool]:
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            image.draft("RGB", (SIDE, SIDE))
            upright = ImageOps.exif_transpose(image)
            has_alpha = "A" in upright.getbands() or "transparency" in upright.info
            rgba = upright.convert("RGBA")
    except OSError as error:
        raise DataError(f"{path} cannot be decoded: {error}.") from error
    scale = SIDE / max(rgba.size)
    width, height = (max(1, round(side * scale)) for side in rgba.size)
    small = np.asarray(rgba.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
    mask, plain = (small[..., 3], True) if has_alpha else studio_mask(small[..., :3])
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    row = np.zeros((SIDE, SIDE, 4), np.uint8)
    row[top : top + height, left : left + width] = np.dstack([small[..., :3], mask])
    return row, (left / SIDE, top / SIDE, (left + width) / SIDE, (top + height) / SIDE), plain


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
