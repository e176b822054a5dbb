"""Jobs that a shop asks for: a search (one message, a deadline) or a recognition (many photos)."""

import uuid

from django.db import models

from workers.contract import REASONS

from .ledger import Ledger, LedgerState

JobState = LedgerState


class JobKind(models.TextChoices):
    """What is asked for."""

    SEARCH = "search", "Search"
    RECOGNITION = "recognition", "Recognition"


class Job(Ledger):
    """One job. A search carries its photo's key and its result; a recognition has photos, and items when done."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=12, choices=JobKind)
    request = models.JSONField(
        default=dict, help_text="What was asked for: words, filters, region, limit; of a recognition, items."
    )
    key = models.CharField(max_length=200, blank=True, help_text="Storage key of a search's photo.")
    deadline = models.DateTimeField(null=True, blank=True, help_text="Past it a search is expired and not run.")
    bundle_version = models.CharField(max_length=64, blank=True)
    calibrated = models.BooleanField(
        default=False, help_text="Whether probabilities were calibrated on held-out photos."
    )
    box = models.JSONField(
        null=True, blank=True, help_text="The part of a search's photo that was searched with, as the worker chose it."
    )
    degraded = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Whether the index had a backlog: what was stored just before may be missing.",
    )
    verdict = models.CharField(max_length=8, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    candidates = models.JSONField(default=list, help_text="A search's candidates in order, as the worker sent them.")
    worker = models.CharField(max_length=100, blank=True)
    seconds = models.FloatField(null=True, blank=True, help_text="Time on the worker.")
    forgotten_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its results were deleted, long after it finished."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [
            models.Index(fields=["merchant", "kind", "-created_at"], name="job_list"),
            models.Index(
                fields=["kind", "lease_until"],
                condition=models.Q(state__in=[LedgerState.PENDING, LedgerState.DISPATCHED]),
                name="job_owed",
            ),
            # The reconciler reads only what is due, however many jobs were forgotten before.
            models.Index(fields=["finished_at"], condition=models.Q(forgotten_at=None), name="job_kept"),
            # Bytes are deleted only when no search refers to them either.
            models.Index(fields=["key"], condition=~models.Q(key=""), name="job_key"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {str(self.id)[:8]}"

    @property
    def wants_many(self) -> bool:
        """Whether a recognition looks for as many things in each photo as there are."""
        return self.request.get("items") == "many"

    @property
    def explanation(self) -> str:
        """The reason of the verdict as a sentence for people."""
        return REASONS.get(self.reason, self.reason)


class ExamplePhoto(models.Model):
    """A photo that a search is to be like, or unlike; a worker embeds it beside the query. Its bytes lie under ``key``.

    Examples that are products are named in the search's request: the index holds their photos.
    """

    job = models.ForeignKey("catalog.Job", on_delete=models.CASCADE, related_name="example_photos")
    like = models.BooleanField(help_text="Whether to be near to it; else far from it.")
    key = models.CharField(max_length=200, help_text="Storage key.")
    region = models.JSONField(null=True, blank=True, help_text="The part of it that counts.")

    class Meta:
        ordering = ["pk"]
        # Bytes are deleted only when no example refers to them either.
        indexes = [models.Index(fields=["key"], name="example_key")]

    def __str__(self) -> str:
        return f"{'like' if self.like else 'unlike'} {self.key}"
