"""A merchant's whole catalogue as a ZIP that a bulk upload reads back: every photo, then the manifest that lists them.

A reference that is a part of a photo (a reviewer found it on a shelf) is written as that part alone: a manifest lists
files, and read back as a whole the shelf would stand for the product.

Read by ``manage.py export`` and the API; the way back is ``services.upload``. Flat memory but for the archive's own
directory: a page of products at a time, photos in blocks straight from the store, and the manifest's rows in a
temporary file until the last photo is written, so that it lists exactly what is there.
"""

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, cast
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from django.utils import timezone

from catalog.models import Merchant, Photo, Product, Purpose
from catalog.selectors.product import product_list
from catalog.selectors.upload import BOM, csv_line
from catalog.services.uploading.names import is_plain_photo_name
from workers import client
from workers.client import PhotoError

MANIFEST = "manifest.csv"
COLUMNS = (
    "sku", "title", "brand", "category", "description", "price", "currency", "in_stock", "variant_group", "attributes",
    "images",
)  # fmt: skip
PAGE = 200
BLOCK = 1 << 18
WHOLE = (0.0, 0.0, 1.0, 1.0)

_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif", "image/bmp": ".bmp"}


@dataclass
class CatalogueExport:
    """One export. ``products``, ``photos`` and ``missing`` (photos with bytes gone or damaged) count as it goes."""

    merchant: Merchant
    products: int = 0
    photos: int = 0
    missing: int = 0
    _names: dict[str, str] = field(default_factory=dict)  # folded name: the content hash of the bytes under it

    def blocks(self) -> Generator[bytes, None, None]:
        """The archive piece by piece, three queries for each page of products. Raises ``Unavailable``.

        Cut short it is no ZIP at all, because the directory comes last: what can be opened is complete.
        """
        out = _Outbox()
        with TemporaryFile() as manifest, ZipFile(cast(IO[bytes], out), "w") as archive:
            manifest.write((BOM + csv_line(COLUMNS)).encode())
            for product, photos in _products(self.merchant):
                names: list[str] = []
                for photo in photos:
                    if name := (yield from self._photo(archive, out, photo)):
                        names.append(name)
                manifest.write(csv_line(_cells(product, names)).encode())
                self.products += 1
            manifest.seek(0)
            yield from _copied(archive, out, _info(MANIFEST, ZIP_DEFLATED), manifest)
        yield out.take()

    def _photo(self, archive: ZipFile, out: "_Outbox", photo: Photo) -> Generator[bytes, None, str]:
        """Write a photo, unless its bytes are there under its name already; returns the name, "" where it is gone."""
        try:
            part = _part(photo.key, photo.region) if photo.region and tuple(photo.region) != WHOLE else None
            sha256 = photo.sha256 if part is None else hashlib.sha256(part).hexdigest()
            name = self._name(photo, sha256) if part is None else f"photos/{sha256}.jpg"
            if name.casefold() not in self._names:
                with client.photo_store().open(photo.key) if part is None else io.BytesIO(part) as file:
                    yield from _copied(archive, out, _info(name, ZIP_STORED), file)
        except PhotoError:
            self.missing += 1
            return ""
        self._names[name.casefold()] = sha256
        self.photos += 1
        return name

    def _name(self, photo: Photo, sha256: str) -> str:
        """The merchant's own name for it where that can stand in an archive and means no other photo."""
        by_hash = name_by_hash(photo)
        name = photo.name if is_plain_photo_name(photo.name) else by_hash
        return name if self._names.get(name.casefold(), sha256) == sha256 else by_hash


def _part(key: str, region: Sequence[float]) -> bytes:
    left, top, right, bottom = region
    return client.cut_photo(client.photo_store().read(key), (left, top, right, bottom))


def name_by_hash(photo: Photo) -> str:
    """The name of a photo's file in an export: the same for the same bytes, wherever they are shown."""
    return f"photos/{photo.sha256}{_SUFFIXES.get(photo.content_type, '.jpg')}"


class _Outbox:
    """Where ``zipfile`` writes: kept until it is taken. It cannot be gone back in, as befits a stream."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        """What was written since."""
        taken, self._written = bytes(self._written), bytearray()
        return taken


def _products(merchant: Merchant) -> Iterator[tuple[Product, Sequence[Photo]]]:
    """Every living product with its photos in order."""
    products = product_list(merchant=merchant).order_by("sku")
    page = list(products[:PAGE])
    while page:
        photos: dict[UUID | None, list[Photo]] = defaultdict(list)
        shown = Photo.objects.filter(product__in=page, purpose=Purpose.INDEX)
        for photo in shown.order_by("position", "created_at", "pk"):
            photos[photo.product_id].append(photo)
        yield from ((product, photos[product.pk]) for product in page)
        page = list(products.filter(sku__gt=page[-1].sku)[:PAGE])


def _copied(archive: ZipFile, out: _Outbox, info: ZipInfo, file: IO[bytes]) -> Iterator[bytes]:
    with archive.open(info, "w") as entry:
        while block := file.read(BLOCK):
            entry.write(block)
            yield out.take()


def _info(name: str, method: int) -> ZipInfo:
    info = ZipInfo(name, date_time=timezone.now().timetuple()[:6])
    info.compress_type = method
    return info


def _cells(product: Product, names: Sequence[str]) -> list[str]:
    return [
        product.sku,
        product.title,
        product.brand,
        product.category,
        product.description,
        "" if product.price is None else f"{product.price:.2f}",
        product.currency,
        "yes" if product.in_stock else "no",
        product.variant_group,
        json.dumps(product.attributes, ensure_ascii=False),
        "|".join(names),
    ]
