"""Finds out, always the same way, in which encoding a manifest's bytes are written.

Order: byte order mark, UTF-8, GB 18030 (a superset of GBK), Windows-1252, Latin-1. The first two are certain. Chinese
and Western bytes both decode as each other, so they are told apart by how Chinese text looks: most of its bytes come
in pairs from the rows of frequent characters, while accented Western letters stand alone between plain ones.
"""

import codecs
import re
from collections.abc import Iterable
from typing import IO

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
# GB 2312: rows A1-A3 are punctuation and full-width forms, rows B0-D7 the 3,755 frequent characters.
_FREQUENT_PAIR = re.compile(rb"[\xa1-\xa3\xb0-\xd7][\xa1-\xfe]")
_BLOCK = 1 << 16
SHOWN = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with byte order mark",
    "utf-16": "UTF-16",
    "gb18030": "GB 18030 (GBK)",
    "cp1252": "Windows-1252 (Latin-1)",
    "latin-1": "Latin-1",
}


def detect_encoding(file: IO[bytes]) -> str:
    """The name of the codec that reads the whole file; Latin-1 reads anything. Leaves the file anywhere."""
    file.seek(0)
    head = file.read(4)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding if _decodes(file, encoding) else "latin-1"
    if _decodes(file, "utf-8"):
        return "utf-8"
    file.seek(0)
    if looks_like_gb18030(iter(lambda: file.readline(_BLOCK), b"")) and _decodes(file, "gb18030"):
        return "gb18030"
    return "cp1252" if _decodes(file, "cp1252") else "latin-1"


def looks_like_gb18030(blocks: Iterable[bytes]) -> bool:
    """Whether most bytes above 127 form pairs of frequent Chinese characters."""
    pairs = others = 0
    for block in blocks:
        for run in _HIGH_RUN.findall(block):
            frequent = len(_FREQUENT_PAIR.findall(run))
            pairs += frequent
            others += (len(run) + 1) // 2 - frequent
    return pairs > others


def _decodes(file: IO[bytes], encoding: str) -> bool:
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while block := file.read(_BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True
