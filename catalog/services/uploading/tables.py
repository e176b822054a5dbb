"""Reads CSV and XLSX files as numbered records of text; before ``manifest`` gives the columns their meaning.

A record's number is the row that a spreadsheet shows. Both tables are read row by row, any number of times.
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any, Protocol
from zipfile import ZipFile

import openpyxl

from catalog.services.uploading.encodings import SHOWN, detect_encoding
from catalog.services.uploading.faults import UploadFault

Record = tuple[int, list[str]]

COLUMN_LIMIT = 200
ROW_LIMIT = 1_048_576  # of a worksheet; a hostile one may claim any row number
WORKBOOK_LIMIT = 300_000_000  # bytes, unpacked

_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's own first line
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class Table(Protocol):
    """A file of records. ``note`` says how it was read."""

    note: str

    def records(self) -> Iterator[Record]:
        """Every record with its number, from 1. Raises ``UploadFault("manifest_unreadable")``."""


class CsvTable:
    """Text with commas, semicolons or tabs, in an encoding that is found out."""

    def __init__(self, file: IO[bytes], *, known: frozenset[str]) -> None:
        self._file = file
        self._encoding = detect_encoding(file)
        self._skip, self._delimiter = self._find_delimiter(known)
        self.note = f"{SHOWN[self._encoding]}, separated by {_DELIMITERS.get(self._delimiter, self._delimiter)}"

    def records(self) -> Iterator[Record]:
        """See ``Table.records``."""
        number = 0
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, self._encoding, newline="")
        try:
            if self._skip:
                text.readline()
            for number, record in enumerate(csv.reader(text, delimiter=self._delimiter), start=1):
                yield number, record
        except csv.Error as error:
            sentence = f"The manifest cannot be read after row {number}: is a quotation mark left open there?"
            raise UploadFault("manifest_unreadable", sentence) from error
        finally:
            text.detach()

    def _find_delimiter(self, known: frozenset[str]) -> tuple[bool, str]:
        """Whether a ``sep=`` line comes first, and the delimiter under which most column names are known ones."""
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, self._encoding, newline="")
        try:
            lines = [text.readline(1 << 16) for _ in range(3)]
        finally:
            text.detach()
        if told := _SEPARATOR_LINE.fullmatch(lines[0]):
            return True, told[1]
        head = next((line for line in lines if line.strip()), "")

        def score(delimiter: str) -> tuple[int, int]:
            cells = head.rstrip("\r\n").split(delimiter)
            return sum(cell.strip().strip('"').lower() in known for cell in cells), len(cells)

        return False, max(_DELIMITERS, key=score)


class XlsxTable:
    """The first sheet of a workbook, as the values that Excel shows."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.note = "first sheet of the workbook"
        _check_size(file)
        header = next((cells for _, cells in self._read(COLUMN_LIMIT + 1) if any(cells)), [])
        self._width = len(header) - next((back for back, cell in enumerate(reversed(header)) if cell), 0)

    def records(self) -> Iterator[Record]:
        """See ``Table.records``. One cell more than the header has, so that a row too long is seen."""
        return self._read(self._width + 1)

    def _read(self, width: int) -> Iterator[Record]:
        number = 0
        self._file.seek(0)
        try:
            with closing(openpyxl.load_workbook(self._file, read_only=True, data_only=True, keep_links=False)) as book:
                sheet = book.worksheets[0]
                sheet.reset_dimensions()
                rows = sheet.iter_rows(max_row=ROW_LIMIT, max_col=width, values_only=True)
                for number, cells in enumerate(rows, start=1):
                    yield number, [_text(cell) for cell in cells]
        except Exception as error:  # openpyxl raises whatever it stumbles upon in a damaged file
            sentence = f"The workbook cannot be read after row {number}: save it again as XLSX, or as CSV."
            raise UploadFault("manifest_unreadable", sentence) from error


def _check_size(file: IO[bytes]) -> None:
    """``zipfile`` never unpacks more of a member than its header says, so the headers' sum is a limit."""
    file.seek(0)
    try:
        with ZipFile(file) as book:
            size = sum(info.file_size for info in book.infolist())
    except Exception as error:
        raise UploadFault("manifest_unreadable", "The workbook is damaged: save it again as XLSX or CSV.") from error
    if size > WORKBOOK_LIMIT:
        raise UploadFault("manifest_too_large", "The workbook is too large: save it as CSV.")


def _text(value: Any) -> str:
    """A cell as text: whole numbers without decimals, others with the 15 digits that Excel keeps."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{Decimal(f'{value:.15g}'):f}" if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)
