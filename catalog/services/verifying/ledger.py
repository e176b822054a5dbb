"""Checks of SQL against itself: every photo and job terminal or live, every end noticed, every counter right.

The first checks of ``services.verify``. What a running coordinator is about to heal is no finding: leases and
deadlines count as missed only some rounds of reconciling later.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from catalog.models import (
    UNFINISHED,
    Item,
    Job,
    JobKind,
    JobState,
    LedgerState,
    Photo,
    Purpose,
    RowVerdict,
    Upload,
    UploadState,
)
from catalog.selectors.upload import uploads_kept
from catalog.services.verifying.findings import BATCH, Batches, Finding
from config.env import load_env

OWED = (LedgerState.PENDING, LedgerState.DISPATCHED)
ROUNDS = 3  # of reconciling, until what should have been healed counts as forgotten
SLACK = timedelta(seconds=10)


def ledger_check() -> Batches:
    """All checks of this module, a list of findings at a time."""
    due = timezone.now() - timedelta(seconds=ROUNDS * load_env().reconcile_seconds) - SLACK
    yield from _found("lease_stale", _leases(due))
    yield from _found("photo_unexplained", _unexplained())
    yield from _found("photo_without_item", _without_item())
    yield from _found("search_overdue", _overdue(due))
    yield from _found("job_endless", _endless_jobs(due))
    yield from _found("upload_endless", _endless_uploads(due))
    yield from _found("upload_miscounted", _miscounted())


def _found(code: str, rows: QuerySet[Any]) -> Batches:
    ids: Iterator[Any] = rows.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=BATCH)
    while batch := [Finding(code, str(pk)) for pk in islice(ids, BATCH)]:
        yield batch


def _leases(due: datetime) -> QuerySet[Photo]:
    return Photo.objects.filter(Q(lease_until=None) | Q(lease_until__lt=due), state=LedgerState.DISPATCHED)


def _unexplained() -> QuerySet[Photo]:
    done = Q(state=LedgerState.DONE) & (Q(bundle_version="") | Q(finished_at=None))
    failed = Q(state=LedgerState.FAILED) & (Q(error_code="") | Q(finished_at=None))
    return Photo.objects.filter(done | failed)


def _without_item() -> QuerySet[Photo]:
    """A photo that is searched for many things may hold none; every other one has an item."""
    recognised = Photo.objects.filter(purpose=Purpose.RECOGNISE, state=LedgerState.DONE)
    many = Job.objects.filter(pk=OuterRef("job"), request__items="many")
    return recognised.filter(~Exists(Item.objects.filter(photo=OuterRef("pk"))), ~Exists(many))


def _overdue(due: datetime) -> QuerySet[Job]:
    return Job.objects.filter(kind=JobKind.SEARCH, state__in=OWED, deadline__lt=due)


def _endless_jobs(due: datetime) -> QuerySet[Job]:
    """None of its photos was finished or became owed lately: else its end is just being noticed."""
    photos = Photo.objects.filter(job=OuterRef("pk"))
    reading = Upload.objects.filter(job=OuterRef("pk"), state__in=(UploadState.PENDING, UploadState.IMPORTING))
    jobs = Job.objects.filter(kind=JobKind.RECOGNITION, state__in=OWED, created_at__lt=due)
    return jobs.filter(~Exists(reading), ~Exists(_busy(photos, due)))


def _endless_uploads(due: datetime) -> QuerySet[Upload]:
    photos = Photo.objects.filter(upload=OuterRef("pk"))
    uploads = Upload.objects.filter(state=UploadState.PROCESSING, created_at__lt=due)
    return uploads.filter(~Exists(_busy(photos, due)))


def _busy(photos: QuerySet[Photo], due: datetime) -> QuerySet[Photo]:
    return photos.filter(Q(state__in=OWED) | Q(finished_at__gte=due))


def _miscounted() -> QuerySet[Upload]:
    """Rows and counters are written in one transaction, so they agree at every moment; one statement reads both.

    Until an upload is forgotten: then its rows go, and the counters stay.
    """
    counted: dict[str, Any] = {"all_rows": Count("rows")}
    wrong = ~Q(rows_done=F("all_rows"))
    for verdict in RowVerdict.values:
        counted[f"all_{verdict}"] = Count("rows", filter=Q(rows__verdict=verdict))
        wrong |= ~Q(**{f"rows_{verdict}": F(f"all_{verdict}")})
    read = (UploadState.PROCESSING, UploadState.DONE)
    return (
        uploads_kept(uploads=Upload.objects.all())
        .annotate(**counted)
        .filter(wrong | Q(state__in=read) & ~Q(rows_total=F("rows_done")))
    )


def owed_count() -> dict[str, int]:
    """What is still to be done, by a live line: no finding, but the answer is not the last one either."""
    photos = Photo.objects.filter(state__in=OWED).order_by().values_list("state").annotate(n=Count("pk"))
    states = dict(photos)
    return {
        "photos_pending": states.get(LedgerState.PENDING, 0),
        "photos_dispatched": states.get(LedgerState.DISPATCHED, 0),
        "jobs": Job.objects.filter(state__in=(JobState.PENDING, JobState.DISPATCHED)).count(),
        "uploads": Upload.objects.filter(state__in=UNFINISHED).count(),
    }


def checked_count() -> dict[str, int]:
    """How many rows the checks look at, and how the photos ended."""
    states: Iterable[tuple[str, int]] = Photo.objects.order_by().values_list("state").annotate(n=Count("pk"))
    ended = dict(states)
    return {
        "photos": sum(ended.values()),
        "photos_done": ended.get(LedgerState.DONE, 0),
        "photos_failed": ended.get(LedgerState.FAILED, 0),
        "jobs": Job.objects.count(),
        "uploads": Upload.objects.count(),
    }
