"""Jobs in the admin, to be looked at: what was asked, how far it is, what came out."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from catalog.admin.explanations import explanation_panel
from catalog.admin.look import STATE_COLOURS, VERDICT_COLOURS, Dated, job_thumbnail
from catalog.admin.scope import MerchantFilter, MerchantScoped
from catalog.annotated import JobWithFigures
from catalog.models import Item, Job, JobKind
from catalog.selectors.explanation import search_comparison
from catalog.selectors.job import recognition_progress
from catalog.selectors.search import search_answer
from catalog.web.cards import card_of
from catalog.web.photos import job_photo_address, photo_address

ITEMS_SHOWN = 200


@admin.register(Job)
class JobAdmin(MerchantScoped, Dated, ModelAdmin):
    """Searches and recognitions; services write them, nobody edits them."""

    read_only = True
    list_display = ["picture", "what", "merchant", "state_label", "verdict_label", "found", "took", "created"]
    list_display_links = ["picture", "what"]
    list_filter = [
        ("kind", ChoicesDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("merchant", MerchantFilter),
    ]
    list_select_related = ["merchant"]
    search_fields = ["id", "error_code"]
    show_full_result_count = False
    change_form_template = "admin/catalog/job/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        """With the number of items; long traces stay in the table."""
        items = Item.objects.filter(job=OuterRef("pk")).order_by().values("job").annotate(total=Count("pk"))
        rows = super().get_queryset(request).defer("error_trace")
        return rows.annotate(items_total=Coalesce(Subquery(items.values("total")), 0))

    def get_urls(self) -> list[URLPattern]:
        """One more: why a search found a product."""
        explanation = path(
            "<uuid:job_id>/explanation/<uuid:product_id>/",
            self.admin_site.admin_view(self.explanation_view),
            name="catalog_job_explanation",
        )
        return [explanation, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The job's page: its question, and its answer as cards (a search) or as a list of items (a recognition)."""
        job = self.get_object(request, object_id)
        if job is not None and self.has_view_permission(request, job):
            extra_context = (
                (extra_context or {}) | _page(job) | (_search(job) if _is_search(job) else _recognition(job))
            )
        return super().change_view(request, object_id, form_url, extra_context)

    @method_decorator(require_safe)
    def explanation_view(self, request: HttpRequest, job_id: UUID, product_id: UUID) -> HttpResponse:
        """Why a search found this product: the fragment above the cards."""
        searches = self.get_queryset(request).filter(kind=JobKind.SEARCH).select_related("merchant")
        job = get_object_or_404(searches, pk=job_id)
        return explanation_panel(request, lambda: search_comparison(job=job, product_id=product_id))

    @display(description="")
    def picture(self, job: Job) -> str:
        """The photo of a search."""
        return job_thumbnail(job.pk, job.key)

    @display(description="Job")
    def what(self, job: Job) -> str:
        """Its kind, with the words of a search."""
        words = job.request.get("words", "")
        return f"{job.get_kind_display()}: “{words[:60]}”" if words else str(job)

    @display(description="State", label=STATE_COLOURS)
    def state_label(self, job: Job) -> tuple[str, str]:
        """Ledger state."""
        return job.state, job.get_state_display()

    @display(description="Verdict", label=VERDICT_COLOURS)
    def verdict_label(self, job: Job) -> str:
        """The machine's judgement of a search by photo."""
        return job.verdict

    @display(description="Found")
    def found(self, job: JobWithFigures) -> str:
        """How much came out."""
        number, word = (len(job.candidates), "candidate") if _is_search(job) else (job.items_total, "item")
        return f"{number} {word}{'' if number == 1 else 's'}"

    @display(description="Time", ordering="seconds")
    def took(self, job: Job) -> str:
        """Time on the worker."""
        return "–" if job.seconds is None else f"{job.seconds * 1000:,.0f} ms"


def _is_search(job: Job) -> bool:
    return job.kind == JobKind.SEARCH


def _page(job: Job) -> dict[str, Any]:
    return {
        "job": job,
        "title": job.get_kind_display(),
        "subtitle": None,
        "state_colour": STATE_COLOURS.get(job.state, ""),
        "verdict_colour": VERDICT_COLOURS.get(job.verdict, ""),
    }


def _search(job: Job) -> dict[str, Any]:
    answer = search_answer(merchant=job.merchant, job=job)
    filters = job.request.get("filters") or {}
    return {
        "photo": job_photo_address(job.pk, size="medium") if job.key else "",
        "words": job.request.get("words", ""),
        "filters": [
            (name.replace("_", " "), _shown(value)) for name, value in filters.items() if value not in (None, [])
        ],
        "cards": [card_of(hit, calibrated=job.calibrated) for hit in answer.hits],
        "gone": len(job.candidates) - answer.living,
    }


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _recognition(job: Job) -> dict[str, Any]:
    items = Item.objects.filter(job=job).select_related("photo", "product", "best_product").order_by("photo__position")
    shown = list(items[:ITEMS_SHOWN])
    return {
        "progress": recognition_progress(job=job),
        "items": [(item, photo_address(item.photo_id, size="thumb") if item.photo_id else "") for item in shown],
        "items_shown": ITEMS_SHOWN,
    }
