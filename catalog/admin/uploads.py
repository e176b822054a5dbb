"""Bulk uploads in the admin: hand one in, watch it, read every row's verdict, take the bad rows back as a CSV.

The page streams the file to ``services.upload``; the coordinator imports it; this module only shows how far it is.
"""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from catalog.admin.forms import UploadForm
from catalog.admin.look import UPLOAD_COLOURS, Dated, bar
from catalog.admin.refusals import refusal_text
from catalog.admin.scope import MerchantFilter, MerchantScoped, may_manage, merchants_managed
from catalog.annotated import UploadWithFigures
from catalog.models import Photo, RowVerdict, Upload, UploadState
from catalog.selectors.job import OWED
from catalog.selectors.upload import upload_bad_rows_csv, upload_problem_counts, upload_progress, upload_rows
from catalog.services.errors import Refused
from catalog.services.upload import UNFINISHED, upload_cancel, upload_create
from workers.client import Unavailable

ROWS_A_PAGE = 50
PROBLEMS_SHOWN = 20
VERDICT_COLOURS: dict[str, str] = {
    RowVerdict.CREATED: "success",
    RowVerdict.UPDATED: "info",
    RowVerdict.UNCHANGED: "",
    RowVerdict.REFUSED: "danger",
}


def with_photo_counts(uploads: QuerySet[Upload]) -> QuerySet[UploadWithFigures]:
    """Adds ``photos_total`` and ``photos_finished``, counted beside each upload."""
    counted = Photo.objects.filter(upload=OuterRef("pk")).order_by().values("upload")
    total = counted.annotate(total=Count("pk")).values("total")
    finished = counted.annotate(total=Count("pk", filter=~Q(state__in=OWED))).values("total")
    return uploads.annotate(photos_total=Coalesce(Subquery(total), 0), photos_finished=Coalesce(Subquery(finished), 0))


