"""Endpoints: registered, changed, paused, enabled again, deleted; secrets made, shown once and rotated.

Comes after a merchant asked in the API or the admin; before ``events``, which writes for those that listen.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from catalog.models import (
    DeliveryState,
    DisabledReason,
    EventType,
    Merchant,
    WebhookDelivery,
    WebhookEndpoint,
)
from catalog.services.errors import Refused
from catalog.services.outbound import OutboundError, url_check
from catalog.services.webhooks.events import event_test
from catalog.services.webhooks.signature import secret_new

ENDPOINTS_LIMIT = 16  # of one merchant: each of them may keep a sender waiting
OVERLAP = timedelta(days=1)
OVERLAP_LIMIT = timedelta(days=7)
ENDPOINT_DISABLED = "endpoint_disabled"


def endpoint_create(
    *, merchant: Merchant, url: str, events: Sequence[str], description: str = ""
) -> tuple[WebhookEndpoint, str]:
    """Register an address. The secret is returned here, and never again.

    Raises ``Refused``: invalid (422, with the fields), webhook_endpoints_too_many (409).
    """
    _check(url=url, events=events)
    with transaction.atomic():
        Merchant.objects.select_for_update(no_key=True).get(pk=merchant.pk)
        if WebhookEndpoint.objects.filter(merchant=merchant).count() >= ENDPOINTS_LIMIT:
            sentence = f"A merchant has at most {ENDPOINTS_LIMIT} endpoints. Delete one, or change one."
            raise Refused("webhook_endpoints_too_many", sentence, status=409)
        endpoint = WebhookEndpoint.objects.create(
            merchant=merchant, url=url, events=_ordered(events), description=description, secret=secret_new()
        )
    return endpoint, endpoint.secret


@transaction.atomic
def endpoint_update(*, endpoint: WebhookEndpoint, values: dict[str, Any]) -> WebhookEndpoint:
    """Change ``url``, ``events``, ``description`` or ``enabled``; what is left out stays.

    Raises as ``endpoint_create``. Pausing gives up what is still owed to it, and that can be replayed; enabling forgets
    that it failed.
    """
    _check(**{name: values[name] for name in ("url", "events") if name in values})
    endpoint = endpoint_lock(endpoint)
    for name in {"url", "description"} & values.keys():
        setattr(endpoint, name, values[name])
    if "events" in values:
        endpoint.events = _ordered(values["events"])
    endpoint.save(update_fields=["url", "description", "events"])
    enabled = values.get("enabled", endpoint.enabled)
    if enabled and not endpoint.enabled:
        _enable(endpoint)
    elif endpoint.enabled and not enabled:
        endpoint_disable(endpoint=endpoint, reason=DisabledReason.PAUSED, now=timezone.now())
    return endpoint


@transaction.atomic
def endpoint_secret_rotate(*, endpoint: WebhookEndpoint, overlap: timedelta = OVERLAP) -> str:
    """Make a new secret and return it, this once. The one before signs too for as long as ``overlap``."""
    endpoint = endpoint_lock(endpoint)
    endpoint.old_secret = endpoint.secret if overlap else ""
    endpoint.old_secret_until = timezone.now() + overlap if overlap else None
    endpoint.secret = secret_new()
    endpoint.save(update_fields=["secret", "old_secret", "old_secret_until"])
    return endpoint.secret


def endpoint_test(*, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Owe it a test event. Raises ``Refused("webhook_endpoint_disabled")`` (409)."""
    with transaction.atomic():
        endpoint_require_enabled(endpoint_lock(endpoint))
        return event_test(endpoint=endpoint)


@transaction.atomic
def endpoint_delete(*, endpoint: WebhookEndpoint) -> None:
    """Gone with its deliveries and their log; what is being sent this moment still arrives."""
    endpoint_lock(endpoint).delete()


def endpoint_lock(endpoint: WebhookEndpoint) -> WebhookEndpoint:
    """The row as it is now, locked: everybody locks an endpoint before its deliveries.

    Raises ``Refused("not_found")`` (404) when it was deleted meanwhile.
    """
    locked = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=endpoint.pk).first()
    if locked is None:
        raise Refused("not_found", "This endpoint was deleted.", status=404)
    return locked


def endpoint_require_enabled(endpoint: WebhookEndpoint) -> None:
    """Raises ``Refused("webhook_endpoint_disabled")`` (409)."""
    if not endpoint.enabled:
        raise Refused("webhook_endpoint_disabled", "This endpoint is disabled. Enable it first.", status=409)


def endpoint_disable(*, endpoint: WebhookEndpoint, reason: DisabledReason, now: datetime) -> None:
    """Send nothing more to a locked endpoint; what is still owed to it is given up, and can be replayed."""
    endpoint.disabled_at, endpoint.disabled_reason = now, reason
    endpoint.save(update_fields=["disabled_at", "disabled_reason"])
    WebhookDelivery.objects.filter(endpoint=endpoint, state=DeliveryState.PENDING).update(
        state=DeliveryState.FAILED, next_at=None, lease_until=None, error_code=ENDPOINT_DISABLED
    )


def endpoint_secrets(endpoint: WebhookEndpoint, now: datetime) -> list[str]:
    """What signs now: the secret, and the one before while they overlap."""
    overlaps = endpoint.old_secret and endpoint.old_secret_until and endpoint.old_secret_until > now
    return [endpoint.secret, endpoint.old_secret] if overlaps else [endpoint.secret]


def _enable(endpoint: WebhookEndpoint) -> None:
    endpoint.disabled_at, endpoint.disabled_reason, endpoint.failing_since = None, "", None
    endpoint.save(update_fields=["disabled_at", "disabled_reason", "failing_since"])


def _check(*, url: str | None = None, events: Sequence[str] | None = None) -> None:
    problems = []
    if url is not None:
        try:
            url_check(url)
        except OutboundError as error:
            problems.append({"field": "url", "code": error.code, "message": error.message})
    if events is not None and (not events or not set(events) <= set(EventType.values)):
        known = ", ".join(EventType.values)
        problems.append({"field": "events", "code": "events_invalid", "message": f"Choose at least one of {known}."})
    if problems:
        raise Refused("invalid", "Some values are not valid; nothing was changed.", problems=problems)


def _ordered(events: Sequence[str]) -> list[str]:
    """Each once, in the order of the types."""
    return [kind for kind in EventType.values if kind in events]
