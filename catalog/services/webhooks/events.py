"""The outbox: what happened is written in the transaction in which it happens, with a delivery for each listener.

Called by the services that end an upload or a job or decide on an item, inside their transaction and only where they
have just made the change; before ``delivery``. Where nobody listens nothing is written. Events are thin: what changed
and where to read the rest, so that they do not grow old while they wait.
"""

import json
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from catalog.models import (
    TEST_EVENT,
    Decision,
    EventType,
    Job,
    JobKind,
    Upload,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from catalog.services.enqueue import DELIVER_WEBHOOKS, wake
from config.env import load_env

JOB_ADDRESSES = {JobKind.SEARCH: "api-search", JobKind.RECOGNITION: "api-recognition"}


def event_upload_finished(*, upload_id: UUID) -> None:
    """An upload is done, failed or cancelled."""
    if listeners := _listening(EventType.UPLOAD_FINISHED, Q(merchant__uploads=upload_id)):
        _write(EventType.UPLOAD_FINISHED, upload_id, _upload_data(Upload.objects.get(pk=upload_id)), listeners)


def event_job_finished(*, job_id: UUID) -> None:
    """A search or a recognition is done, failed, cancelled or expired."""
    if listeners := _listening(EventType.JOB_FINISHED, Q(merchant__jobs=job_id)):
        _write(EventType.JOB_FINISHED, job_id, _job_data(Job.objects.get(pk=job_id)), listeners)


def event_item_decided(*, decision: Decision) -> None:
    """A reviewer accepted, corrected or rejected an item."""
    if listeners := _listening(EventType.ITEM_DECIDED, Q(merchant=decision.item.merchant_id)):
        _write(EventType.ITEM_DECIDED, decision.pk, _decision_data(decision), listeners)


def event_test(*, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """A test event for one endpoint; every call makes a new one."""
    data = {"endpoint_id": endpoint.pk, "message": "This endpoint works."}
    (delivery,) = _write(TEST_EVENT, uuid4(), data, [endpoint])
    return delivery


def _listening(kind: EventType, whose: Q) -> list[WebhookEndpoint]:
    return [each for each in WebhookEndpoint.objects.filter(whose, disabled_at=None) if kind in each.events]


def _write(kind: str, subject: UUID, data: dict[str, Any], listeners: list[WebhookEndpoint]) -> list[WebhookDelivery]:
    """One event and its deliveries. A second event about the same thing is none."""
    now = timezone.now()
    merchant_id = listeners[0].merchant_id
    body = json.dumps(
        {"type": kind, "timestamp": now, "data": data}, default=_plain, ensure_ascii=False, separators=(",", ":")
    )
    event, is_new = WebhookEvent.objects.get_or_create(
        type=kind, subject=subject, defaults={"merchant_id": merchant_id, "body": body}
    )
    if not is_new:
        return []
    owed = [WebhookDelivery(merchant_id=merchant_id, event=event, endpoint=each, next_at=now) for each in listeners]
    transaction.on_commit(deliver_soon)
    return WebhookDelivery.objects.bulk_create(owed)


def deliver_soon() -> None:
    """Ask the coordinator to send now, instead of at its next tick."""
    wake(DELIVER_WEBHOOKS)


def _plain(value: Any) -> str:
    """Times as the API writes them, ids as text."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)


def _address(name: str, row_id: UUID) -> str:
    return load_env().public_url + reverse(name, args=[row_id])


def _error(row: Upload | Job) -> dict[str, str] | None:
    return {"code": row.error_code, "message": row.error_message} if row.error_code else None


def _upload_data(upload: Upload) -> dict[str, Any]:
    rows = ("total", "done", "created", "updated", "unchanged", "refused")
    return {
        "id": upload.pk,
        "kind": upload.kind,
        "state": upload.state,
        "name": upload.name,
        "dry_run": upload.dry_run,
        "job_id": upload.job_id,
        **{f"rows_{name}": getattr(upload, f"rows_{name}") for name in rows},
        "error": _error(upload),
        "created_at": upload.created_at,
        "finished_at": upload.finished_at,
        "url": _address("api-upload", upload.pk),
    }


def _job_data(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "kind": job.kind,
        "state": job.state,
        "verdict": job.verdict or None,
        "error": _error(job),
        "created_at": job.created_at,
        "finished_at": job.finished_at,
        "url": _address(JOB_ADDRESSES[JobKind(job.kind)], job.pk),
    }


def _decision_data(decision: Decision) -> dict[str, Any]:
    item, product = decision.item, decision.product
    return {
        "id": item.pk,
        "job_id": item.job_id,
        "photo_id": item.photo_id,
        "verdict": item.verdict,
        "state": item.state,
        "action": decision.action,
        "product": {"id": product.pk, "sku": product.sku, "title": product.title} if product else None,
        "reference": decision.after.get("reference"),
        "decided_by": decision.reviewer_name,
        "decided_at": item.decided_at,
        "url": _address("api-item", item.pk),
    }
