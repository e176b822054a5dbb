"""Counts a ZIP archive's entries without loading its directory, so that a hostile one cannot fill the memory.

``zipfile`` loads the whole central directory before anyone can ask how large it is. This walks it header by header;
format: PKWARE APPNOTE 6.3.10, sections 4.3.12 to 4.3.16.
"""

import os
import struct
from typing import IO
from zipfile import BadZipFile

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LONGEST_COMMENT = 0xFFFF
_STOP = 5_000_000  # more entries than any upload may have


def check_directory(file: IO[bytes]) -> int:
    """The number of entries that the central directory really holds. Raises ``BadZipFile``."""
    start, size = _directory(file)
    file.seek(start)
    count = 0
    while size >= _ENTRY.size and count < _STOP:
        header = file.read(_ENTRY.size)
        if len(header) < _ENTRY.size or header[:4] != b"PK\1\2":
            raise BadZipFile("bad central directory")
        fields = _ENTRY.unpack(header)
        variable = fields[10] + fields[11] + fields[12]  # name, extra field, comment
        file.seek(variable, os.SEEK_CUR)
        size -= _ENTRY.size + variable
        count += 1
    return count


def _directory(file: IO[bytes]) -> tuple[int, int]:
    """Where the central directory starts, and its size, both in bytes."""
    length = file.seek(0, os.SEEK_END)
    tail_start = max(0, length - _END.size - _LONGEST_COMMENT)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        raise BadZipFile("no end of central directory")
    end = tail_start + at
    size = _END.unpack_from(tail, at)[5]
    if (large := _end64(file, end)) is not None:
        end, size = large
    if size > end:
        raise BadZipFile("central directory larger than the file")
    return end - size, size


def _end64(file: IO[bytes], end: int) -> tuple[int, int] | None:
    """Position and directory size of a ZIP64 end record, which stands right before its locator."""
    start = end - _END64_LOCATOR.size - _END64.size
    if start < 0:
        return None
    file.seek(start)
    record = file.read(_END64.size + _END64_LOCATOR.size)
    if record[_END64.size :][:4] != b"PK\6\7" or record[:4] != b"PK\6\6":
        return None
    return start, _END64.unpack_from(record)[8]
