"""A small copy of a photo, to look at, or a part of it as a photo of its own; between the photo store (before) and the
browser or an export (after).

Runs where photos are decoded (``decoder``), never in the process that serves the page.
"""

import io
from collections.abc import Sequence

from PIL import Image, ImageOps

from recognition.errors import PhotoError
from recognition.photos import DECODER_ERRORS, PhotoLimits, inspect_photo

_WHITE = (255, 255, 255)


def shrink_photo(data: bytes, *, side: int, limits: PhotoLimits) -> bytes:
    """A photo as WebP with its longest side at most ``side``: upright, first frame, white where it is transparent.

    Raises PhotoError: those of `inspect_photo`, and photo_unreadable.
    """
    small = _upright(data, limits, side * 2)
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82, method=4)
    return file.getvalue()


def cut_photo(data: bytes, *, region: Sequence[float], limits: PhotoLimits) -> bytes:
    """A part of a photo (left, top, right, bottom from 0 to 1 of the upright photo) as a JPEG in all its pixels.

    The same part of the same bytes gives the same bytes. Raises PhotoError as `shrink_photo`.
    """
    whole = _upright(data, limits)
    left, top, right, bottom = (at * side for at, side in zip(region, whole.size * 2, strict=True))
    box = (int(left), int(top), max(int(left) + 1, round(right)), max(int(top) + 1, round(bottom)))
    file = io.BytesIO()
    whole.crop(box).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def _upright(data: bytes, limits: PhotoLimits, side: int | None = None) -> Image.Image:
    """The first frame, decoded at a fraction of its size where that is enough for ``side`` pixels."""
    inspect_photo(data, limits)  # limits and signature first: no other decoder is ever started
    try:
        with Image.open(io.BytesIO(data)) as image:
            if side:
                image.draft("RGB", (side, side))  # JPEG only
            image.load()
            return _opaque(_eight_bit(ImageOps.exif_transpose(image)))
    except DECODER_ERRORS as error:
        raise PhotoError("photo_unreadable", "The photo is damaged and cannot be shown.") from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """Greys of 16 bits scaled to 8; every other mode as it is."""
    if not image.mode.startswith(("I", "F")):
        return image
    return image.convert("F").point(lambda value: value / 257).convert("L")


def _opaque(image: Image.Image) -> Image.Image:
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    layered = image.convert("RGBA")
    canvas = Image.new("RGB", layered.size, _WHITE)
    canvas.paste(layered, mask=layered.getchannel("A"))
    return canvas
