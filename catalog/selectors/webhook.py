"""Reads of webhooks: a merchant's endpoints, and what was delivered to them."""

from django.db.models import QuerySet

from catalog.models import Merchant, WebhookDelivery, WebhookEndpoint


def endpoint_list(*, merchant: Merchant) -> QuerySet[WebhookEndpoint]:
    """The merchant's endpoints."""
    return WebhookEndpoint.objects.filter(merchant=merchant)


def delivery_list(*, merchant: Merchant) -> QuerySet[WebhookDelivery]:
    """The merchant's deliveries with their events."""
    return WebhookDelivery.objects.filter(merchant=merchant).select_related("event")
