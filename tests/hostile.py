"""Broken and hostile files, made from a seed: the same number gives the same file. No fixtures here.

for file in hostile_photos(2_000): file.kind, file.name, file.data
for file in hostile_archives(): …

``benchmarks/hostile.py`` sends all of them through a real line, the tests a part. Each kind is a function of a random
generator; mutations make up most of the files, what takes a decoder seconds (``HEAVY``) a few.
"""

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from PIL import Image

from tests.drawing import draw

SEED = 7
HEAVY_EVERY = 100  # files for one that is heavy
NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\0\0\0\0WEBP")
AVIF_HEAD = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf"


@dataclass(frozen=True)
class HostileFile:
    """``kind`` is what was done to it."""

    kind: str
    name: str
    data: bytes


def hostile_photos(count: int, seed: int = SEED) -> Iterator[HostileFile]:
    """So many files that claim to be photos."""
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        if number % HEAVY_EVERY == HEAVY_EVERY - 1:
            kinds = list(HEAVY)
            kind = kinds[number // HEAVY_EVERY % len(kinds)]
            suffix, data = HEAVY[kind](chance)
        elif chance.random() < 0.75:
            kind, suffix, data = _mutated(chance)
        else:
            kind = chance.choice(list(ODD))
            suffix, data = ODD[kind](chance)
        yield HostileFile(kind, f"{number:05d}-{kind}.{suffix}", data)


Made = tuple[str, bytes]  # the file's suffix and its bytes


# --- good files, to be broken


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def good_photos() -> dict[str, tuple[str, bytes]]:
    """One of each way in which a photo may be stored, by its name: the suffix, the bytes."""
    photo, other = draw(1, 96), draw(2, 96)
    deep = Image.new("I;16", (96, 96), 30_000)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8825)[1] = "N"
    icc = b"\0\0\x02\0lcms\x04\0\0\0mntrRGB XYZ " + bytes(490)
    return {
        "jpeg": ("jpg", _saved(photo, "JPEG", exif=exif, icc_profile=icc)),
        "jpeg-progressive": ("jpg", _saved(photo, "JPEG", progressive=True)),
        "jpeg-cmyk": ("jpg", _saved(photo.convert("CMYK"), "JPEG")),
        "png": ("png", _saved(photo, "PNG", exif=exif, icc_profile=icc)),
        "png-alpha": ("png", _saved(photo.convert("RGBA"), "PNG")),
        "png-palette": ("png", _saved(photo.quantize(16), "PNG", transparency=0)),
        "png-deep": ("png", _saved(deep, "PNG")),
        "webp": ("webp", _saved(photo, "WEBP", exif=exif, icc_profile=icc)),
        "webp-lossless": ("webp", _saved(photo.convert("RGBA"), "WEBP", lossless=True)),
        "webp-moving": ("webp", _saved(photo, "WEBP", save_all=True, append_images=[other])),
        "gif": ("gif", _saved(photo, "GIF")),
        "gif-moving": ("gif", _saved(photo, "GIF", save_all=True, append_images=[other])),
        "tiff": ("tif", _saved(photo, "TIFF")),
        "tiff-lzw": ("tif", _saved(photo, "TIFF", compression="tiff_lzw")),
        "tiff-jpeg": ("tif", _saved(photo, "TIFF", compression="jpeg")),
        "tiff-fax": ("tif", _saved(photo.convert("1"), "TIFF", compression="group4")),
        "tiff-float": ("tif", _saved(Image.new("F", (96, 96), 0.5), "TIFF", compression="tiff_adobe_deflate")),
        "tiff-pages": ("tif", _saved(photo, "TIFF", save_all=True, append_images=[other])),
        "bmp": ("bmp", _saved(photo, "BMP")),
        "avif": ("avif", _saved(photo, "AVIF", speed=10)),
    }


# --- mutations


