"""Small copies of photos, made when first looked at and kept in the photo store under ``thumbs/``.

Comes after ``photos`` has checked a signature, before the bytes go to a browser. A thumbnail is named by the content
hash of its photo, so it never changes and equal photos share it; ``services.photo`` deletes it with the photo's bytes.
"""

import io
import logging
from functools import lru_cache

from PIL import Image, ImageDraw

from catalog.services.photo import THUMBNAIL_SIDES, thumbnail_key
from workers import client
from workers.client import PhotoError, Unavailable

log = logging.getLogger(__name__)

CONTENT_TYPE = "image/webp"


def thumbnail_bytes(*, key: str, sha256: str, size: str) -> bytes:
    """The thumbnail, from the store or made now.

    Raises ``PhotoError`` for a photo that is gone or cannot be decoded, ``Unavailable`` while the store is away.
    """
    place = thumbnail_key(sha256, size)
    store = client.photo_store()
    if store.exists(place):
        return store.read(place)
    try:
        small = client.shrink_photo(store.read(key), THUMBNAIL_SIDES[size])
    except PhotoError as error:
        if not error.code.startswith("photo_decoder_"):
            raise
        small = placeholder(THUMBNAIL_SIDES[size])  # kept, so that it takes its seconds and its memory once
    _keep(place, small)
    return small


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=82, method=4)
    return file.getvalue()


def _keep(place: str, data: bytes) -> None:
    """A thumbnail that could not be kept is only made again next time."""
    try:
        client.photo_store().put(place, data)
    except Unavailable as error:
        log.warning("thumbnail %s could not be kept: %s", place, error)


@lru_cache(maxsize=4)
def placeholder(side: int) -> bytes:
    """A neutral picture (hill and sun in a frame) for a photo that cannot be shown."""
    scale = side * 4  # drawn four times as large, then shrunk: smooth edges
    image = Image.new("RGB", (scale, scale), (238, 239, 241))
    draw = ImageDraw.Draw(image)
    grey, unit = (190, 194, 200), scale / 24

    def at(*points: float) -> list[float]:
        return [point * unit for point in points]

    draw.rounded_rectangle(at(7, 8, 17, 16), radius=unit, outline=grey, width=round(unit * 0.6))
    draw.ellipse(at(8.7, 9.6, 10.5, 11.4), fill=grey)
    draw.polygon(at(8, 15.2, 11, 12.2, 12.6, 13.6, 14.4, 11.4, 16.2, 13.6, 16.2, 15.2), fill=grey)
    return _webp(image.resize((side, side), Image.Resampling.LANCZOS))
