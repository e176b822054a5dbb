"""What is kept of finished work for some days: the results of a job (``job``), the rows of an upload (``upload``).

Both have ``finished_at``, and ``forgotten_at`` once the reconciler deleted what was not to be kept any longer.
"""

from datetime import datetime, timedelta
from typing import TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from catalog.models import Job, Upload

Work = TypeVar("Work", bound=Model)


def since(days: float) -> datetime:
    """What finished before this is kept no longer."""
    return timezone.now() - timedelta(days=days)


def filtered(rows: QuerySet[Work], days: float) -> QuerySet[Work]:
    """Of these, those of which everything is still kept."""
    return rows.filter(Q(finished_at=None) | Q(finished_at__gte=since(days)), forgotten_at=None)


def is_kept(row: Job | Upload, days: float) -> bool:
    """Whether everything of it is still kept: it is not finished, or that is not long ago."""
    return row.forgotten_at is None and (row.finished_at is None or row.finished_at >= since(days))