@admin.register(Upload)
class UploadAdmin(MerchantScoped, Dated, ModelAdmin):
    """Bulk uploads."""

    list_display = ["name", "merchant", "state_label", "progress", "rows_label", "by", "created"]
    list_filter = [
        ("state", ChoicesCheckboxFilter),
        ("kind", ChoicesCheckboxFilter),
        ("merchant", MerchantFilter),
    ]
    list_filter_submit = True
    show_add_link = False
    list_select_related = ["merchant"]
    show_full_result_count = False
    search_fields = ["name"]
    list_before_template = "admin/catalog/upload/head.html"
    change_form_template = "admin/catalog/upload/page.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Upload]:
        """With the counts of their photos."""
        return with_photo_counts(super().get_queryset(request))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """An upload is what it was."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Its rows tell where products came from."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """The parts of an upload's page."""
        parts = [
            path(f"<uuid:upload_id>/{name}/", self.admin_site.admin_view(view), name=f"catalog_upload_{name}")
            for name, view in (
                ("progress", self.progress_view),
                ("bad-rows", self.bad_rows_view),
                ("cancel", self.cancel_view),
            )
        ]
        return [*parts, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page to hand an upload in. The script of the page asks for JSON, a browser without it gets pages."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None, merchants=merchants_managed(request))
        if request.method == "POST" and form.is_valid():
            try:
                upload = self._create(request, form)
                return _go(request, reverse("admin:catalog_upload_change", args=[upload.pk]))
            except (Refused, Unavailable) as error:
                form.add_error(None, refusal_text(error))
        if request.method == "POST" and _wants_json(request):
            return JsonResponse({"problems": [each for errors in form.errors.values() for each in errors]}, status=422)
        context = {
            **self.admin_site.each_context(request),
            "title": "Upload photos",
            "opts": self.opts,
            "form": form,
        }
        return TemplateResponse(request, "admin/catalog/upload/new.html", context)

    def _create(self, request: HttpRequest, form: UploadForm) -> Upload:
        file = form.cleaned_data["file"]
        upload = upload_create(
            merchant=form.cleaned_data["merchant"],
            name=file.name,
            stream=file,
            dry_run=form.cleaned_data["dry_run"],
            created_by=request.user.get_username(),
        )
        self.log_addition(request, upload, "Uploaded")
        return upload

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """How far it is, and its rows."""
        upload = self.get_object(request, object_id)
        if upload is not None and self.has_view_permission(request, upload):
            extra_context = (extra_context or {}) | self._page(request, upload)
        return super().change_view(request, object_id, form_url, extra_context)

    def _page(self, request: HttpRequest, upload: Upload) -> dict[str, Any]:
        only_bad = request.GET.get("rows") != "all"
        rows = upload_rows(upload, problems_only=only_bad)
        page = Paginator(rows, ROWS_A_PAGE).get_page(request.GET.get("page"))
        return {
            "title": upload.name,
            "subtitle": None,
            "rows": [(row, VERDICT_COLOURS[row.verdict]) for row in page],
            "page": page,
            "only_bad": only_bad,
            "problem_counts": upload_problem_counts(upload)[:PROBLEMS_SHOWN],
            **self._progress(request, upload),
        }

    def _progress(self, request: HttpRequest, upload: Upload) -> dict[str, Any]:
        return {
            "upload": upload,
            "progress": upload_progress(upload),
            "running": upload.state in UNFINISHED,
            "may_cancel": upload.state in UNFINISHED and may_manage(request, upload.merchant_id),
            "state_colour": UPLOAD_COLOURS[upload.state],
        }

    @method_decorator(require_safe)
    def progress_view(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        """The fragment that asks for itself again while the upload runs."""
        upload = self._upload(request, upload_id)
        context = self._progress(request, upload)
        response = render(request, "admin/catalog/upload/progress.html", context)
        if not context["running"]:
            response.headers["HX-Refresh"] = "true"  # the rows below are complete now
        return response

    @method_decorator(require_safe)
    def bad_rows_view(self, request: HttpRequest, upload_id: UUID) -> StreamingHttpResponse:
        """The rows with problems, to be fixed and uploaded again."""
        upload = self._upload(request, upload_id)
        response = StreamingHttpResponse(upload_bad_rows_csv(upload), content_type="text/csv; charset=utf-8")
        name = f"{slugify(upload.name.rpartition('.')[0]) or 'upload'}-bad-rows.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    @method_decorator(require_POST)
    def cancel_view(self, request: HttpRequest, upload_id: UUID) -> HttpResponse:
        """Read no more rows."""
        upload = self._upload(request, upload_id)
        if not may_manage(request, upload.merchant_id):
            raise PermissionDenied
        try:
            upload_cancel(upload=upload)
            messages.success(request, "Cancelled. What was imported so far stays.")
        except Refused as error:
            messages.error(request, refusal_text(error))
        return HttpResponseRedirect(reverse("admin:catalog_upload_change", args=[upload.pk]))

    def _upload(self, request: HttpRequest, upload_id: UUID) -> Upload:
        return get_object_or_404(self.get_queryset(request).select_related("merchant"), pk=upload_id)

    @display(description="State", label=UPLOAD_COLOURS, ordering="state")
    def state_label(self, upload: Upload) -> tuple[str, str]:
        """Where it stands."""
        return upload.state, upload.get_state_display()

    @display(description="Progress")
    def progress(self, upload: UploadWithFigures) -> str:
        """Rows while it is imported, photos while the workers have them."""
        if upload.state in (UploadState.PENDING, UploadState.IMPORTING):
            return bar(
                upload.rows_done / (upload.rows_total or 1), f"{upload.rows_done:,} of {upload.rows_total:,} rows"
            )
        finished, total = upload.photos_finished, upload.photos_total
        return bar(finished / total, f"{finished:,} of {total:,} photos") if total else "–"

    @display(description="Rows")
    def rows_label(self, upload: Upload) -> str:
        """What became of them."""
        refused = f", {upload.rows_refused:,} refused" if upload.rows_refused else ""
        return f"{upload.rows_done:,}{refused}{' (dry run)' if upload.dry_run else ''}"

    @display(description="By", ordering="created_by")
    def by(self, upload: Upload) -> str:
        """Who handed it in."""
        return upload.created_by or "–"


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def _go(request: HttpRequest, address: str) -> HttpResponse:
    return JsonResponse({"address": address}, status=201) if _wants_json(request) else HttpResponseRedirect(address)