def _flip_bits(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 2, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _flip_head(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(min(64, len(data)))] = chance.randrange(256)


def _cut_off(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def _cut_out(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randrange(1, 200)]


def _double(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randrange(1, 400)] * chance.randrange(1, 20)


def _fill(chance: random.Random, data: bytearray) -> None:
    at, length = chance.randrange(len(data)), chance.randrange(1, 300)
    data[at : at + length] = bytes([chance.choice((0, 0xFF, 0x41))]) * min(length, len(data) - at)


def _put_number(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.randrange(1, 4)):
        at, number = chance.randrange(max(1, min(len(data) - 4, 600))), chance.choice(NUMBERS)
        data[at : at + 4] = struct.pack(chance.choice("<>") + "I", number)


def _splice(chance: random.Random, data: bytearray) -> None:
    _, other = chance.choice(list(good_photos().values()))
    data[chance.randrange(len(data)) :] = other[chance.randrange(len(other)) :]


def _noise(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    data[at : at + 100] = chance.randbytes(chance.randrange(1, 400))


MUTATIONS: dict[str, Callable[[random.Random, bytearray], None]] = {
    "bits": _flip_bits, "head": _flip_head, "cut-off": _cut_off, "cut-out": _cut_out, "doubled": _double,
    "filled": _fill, "number": _put_number, "spliced": _splice, "noise": _noise,
}  # fmt: skip


def _mutated(chance: random.Random) -> tuple[str, str, bytes]:
    suffix, good = chance.choice(list(good_photos().values()))
    how = chance.choice(list(MUTATIONS))
    data = bytearray(good)
    MUTATIONS[how](chance, data)
    return how, suffix, bytes(data)


# --- odd files


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, with right checksums."""
    packed = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + packed


def png_head(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    """The first chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def png_bomb(side: int, colour: int = 2) -> bytes:
    """A PNG of one colour, truthful and so small that only its pixels count."""
    line = 1 + side * {0: 1, 2: 3, 6: 4}[colour]
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(line)) for _ in range(side)) + packer.flush()
    return png(png_head(side, side, colour=colour), (b"IDAT", packed), (b"IEND", b""))


def _claims_png(chance: random.Random) -> Made:
    side = chance.choice((8001, 60_000, 2**31 - 1))
    return "png", png(png_head(side, side), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))


def _claims_gif(chance: random.Random) -> Made:
    return "gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0xF7, 0, 0) + bytes(
        768
    ) + b",\0\0\0\0\xff\xff\xff\xff\0\x08"


def _claims_jpeg(chance: random.Random) -> Made:
    data = bytearray(good_photos()["jpeg"][1])
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
    return "jpg", bytes(data)


def _claims_webp(chance: random.Random) -> Made:
    side = 16383
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + (side.to_bytes(3, "little")) * 2
    return "webp", b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def _claims_bmp(chance: random.Random) -> Made:
    sides = chance.choice(((100_000, 100_000), (2**31 - 1, 1), (-1, -1), (7000, -7000)))
    return "bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, *sides, 1, 24, 0, 0, 0, 0, 0, 0)


