"""Reads of jobs: a merchant's searches and recognitions, how far they are, and how long they still take."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Avg, Count, QuerySet
from django.utils import timezone

from catalog.models import Job, JobKind, JobState, LedgerState, Merchant, Photo

OWED = (JobState.PENDING, JobState.DISPATCHED)
RECENT = 50


@dataclass(frozen=True)
class QueuePlace:
    """Where an unfinished search stands: 1 is served next. The time is from the recent searches, if there were any."""

    position: int
    eta_seconds: float | None


@dataclass(frozen=True)
class Progress:
    """How far a recognition is, in photos, and what was found so far, in items a verdict."""

    total: int
    states: dict[str, int]
    verdicts: dict[str, int]
    eta_seconds: float | None

    @property
    def finished(self) -> int:
        """Photos of which nothing more is to come."""
        return self.total - self.states[LedgerState.PENDING] - self.states[LedgerState.DISPATCHED]


def job_list(*, merchant: Merchant, kind: JobKind) -> QuerySet[Job]:
    """The merchant's jobs of one kind."""
    return Job.objects.filter(merchant=merchant, kind=kind)


def search_place(*, job: Job) -> QueuePlace | None:
    """Where a search stands in the queue, ``None`` when it is finished. Two small queries."""
    if job.state not in OWED:
        return None
    searches = Job.objects.filter(kind=JobKind.SEARCH)
    ahead = searches.filter(state__in=OWED, created_at__lt=job.created_at, deadline__gt=timezone.now()).count()
    recent = searches.filter(merchant=job.merchant_id, state=JobState.DONE).order_by("-created_at")[:RECENT]
    seconds = recent.aggregate(mean=Avg("seconds"))["mean"]
    return QueuePlace(position=ahead + 1, eta_seconds=None if seconds is None else round((ahead + 1) * seconds, 2))


def recognition_progress(*, job: Job) -> Progress:
    """Count a recognition's photos by state and its items by verdict. Two queries, however many photos."""
    counted = Photo.objects.filter(job=job).order_by().values_list("state").annotate(Count("pk"))
    states = dict.fromkeys(LedgerState.values, 0) | dict(counted)
    found = job.items.order_by().values_list("verdict").annotate(Count("pk"))
    owed = states[LedgerState.PENDING] + states[LedgerState.DISPATCHED]
    total = sum(states.values())
    return Progress(
        total=total,
        states=states,
        verdicts={"SURE": 0, "REVIEW": 0, "UNKNOWN": 0} | dict(found),
        eta_seconds=_time_left(job.created_at, owed=owed, finished=total - owed),
    )


def failed_photos(*, job: Job, limit: int) -> list[Photo]:
    """The first photos of a recognition that failed, in the order they were sent."""
    return list(Photo.objects.filter(job=job, state=LedgerState.FAILED).order_by("position", "pk")[:limit])


def _time_left(since: datetime, *, owed: int, finished: int) -> float | None:
    if not owed:
        return 0.0
    if not finished:
        return None
    return round((timezone.now() - since).total_seconds() / finished * owed, 1)
