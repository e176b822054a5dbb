"""Photos with their heat map: where the network looked, drawn over the photo.

Comes after an explanation was found; before the browser. The address carries the whole map, packed and signed, so a
picture needs nothing but the photo: it is there as long as its address is good, whatever Redis forgot.
"""

import base64
import io
import struct
import zlib
from hashlib import sha256
from itertools import pairwise
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe
from PIL import Image

from catalog.web.photos import Place, forbidden, job_photo_place, may_see, neutral, photo_place, signed, with_headers
from catalog.web.thumbnails import CONTENT_TYPE, thumbnail_bytes
from workers.client import PhotoError, Unavailable
from workers.contract import HeatGrid

SIZE = "medium"

# Cold parts of the photo fall back into a dark veil; the hotter a part, the clearer and the more tinted it is.
# Stops of heat (0..1) with red, green, blue and opacity, all 0..255.
_STOPS = (
    (0.0, (18, 16, 38, 150)),
    (0.25, (60, 22, 92, 120)),
    (0.5, (196, 60, 72, 105)),
    (0.75, (250, 140, 40, 120)),
    (1.0, (255, 226, 92, 150)),
)
_HEAD = struct.Struct(">BB4H")  # rows, columns, the box in 65,535ths


def heat_address(photo_id: UUID | str, heat: HeatGrid) -> str:
    """The signed relative address of a photo of the catalogue with a heat map over it; good as ``photo_address`` is."""
    return _address("photo-heat", photo_id, heat)


def job_heat_address(job_id: UUID | str, heat: HeatGrid) -> str:
    """The same for the photo of a search."""
    return _address("job-photo-heat", job_id, heat)


def _address(route: str, ident: UUID | str, heat: HeatGrid) -> str:
    packed = pack(heat)
    return f"{reverse(route, args=[ident])}?map={packed}&{signed(route, ident, packed)}"


@require_safe
def photo_heat_view(request: HttpRequest, photo_id: UUID) -> HttpResponse:
    """A photo of the catalogue (or of a recognition) with a heat map over it."""
    if not may_see(request, "photo-heat", photo_id, request.GET.get("map", "")):
        return forbidden()
    return _answer(request, photo_place(photo_id))


@require_safe
def job_photo_heat_view(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The photo of a search with a heat map over it."""
    if not may_see(request, "job-photo-heat", job_id, request.GET.get("map", "")):
        return forbidden()
    return _answer(request, job_photo_place(job_id))


def _answer(request: HttpRequest, place: Place | None) -> HttpResponse:
    if place is None:
        return neutral(SIZE, status=404)
    packed = request.GET["map"]
    etag = f'"{sha256(f"{place.sha256}:{packed}".encode()).hexdigest()}"'
    if unchanged := get_conditional_response(request, etag=etag):
        return with_headers(unchanged, etag)
    try:
        photo = thumbnail_bytes(key=place.key, sha256=place.sha256, size=SIZE)
    except PhotoError as error:
        return neutral(SIZE, status=404 if error.code == "photo_missing" else 200)
    except Unavailable:
        return neutral(SIZE, status=503)
    return with_headers(HttpResponse(draw(photo, unpack(packed)), content_type=CONTENT_TYPE), etag)


def pack(heat: HeatGrid) -> str:
    """A heat map as text for an address: one byte a cell, compressed (about 150 characters for 12 × 12 cells)."""
    head = _HEAD.pack(heat.rows, heat.columns, *(round(at * 65535) for at in heat.box))
    cells = bytes(round(value * 255) for value in heat.values)
    return base64.urlsafe_b64encode(zlib.compress(head + cells, 9)).decode().rstrip("=")


def unpack(text: str) -> HeatGrid:
    """The heat map that ``pack`` made into this text; only for texts whose signature was good."""
    data = zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    rows, columns, *box = _HEAD.unpack_from(data)
    left, top, right, bottom = (at / 65535 for at in box)
    values = tuple(cell / 255 for cell in data[_HEAD.size :])
    return HeatGrid(rows=rows, columns=columns, values=values, box=(left, top, right, bottom))


def draw(photo: bytes, heat: HeatGrid) -> bytes:
    """A thumbnail's bytes with the heat over it, as WebP. What lies outside of the map's box is cold."""
    with Image.open(io.BytesIO(photo)) as opened:
        picture = opened.convert("RGBA")
    warmth = _stretched(heat, picture.size)
    layers = [warmth.point([_colour(value / 255)[layer] for value in range(256)]) for layer in range(4)]
    shown = Image.alpha_composite(picture, Image.merge("RGBA", layers)).convert("RGB")
    file = io.BytesIO()
    shown.save(file, "WEBP", quality=85, method=4)
    return file.getvalue()


def _stretched(heat: HeatGrid, size: tuple[int, int]) -> Image.Image:
    """The grid, smoothed, where it belongs on a picture of this size: 8-bit grey."""
    grid = Image.new("L", (heat.columns, heat.rows))
    grid.putdata([round(value * 255) for value in heat.values])
    width, height = size
    left, top, right, bottom = heat.box
    x, y = round(left * width), round(top * height)
    across, down = max(1, round(right * width) - x), max(1, round(bottom * height) - y)
    canvas = Image.new("L", size)
    canvas.paste(grid.resize((across, down), Image.Resampling.BICUBIC), (x, y))
    return canvas


def _colour(heat: float) -> tuple[int, ...]:
    """Red, green, blue and opacity of a heat, between the two stops beside it."""
    for (low, cold), (high, hot) in pairwise(_STOPS):
        if heat <= high:
            part = (heat - low) / (high - low)
            return tuple(round(a + (b - a) * part) for a, b in zip(cold, hot, strict=True))
    return _STOPS[-1][1]