def tiff(*tags: tuple[int, int, int, int], following: int = 0, rest: bytes = b"") -> bytes:
    """A TIFF with one directory at 8: tags as (number, type, count, value)."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + rest


def _tiff_loop(chance: random.Random) -> Made:
    """The directory that follows is this one."""
    tags = ((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 4096))
    return "tif", tiff(*tags, following=8, rest=bytes(4096))


def _tiff_claims(chance: random.Random) -> Made:
    """Counts and offsets that lie outside."""
    side = chance.choice((64, 7000, 65535, 2**31))
    count = chance.choice((1, 65535, 2**28, 2**32 - 1))
    tags = ((256, 4, 1, side), (257, 4, 1, side), (258, 3, count, 8), (259, 3, 1, chance.choice((1, 5, 7, 8, 50001))),
            (262, 3, 1, 2), (273, 4, count, 2**31), (277, 3, 1, 3), (278, 4, 1, 1), (279, 4, count, 2**31))  # fmt: skip
    return "tif", tiff(*tags)


def _exif_oddity(chance: random.Random) -> Made:
    block = bytearray(tiff((0x0112, 3, chance.choice((1, 2**31)), chance.choice((0, 9, 6, 65535))),
                           (0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0x927C, 7, 2**32 - 1, 8), following=8))  # fmt: skip
    if chance.random() < 0.5:
        _put_number(chance, block)
    segment = b"Exif\0\0" + bytes(block)
    jpeg = good_photos()["jpeg-progressive"][1]
    return "jpg", jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def _icc_oddity(chance: random.Random) -> Made:
    """Profiles that claim a length, a part number or a packing that is not so."""
    if chance.random() < 0.5:
        profile = b"name\0\0" + chance.choice((zlib.compress(bytes(50_000_000)), b"no zlib", b""))
        return "png", png(
            png_head(64, 64, colour=0), (b"iCCP", profile), (b"IDAT", zlib.compress(bytes(65 * 64))), (b"IEND", b"")
        )
    segment = b"ICC_PROFILE\0" + bytes([chance.randrange(256), chance.randrange(256)]) + chance.randbytes(4000)
    jpeg = good_photos()["jpeg-progressive"][1]
    return "jpg", jpeg[:2] + (b"\xff\xe2" + struct.pack(">H", len(segment) + 2) + segment) * 9 + jpeg[2:]


def _text_bomb(chance: random.Random) -> Made:
    text = zlib.compress(b"A" * 40_000_000)
    chunks = [(b"zTXt", b"k%d\0\0" % number + text) for number in range(chance.choice((1, 4)))]
    return "png", png(png_head(64, 64, colour=0), *chunks, (b"IDAT", zlib.compress(bytes(65 * 64))), (b"IEND", b""))


def _polyglot(chance: random.Random) -> Made:
    """A good photo that is something else too: a ZIP, a page, a script, a document."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("../../etc/passwd", "root")
    tails = (
        out.getvalue(),
        b"<html><script>alert(1)</script>",
        b"%PDF-1.7 /JavaScript",
        b"\n<?php system($_GET['c']);",
    )
    suffix, good = chance.choice(list(good_photos().values()))
    return suffix, good + chance.choice(tails)


def _script_first(chance: random.Random) -> Made:
    heads = (
        b"GIF89a=1;alert(1)//",
        b"<html><body onload=alert(1)>",
        b"#!/bin/sh\nid\n",
        b"BM=1;/*",
        b"%PDF-1.4\n",
        b"MZ\x90\0",
        b"\x7fELF",
    )
    return chance.choice(("jpg", "png", "gif", "webp")), chance.choice(heads) + chance.randbytes(chance.randrange(2000))


def _wrong_extension(chance: random.Random) -> Made:
    return chance.choice(("jpg", "png", "gif", "tif", "webp", "avif", "bmp")), chance.choice(
        list(good_photos().values())
    )[1]


def _svg(chance: random.Random) -> Made:
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
    texts = (
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">' + laughs + b"]><svg>&l9;</svg>",
        b'<svg><image href="http://169.254.169.254/latest/meta-data/"/></svg>',
    )
    data = chance.choice(texts)
    return chance.choice((("svg", data), ("jpg", data), ("svgz", gzip.compress(data))))


def _signature_alone(chance: random.Random) -> Made:
    return "jpg", chance.choice((*SIGNATURES, AVIF_HEAD)) + chance.randbytes(chance.choice((0, 1, 7, 50, 1000)))


def _next_to_nothing(chance: random.Random) -> Made:
    return "jpg", chance.randbytes(chance.choice((0, 0, 1, 2, 3, 16)))


def _heif(chance: random.Random) -> Made:
    brand = chance.choice((b"heic", b"mif1", b"avis", b"mp42", b"qt  ", b"jxl "))
    return "heic", struct.pack(">I", chance.choice((0, 1, 24, 2**32 - 1))) + b"ftyp" + brand + chance.randbytes(200)


def _thin(chance: random.Random) -> Made:
    """One pixel high, as wide as it goes."""
    width = chance.choice((1, 10_000, 65_500))
    return "png", _saved(Image.new("RGB", (width, 1), (9, 99, 9)), "PNG")


