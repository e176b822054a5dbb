"""A manifest: found among an upload's files, its header understood, its rows turned into values and problems.

Comes after ``sources`` and ``tables``, before ``catalogue`` writes. Rules for the values themselves are those of the
API too (``services.product_values``).
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from catalog.services.problems import Problem, problem, storable
from catalog.services.product_values import FIELDS, REQUIRED, clean_values, currency_problem
from catalog.services.uploading.entries import Entry
from catalog.services.uploading.faults import UploadFault
from catalog.services.uploading.names import suffix_of
from catalog.services.uploading.tables import COLUMN_LIMIT, CsvTable, Record, Table, XlsxTable

KNOWN = frozenset({*FIELDS, "images"} - {"attributes"})
RESERVED = "problems"  # the column that a list of bad rows carries; it is ignored when the list comes back
ATTRIBUTES = "attributes"  # a column with all of a product's attributes as one JSON object, as an export has it
IMAGES_LIMIT = 100

_TABLE_SUFFIXES = {".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson"}
_OTHER_SHEETS = {".xls", ".ods", ".numbers"}
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


@dataclass(slots=True)
class Row:
    """One row on its way: as read (``cells``), as understood (``values``), and what is wrong with it.

    ``images`` is ``None`` where the row says nothing about photos. A refused row changes nothing. ``is_partial``: what
    the row leaves out stays as it is. ``whole_attributes``: the given ones take the place of all that were there.
    """

    number: int
    cells: dict[str, str]
    values: dict[str, Any] = field(default_factory=dict)
    images: list[str] | None = None
    problems: list[Problem] = field(default_factory=list)
    refused: bool = False
    is_partial: bool = False
    whole_attributes: bool = False

    @property
    def sku(self) -> str:
        """The sku as understood; empty where it is missing."""
        return self.values.get("sku", "")


def find_manifest(entries: Sequence[Entry]) -> Entry | None:
    """The CSV, XLSX or JSON lines at the top or in one folder; ``None`` where there are only photos.

    Raises ``UploadFault``: manifest_ambiguous, manifest_unsupported.
    """
    near = [entry for entry in entries if entry.name.count("/") <= 1]
    tables = [entry for entry in near if suffix_of(entry.name) in _TABLE_SUFFIXES]
    found = [entry for entry in tables if "/" not in entry.name] or tables
    if len(found) > 1:
        named = [entry for entry in found if entry.name.rpartition("/")[2].lower().startswith("manifest.")]
        if len(named) != 1:
            names = ", ".join(entry.name for entry in found[:5])
            sentence = f"Several files may be the manifest ({names}): call the right one manifest.csv."
            raise UploadFault("manifest_ambiguous", sentence)
        found = named
    others = [entry.name for entry in near if suffix_of(entry.name) in _OTHER_SHEETS]
    if others and not found:
        raise UploadFault("manifest_unsupported", f"{others[0]} cannot be read: save it as XLSX or CSV.")
    return found[0] if found else None


class Manifest:
    """A manifest with an understood header. Raises ``UploadFault`` where it has none."""

    def __init__(self, file: IO[bytes]) -> None:
        head = file.read(4)
        self._table: Table = XlsxTable(file) if head[:2] == b"PK" else CsvTable(file, known=KNOWN)
        self.note = self._table.note
        number, header = next(self._filled(), (0, []))
        if not number:
            raise UploadFault("manifest_empty", "The manifest is empty.")
        while header and not header[-1].strip():
            header.pop()
        header = [storable(name) for name in header]
        self._header_number = number
        self._fields = _understand(header)
        self.columns = [name.strip() or f"column_{place}" for place, name in enumerate(header, start=1)]

    @property
    def images_column(self) -> str:
        """The heading over the photos, as the merchant wrote it."""
        return self.columns[self._fields.index("images")] if "images" in self._fields else "images"

    def rows(self) -> Iterator[Row]:
        """Every row that is not blank, judged by itself."""
        for number, record in self._filled():
            if number > self._header_number:
                yield self._row(number, record)

    def _filled(self) -> Iterator[Record]:
        return ((number, record) for number, record in self._table.records() if any(map(str.strip, record)))

    def _row(self, number: int, record: list[str]) -> Row:
        width = len(self.columns)
        cells = [_unguarded(cell) for cell in record[:width]] + [""] * (width - len(record))
        row = Row(number, {name: storable(cell) for name, cell in zip(self.columns, cells, strict=True)})
        given: dict[str, Any] = {}
        attributes: dict[str, str] = {}
        whole = ""
        for name, heading, cell in zip(self._fields, self.columns, cells, strict=True):
            if name == "images":
                row.images = listed_images(cell)
            elif name in KNOWN:
                given[name] = cell
            elif name == ATTRIBUTES:
                whole = cell.strip()
            elif name != RESERVED:
                attributes[heading] = cell.strip()
        if whole:
            parsed = parsed_json(whole)
            given[ATTRIBUTES], row.whole_attributes = whole if parsed is None else parsed, True
        row.values, row.problems = clean_values(given)
        if found := currency_problem(row.values.get("price"), given.get("currency", "").strip()):
            row.problems.append(found)
        self._judge_attributes(row, attributes)
        if any(map(str.strip, record[width:])):
            sentence = "The row has more cells than the header: is a text with the separator not in quotation marks?"
            row.problems.append(problem("row_too_many_cells", sentence))
        row.refused = bool(row.problems)
        limit_images(row)
        return row

    @staticmethod
    def _judge_attributes(row: Row, attributes: dict[str, str]) -> None:
        """Columns of the merchant's own. An empty cell takes the attribute away, see ``merged_attributes``."""
        if attributes:
            cleaned, problems = clean_values({ATTRIBUTES: attributes}, partial=True)
            if row.whole_attributes and not problems:
                cleaned[ATTRIBUTES] = merged_attributes(row.values.get(ATTRIBUTES, {}), attributes)
            row.values.update(cleaned)
            row.problems.extend(problems)


