"""Reads of jobs: a merchant's searches and recognitions, how far they are, and how long they still take."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, Min, QuerySet
from django.utils import timezone

from catalog.models import Job, JobKind, JobState, LedgerState, Merchant, Photo
from catalog.selectors import kept
from config.env import load_env

OWED = (JobState.PENDING, JobState.DISPATCHED)
RECENT = 50
RATE_WINDOW = timedelta(seconds=60)


@dataclass(frozen=True)
class QueuePlace:
    """Where an unfinished job stands: 1 is served next. The time until it is done is from recent work, or unknown.

    A search counts searches, a recognition the merchant's own photos: merchants are served in turn.
    """

    position: int
    eta_seconds: float | None


@dataclass(frozen=True)
class Progress:
    """How far a recognition is, in photos, and what was found so far, in items a verdict."""

    total: int
    states: dict[str, int]
    verdicts: dict[str, int]
    queue: QueuePlace | None

    @property
    def eta_seconds(self) -> float | None:
        """Until all photos are done; 0 when they are, ``None`` while nothing is known."""
        return self.queue.eta_seconds if self.queue else 0.0

    @property
    def finished(self) -> int:
        """Photos of which nothing more is to come."""
        return self.total - self.states[LedgerState.PENDING] - self.states[LedgerState.DISPATCHED]


def job_list(*, merchant: Merchant, kind: JobKind) -> QuerySet[Job]:
    """The merchant's jobs of one kind, those past their time included."""
    return Job.objects.filter(merchant=merchant, kind=kind)


def jobs_kept(*, jobs: QuerySet[Job]) -> QuerySet[Job]:
    """Of these, those whose results are still kept."""
    return kept.filtered(jobs, load_env().jobs_kept_days)


def is_kept(*, job: Job) -> bool:
    """Whether its results are still kept: it is not finished, or that is not long ago."""
    return kept.is_kept(job, load_env().jobs_kept_days)


def kept_since() -> datetime:
    """What finished before this is kept no longer."""
    return kept.since(load_env().jobs_kept_days)


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
    """Count a recognition's photos by state and its items by verdict. Five queries at most, however many photos."""
    counted = Photo.objects.filter(job=job).order_by().values_list("state").annotate(Count("pk"))
    states = dict.fromkeys(LedgerState.values, 0) | dict(counted)
    found = job.items.order_by().values_list("verdict").annotate(Count("pk"))
    owed = states[LedgerState.PENDING] + states[LedgerState.DISPATCHED]
    total = sum(states.values())
    return Progress(
        total=total,
        states=states,
        verdicts={"SURE": 0, "REVIEW": 0, "UNKNOWN": 0} | dict(found),
        queue=_recognition_place(job, owed) if owed and job.state in OWED else None,
    )


def failed_photos(*, job: Job, limit: int) -> list[Photo]:
    """The first photos of a recognition that failed, in the order they were sent."""
    return list(Photo.objects.filter(job=job, state=LedgerState.FAILED).order_by("position", "pk")[:limit])


def _recognition_place(job: Job, owed: int) -> QueuePlace:
    """How many photos of the merchant are served before this job's next one, and how long all of its own take.

    At the pace of the merchant's photos in the last minute, whoever asked for them. Unknown without any.
    """
    own = Photo.objects.filter(job=job, state=LedgerState.PENDING).aggregate(first=Min("queued_at"))["first"]
    merchants = Photo.objects.filter(merchant=job.merchant_id)
    now = timezone.now()
    recent = merchants.filter(finished_at__gte=now - RATE_WINDOW).aggregate(n=Count("pk"), since=Min("finished_at"))
    waiting = merchants.filter(state=LedgerState.PENDING, queued_at__lt=own or now) if own else merchants.none()
    ahead = waiting.count()
    seconds = max((now - recent["since"]).total_seconds(), 1.0) if recent["n"] else 0.0
    eta = round((ahead + owed) * seconds / recent["n"], 1) if recent["n"] else None
    return QueuePlace(position=ahead + 1, eta_seconds=eta)
