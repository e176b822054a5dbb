"""The admin's front page: a few honest numbers, each counted when the page is opened and scoped like the lists."""

from typing import Any

from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from catalog.admin.look import UPLOAD_COLOURS, bar
from catalog.admin.quality_panels import quality_panels
from catalog.admin.scope import may_manage, may_see, merchants_managed, person_of, roles_of
from catalog.admin.uploads import with_photo_counts
from catalog.annotated import UploadWithFigures
from catalog.models import LedgerState, Photo, Product, Purpose, Upload
from catalog.selectors.queue import merchants_reviewed
from catalog.services.upload import UNFINISHED
from workers.client import Unavailable, live_workers, queue_lengths

UPLOADS_SHOWN = 5
QUEUE_NAMES = {
    "vitrine.search": "Searches",
    "vitrine.bulk": "Bulk chunks",
    "vitrine.shadow": "Shadow chunks",
    "vitrine.results": "Results to store",
    "vitrine.coordinator": "Coordinator",
}


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the numbers to the page's context; unfold calls it."""
    if not may_see(request):
        return context
    uploads = _scoped(request, Upload)
    panels = quality_panels(merchants=merchants_reviewed(person_of(request)), managed=merchants_managed(request))
    return context | {
        "title": "Today",
        "figures": _figures(request, uploads, panels["queue"]["total"]),
        "photo_states": _photo_states(request),
        "recent_uploads": [
            (each, UPLOAD_COLOURS[each.state], _progress(each))
            for each in with_photo_counts(uploads).select_related("merchant")[:UPLOADS_SHOWN]
        ],
        **panels,
        "may_upload": may_manage(request),
        **(_workers() if request.user.is_superuser else {}),
    }


def _progress(upload: UploadWithFigures) -> SafeString | None:
    """How many photos of an upload that is under way are through."""
    if upload.state not in UNFINISHED or not upload.photos_total:
        return None
    done, total = upload.photos_finished, upload.photos_total
    return bar(done / total, f"{done:,} of {total:,} photos")


def _scoped(request: HttpRequest, model: Any) -> QuerySet:
    rows = model.objects.all()
    return rows if request.user.is_superuser else rows.filter(merchant__in=list(roles_of(request)))


def _figures(request: HttpRequest, uploads: QuerySet[Upload], queued: int) -> list[dict[str, Any]]:
    """``queued``: what waits at the desk, the very number of the panel below."""
    products = _scoped(request, Product).filter(deleted_at=None)
    return [
        {"label": "Items to review", "number": queued, "address": reverse("admin:catalog_item_queue")},
        {
            "label": "Uploads in progress",
            "number": uploads.filter(state__in=UNFINISHED).count(),
            "address": reverse("admin:catalog_upload_changelist"),
        },
        {"label": "Products", "number": products.count(), "address": reverse("admin:catalog_product_changelist")},
    ]


def _photo_states(request: HttpRequest) -> dict[str, Any]:
    """Photos by ledger state, as parts of a bar and as numbers."""
    photos = _scoped(request, Photo).exclude(purpose=Purpose.FORGET)
    counted = dict(photos.order_by().values_list("state").annotate(Count("pk")))
    total = sum(counted.values())
    address = reverse("admin:catalog_photo_changelist")
    states = [
        {
            "state": state,
            "label": state.label,
            "number": counted.get(state, 0),
            "address": f"{address}?state__exact={state}",
        }
        for state in (LedgerState.DONE, LedgerState.DISPATCHED, LedgerState.PENDING, LedgerState.FAILED)
    ]
    return {"total": total, "states": states, "bar": _bar(states), "address": address}


def _bar(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The states as pieces of a bar 100 wide, one after the other."""
    total, start, pieces = sum(each["number"] for each in states), 0.0, []
    for each in states:
        if each["number"]:
            width = 100 * each["number"] / total
            pieces.append({"state": each["state"], "start": f"{start:.2f}", "width": f"{width:.2f}"})
            start += width
    return pieces


def _workers() -> dict[str, Any]:
    """Who is alive and what waits for them; shown to the operator only."""
    try:
        cards, lengths = live_workers(), queue_lengths()
    except Unavailable as error:
        return {"workers_shown": True, "broker_trouble": error.message}
    queues = [(QUEUE_NAMES.get(name, name), number) for name, number in lengths.items()]
    return {"workers_shown": True, "workers": cards, "queues": queues}
