"""The ledger: what every photo and job still owes. SQL holds it; Redis may lose everything.

``pending -> dispatched (lease until T, attempt n) -> done | failed(code)``. The dispatcher gives a row a lease and
sends it; a result ends it; the reconciler gives rows whose lease ran out back to ``pending``. See DESIGN section 3.
"""

from django.db import models
from django.utils import timezone


class LedgerState(models.TextChoices):
    """Where a row stands. ``cancelled`` and ``expired`` are for jobs."""

    PENDING = "pending", "Pending"
    DISPATCHED = "dispatched", "Dispatched"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"


class Ledger(models.Model):
    """The columns that make a row a ledger row."""

    state = models.CharField(max_length=12, choices=LedgerState, default=LedgerState.PENDING, db_index=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Tries that ended in a bug or a lost lease."
    )
    queued_at = models.DateTimeField(default=timezone.now, editable=False, help_text="When it last became pending.")
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    error_trace = models.TextField(blank=True)

    class Meta:
        abstract = True
