"""Hostile ZIP archives, each wrong in a way of its own; the same every time. No fixtures here."""

import io
import json
import random
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache

from tests.drawing import HEADER, jpeg
from tests.hostile import HostileFile

MANY = 100_000
ROW = "G-1,Good one,B,K,5,EUR,,good.jpg"


def hostile_archives() -> Iterator[HostileFile]:
    """Every one of them; most also hold a good product, ``G-1``, that must be imported all the same."""
    for kind, make in ARCHIVES.items():
        yield HostileFile(kind, f"{kind}.zip", make())


@cache
def _good() -> bytes:
    return jpeg(1, size=96)


def _packed(
    *entries: tuple[str | zipfile.ZipInfo, bytes], rows: tuple[str, ...] = (ROW,), header: str = HEADER
) -> bytes:
    """A manifest, the good photo, and these."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("products.csv", "\n".join([header, *rows]))
        archive.writestr("good.jpg", _good())
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def _listed(*names: str) -> tuple[str, ...]:
    return (ROW, *(f"X-{n},Bad one,B,K,5,EUR,,{name}" for n, name in enumerate(names)))


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.create_system = mode << 16, 3
    return info


def _traversal() -> bytes:
    names = (
        "../../../tmp/escaped.jpg",
        "/etc/escaped.jpg",
        "C:\\escaped.jpg",
        "..\\..\\escaped.jpg",
        "a/../../b.jpg",
        "nul\0.jpg",
    )
    return _packed(*((zipfile.ZipInfo(name), _good()) for name in names), rows=_listed("../../../tmp/escaped.jpg"))


def _links() -> bytes:
    link, device = _entry("link.jpg", stat.S_IFLNK | 0o777), _entry("device.jpg", stat.S_IFCHR | 0o666)
    return _packed((link, b"/etc/passwd"), (device, b""), rows=_listed("link.jpg", "device.jpg"))


def _nested() -> bytes:
    inner = _packed()
    for _ in range(6):
        inner = _packed(("inner.zip", inner), ("photo.jpg", inner))
    return inner


def _bomb() -> bytes:
    """Each entry unpacks to a thousand times its size."""
    names = [f"bomb-{n}.jpg" for n in range(4)]
    return _packed(*((name, bytes(200_000_000)) for name in names), rows=_listed(*names))


def _overlapping() -> bytes:
    """Hundreds of names for the same packed bytes, as in Fifield's bomb without recursion (2019)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("kernel.jpg", bytes(30_000_000))
        kernel = archive.getinfo("kernel.jpg")
        rows = _listed(*(f"b{n}.jpg" for n in range(300)))
        archive.writestr("products.csv", "\n".join([HEADER, *rows]))
        archive.writestr("good.jpg", _good())
        for n in range(300):
            info = zipfile.ZipInfo(f"b{n}.jpg")
            info.compress_type, info.CRC = zipfile.ZIP_DEFLATED, kernel.CRC
            info.compress_size, info.file_size, info.header_offset = kernel.compress_size, kernel.file_size, 0
            archive.filelist.append(info)
    return out.getvalue()


def _many() -> bytes:
    """As many entries as a large shop has photos, none of them listed."""
    return _packed(*((f"{n}.jpg", b"") for n in range(MANY)))


def _too_many() -> bytes:
    """More directory entries than any upload may have, in one that claims two."""
    record = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = record * 210_000
    return directory + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), 0, 0)


def _changed(offset: int, value: bytes, signature: bytes = b"PK\1\2") -> Callable[[], bytes]:
    """A field of the last header with this signature, overwritten."""

    def make() -> bytes:
        data = bytearray(_packed(("bad.jpg", _good()), rows=_listed("bad.jpg")))
        at = data.rindex(signature) + offset
        data[at : at + len(value)] = value
        return bytes(data)

    return make


def _noise(seed: int) -> Callable[[], bytes]:
    def make() -> bytes:
        chance, data = random.Random(seed), bytearray(_packed(("bad.jpg", _good()), rows=_listed("bad.jpg")))
        for _ in range(12):
            data[chance.randrange(len(data))] = chance.randrange(256)
        return bytes(data)

    return make


def _twice() -> bytes:
    return _packed(("GOOD.JPG", b"other"), ("./good.jpg", b"other"), ("sub/good.jpg", _good()))


