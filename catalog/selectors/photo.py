"""Reads of photos: a merchant's, without those that the index is being asked to forget."""

from django.db.models import Max, QuerySet

from catalog.models import Merchant, Photo, Product, Purpose


def photo_list(*, merchant: Merchant) -> QuerySet[Photo]:
    """The merchant's photos, indexed ones and recognised ones."""
    return Photo.objects.filter(merchant=merchant).exclude(purpose=Purpose.FORGET)


def product_photos(*, product: Product) -> QuerySet[Photo]:
    """A product's photos."""
    return Photo.objects.filter(product=product).exclude(purpose=Purpose.FORGET)


def next_position(*, product: Product) -> int:
    """Where another photo of this product goes: after the last one."""
    last = Photo.objects.filter(product=product).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1
