"""A small copy of a photo, to look at; between the photo store (before) and the browser (after).

Runs where photos are decoded (``decoder``), never in the process that serves the page.
"""

import io

from PIL import Image, ImageOps

from recognition.errors import PhotoError
from recognition.photos import DECODER_ERRORS, PhotoLimits, inspect_photo

_WHITE = (255, 255, 255)


def shrink_photo(data: bytes, *, side: int, limits: PhotoLimits) -> bytes:
    """A photo as WebP with its longest side at most ``side``: upright, first frame, white where it is transparent.

    Raises PhotoError: those of `inspect_photo`, and photo_unreadable.
    """
    inspect_photo(data, limits)  # limits and signature first: no other decoder is ever started
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (side * 2, side * 2))  # JPEG only: decodes at a fraction of the size
            image.load()
            small = _opaque(_eight_bit(ImageOps.exif_transpose(image)))
    except DECODER_ERRORS as error:
        raise PhotoError("photo_unreadable", "The photo is damaged and cannot be shown.") from error
    small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82, method=4)
    return file.getvalue()


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
