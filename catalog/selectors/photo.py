"""Reads of photos: a merchant's, without those that the index is being asked to forget."""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Max, QuerySet

from catalog.models import LedgerState, Merchant, Photo, Product, Purpose


def photo_list(*, merchant: Merchant) -> QuerySet[Photo]:
    """The merchant's photos, indexed ones and recognised ones."""
    return Photo.objects.filter(merchant=merchant).exclude(purpose=Purpose.FORGET)


def product_photos(*, product: Product) -> QuerySet[Photo]:
    """A product's photos."""
    return Photo.objects.filter(product=product).exclude(purpose=Purpose.FORGET)


def example_photos(*, merchant_id: UUID, product_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The main indexed photo of each of these living products of the merchant, by product. One query."""
    shown = Photo.objects.filter(
        merchant_id=merchant_id,
        product__in=product_ids,
        product__deleted_at=None,
        purpose=Purpose.INDEX,
        state=LedgerState.DONE,
    )
    ordered = shown.order_by("-position", "-created_at", "-pk").values_list("product", "pk")
    return {product_id: photo_id for product_id, photo_id in ordered if product_id}


def next_position(*, product: Product) -> int:
    """Where another photo of this product goes: after the last one."""
    last = Photo.objects.filter(product=product).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1
