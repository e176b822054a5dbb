"""Uploads for tests: real archives with real photos, sent through the services, and what became of their rows."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache

from PIL import Image

from catalog.models import Merchant, Upload
from catalog.services.upload import upload_create, upload_import
from tests.drawing import draw, jpeg

HEADER = "sku,title,brand,category,price,currency,description,images"


def manifest(*rows: str, header: str = HEADER) -> bytes:
    """A CSV manifest in UTF-8."""
    return "\n".join([header, *rows]).encode()


def row(sku: str, images: str = "", *, title: str = "Thing", price: str = "9.90", currency: str = "EUR") -> str:
    """One line of it."""
    return f"{sku},{title},Acme,Kind,{price},{currency},A fine thing,{images}"


def archive(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP with these files; names may be hostile, later files may repeat earlier ones."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def send(merchant: Merchant, data: bytes | Mapping[str, bytes], *, name: str = "upload.zip", **options: bool) -> Upload:
    """Upload an archive (or the files of one) and import it at once."""
    data = data if isinstance(data, bytes) else archive(data)
    upload = upload_create(merchant=merchant, name=name, stream=io.BytesIO(data), **options)
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    return upload


def verdicts(upload: Upload) -> dict[int, str]:
    """The verdict of every row."""
    return dict(upload.rows.values_list("number", "verdict"))


def codes(upload: Upload) -> dict[int, list[str]]:
    """The codes of every row that has problems."""
    rows = upload.rows.values_list("number", "problems")
    return {number: [each["code"] for each in problems] for number, problems in rows if problems}


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def png_bomb(side: int = 60_000) -> bytes:
    """A few bytes that claim billions of pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def rotated_jpeg() -> bytes:
    """60 by 40 stored pixels that the camera wants shown upright: 40 by 60."""
    image = draw(5, 60).crop((0, 0, 60, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image, "JPEG", exif=exif)


@cache
def odd_but_good() -> dict[str, bytes]:
    """Photos that look unusual inside and are taken all the same."""
    frames = [draw(number, 40) for number in (11, 12, 13)]
    return {
        "cmyk.jpg": saved(draw(1, 40).convert("CMYK"), "JPEG"),
        "deep.png": saved(Image.new("I;16", (40, 40), 40_000), "PNG"),
        "palette.png": saved(draw(2, 40).quantize(16), "PNG", transparency=0),
        "alpha.png": saved(Image.new("RGBA", (40, 40), (200, 30, 30, 90)), "PNG"),
        "moving.gif": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "moving.webp": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "rotated.jpg": rotated_jpeg(),
        "truncated.jpg": jpeg(4)[:4_000],
    }


@cache
def bad_photos() -> dict[str, tuple[bytes, str]]:
    """Photos that must be refused, each with its code."""
    return {
        "text.jpg": (b"this is no photo at all", "photo_not_an_image"),
        "empty.jpg": (b"", "photo_empty"),
        "bomb.png": (png_bomb(), "photo_too_many_pixels"),
        "phone.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "photo_heic_unsupported"),
        "document.jpg": (b"%PDF-1.7 " + bytes(64), "photo_unsupported_type"),
        "huge.jpg": (jpeg(1) + random.Random(1).randbytes(40_000_000), "photo_too_large"),
        "inside.zip": (archive({"a.jpg": jpeg(1)}), "nested_archive"),
        "hidden.jpg": (archive({"a.jpg": jpeg(1)}), "nested_archive"),
    }
