"""What the search page says about a job: how far it is, what is in the way, and in the end the answer.

Comes after ``services.result`` stored what a worker found; before ``search`` sends it to the browser.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.models import Job, JobState
from catalog.selectors.job import OWED, search_place
from catalog.selectors.search import search_answer
from catalog.web.cards import Card, card_of
from catalog.web.facets import facets_shown
from catalog.web.troubles import Trouble, trouble_of
from workers.client import Unavailable, live_workers

GRACE = timedelta(seconds=3)  # an answer may still be on its way when the deadline passes
HEADLINES = {
    "SURE": _("Found it."),
    "REVIEW": _("It may be one of these."),
    "UNKNOWN": _("Nothing surely the same, but these come near."),
    "": _("This matches your words."),
    "like": _("Like your examples."),
}


@dataclass(frozen=True)
class Group:
    """Cards under a heading; of the first group that is the answer's own."""

    title: str
    cards: Sequence[Card]


def has_ended(job: Job) -> bool:
    """Whether nothing more is to come. A search past its deadline has ended, even if nobody has marked it yet."""
    return job.state not in OWED or bool(job.deadline and timezone.now() > job.deadline + GRACE)


def standing_of(job: Job) -> dict[str, Any]:
    """How far a search is, or its answer, as the page's script takes it."""
    return _answered(job) if has_ended(job) else _running(job)


def refusal_of(trouble: Trouble) -> dict[str, Any]:
    """A search that was not taken, in the same shape."""
    html = render_to_string("search/answer.html", {"trouble": trouble})
    said = f"{trouble.title} {trouble.message}"
    return {"ended": True, "code": trouble.code, "message": trouble.message, "said": said, "html": html}


def _running(job: Job) -> dict[str, Any]:
    place = search_place(job=job)
    return {
        "ended": False,
        "step": "searching" if job.state == JobState.DISPATCHED else "waiting",
        "ahead": place.position - 1 if place else 0,
        "notice": _notice(job),
    }


def _notice(job: Job) -> str:
    """What keeps a running search waiting, if anything does."""
    waited = timezone.now() - job.created_at
    if waited < timedelta(seconds=1):
        return ""
    try:
        workers = live_workers()
    except Unavailable:
        return gettext("The search service cannot be reached right now. Your search goes on as soon as it is back.")
    return "" if workers else gettext("The search workers are not running. Your search starts as soon as one is back.")


def _answered(job: Job) -> dict[str, Any]:
    if job.state != JobState.DONE:
        return refusal_of(_trouble(job))
    answer = search_answer(merchant=job.merchant, job=job)
    cards = [card_of(hit, calibrated=job.calibrated) for hit in answer.hits]
    found = ngettext("%(count)d product", "%(count)d products", answer.found) % {"count": answer.found}
    context = {
        "groups": _groups(job, cards),
        "found": found,
        "calibrated": job.calibrated,
        "with_photo": bool(job.key),
        "may_be_unlike": bool(job.key or job.request.get("like")),
        "may_be_explained": bool(job.key or job.request.get("words")),
        "filtered": any(job.request["filters"].get(name) not in (None, []) for name in ("price_min", "price_max"))
        or any(job.request["filters"].get(name) for name in ("categories", "brands", "in_stock", "attributes")),
        "seconds": _waited(job),
        "readings": job.request.get("read_as", ()),
    }
    headline = context["groups"][0].title if cards else gettext("Nothing found.")
    return {
        "ended": True,
        "html": render_to_string("search/answer.html", context),
        "said": f"{headline} {found}" if cards else headline,
        "facets": facets_shown(answer.facets),
        "box": job.box,
    }


def _groups(job: Job, cards: Sequence[Card]) -> list[Group]:
    """The same product apart from those that only resemble it, where the best comes first anyhow."""
    headline = str(HEADLINES["like" if job.request.get("like") else job.verdict])
    same = [card for card in cards if card.match == "same"]
    rest = [card for card in cards if card.match != "same"]
    if same and rest and job.request.get("sort", "relevance") == "relevance":
        return [Group(headline, same), Group(gettext("Similar products"), rest)]
    return [Group(headline, cards)] if cards else []


def _waited(job: Job) -> str:
    """The time from the shopper's request to the stored answer."""
    return f"{(job.finished_at - job.created_at).total_seconds():.1f}" if job.finished_at else ""


def _trouble(job: Job) -> Trouble:
    if job.state == JobState.FAILED:
        return trouble_of(job.error_code or "failed", job.error_message)
    return trouble_of("search_cancelled" if job.state == JobState.CANCELLED else "deadline_passed")
