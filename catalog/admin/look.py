"""How rows look in the admin's lists: thumbnails, states, verdicts, probabilities, bars."""

from typing import Any
from uuid import UUID

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from catalog.models import DecisionAction, ItemState, LedgerState, UploadState, Verdict
from catalog.web.cards import percent
from catalog.web.photos import job_photo_address, photo_address

# The colours of unfold's labels.
STATE_COLOURS: dict[str, str] = {
    LedgerState.PENDING: "info",
    LedgerState.DISPATCHED: "primary",
    LedgerState.DONE: "success",
    LedgerState.FAILED: "danger",
    LedgerState.CANCELLED: "warning",
    LedgerState.EXPIRED: "warning",
}
UPLOAD_COLOURS: dict[str, str] = {
    UploadState.PENDING: "info",
    UploadState.IMPORTING: "primary",
    UploadState.PROCESSING: "primary",
    UploadState.DONE: "success",
    UploadState.FAILED: "danger",
    UploadState.CANCELLED: "warning",
}
ITEM_COLOURS: dict[str, str] = {
    ItemState.OPEN: "warning",
    ItemState.AUTO: "info",
    ItemState.ACCEPTED: "success",
    ItemState.CORRECTED: "success",
    ItemState.REJECTED: "danger",
    ItemState.UNKNOWN: "warning",
    ItemState.SPLIT: "info",
}
ACTION_COLOURS: dict[str, str] = {
    DecisionAction.ACCEPT: "success",
    DecisionAction.CORRECT: "info",
    DecisionAction.REJECT: "danger",
    DecisionAction.UNKNOWN: "warning",
    DecisionAction.NEW_PRODUCT: "info",
    DecisionAction.SPLIT: "info",
    DecisionAction.UNDO: "warning",
}
VERDICT_COLOURS: dict[str, str] = {Verdict.SURE: "success", Verdict.REVIEW: "warning", Verdict.UNKNOWN: "danger"}


def thumbnail(photo_id: UUID | None, label: str = "") -> SafeString:
    """A small photo on a light plate; an empty plate where there is none."""
    if photo_id is None:
        return format_html('<span class="v-thumb v-thumb-none" title="{}"></span>', "No photo")
    return _picture(photo_address(photo_id, size="thumb"), label)


def job_thumbnail(job_id: UUID, key: str) -> SafeString:
    """The photo that a search was asked with; an empty plate for a search by words."""
    if not key:
        return format_html('<span class="v-thumb v-thumb-none" title="{}"></span>', "Words only")
    return _picture(job_photo_address(job_id, size="thumb"), "Photo of the search")


def _picture(address: str, label: str) -> SafeString:
    return format_html(
        '<img class="v-thumb" src="{}" alt="{}" width="44" height="44" loading="lazy">', address, label or "Photo"
    )


def probability_text(probability: float | None, *, calibrated: bool) -> str:
    """What the number is, never only the number."""
    if probability is None:
        return "–"
    return f"{percent(probability)} calibrated" if calibrated else f"{probability:.2f} not calibrated"


class Dated:
    """For a ``ModelAdmin``: when a row was created, short enough for a column."""

    @display(description="Created (UTC)", ordering="created_at")
    def created(self, obj: Any) -> str:
        """Day and minute."""
        return format_html('<span class="v-when">{}</span>', obj.created_at.strftime("%Y-%m-%d %H:%M"))


def label(text: str, colour: str) -> SafeString:
    """One of unfold's labels, where its own ``@display(label=…)`` is not asked (in inlines)."""
    return render_to_string("unfold/helpers/label.html", {"type": colour, "text": text})


def bar(part: float, text: str) -> SafeString:
    """A progress bar with its words beside it; ``part`` is 0 to 1."""
    return format_html(
        '<span class="v-bar"><progress max="100" value="{}" aria-label="{}"></progress><span>{}</span></span>',
        round(part * 100),
        text,
        text,
    )


def counted(done: int, owed: int, failed: int) -> SafeString:
    """The states of a product's photos in one cell."""
    if not done + owed + failed:
        return format_html('<span class="v-soft">{}</span>', "none")
    parts = [
        format_html('<span class="v-count" data-state="{}">{} {}</span>', state, number, word)
        for state, number, word in (
            ("done", done, "indexed"),
            ("pending", owed, "waiting"),
            ("failed", failed, "failed"),
        )
        if number
    ]
    return SafeString(" ".join(parts))
