"""Many products in one request: JSON lines judged and written in batches, while the caller waits for the verdicts.

Comes after the API has the whole body in a file; before ``photo`` and the dispatcher. The rules, and the few
statements a batch, are those of a bulk upload (``uploading.changes``); more than fits here becomes an upload.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import IO
from uuid import UUID

from django.db import IntegrityError, transaction

from catalog.models import Merchant, RowVerdict
from catalog.services.problems import Problem, problem
from catalog.services.uploading.changes import Changes, Judgement
from catalog.services.uploading.lines import line_rows
from catalog.services.uploading.manifest import Row

# What a web process answers in a second or two, far below any proxy's patience, and a list of results that may be kept
# for an Idempotency-Key: as many bytes as any JSON body of the API may have.
AT_ONCE_BYTES = 1_000_000
AT_ONCE_LINES = 1_000

BATCH = 200
WRITE_TRIES = 3  # another request may create the very sku that a batch creates; judged anew, it is an update
BLOCK = 1 << 16


@dataclass(frozen=True)
class LineResult:
    """What became of one line. ``number`` counts from 1; ``product_id`` is ``None`` for a refused line."""

    number: int
    sku: str
    verdict: RowVerdict
    product_id: UUID | None
    problems: list[Problem] = field(default_factory=list)


def bulk_fits(*, file: IO[bytes], size: int) -> bool:
    """Whether this many bytes of JSON lines are few enough to be written while the caller waits."""
    if size > AT_ONCE_BYTES:
        return False
    file.seek(0)
    lines = sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK), b""))
    return lines <= AT_ONCE_LINES


def products_bulk(*, merchant: Merchant, file: IO[bytes]) -> list[LineResult]:
    """Create or change a product a line; a bad line never holds up the others, and the same lines change nothing twice.

    Codes are those of ``uploading.lines`` and ``product_values``, sku_duplicate for a sku that an earlier line has, and
    images_not_taken, which refuses nothing: here is no archive that photos could come from.
    """
    rows = line_rows(file)
    first: dict[str, int] = {}
    results: list[LineResult] = []
    while batch := list(islice(rows, BATCH)):
        _refuse_repeated(batch, first)
        results += _write(merchant, batch)
    return results


def _refuse_repeated(rows: Sequence[Row], first: dict[str, int]) -> None:
    for row in rows:
        if row.sku and first.setdefault(row.sku, row.number) != row.number:
            sentence = f"Line {first[row.sku]} has the same sku; only one line for each sku is taken."
            row.problems.insert(0, problem("sku_duplicate", sentence, field="sku"))
            row.refused = True


def _write(merchant: Merchant, rows: Sequence[Row]) -> Iterator[LineResult]:
    for row in rows:
        if row.images is not None:
            sentence = "Photos are not taken from lines; add them under the product, or upload them with the lines."
            row.problems.append(problem("images_not_taken", sentence, field="images"))
        row.images = None
    for _ in range(WRITE_TRIES - 1):
        with suppress(IntegrityError):
            return map(_result, rows, _written(merchant, rows))
    return map(_result, rows, _written(merchant, rows))


@transaction.atomic
def _written(merchant: Merchant, rows: Sequence[Row]) -> list[Judgement]:
    changes = Changes(merchant.pk, rows, upload=None)
    judged = [changes.judge(row, {}) for row in rows]
    changes.write_products()
    changes.write_photos({})
    return judged


def _result(row: Row, judged: Judgement) -> LineResult:
    product_id = judged.product.pk if judged.product else None
    return LineResult(row.number, row.sku, judged.verdict, product_id, [*row.problems, *judged.problems])
