"""Products in the admin: found, read, changed, with their photos and what the ledger says about them."""

from typing import Any, cast

from django.contrib import admin
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import BooleanRadioFilter, FieldTextFilter
from unfold.decorators import display

from catalog.admin.forms import ProductForm
from catalog.admin.look import STATE_COLOURS, counted, label, thumbnail
from catalog.admin.refusals import RefusalsAsMessages
from catalog.admin.scope import MerchantFilter, MerchantScoped
from catalog.annotated import ProductWithPhotos
from catalog.models import LedgerState, Photo, PhotoOrigin, Product, Purpose
from catalog.selectors.job import OWED
from catalog.services.photo import photo_add
from catalog.services.product import product_create, product_delete, product_update
from catalog.services.product_values import FIELDS
from catalog.web.money import format_price


class PhotoInline(MerchantScoped, TabularInline):
    """A product's photos with their ledger state; they are added by the form's own field."""

    model = Photo
    read_only = True
    extra = 0
    per_page = 20
    hide_title = True
    readonly_fields = ["picture", "file", "size", "state_label", "problem"]
    fields = [*readonly_fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Photo]:
        """Without those on their way out."""
        return Photo.objects.exclude(purpose=Purpose.FORGET).order_by("position", "created_at")

    @display(description="Photo")
    def picture(self, photo: Photo) -> str:
        """Thumbnail."""
        return thumbnail(photo.pk, photo.name)

    @display(description="File")
    def file(self, photo: Photo) -> str:
        """Name, leading to the photo's page."""
        address = reverse("admin:catalog_photo_change", args=[photo.pk])
        return format_html('<a class="v-link" href="{}">{}</a>', address, photo.name or "photo")

    @display(description="Size")
    def size(self, photo: Photo) -> str:
        """Pixels."""
        return f"{photo.width} × {photo.height}" if photo.width else "–"

    @display(description="State")
    def state_label(self, photo: Photo) -> str:
        """Ledger state."""
        return label(photo.get_state_display(), STATE_COLOURS[photo.state])

    @display(description="Problem")
    def problem(self, photo: Photo) -> str:
        """Why it failed, or why it had to be tried again."""
        return f"{photo.error_message} ({photo.error_code})" if photo.error_code else "–"


@admin.register(Product)
class ProductAdmin(RefusalsAsMessages, MerchantScoped, ModelAdmin):
    """The catalogue."""

    form = ProductForm
    list_display = ["picture", "title", "sku", "brand", "category", "price_text", "stock", "photo_states", "merchant"]
    list_display_links = ["picture", "title"]
    list_filter = [
        ("merchant", MerchantFilter),
        ("category", FieldTextFilter),
        ("brand", FieldTextFilter),
        ("in_stock", BooleanRadioFilter),
    ]
    list_filter_submit = True
    list_select_related = ["merchant"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["title", "sku", "variant_group", "brand", "category"]
    inlines = [PhotoInline]
    fieldsets = [
        (None, {"fields": ["merchant", ("sku", "brand"), "title", "category", "variant_group", "description"]}),
        ("Offer", {"fields": [("price", "currency"), "in_stock", "attributes"]}),
        ("New photos", {"fields": ["new_photos"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """Living products with what the list needs of their photos: one more query, however many rows."""
        photos = Photo.objects.exclude(purpose=Purpose.FORGET).order_by("position", "created_at")
        photos = photos.only("pk", "product_id", "state", "position", "created_at")
        rows = super().get_queryset(request).filter(deleted_at=None)
        return rows.prefetch_related(Prefetch("photos", photos, to_attr="photos_shown"))

    def save_model(self, request: HttpRequest, obj: Product, form: ProductForm, change: bool) -> None:
        """Save through the services: they owe the photos again when the index must know."""
        values = {name: form.cleaned_data[name] for name in FIELDS if name in form.cleaned_data}
        if change:
            product_update(product=obj, values={name: values[name] for name in form.changed_data if name in values})
        else:
            obj.__dict__.update(product_create(merchant=obj.merchant, values=values).__dict__)
        first = obj.photos.count()
        for number, (name, data) in enumerate(form.cleaned_data.get("new_photos") or []):
            photo_add(
                merchant=obj.merchant,
                product=obj,
                data=data,
                name=name,
                origin=PhotoOrigin.UPLOAD,
                position=first + number,
                retry=True,
            )

    def delete_model(self, request: HttpRequest, obj: Product) -> None:
        """Hidden at once, gone when the index has forgotten it."""
        product_delete(product=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """The same for each chosen one."""
        for product in queryset:
            product_delete(product=product)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set, list]:
        """What the confirmation page names: the products; what hangs on them goes by the service's own rules."""
        products = list(objs)
        denied = {"product"} if any(not self.has_delete_permission(request, each) for each in products) else set()
        return [str(each) for each in products], {"products and all their photos": len(products)}, denied, []

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Tells the form whose product it is, before anything is checked."""
        form = cast(type[ProductForm], super().get_form(request, obj, change=change, **kwargs))
        form.held = obj if isinstance(obj, Product) else None
        return form

    @display(description="")
    def picture(self, product: ProductWithPhotos) -> str:
        """The main photo."""
        photos = product.photos_shown
        return thumbnail(photos[0].pk if photos else None, product.title)

    @display(description="Price", ordering="price")
    def price_text(self, product: Product) -> str:
        """With its currency."""
        return format_price(product.price, product.currency) or "–"

    @display(description="In stock", boolean=True, ordering="in_stock")
    def stock(self, product: Product) -> bool:
        """Whether it can be bought."""
        return product.in_stock

    @display(description="Photos")
    def photo_states(self, product: ProductWithPhotos) -> str:
        """How many are indexed, wait, or failed."""
        states = [photo.state for photo in product.photos_shown]
        owed = sum(states.count(state) for state in OWED)
        return counted(states.count(LedgerState.DONE), owed, states.count(LedgerState.FAILED))
