"""A manifest of JSON lines: one product a line, its values as the API takes them; fields that are left out stay.

Beside ``manifest``, which reads tables: both give the same rows. Read for an upload by ``catalogue``, and for the
API's bulk call by ``services.product_bulk``. Line by line, so memory does not grow with the file.
"""

from collections.abc import Iterator
from typing import IO

from catalog.services.problems import problem, storable
from catalog.services.product_values import clean_values
from catalog.services.uploading.faults import UploadFault
from catalog.services.uploading.manifest import RESERVED, Row, limit_images, listed_images, parsed_json

LINE_SUFFIXES = frozenset({".jsonl", ".ndjson"})
LINE_LIMIT = 1_000_000  # bytes; a product with every field at its longest takes two thirds of that
COLUMN = "line"

_BOM = b"\xef\xbb\xbf"


class LinesManifest:
    """See ``manifest.Manifest``. Raises ``UploadFault("manifest_empty")`` where no line holds anything."""

    note = "JSON lines"
    images_column = "images"

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.columns = [COLUMN]
        if next(self.rows(), None) is None:
            raise UploadFault("manifest_empty", "The manifest is empty.")

    def rows(self) -> Iterator[Row]:
        """Every line that is not blank, judged by itself."""
        return line_rows(self._file)


def line_rows(file: IO[bytes]) -> Iterator[Row]:
    """The rows of a file of JSON lines, numbered from 1 as an editor shows them; blank lines are passed over.

    Codes beside those of ``clean_values``: line_too_long, line_not_text, line_not_json, line_not_an_object,
    images_not_a_list.
    """
    file.seek(0)
    number = 0
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        too_long = len(line) > LINE_LIMIT
        while too_long and line and not line.endswith(b"\n"):
            line = file.readline(LINE_LIMIT)
        if too_long:
            yield _refused(number, "", "line_too_long", f"The line is longer than {LINE_LIMIT / 1e6:g} MB.")
        elif line := line.removeprefix(_BOM if number == 1 else b"").strip():
            yield _row(number, line)


def _row(number: int, line: bytes) -> Row:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return _refused(number, "", "line_not_text", "The line is not UTF-8.")
    given = parsed_json(text)
    if given is None:
        return _refused(number, text, "line_not_json", "The line is no valid JSON.")
    if not isinstance(given, dict):
        return _refused(number, text, "line_not_an_object", 'Each line is an object: {"sku": …, "title": …}.')
    images = given.pop("images", None)
    given.pop(RESERVED, None)
    row = Row(number, {COLUMN: storable(text)}, is_partial=True, whole_attributes=True)
    row.values, row.problems = clean_values({"sku": None} | given, partial=True)
    if isinstance(images, list) and all(isinstance(each, str) for each in images):
        row.images = listed_images("|".join(images)) or []
    elif images is not None:
        row.problems.append(problem("images_not_a_list", "Images are a list of file names.", field="images"))
    row.refused = bool(row.problems)
    limit_images(row)
    return row


def _refused(number: int, text: str, code: str, sentence: str) -> Row:
    return Row(number, {COLUMN: storable(text)}, problems=[problem(code, sentence)], refused=True)
