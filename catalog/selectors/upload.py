"""Reads of uploads: how far one is, its rows with their problems, and the bad rows as a file that can be sent again.

Read by the API, the admin and the terminal; none of it is scoped here, the caller has the merchant's upload in hand.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from catalog.models import LedgerState, Photo, RowVerdict, Upload, UploadRow, UploadState
from catalog.selectors import kept
from catalog.services.uploading.manifest import RESERVED
from config.env import load_env

RATE_WINDOW = timedelta(seconds=60)
BOM = "\ufeff"  # without it Excel takes UTF-8 for the local encoding
CHUNK_ROWS = 500

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


@dataclass(frozen=True)
class UploadProgress:
    """How far an upload is. ``percent`` is 0 to 100; rate and ETA are ``None`` while nothing is known."""

    state: str
    rows_total: int
    rows_done: int
    rows_created: int
    rows_updated: int
    rows_unchanged: int
    rows_refused: int
    photos_total: int
    photos_pending: int
    photos_dispatched: int
    photos_done: int
    photos_failed: int
    percent: float
    photos_per_second: float | None
    eta_seconds: float | None


def uploads_kept(*, uploads: QuerySet[Upload]) -> QuerySet[Upload]:
    """Of these, those whose rows are still kept."""
    return kept.filtered(uploads, load_env().uploads_kept_days)


def upload_is_kept(*, upload: Upload) -> bool:
    """Whether its rows are still kept: it is not finished, or that is not long ago."""
    return kept.is_kept(upload, load_env().uploads_kept_days)


def uploads_kept_since() -> datetime:
    """What finished before this is kept no longer."""
    return kept.since(load_env().uploads_kept_days)


def upload_progress(upload: Upload) -> UploadProgress:
    """Rows as the upload's row says, photos counted from the ledger: one query."""
    since = timezone.now() - RATE_WINDOW
    recent = Q(finished_at__gte=since, state__in=(LedgerState.DONE, LedgerState.FAILED))
    counts = Photo.objects.filter(upload=upload).aggregate(
        total=Count("pk"),
        pending=Count("pk", filter=Q(state=LedgerState.PENDING)),
        dispatched=Count("pk", filter=Q(state=LedgerState.DISPATCHED)),
        done=Count("pk", filter=Q(state=LedgerState.DONE)),
        failed=Count("pk", filter=Q(state=LedgerState.FAILED)),
        recent=Count("pk", filter=recent),
        recent_since=Min("finished_at", filter=recent),
    )
    owed = counts["pending"] + counts["dispatched"]
    rate = _rate(counts)
    return UploadProgress(
        state=upload.state,
        rows_total=upload.rows_total,
        rows_done=upload.rows_done,
        rows_created=upload.rows_created,
        rows_updated=upload.rows_updated,
        rows_unchanged=upload.rows_unchanged,
        rows_refused=upload.rows_refused,
        photos_total=counts["total"],
        photos_pending=counts["pending"],
        photos_dispatched=counts["dispatched"],
        photos_done=counts["done"],
        photos_failed=counts["failed"],
        percent=_percent(upload, counts["total"], counts["total"] - owed),
        photos_per_second=rate,
        eta_seconds=round(owed / rate, 1) if rate and owed and upload.state == UploadState.PROCESSING else None,
    )


def upload_place(upload: Upload) -> int | None:
    """Which one it is of those that wait to be read, 1 is next; ``None`` once its rows are read. One query."""
    if upload.state != UploadState.PENDING:
        return None
    return Upload.objects.filter(state=UploadState.PENDING, created_at__lt=upload.created_at).count() + 1


def _rate(counts: dict[str, Any]) -> float | None:
    if not counts["recent"]:
        return None
    seconds = (timezone.now() - counts["recent_since"]).total_seconds()
    return round(counts["recent"] / max(seconds, 1.0), 2)


def _percent(upload: Upload, photos: int, finished: int) -> float:
    """Rows and photos count alike; photos of rows not read yet are guessed from those that were."""
    if upload.state == UploadState.DONE:
        return 100.0
    if not upload.rows_total:
        return 0.0
    expected = photos * upload.rows_total / upload.rows_done if upload.rows_done else 0.0
    percent = 100 * (upload.rows_done + finished) / (upload.rows_total + expected)
    return round(min(percent, 99.9), 1)


def upload_rows(
    upload: Upload, verdict: RowVerdict | str | None = None, problems_only: bool = False
) -> QuerySet[UploadRow]:
    """The rows in the order of the manifest, all or those with a verdict or with problems."""
    rows = UploadRow.objects.filter(upload=upload).order_by("number")
    if verdict:
        rows = rows.filter(verdict=verdict)
    return rows.exclude(problems=[]) if problems_only else rows


def upload_problem_counts(upload: Upload) -> list[tuple[str, int, str]]:
    """Each problem's code, how often it occurs, and one example; the most frequent first."""
    counts: dict[str, int] = {}
    examples: dict[str, str] = {}
    rows = upload_rows(upload, problems_only=True).values_list("number", "problems")
    for number, problems in rows.iterator(chunk_size=CHUNK_ROWS):
        for each in problems:
            counts[each["code"]] = counts.get(each["code"], 0) + 1
            examples.setdefault(each["code"], f"row {number}: {each['message']}")
    return [(code, counts[code], examples[code]) for code in sorted(counts, key=lambda code: -counts[code])]


def upload_bad_rows_csv(upload: Upload) -> Iterator[str]:
    """Every row with a problem as CSV, piece by piece: the original columns and one that says what is wrong.

    Corrected, it can be uploaded again as it is: the problems' column is ignored then, and the apostrophe that keeps
    a spreadsheet from taking a cell for a formula is taken away.
    """
    columns = [name for name in upload.columns if name.strip().lower() != RESERVED]
    yield BOM + csv_line([*columns, RESERVED])
    rows = upload_rows(upload, problems_only=True).values_list("values", "problems")
    for values, problems in rows.iterator(chunk_size=CHUNK_ROWS):
        told = " ".join(f"{each['message']} [{each['code']}]" for each in problems)
        yield csv_line([*(values.get(name, "") for name in columns), told])


def csv_line(cells: Sequence[str]) -> str:
    """One line of CSV; an apostrophe keeps a spreadsheet from taking a cell for a formula."""
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if _FORMULA.match(cell) else cell for cell in cells])
    return out.getvalue()
