"""Reads of recognised items: a merchant's queue, and those of one job."""

from django.db.models import QuerySet

from catalog.models import Item, Job, Merchant


def item_list(*, merchant: Merchant) -> QuerySet[Item]:
    """The merchant's items with their photo and the product that was decided on."""
    return Item.objects.filter(merchant=merchant).select_related("photo", "product")


def job_items(*, job: Job) -> QuerySet[Item]:
    """What one recognition found."""
    return Item.objects.filter(job=job).select_related("photo", "product")
