"""Merchants in the admin: who they are, who acts for them, how much they have."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import ModelForm
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from catalog.admin.scope import MerchantScoped
from catalog.annotated import MerchantWithFigures
from catalog.models import Item, ItemState, Membership, Merchant, Photo, Product
from catalog.services.thresholds import merchant_thresholds_follow


def _number_of(rows: QuerySet) -> Coalesce:
    """How many rows a merchant has, counted beside it: no join, so the merchants themselves are not multiplied."""
    counted = rows.filter(merchant=OuterRef("pk")).order_by().values("merchant").annotate(total=Count("pk"))
    return Coalesce(Subquery(counted.values("total")), 0)


class MembershipInline(MerchantScoped, TabularInline):
    """The people of a merchant. Only a superuser makes accounts; a manager lets existing people in."""

    model = Membership
    extra = 0
    hide_title = True
    fields = ["user", "role"]
    autocomplete_fields = ["user"]
    merchant_path = "pk"  # an inline is asked about the row above it: the merchant itself

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        """The admin of the merchant has scoped it already."""
        return Membership.objects.select_related("user", "merchant")


@admin.register(Merchant)
class MerchantAdmin(MerchantScoped, ModelAdmin):
    """Shops. Only a superuser opens one; its managers rename it, open it to search, say which precision they want."""

    merchant_path = "pk"
    list_display = ["name", "slug", "product_count", "photo_count", "open_count", "public"]
    search_fields = ["name", "slug"]
    fields = ["name", "slug", "public_search", "wanted_precision"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Merchant]:
        """Merchants with their numbers."""
        rows = super().get_queryset(request)
        return rows.annotate(
            products_total=_number_of(Product.objects.filter(deleted_at=None)),
            photos_total=_number_of(Photo.objects.all()),
            items_open=_number_of(Item.objects.filter(state=ItemState.OPEN)),
        )

    def save_model(self, request: HttpRequest, obj: Merchant, form: ModelForm, change: bool) -> None:
        """Another wanted precision holds at once."""
        super().save_model(request, obj, form, change)
        if "wanted_precision" in form.changed_data:
            merchant_thresholds_follow(merchant=obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A new shop is the operator's decision."""
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only an empty shop may go: the index would keep the photos of a full one."""
        return request.user.is_superuser and not (isinstance(obj, Merchant) and obj.photos.exists())

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """No deleting in bulk."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}

    def get_prepopulated_fields(self, request: HttpRequest, obj: Model | None = None) -> dict[str, Any]:
        """A slug is proposed for a new shop and never changed by itself afterwards."""
        return {} if obj else self.prepopulated_fields

    @display(description="Products", ordering="products_total")
    def product_count(self, merchant: MerchantWithFigures) -> int:
        """Living products."""
        return merchant.products_total

    @display(description="Photos", ordering="photos_total")
    def photo_count(self, merchant: MerchantWithFigures) -> int:
        """Photos in every state."""
        return merchant.photos_total

    @display(description="Open items", ordering="items_open")
    def open_count(self, merchant: MerchantWithFigures) -> int:
        """Items that wait for a reviewer."""
        return merchant.items_open

    @display(description="Public search", boolean=True, ordering="public_search")
    def public(self, merchant: Merchant) -> bool:
        """Whether anyone may search it on the search page."""
        return merchant.public_search
