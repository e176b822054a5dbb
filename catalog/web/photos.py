"""Photos over HTTP: signed addresses that expire, and the view behind them.

``photo_address`` is called wherever a page or an API answer shows a photo; whoever holds the address may see the
photo, so the view asks nothing but the signature. Addresses stay the same within an hour, so browsers cache them.
``overlays`` serves photos with heat maps by the same rules.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from uuid import UUID

from django.core.signing import Signer
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.urls import get_script_prefix, reverse
from django.utils.cache import get_conditional_response
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from catalog.models import Job, Photo
from catalog.services.photo import THUMBNAIL_SIDES
from catalog.web.thumbnails import CONTENT_TYPE, placeholder, thumbnail_bytes
from workers import client
from workers.client import PhotoError, Unavailable

Size = Literal["full", "large", "medium", "thumb"]

HOUR = 3600
LIFETIME_HOURS = 24
_SHOWN_TYPES = {"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp"}
_signer = Signer(salt="vitrine.photo")
_ANY_ID = str(UUID(int=0))


@dataclass(frozen=True)
class Place:
    """Where a photo's bytes lie, and their content hash."""

    key: str
    sha256: str


def photo_address(photo_id: UUID | str, *, size: Size = "full") -> str:
    """The signed relative address of a photo, good for at least 24 hours."""
    return _address("photo", photo_id, size)


def job_photo_address(job_id: UUID | str, *, size: Size = "full") -> str:
    """The signed relative address of the photo that a search job was asked with."""
    return _address("job-photo", job_id, size)


def _address(route: str, ident: UUID | str, size: Size) -> str:
    before, after = _round_id(route, size, get_script_prefix())
    return f"{before}{ident}{after}?{signed(route, ident, size)}"


@lru_cache(maxsize=64)
def _round_id(route: str, size: Size, prefix: str) -> tuple[str, str]:
    """An address's path before and after its id. A page of hits has dozens of addresses, and to ask for each path takes
    longer than to sign it."""
    before, _, after = reverse(route, args=[_ANY_ID, size]).partition(_ANY_ID)
    return before, after


def signed(route: str, ident: UUID | str, what: str) -> str:
    """The part of an address that lets its holder see this: ``what`` is the size, or the heat map, of the photo."""
    until = (int(time.time()) // HOUR + 1 + LIFETIME_HOURS) * HOUR
    return f"until={until}&sign={_signature(route, ident, what, until)}"


def _signature(route: str, ident: UUID | str, what: str, until: int) -> str:
    return _signer.signature(f"{route}:{ident}:{what}:{until}")


@require_safe
def photo_view(request: HttpRequest, photo_id: UUID, size: str) -> HttpResponse:
    """One photo of the catalogue (or of a recognition)."""
    if not may_see(request, "photo", photo_id, size):
        return forbidden()
    return _answer(request, photo_place(photo_id), size)


@require_safe
def job_photo_view(request: HttpRequest, job_id: UUID, size: str) -> HttpResponse:
    """The photo of a search."""
    if not may_see(request, "job-photo", job_id, size):
        return forbidden()
    return _answer(request, job_photo_place(job_id), size)


def photo_place(photo_id: UUID) -> Place | None:
    """Where a photo of the catalogue lies; ``None`` once it was deleted."""
    row = Photo.objects.filter(pk=photo_id).values_list("key", "sha256").first()
    return Place(*row) if row else None


def job_photo_place(job_id: UUID) -> Place | None:
    """Where the photo of a search lies; ``None`` for a search by words."""
    key = Job.objects.filter(pk=job_id).exclude(key="").values_list("key", flat=True).first()
    return Place(key, key.rpartition("/")[2]) if key else None


def forbidden() -> HttpResponse:
    """The answer to a signature that is wrong or too old."""
    return HttpResponseForbidden("This address is not valid any more.", content_type="text/plain")


def may_see(request: HttpRequest, route: str, ident: UUID, what: str) -> bool:
    """Whether the address bears a good signature (``signed``) that is not too old."""
    until = request.GET.get("until", "")
    if not until.isascii() or not until.isdigit() or len(until) > 12 or int(until) < time.time():
        return False
    return constant_time_compare(request.GET.get("sign", ""), _signature(route, ident, what, int(until)))


def _answer(request: HttpRequest, place: Place | None, size: str) -> HttpResponse:
    """The bytes with their headers; a neutral picture where there are none, because this is the body of an <img>."""
    if place is None:
        return neutral(size, status=404)
    etag = f'"{place.sha256}-{size}"'
    if unchanged := get_conditional_response(request, etag=etag):
        return with_headers(unchanged, etag)
    try:
        data, content_type = _read(place, size)
    except PhotoError as error:
        return neutral(size, status=404 if error.code == "photo_missing" else 200)
    except Unavailable:
        return neutral(size, status=503)
    return with_headers(HttpResponse(data, content_type=content_type), etag)


def _read(place: Place, size: str) -> tuple[bytes, str]:
    """Bytes and type. The type is read from the bytes themselves, never taken from what a client once claimed."""
    if size in THUMBNAIL_SIDES:
        return thumbnail_bytes(key=place.key, sha256=place.sha256, size=size), CONTENT_TYPE
    data = client.photo_store().read(place.key)
    content_type = client.inspect_photo(data).content_type
    return data, content_type if content_type in _SHOWN_TYPES else "application/octet-stream"


def with_headers(response: HttpResponse, etag: str) -> HttpResponse:
    """A picture that never changes under its address, and never runs anything."""
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = f"private, max-age={HOUR}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    if response.headers.get("Content-Type") == "application/octet-stream":
        response.headers["Content-Disposition"] = "attachment"
    return response


def neutral(size: str, *, status: int) -> HttpResponse:
    """A placeholder instead of a photo that cannot be shown; never cached."""
    response = HttpResponse(placeholder(THUMBNAIL_SIDES.get(size, 512)), content_type=CONTENT_TYPE, status=status)
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
