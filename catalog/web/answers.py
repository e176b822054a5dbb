"""What the search page says about a job: how far it is, what is in the way, and in the end the answer.

Comes after ``services.result`` stored what a worker found; before ``search`` sends it to the browser.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from catalog.models import Job, JobState
from catalog.selectors.job import OWED
from catalog.selectors.search import search_answer
from catalog.web.cards import card_of
from workers.client import Unavailable, live_workers

GRACE = timedelta(seconds=3)  # an answer may still be on its way when the deadline passes
HEADLINES = {
    "SURE": "Found it.",
    "REVIEW": "It may be one of these.",
    "UNKNOWN": "Nothing surely the same, but these come near.",
    "": "This matches your words.",
}


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer: a title, a sentence for people, and the stable code for whoever helps them."""

    title: str
    message: str
    code: str


def has_ended(job: Job) -> bool:
    """Whether nothing more is to come. A search past its deadline has ended, even if nobody has marked it yet."""
    return job.state not in OWED or bool(job.deadline and timezone.now() > job.deadline + GRACE)


def step_of(job: Job) -> str:
    """The step that the page shows while the job runs."""
    return "searching" if job.state == JobState.DISPATCHED else "waiting"


def notice_of(job: Job) -> str:
    """What keeps a running search waiting, if anything does."""
    waited = timezone.now() - job.created_at
    if waited < timedelta(seconds=1):
        return ""
    try:
        workers = live_workers()
    except Unavailable:
        return "The search service cannot be reached right now. Your search goes on as soon as it is back."
    return "" if workers else "The search workers are not running. Your search starts as soon as one is back."


def answer_context(job: Job) -> dict[str, Any]:
    """What the answer's template needs, for a search that has ended."""
    if job.state != JobState.DONE:
        return {"trouble": _trouble(job)}
    hits = search_answer(merchant=job.merchant, job=job).hits
    filters = job.request.get("filters") or {}
    return {
        "cards": [card_of(hit, calibrated=job.calibrated) for hit in hits],
        "headline": HEADLINES[job.verdict if job.verdict in HEADLINES else ""],
        "calibrated": job.calibrated,
        "with_photo": bool(job.key),
        "filtered": any(value not in (None, [], "") for name, value in filters.items() if name != "currency"),
        "seconds": _waited(job),
    }


def _waited(job: Job) -> str:
    """The time from the shopper's request to the stored answer."""
    return f"{(job.finished_at - job.created_at).total_seconds():.1f}" if job.finished_at else ""


def _trouble(job: Job) -> Trouble:
    if job.state == JobState.FAILED:
        return Trouble("This search failed.", job.error_message or "Please try again.", job.error_code or "failed")
    if job.state == JobState.CANCELLED:
        return Trouble("This search was cancelled.", "Search again whenever you like.", "search_cancelled")
    message = "No search worker was free in time. Please try again in a moment."
    return Trouble("That took too long.", message, job.error_code or "deadline_passed")
