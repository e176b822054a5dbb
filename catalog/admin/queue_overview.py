"""The overview of the review queue: by merchant, by reviewer, assigning, taking decisions home.

Opened from the sidebar and the desk.
"""

from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST, require_safe

from catalog.admin.queue_form import filters_of
from catalog.admin.refusals import refusal_text
from catalog.admin.scope import may_manage, may_see, merchants_managed, person_of
from catalog.api.views.decision_export import decisions_streamed
from catalog.models import Lane, Merchant, Verdict
from catalog.selectors.decision_files import FILES
from catalog.selectors.queue import merchants_reviewed, queue_for
from catalog.selectors.queue_figures import queue_choices, reviewer_rows, shop_rows
from catalog.services.errors import Refused
from catalog.services.reviewing.claims import items_assign

MOST_ASSIGNED = 10_000


class QueueOverview:
    """Members see it; managers also assign."""

    def __init__(self, site: admin.AdminSite) -> None:
        self._site = site

    def urls(self) -> list[URLPattern]:
        """All of them below ``queue/``."""
        view = self._site.admin_view
        return [
            path("queue/", view(self.page), name="catalog_item_queue"),
            path("queue/assign/", view(self.assign), name="catalog_item_assign"),
            path("queue/<uuid:merchant_id>/decisions.<str:kind>", view(self.decisions), name="catalog_item_decisions"),
        ]

    @method_decorator(require_safe)
    def page(self, request: HttpRequest) -> HttpResponse:
        """What waits in each shop, and who has decided how much."""
        if not may_see(request):
            raise PermissionDenied
        merchants = merchants_reviewed(person_of(request))
        managed = merchants_managed(request)
        reviewers = reviewer_rows(merchants=merchants)
        context: dict[str, Any] = {
            **self._site.each_context(request),
            "title": "Review queue",
            "shops": shop_rows(merchants=merchants),
            "reviewers": reviewers,
            "lanes": Lane.choices,
            "verdicts": Verdict.choices,
            "managed": managed,
            "files": list(FILES),
            "choices": queue_choices(reviewer=person_of(request)) if may_manage(request) else None,
        }
        return render(request, "admin/catalog/item/queue.html", context)

    @method_decorator(require_POST)
    def assign(self, request: HttpRequest) -> HttpResponse:
        """Give the first items of one shop's queue to a person, or to nobody."""
        merchant = get_object_or_404(merchants_managed(request), slug=request.POST.get("merchant", ""))
        say = partial(messages.success, request)
        try:
            count = self._assign(request, merchant)
            say(f"{count} item{'' if count == 1 else 's'} assigned.")
        except Refused as error:
            messages.error(request, refusal_text(error))
        return HttpResponseRedirect(reverse("admin:catalog_item_queue"))

    @method_decorator(require_safe)
    def decisions(self, request: HttpRequest, merchant_id: UUID, kind: str) -> HttpResponseBase:
        """Every decision of one shop that stands, for its managers."""
        merchant = get_object_or_404(merchants_managed(request), pk=merchant_id)
        return decisions_streamed(request, merchant, kind)

    def _assign(self, request: HttpRequest, merchant: Merchant) -> int:
        wanted, name = request.POST.get("count", ""), request.POST.get("reviewer", "")
        if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted) <= MOST_ASSIGNED:
            raise Refused("count_invalid", f"Say how many items, from 1 to {MOST_ASSIGNED}.")
        reviewer = User.objects.filter(username=name).first()
        if name and reviewer is None:
            raise Refused("reviewer_not_member", "There is no such person.")
        filters = replace(filters_of(request.POST), whose="free" if reviewer else "taken")
        items = queue_for(reviewer=person_of(request), filters=filters)
        return items_assign(items=items, merchant_id=merchant.pk, reviewer=reviewer, count=int(wanted))
