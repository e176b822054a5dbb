"""Reads of recognised items: a merchant's queue, and those of one job."""

from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from catalog.models import Item, Job, Merchant


def item_list(*, merchant: Merchant) -> QuerySet[Item]:
    """The merchant's items with their photo and the product that was decided on."""
    return Item.objects.filter(merchant=merchant).select_related("photo", "product")


def job_items(*, job: Job) -> QuerySet[Item]:
    """What one recognition found."""
    return Item.objects.filter(job=job).select_related("photo", "product")


def job_items_after(*, job: Job, created_at: datetime | None, item_id: UUID | None) -> QuerySet[Item]:
    """What it found after this item (from the start without one), in the order in which it was committed."""
    items = job_items(job=job).order_by("created_at", "id")
    if created_at is None:
        return items
    return items.filter(later_than(created_at, item_id))


def later_than(created_at: datetime, item_id: UUID | None) -> Q:
    """The rows behind this one in the order of creation."""
    return Q(created_at__gt=created_at) | Q(created_at=created_at, pk__gt=item_id)
