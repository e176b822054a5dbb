"""What was recognised, and what reviewers decided about it."""

import uuid

from django.conf import settings
from django.db import models

from workers.contract import REASONS, Region


class Verdict(models.TextChoices):
    """The machine's own judgement of an item."""

    SURE = "SURE", "Sure"
    REVIEW = "REVIEW", "Review"
    UNKNOWN = "UNKNOWN", "Unknown"


class ItemState(models.TextChoices):
    """``open`` waits for a reviewer; a SURE item is ``auto`` and needs none."""

    OPEN = "open", "Open"
    AUTO = "auto", "Accepted by the machine"
    ACCEPTED = "accepted", "Accepted"
    CORRECTED = "corrected", "Corrected"
    REJECTED = "rejected", "Rejected"


UNDECIDED = (ItemState.OPEN, ItemState.AUTO)


class Item(models.Model):
    """One recognised thing in a photo: the verdict, the candidates, and what became of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="items")
    photo = models.ForeignKey(
        "catalog.Photo",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="items",
        help_text="None once the photo was deleted: what was decided about it stays.",
    )
    job = models.ForeignKey("catalog.Job", on_delete=models.SET_NULL, null=True, blank=True, related_name="items")
    position = models.PositiveSmallIntegerField(default=0, help_text="Which thing in the photo, counted from 0.")
    box = models.JSONField(
        null=True,
        blank=True,
        help_text="Where it is: left, top, right, bottom from 0 to 1 of the upright photo. None: the whole photo.",
    )
    cut = models.JSONField(
        null=True, blank=True, help_text="The square round one of many things that was compared. None: the box itself."
    )
    bundle_version = models.CharField(max_length=64)
    calibrated = models.BooleanField(
        default=False, help_text="Whether probabilities were calibrated on held-out photos."
    )
    verdict = models.CharField(max_length=8, choices=Verdict)
    reason = models.CharField(max_length=300, blank=True)
    candidates = models.JSONField(default=list, help_text="Candidates in order, as the worker sent them.")
    best_product = models.ForeignKey(
        "catalog.Product",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The first candidate.",
    )
    probability = models.FloatField(null=True, blank=True, help_text="Of the first candidate, 0 to 1.")
    state = models.CharField(max_length=10, choices=ItemState, default=ItemState.OPEN)
    product = models.ForeignKey(
        "catalog.Product",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="items",
        help_text="What it is, as accepted or corrected.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [
            # A result is unique on (photo, bundle version): storing the same one twice is a no-op.
            models.UniqueConstraint(fields=["photo", "bundle_version", "position"], name="item_once_a_bundle"),
        ]
        indexes = [
            models.Index(fields=["merchant", "state", "-created_at"], name="item_queue"),
            models.Index(fields=["merchant", "-created_at", "id"], name="item_list"),
            models.Index(fields=["job", "state"], name="item_job_state"),
        ]

    def __str__(self) -> str:
        return f"Item {str(self.id)[:8]}"

    @property
    def compared(self) -> Region | None:
        """The part of the photo that was recognised, and that is to be indexed once confirmed. None: all of it."""
        return self.cut or self.box

    @property
    def is_one_of_many(self) -> bool:
        """Whether its photo was searched for many things, so that the photo as a whole shows no one product."""
        return self.job is not None and self.job.wants_many

    @property
    def explanation(self) -> str:
        """The reason of the verdict as a sentence for people."""
        return REASONS.get(self.reason, self.reason)


class DecisionAction(models.TextChoices):
    """The review verbs."""

    ACCEPT = "accept", "Accept"
    CORRECT = "correct", "Correct"
    REJECT = "reject", "Reject"


class Decision(models.Model):
    """A reviewer's decision: who, when, what before and after. Never changed, never deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="decisions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reviewer_name = models.CharField(max_length=150, blank=True, help_text="Kept when the account goes.")
    action = models.CharField(max_length=10, choices=DecisionAction)
    product = models.ForeignKey("catalog.Product", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.reviewer_name}"
