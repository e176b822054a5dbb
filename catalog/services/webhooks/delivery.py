"""Deliveries: taken under a lease, sent once, the try written into the log, and owed again later when it failed.

Comes after ``events`` wrote them; called by ``sender`` in the coordinator. A delivery may be sent twice (a sender that
was killed after sending has told nobody), always with the same ``webhook-id``; it is never lost, whatever dies.
"""

import logging
import random
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from catalog.models import (
    DeliveryState,
    DisabledReason,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from catalog.services.outbound import Answer, OutboundError, fetch
from catalog.services.webhooks.endpoint import (
    endpoint_disable,
    endpoint_lock,
    endpoint_require_enabled,
    endpoint_secrets,
)
from catalog.services.webhooks.events import deliver_soon
from catalog.services.webhooks.signature import signed_headers
from config.env import load_env

log = logging.getLogger(__name__)

# Seconds from a failed try to the next one: the schedule that Standard Webhooks proposes, three days in all.
SCHEDULE = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.1  # each wait is up to so much shorter or longer
RETRY_AFTER_LIMIT = 86_400
DISABLE_AFTER = timedelta(days=3)
KEPT_FOR = timedelta(days=30)
SWEEP_ROWS = 1_000
AT_ONCE = 4  # of one endpoint
AT_ONCE_FAILING = 1  # of one that failed last: it may well take all the time that it is given
AT_ONCE_MERCHANT = 8
LEASES = 4  # timeouts: what a sender needs at most, a slow name server included
RESPONSE_BYTES = 4_096  # read of an answer
RESPONSE_SHOWN = 500  # characters of it that are kept
GONE = 410
SENDING_BUG = "internal_error"
HTTP_ERROR = "http_error"


@dataclass(frozen=True)
class Lease:
    """The right to send one delivery, until then."""

    delivery_id: UUID
    until: datetime


@dataclass(frozen=True)
class Try:
    """What came of one sending."""

    at: datetime
    seconds: float
    status: int | None = None
    error_code: str = ""
    error_message: str = ""
    response: str = ""
    retry_after: float = 0.0


def delivery_lease_next() -> Lease | None:
    """Take the delivery that waits longest of the endpoint whose turn it is; ``None`` when nothing may be sent now.

    Endpoints take turns, and each has only a few under way, so a slow one holds up nobody but itself.
    """
    if not _endpoints_due(timezone.now()).exists():
        return None
    with transaction.atomic():
        now = timezone.now()
        turn = _endpoints_due(now).order_by(F("served_at").asc(nulls_first=True), "pk").first()
        if turn is None:
            return None
        list(WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=turn.pk))
        skip_locked = connection.features.has_select_for_update_skip_locked
        due = _due(now).filter(endpoint=turn).select_for_update(skip_locked=skip_locked)
        delivery = due.order_by("next_at", "pk").first()
        if delivery is None:
            return None
        lease = Lease(delivery.pk, now + timedelta(seconds=LEASES * load_env().webhook_timeout_seconds))
        WebhookDelivery.objects.filter(pk=delivery.pk).update(lease_until=lease.until)
        WebhookEndpoint.objects.filter(pk=turn.pk).update(served_at=now)
    return lease


def deliveries_wait() -> bool:
    """Whether something may be sent this moment."""
    return _endpoints_due(timezone.now()).exists()


def _due(now: datetime) -> QuerySet[WebhookDelivery]:
    """Owed now, and in nobody's hands."""
    free = Q(lease_until=None) | Q(lease_until__lte=now)
    return WebhookDelivery.objects.filter(free, state=DeliveryState.PENDING, next_at__lte=now)


