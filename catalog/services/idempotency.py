"""Answers already given: a POST that is sent twice with the same ``Idempotency-Key`` happens once.

Wraps every POST of the API (``api.idempotency``): begin, do the work, then finish with the answer or drop the record.
"""

from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import IdempotencyRecord, Merchant
from catalog.services.errors import Refused

IN_PROGRESS = "idempotency_in_progress"
KEPT_FOR = timedelta(days=1)
ABANDONED_AFTER = timedelta(seconds=20)  # without a sign of life: the process that was answering has died


def idempotency_begin(*, merchant: Merchant, key: str, fingerprint: str) -> IdempotencyRecord:
    """Claim a key. A record that comes back with a ``status`` holds the first answer: send it again.

    Raises ``Refused`` (409): ``idempotency_key_reused`` for another request, ``idempotency_in_progress`` while the
    first one still runs.
    """
    now = timezone.now()
    mine = IdempotencyRecord.objects.filter(merchant=merchant)
    mine.filter(created_at__lt=now - KEPT_FOR).delete()
    mine.filter(key=key, status=None, created_at__lt=now - ABANDONED_AFTER).delete()
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(merchant=merchant, key=key, fingerprint=fingerprint)
    except IntegrityError:
        record = mine.filter(key=key).first()
    if record is None or (record.status is None and record.fingerprint == fingerprint):
        raise Refused(IN_PROGRESS, "The first request with this Idempotency-Key is still running.", status=409)
    if record.fingerprint != fingerprint:
        raise Refused(
            "idempotency_key_reused", "This Idempotency-Key was already used for another request.", status=409
        )
    return record


def idempotency_finish(*, record: IdempotencyRecord, status: int, headers: dict[str, str], body: Any) -> None:
    """Keep the answer for a day."""
    IdempotencyRecord.objects.filter(pk=record.pk).update(status=status, headers=headers, body=body)


def idempotency_renew(*, record: IdempotencyRecord) -> None:
    """A sign of life: the request still runs. Its claim begins anew."""
    IdempotencyRecord.objects.filter(pk=record.pk, status=None).update(created_at=timezone.now())


def idempotency_drop(*, record: IdempotencyRecord) -> None:
    """Forget a request that changed nothing: sent again, it is a new one."""
    IdempotencyRecord.objects.filter(pk=record.pk, status=None).delete()
