"""What the two kinds of import share: an importer's shape, and how a written batch is counted."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from django.db.models import F

from catalog.models import Upload, UploadKind, UploadRow
from catalog.services.problems import Problem
from catalog.services.uploading.manifest import Row
from catalog.services.uploading.photos import Outcome, PhotoTaker


class Importer(Protocol):
    """One kind of upload: which rows it has, and how a batch of them is written."""

    kind: UploadKind
    columns: list[str]
    note: str
    rows_total: int
    taker: PhotoTaker | None

    def rows(self) -> Iterator[Row]:
        """All rows, always in the same order: an import that died goes on where it stopped."""

    def check(self, rows: Sequence[Row]) -> None:
        """Refuse rows that only the rows before them make wrong."""

    def write(self, rows: Sequence[Row], taken: Mapping[str, Outcome]) -> list[UploadRow]:
        """Write the batch in the transaction of the caller; in a dry run only the verdicts."""


def counted(rows: Sequence[UploadRow]) -> dict[str, Any]:
    """The counters of a batch as changes of the upload's row."""
    verdicts = Counter(str(row.verdict) for row in rows)
    changes = {f"rows_{verdict}": F(f"rows_{verdict}") + count for verdict, count in verdicts.items()}
    return changes | {"rows_done": F("rows_done") + len(rows)}


def upload_row(upload: Upload, row: Row, *, problems: Sequence[Problem] = (), **columns: Any) -> UploadRow:
    """An unsaved row of the report, with the problems found later beside those of the row itself."""
    return UploadRow(
        upload=upload,
        number=row.number,
        sku=row.sku,
        values=row.cells,
        problems=[*row.problems, *problems],
        **columns,
    )
