"""The right to import one upload: taken by one process, renewed with each batch, lost by one that died.

The end of the lease is its token: every write of the import carries it in its ``WHERE``, so a process that was away
for too long, or whose upload was cancelled, writes nothing any more.
"""

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from catalog.models import Upload, UploadState
from catalog.services.uploading.faults import LeaseLost
from config.env import load_env

IMPORTABLE = (UploadState.PENDING, UploadState.IMPORTING)


def importable() -> QuerySet[Upload]:
    """Uploads whose import is owed and in nobody's hands."""
    free = Q(lease_until=None) | Q(lease_until__lt=timezone.now())
    return Upload.objects.filter(free, state__in=IMPORTABLE)


class Lease:
    """A held lease. Every method raises ``LeaseLost`` when it is not held any more."""

    def __init__(self, upload_id: UUID) -> None:
        self._upload_id = upload_id
        self._until = timezone.now() + timedelta(seconds=load_env().lease_seconds)
        self._taken_at = time.monotonic()
        taken = (
            importable()
            .filter(pk=upload_id)
            .update(state=UploadState.IMPORTING, lease_until=self._until, attempts=F("attempts") + 1)
        )
        if not taken:
            raise LeaseLost

    def write(self, **columns: Any) -> None:
        """Change the upload's row and renew the lease, in the transaction of the caller."""
        until = timezone.now() + timedelta(seconds=load_env().lease_seconds)
        held = Upload.objects.filter(pk=self._upload_id, state=UploadState.IMPORTING, lease_until=self._until)
        if not held.update(lease_until=until, **columns):
            raise LeaseLost
        # A rolled-back transaction takes the new token back with it; then the run ends, and the old one runs out.
        self._until, self._taken_at = until, time.monotonic()

    def renew_if_due(self) -> None:
        """Called while photos are read and no transaction is open: a slow storage must not cost the lease."""
        if time.monotonic() - self._taken_at > load_env().lease_seconds / 3:
            self.write()

    def release(self, *, wait: timedelta | None = None, **columns: Any) -> None:
        """Give the upload out of hand, changing its row one last time; nobody takes it up again before ``wait``."""
        free_at = timezone.now() + wait if wait else None
        with transaction.atomic():
            self.write(**columns)
            Upload.objects.filter(pk=self._upload_id, lease_until=self._until).update(lease_until=free_at)