def _endpoints_due(now: datetime) -> QuerySet[WebhookEndpoint]:
    """Enabled endpoints that are owed something now, and of which, or of whose merchant, not too much is under way."""
    under_way = WebhookDelivery.objects.filter(
        merchant=OuterRef("merchant"), state=DeliveryState.PENDING, lease_until__gt=now
    )
    room = Q(at_once__lt=AT_ONCE_FAILING) | Q(at_once__lt=AT_ONCE, failing_since=None)
    return (
        WebhookEndpoint.objects.filter(Exists(_due(now).filter(endpoint=OuterRef("pk"))), disabled_at=None)
        .annotate(at_once=_number_of(under_way.filter(endpoint=OuterRef("pk"))), of_merchant=_number_of(under_way))
        .filter(room, of_merchant__lt=AT_ONCE_MERCHANT)
    )


def _number_of(deliveries: QuerySet[WebhookDelivery]) -> Coalesce:
    """How many there are, counted beside each endpoint."""
    counted = deliveries.order_by().values("merchant").annotate(total=Count("pk"))
    return Coalesce(Subquery(counted.values("total")), 0)


def delivery_send(*, lease: Lease) -> None:
    """Send it and write down what came of it. No transaction is open while the endpoint is asked."""
    delivery = WebhookDelivery.objects.select_related("event", "endpoint").filter(pk=lease.delivery_id).first()
    if delivery is not None and delivery.state == DeliveryState.PENDING:
        _store(lease, delivery, _try(delivery))


def _try(delivery: WebhookDelivery) -> Try:
    at, began = timezone.now(), time.monotonic()
    body = delivery.event.body.encode()
    headers = signed_headers(
        keys=endpoint_secrets(delivery.endpoint, at),
        message_id=str(delivery.event_id),
        timestamp=int(at.timestamp()),
        body=body,
    ) | {"Content-Type": "application/json", "User-Agent": "Vitrine-Webhooks/1"}
    try:
        seconds = load_env().webhook_timeout_seconds
        answer = fetch(
            "POST", delivery.endpoint.url, headers=headers, body=body, seconds=seconds, max_bytes=RESPONSE_BYTES
        )
    except OutboundError as error:
        return Try(at, time.monotonic() - began, error_code=error.code, error_message=error.message[:300])
    except Exception:
        log.exception("delivery %s could not be sent", delivery.pk)
        sentence = "It could not be sent. It is our fault."
        return Try(at, time.monotonic() - began, error_code=SENDING_BUG, error_message=sentence)
    return _answered(answer, at, time.monotonic() - began)


def _answered(answer: Answer, at: datetime, seconds: float) -> Try:
    is_good = 200 <= answer.status < 300
    wait = answer.headers.get("retry-after", "")
    return Try(
        at,
        seconds,
        status=answer.status,
        error_code="" if is_good else HTTP_ERROR,
        error_message="" if is_good else f"It answered {answer.status}; only 200 to 299 means taken.",
        response=answer.body.decode("utf-8", "replace").replace("\0", "\ufffd")[:RESPONSE_SHOWN],
        retry_after=min(int(wait), RETRY_AFTER_LIMIT) if wait.isascii() and wait.isdigit() and len(wait) < 10 else 0.0,
    )


@transaction.atomic
def _store(lease: Lease, sent: WebhookDelivery, outcome: Try) -> None:
    """The try goes into the log in any case; it changes the delivery only while that is still owed.

    A sender whose lease ran out meanwhile does not count as a failure of the one that holds it now.
    """
    endpoint = WebhookEndpoint.objects.select_for_update(no_key=True).filter(pk=sent.endpoint_id).first()
    delivery = WebhookDelivery.objects.select_for_update(no_key=True).filter(pk=sent.pk).first()
    if endpoint is None or delivery is None:  # deleted meanwhile
        return
    now = timezone.now()
    delivery.attempts += 1
    _log(delivery, outcome)
    if not outcome.error_code:
        _delivered(delivery, endpoint, outcome, now)
    elif delivery.state == DeliveryState.PENDING and delivery.lease_until == lease.until:
        _failed(delivery, endpoint, outcome, now)
    delivery.save(
        update_fields=["attempts", "tries", "state", "next_at", "lease_until", "status", "error_code", "delivered_at"]
    )
    _judge_endpoint(endpoint, delivery, outcome, now)