def _odd_names() -> bytes:
    names = (
        "a" * 5000 + ".jpg",
        "\u202egpj.exe.jpg",
        "\ud7ff\ue000.jpg",
        "'; DROP TABLE photo;--.jpg",
        "<img src=x onerror=alert(1)>.jpg",
        "con.jpg",
        " .jpg",
        "a|b.jpg",
    )
    return _packed(
        *((name, _good()) for name in names),
        rows=_listed(*(name for name in names if "|" not in name and '"' not in name)),
    )


def _formula() -> bytes:
    return _packed(
        rows=(
            ROW,
            '=HYPERLINK("http://evil"),"@SUM(1)",-1,+2,5,EUR,,',
            "S\0KU,\x1b[31m,B,K,NaN,EUR,,",
            "E-1,t,b,k,1e999999,EUR,,",
        )
    )


def _lines(*lines: dict[str, object]) -> bytes:
    """JSON lines with the good product and these; what JSON escapes reaches the rows as it was meant."""
    good = {"sku": "G-1", "title": "Good one", "images": ["good.jpg"]}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("products.jsonl", "\n".join(map(json.dumps, (good, *lines))))
        archive.writestr("good.jpg", _good())
    return out.getvalue()


def _unstorable(text: str) -> Callable[[], bytes]:
    """Text that PostgreSQL does not store, or no answer can be written in, wherever a line takes a stranger's words."""
    return lambda: _lines(
        {"sku": "X-1", "title": "T", "images": [f"a{text}.jpg"]},
        {"sku": "X-2", "title": "T", "images": [f"../{text}.jpg"]},
        {"sku": "X-3", "title": "T", f"x{text}": 1},
        {"sku": "X-4", "title": "T", "attributes": {f"x{text}": 1}},
        {"sku": f"X{text}", "title": "T"},
    )


def _header_nul() -> bytes:
    return _packed(rows=(f"{ROW},", "X-1,Bad one,B,K,5,EUR,,no\0.jpg,1"), header=f"{HEADER},x\0y")


def _workbook_bomb() -> bytes:
    """A workbook whose one sheet unpacks to hundreds of megabytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"<row/>" * 60_000_000)
    return out.getvalue()


def _workbook_laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<?xml version="1.0"?><!DOCTYPE w [<!ENTITY l0 "ha">{entities}]><workbook>&l9;</workbook>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/_rels/workbook.xml.rels"):
            archive.writestr(name, text)
    return out.getvalue()


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "traversal": _traversal,
    "links": _links,
    "nested": _nested,
    "bomb": _bomb,
    "overlapping": _overlapping,
    "hundred-thousand": _many,
    "too-many": _too_many,
    "lies-large": _changed(24, struct.pack("<L", 2**32 - 2)),
    "lies-small": _changed(24, struct.pack("<L", 1)),
    "lies-packed": _changed(20, struct.pack("<L", 2**31)),
    "lies-crc": _changed(16, b"\1\2\3\4"),
    "lies-offset": _changed(42, struct.pack("<L", 2**31)),
    "lies-name": _changed(28, struct.pack("<H", 60_000)),
    "encrypted": _changed(8, b"\1\0"),
    "packing": _changed(10, b"\x0e\0"),
    "directory-size": _changed(12, b"\xff\xff\xff\x7f", b"PK\5\6"),
    "directory-place": _changed(16, b"\xff\xff\xff\x7f", b"PK\5\6"),
    "disks": _changed(4, b"\7\0", b"PK\5\6"),
    "cut-off": lambda: _packed()[:-40],
    "head-alone": lambda: b"PK\3\4" + bytes(60),
    "no-archive": lambda: b"Rar!\x1a\7\0" + bytes(500),
    "empty": lambda: b"PK\5\6" + bytes(18),
    "same-name": _twice,
    "odd-names": _odd_names,
    "formula": _formula,
    "names-nul": _unstorable("\0"),
    "names-surrogate": _unstorable("\ud800"),
    "header-nul": _header_nul,
    "workbook-bomb": _workbook_bomb,
    "workbook-laughs": _workbook_laughs,
    **{f"noise-{seed}": _noise(seed) for seed in range(8)},
}
