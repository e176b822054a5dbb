"""Answers already given: a POST that is sent twice with the same ``Idempotency-Key`` happens once.

Wraps every POST of the API (``api.idempotency``): begin, do the work, then finish with the answer, or drop or release
the record. A record is made before anything else is, so it names what the request will make (``made``): a process may
die between that and the answer, and whoever takes the record over then finds what is already there.
"""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import IdempotencyRecord, Merchant
from catalog.services.errors import Refused

IN_PROGRESS = "idempotency_in_progress"
KEPT_FOR = timedelta(days=1)
ABANDONED_AFTER = timedelta(seconds=20)  # without a sign of life: the process that was answering has died


def idempotency_begin(*, merchant: Merchant, key: str, fingerprint: str, owner: str = "") -> IdempotencyRecord:
    """Claim a key. A record that comes back with a ``status`` holds the first answer: send it again.

    ``owner`` sets the keys of one caller apart from those of the merchant's own servers, who have none.

    Raises ``Refused`` (409): ``idempotency_key_reused`` for another request, ``idempotency_in_progress`` while the
    first one still runs.
    """
    now, name = timezone.now(), _name(owner, key)
    mine = IdempotencyRecord.objects.filter(merchant=merchant)
    mine.filter(created_at__lt=now - KEPT_FOR).delete()
    abandoned = mine.filter(key=name, status=None, created_at__lt=now - ABANDONED_AFTER)
    abandoned.exclude(fingerprint=fingerprint).delete()
    if (left := abandoned.first()) and (taken := _taken_over(left)):
        return taken
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(merchant=merchant, key=name, fingerprint=fingerprint, made=uuid4())
    except IntegrityError:
        record = mine.filter(key=name).first()
    if record is None or (record.status is None and record.fingerprint == fingerprint):
        raise Refused(IN_PROGRESS, "The first request with this Idempotency-Key is still running.", status=409)
    if record.fingerprint != fingerprint:
        raise Refused(
            "idempotency_key_reused", "This Idempotency-Key was already used for another request.", status=409
        )
    return record


def _name(owner: str, key: str) -> str:
    """What a key is kept under. Hashed beside an owner, because both together are longer than the column."""
    return f"{owner}:{hashlib.sha256(key.encode()).hexdigest()}" if owner else key


def _taken_over(record: IdempotencyRecord) -> IdempotencyRecord | None:
    """The abandoned record as ours, with what it made; nothing where another retry was faster."""
    same = IdempotencyRecord.objects.filter(pk=record.pk, status=None, created_at=record.created_at)
    record.created_at, record.made = timezone.now(), record.made or uuid4()
    return record if same.update(created_at=record.created_at, made=record.made) else None


def idempotency_finish(*, record: IdempotencyRecord, status: int, headers: dict[str, str], body: Any) -> None:
    """Keep the answer for a day."""
    IdempotencyRecord.objects.filter(pk=record.pk).update(status=status, headers=headers, body=body)


def idempotency_renew(*, record: IdempotencyRecord) -> None:
    """A sign of life: the request still runs. Its claim begins anew."""
    IdempotencyRecord.objects.filter(pk=record.pk, status=None).update(created_at=timezone.now())


def idempotency_drop(*, record: IdempotencyRecord) -> None:
    """Forget a request that changed nothing: sent again, it is a new one."""
    IdempotencyRecord.objects.filter(pk=record.pk, status=None).delete()


def idempotency_release(*, record: IdempotencyRecord) -> None:
    """Abandon a request that broke off, perhaps after it made something: sent again, it is taken up at once."""
    long_ago = timezone.now() - 2 * ABANDONED_AFTER
    IdempotencyRecord.objects.filter(pk=record.pk, status=None).update(created_at=long_ago)