def _log(delivery: WebhookDelivery, outcome: Try) -> None:
    WebhookAttempt.objects.create(
        delivery=delivery,
        number=delivery.attempts,
        at=outcome.at,
        seconds=round(outcome.seconds, 4),
        status=outcome.status,
        error_code=outcome.error_code,
        error_message=outcome.error_message,
        response=outcome.response,
    )


def _delivered(delivery: WebhookDelivery, endpoint: WebhookEndpoint, outcome: Try, now: datetime) -> None:
    delivery.state, delivery.delivered_at = DeliveryState.DELIVERED, now
    delivery.next_at = delivery.lease_until = None
    delivery.status, delivery.error_code = outcome.status, ""
    if endpoint.failing_since:
        endpoint.failing_since = None
        endpoint.save(update_fields=["failing_since"])


def _failed(delivery: WebhookDelivery, endpoint: WebhookEndpoint, outcome: Try, now: datetime) -> None:
    delivery.tries += 1
    delivery.lease_until = None
    delivery.status, delivery.error_code = outcome.status, outcome.error_code
    if delivery.tries > len(SCHEDULE):
        delivery.state, delivery.next_at = DeliveryState.FAILED, None
    else:
        delivery.next_at = now + timedelta(seconds=_wait(delivery.tries, outcome))
    if endpoint.failing_since is None:
        endpoint.failing_since = now
        endpoint.save(update_fields=["failing_since"])


def _wait(tries: int, outcome: Try) -> float:
    planned = SCHEDULE[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)  # so that an outage does not end in a crowd
    return max(planned, outcome.retry_after)


def _judge_endpoint(endpoint: WebhookEndpoint, delivery: WebhookDelivery, outcome: Try, now: datetime) -> None:
    """Nothing more is sent to one that says so, nor to one that used up a whole schedule and took nothing for days."""
    if not endpoint.enabled:
        return
    since = endpoint.failing_since
    if outcome.status == GONE:
        reason = DisabledReason.GONE
    elif delivery.state == DeliveryState.FAILED and since and now - since >= DISABLE_AFTER:
        reason = DisabledReason.FAILING
    else:
        return
    endpoint_disable(endpoint=endpoint, reason=reason, now=now)
    log.warning("webhook endpoint %s is disabled: %s", endpoint.pk, reason.label)


@transaction.atomic
def delivery_replay(*, delivery: WebhookDelivery) -> WebhookDelivery:
    """Owe it now, with the same ``webhook-id`` and the whole schedule before it, whatever became of it before.

    Raises ``Refused``: webhook_endpoint_disabled (409), not_found (404) when it was deleted meanwhile.
    """
    endpoint_require_enabled(endpoint_lock(delivery.endpoint))
    now = timezone.now()
    WebhookDelivery.objects.filter(pk=delivery.pk).update(state=DeliveryState.PENDING, next_at=now, tries=0)
    delivery.state, delivery.next_at, delivery.tries = DeliveryState.PENDING, now, 0
    transaction.on_commit(deliver_soon)
    return delivery


def webhooks_sweep(*, now: datetime) -> int:
    """Forget events that are old and owed to nobody, and secrets whose overlap is over. Returns how many events."""
    WebhookEndpoint.objects.filter(old_secret_until__lte=now).update(old_secret="", old_secret_until=None)
    owed = WebhookDelivery.objects.filter(event=OuterRef("pk"), state=DeliveryState.PENDING)
    old = WebhookEvent.objects.filter(~Exists(owed), created_at__lt=now - KEPT_FOR)
    some = list(old.order_by("created_at").values_list("pk", flat=True)[:SWEEP_ROWS])
    WebhookEvent.objects.filter(pk__in=some).delete()
    return len(some)