def merged_attributes(held: dict[str, Any], given: dict[str, str]) -> dict[str, Any]:
    """A product's attributes after a row: columns set theirs, empty cells take theirs away, others stay."""
    kept = {name: value for name, value in held.items() if name not in given}
    return kept | {name: value for name, value in given.items() if value}


def parsed_json(text: str) -> Any:
    """The value that JSON means; ``None`` for what is none. NaN and the infinities are none, whatever Python thinks."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _understand(header: list[str]) -> list[str]:
    """The field that each column means: one of ``KNOWN``, ``problems``, or a name of the merchant's own."""
    if len(header) > COLUMN_LIMIT:
        sentence = f"The manifest has more than {COLUMN_LIMIT} columns."
        raise UploadFault("manifest_too_many_columns", sentence)
    fields = [re.sub(r"[\s-]+", "_", name.strip()).lower() for name in header]
    if "sku" not in fields and len(KNOWN.intersection(fields)) < 2:
        sentence = "The first row must name the columns: sku, title, brand, category, price, currency, images."
        raise UploadFault("manifest_without_header", sentence)
    for place, name in enumerate(fields):
        if name and name in fields[:place]:
            raise UploadFault("column_duplicate", f"The column {name} is there twice.")
    for name in REQUIRED:
        if name not in fields:
            raise UploadFault("column_missing", f"The manifest has no column {name}.")
    return fields


def listed_images(cell: str) -> list[str] | None:
    """The listed names, each once; an empty cell says nothing about photos."""
    return list(dict.fromkeys(name for part in cell.split("|") if (name := part.strip()))) or None


def limit_images(row: Row) -> None:
    """Refuse photos beyond the limit, one by one."""
    if row.images and len(row.images) > IMAGES_LIMIT:
        sentence = f"The row lists {len(row.images)} photos; the first {IMAGES_LIMIT} are taken."
        row.problems.append(problem("images_too_many", sentence, field="images"))
        row.images = row.images[:IMAGES_LIMIT]


def _unguarded(cell: str) -> str:
    """Without the apostrophe that keeps a spreadsheet from calculating; the list of bad rows is written with it."""
    return cell[1:] if _GUARDED.match(cell) else cell