ODD: dict[str, Callable[[random.Random], Made]] = {
    "claims-png": _claims_png, "claims-gif": _claims_gif, "claims-jpeg": _claims_jpeg, "claims-webp": _claims_webp,
    "claims-bmp": _claims_bmp, "claims-tiff": _tiff_claims, "tiff-loop": _tiff_loop, "exif": _exif_oddity,
    "icc": _icc_oddity, "text-bomb": _text_bomb, "polyglot": _polyglot, "script": _script_first,
    "extension": _wrong_extension, "svg": _svg, "signature": _signature_alone, "nothing": _next_to_nothing,
    "heif": _heif, "thin": _thin,
}  # fmt: skip


# --- what takes a decoder seconds, or much memory


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG that refines the same coefficients over and over: each scan costs the whole photo.

    The scan is a valid, empty one (end of band, all blocks); libjpeg-turbo calls this "a known denial of service".
    """
    data = _saved(Image.new("L", (side, side), 128), "JPEG", progressive=True, quality=10)
    frame = data[: data.index(b"\xff\xc4")]
    table = b"\xff\xc4" + struct.pack(">H", 19 + 2) + b"\x10" + bytes([1, 1]) + bytes(14) + b"\x00\xe0"
    blocks = ((side + 7) // 8) ** 2
    # Two codes: 0 ends a block, 10 and fourteen bits of nought end 16,384 of them.
    bits = ("10" + "0" * 14) * (blocks // 16_384) + "0" * (blocks % 16_384)
    bits += "1" * (-len(bits) % 8)
    entropy = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    head = b"\xff\xda" + struct.pack(">HBBB", 8, 1, 1, 0)
    first = head + bytes([1, 63, 0x00]) + entropy
    return frame + table + first * scans + b"\xff\xd9"


def _scans(chance: random.Random) -> Made:
    return "jpg", many_scans(7900, 1500)


def _markers(chance: random.Random) -> Made:
    jpeg = good_photos()["jpeg"][1]
    return "jpg", jpeg[:2] + b"\xff\xe5\0\x02" * 3_000_000 + jpeg[2:]


def _chunks(chance: random.Random) -> Made:
    empty = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    start = png(png_head(64, 64, colour=0))
    return "png", start + empty * 1_500_000 + png((b"IDAT", zlib.compress(bytes(65 * 64))), (b"IEND", b""))[8:]


def _comments(chance: random.Random) -> Made:
    """A GIF that is one comment of many small blocks."""
    return "gif", b"GIF89a\x40\0\x40\0\x80\0\0" + bytes(6) + b"!\xfe" + b"\x01A" * 6_000_000 + b"\0;"


def _bomb_rgba(chance: random.Random) -> Made:
    return "png", png_bomb(7990, colour=6)


def _bomb_webp(chance: random.Random) -> Made:
    return "webp", _saved(Image.new("RGBA", (7990, 7990), (9, 9, 9, 9)), "WEBP", lossless=True, method=0)


def _bomb_deep(chance: random.Random) -> Made:
    return "png", _saved(Image.new("I;16", (7990, 7990), 300), "PNG")


def _bomb_tiff(chance: random.Random) -> Made:
    return "tif", _saved(Image.new("F", (7990, 7990), 1.0), "TIFF", compression="tiff_adobe_deflate")


def _bomb_avif(chance: random.Random) -> Made:
    return "avif", _saved(Image.new("RGBA", (7990, 7990), (9, 90, 9, 9)), "AVIF", speed=10)


HEAVY: dict[str, Callable[[random.Random], Made]] = {
    "many-scans": _scans, "many-markers": _markers, "many-chunks": _chunks, "many-comments": _comments,
    "bomb-rgba": _bomb_rgba, "bomb-webp": _bomb_webp, "bomb-deep": _bomb_deep, "bomb-tiff": _bomb_tiff,
    "bomb-avif": _bomb_avif,
}  # fmt: skip
