"""Photos in the admin: thumbnails by state, the trace of what went wrong, another try for those that failed."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AllValuesCheckboxFilter, ChoicesCheckboxFilter
from unfold.decorators import display

from catalog.admin.look import STATE_COLOURS, Dated, thumbnail
from catalog.admin.refusals import RefusalsAsMessages
from catalog.admin.scope import MerchantFilter, MerchantScoped, may_manage, merchants_managed
from catalog.models import LedgerState, Photo, Purpose
from catalog.services.photo import photo_remove, photos_retry
from catalog.web.photos import photo_address


@admin.register(Photo)
class PhotoAdmin(RefusalsAsMessages, MerchantScoped, Dated, ModelAdmin):
    """Every photo with its ledger row. Photos come by uploads, products and the API."""

    list_display = ["picture", "file", "product", "merchant", "purpose", "state_label", "problem", "created"]
    list_display_links = ["picture", "file"]
    list_filter = [
        ("state", ChoicesCheckboxFilter),
        ("purpose", ChoicesCheckboxFilter),
        ("error_code", AllValuesCheckboxFilter),
        ("merchant", MerchantFilter),
    ]
    list_filter_submit = True
    list_select_related = ["merchant", "product"]
    list_per_page = 50
    show_full_result_count = False
    ordering = ["-created_at"]
    search_fields = ["name", "product__sku", "product__title", "sha256"]
    actions = ["retry"]
    change_form_outer_before_template = "admin/catalog/photo/before.html"
    fieldsets = [
        (None, {"fields": [("product", "merchant"), ("purpose", "origin"), "position"]}),
        ("Ledger", {"fields": [("state", "attempts"), ("queued_at", "finished_at"), "bundle_version"]}),
        ("What went wrong", {"fields": ["error_code", "error_message", "error_trace"]}),
        ("File", {"fields": ["name", ("content_type", "bytes"), ("width", "height"), "sha256", "upload", "job"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Photo]:
        """The list leaves long traces in the table."""
        return super().get_queryset(request).defer("error_trace")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """They are added at their product, or by an upload."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The ledger is written by services alone."""
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Managers."""
        return may_manage(request)

    def get_urls(self) -> list[URLPattern]:
        """One more: the button on the photo's page."""
        retry = path("<uuid:photo_id>/retry/", self.admin_site.admin_view(self.retry_view), name="catalog_photo_retry")
        return [retry, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The photo itself comes first."""
        photo = self.get_object(request, object_id)
        if photo is not None:
            extra_context = (extra_context or {}) | {
                "large": photo_address(photo.pk, size="medium"),
                "full": photo_address(photo.pk),
                "may_retry": photo.state == LedgerState.FAILED and may_manage(request, photo.merchant_id),
            }
        return super().change_view(request, object_id, form_url, extra_context)

    def retry_view(self, request: HttpRequest, photo_id: Any) -> HttpResponse:
        """Another try for one photo."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        photo = get_object_or_404(self.get_queryset(request), pk=photo_id, merchant__in=merchants_managed(request))
        photos_retry(photos=Photo.objects.filter(pk=photo.pk))
        messages.success(request, "The photo is owed to the workers again.")
        return HttpResponseRedirect(reverse("admin:catalog_photo_change", args=[photo.pk]))

    @admin.action(description="Try failed photos again", permissions=["retry"])
    def retry(self, request: HttpRequest, photos: QuerySet[Photo]) -> None:
        """Another try for the chosen ones."""
        chosen = photos.filter(merchant__in=merchants_managed(request)).values("pk")
        count = photos_retry(photos=Photo.objects.filter(pk__in=chosen))
        messages.success(request, f"{count} failed photo{'' if count == 1 else 's'} owed to the workers again.")

    def delete_model(self, request: HttpRequest, obj: Photo) -> None:
        """Gone when the index has forgotten it."""
        photo_remove(photo=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Photo]) -> None:
        """The same for each chosen one."""
        for photo in queryset:
            photo_remove(photo=photo)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set, list]:
        """What the confirmation page names: the photos."""
        photos = list(objs)
        denied = {"photo"} if any(not self.has_delete_permission(request, each) for each in photos) else set()
        return [str(each) for each in photos], {"photos": len(photos)}, denied, []

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers; not one that is on its way out already."""
        leaving = isinstance(obj, Photo) and obj.purpose == Purpose.FORGET
        return not leaving and may_manage(request, self.merchant_id_of(obj))

    @display(description="")
    def picture(self, photo: Photo) -> str:
        """Thumbnail."""
        return thumbnail(photo.pk, photo.name)

    @display(description="File", ordering="name")
    def file(self, photo: Photo) -> str:
        """Name as the merchant sent it."""
        return photo.name or str(photo.pk)[:8]

    @display(description="State", label=STATE_COLOURS, ordering="state")
    def state_label(self, photo: Photo) -> tuple[str, str]:
        """Ledger state."""
        return photo.state, photo.get_state_display()

    @display(description="Problem", ordering="error_code")
    def problem(self, photo: Photo) -> str:
        """Stable code of what went wrong."""
        return photo.error_code or "–"
