"""What was recognised, who looks at it now, what reviewers decided about it, and what is remembered of that.

Items come from ``services.items``; the desk claims them (``services.reviewing.claims``) and decides on them
(``services.review``).
"""

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
    UNKNOWN = "unknown", "Nobody can tell"
    SPLIT = "split", "Split into its parts"


UNDECIDED = (ItemState.OPEN, ItemState.AUTO)


class Lane(models.IntegerChoices):
    """Why an item is in the desk's queue, in the order in which the lanes are served."""

    UNCERTAIN = 1, "Uncertain"
    MISTAKE = 2, "Likely mistake"
    CONTROL = 3, "Control sample"


REJECTED_BEFORE = "rejected_before"
BELOW_THRESHOLD = "below_shop_threshold"
ABOVE_THRESHOLD = "above_shop_threshold"
REASONS_OF_REVIEWS = {
    BELOW_THRESHOLD: "By what reviewers decided, this is not likely enough for the precision that the shop wants.",
    ABOVE_THRESHOLD: "By what reviewers decided, this is likely enough for the precision that the shop wants.",
    REJECTED_BEFORE: "A reviewer said of a photo like this one that it is not the product that it looks most like.",
}


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
    fingerprint = models.CharField(
        max_length=160,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Of the pixels compared: near-duplicates are near.",
    )
    sketch = models.CharField(
        max_length=64,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="Of the vector: look-alikes of one bundle are near.",
    )
    lane = models.PositiveSmallIntegerField(
        choices=Lane, null=True, blank=True, help_text="Why it is in the queue. None: it need not be looked at."
    )
    doubt = models.FloatField(
        default=0, db_default=0, help_text="How much a decision would teach, 0 to 1: the order within a lane."
    )
    control = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Drawn at random among those that the machine accepted, whatever lane it is in: over these its "
        "precision is measured.",
    )
    control_share = models.FloatField(
        null=True, blank=True, editable=False, help_text="The share that control samples were drawn with then, 0 to 1."
    )
    gold = models.BooleanField(
        default=False,
        db_default=False,
        help_text="What was decided is surely right: reviewers are shown it as if it waited.",
    )
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    claimed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    claim = models.UUIDField(null=True, blank=True, editable=False, help_text="The open desk that has it.")
    claimed_until = models.DateTimeField(null=True, blank=True, editable=False)
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
            # The desk reads only what waits for it, in its order, however much was decided before.
            models.Index(
                fields=["merchant", "lane", "-doubt", "created_at"],
                condition=models.Q(state__in=UNDECIDED, lane__isnull=False),
                name="item_desk",
            ),
            models.Index(fields=["claim"], condition=models.Q(claim__isnull=False), name="item_claim"),
            models.Index(fields=["merchant"], condition=models.Q(gold=True), name="item_gold"),
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
        return REASONS.get(self.reason) or REASONS_OF_REVIEWS.get(self.reason, self.reason)


class DecisionAction(models.TextChoices):
    """The review verbs."""

    ACCEPT = "accept", "Accept"
    CORRECT = "correct", "Correct"
    REJECT = "reject", "Reject"
    UNKNOWN = "unknown", "Nobody can tell"
    NEW_PRODUCT = "new_product", "New product"
    SPLIT = "split", "Split"
    UNDO = "undo", "Undo"


# What a person did, as a sentence goes on after their name.
SAID = {
    DecisionAction.ACCEPT: "accepted",
    DecisionAction.CORRECT: "corrected",
    DecisionAction.REJECT: "rejected",
    DecisionAction.UNKNOWN: "could not tell",
    DecisionAction.NEW_PRODUCT: "made a new product",
    DecisionAction.SPLIT: "split the photo",
    DecisionAction.UNDO: "undid the decision before",
}


class Decision(models.Model):
    """A reviewer's decision: who, when, how long, what before and after. Never changed, never deleted.

    Its id is the caller's, so the same decision sent twice is one decision.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="decisions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reviewer_name = models.CharField(max_length=150, blank=True, help_text="Kept when the account goes.")
    action = models.CharField(max_length=12, choices=DecisionAction)
    product = models.ForeignKey("catalog.Product", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    undoes = models.OneToOneField(
        "self", on_delete=models.CASCADE, null=True, blank=True, editable=False, related_name="undone_by"
    )
    lane = models.PositiveSmallIntegerField(
        choices=Lane, null=True, blank=True, help_text="Why the item was in the queue then."
    )
    seconds = models.FloatField(null=True, blank=True, help_text="From the item being shown to the decision.")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["reviewer", "-created_at"], name="decision_reviewer"),
            models.Index(fields=["-created_at"], name="decision_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_action_display()} by {self.reviewer_name}"

    @property
    def said(self) -> str:
        """The verb for people: "corrected"."""
        return SAID[DecisionAction(self.action)]


class Rejection(models.Model):
    """A product that a reviewer said a photo does not show: it is not suggested again for it or its near-duplicates.

    Goes when its decision is undone; lies still while ``lifted_by``, a later decision for that very product, stands.
    """

    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="rejections")
    product = models.ForeignKey("catalog.Product", on_delete=models.CASCADE, related_name="rejections")
    decision = models.ForeignKey(Decision, on_delete=models.CASCADE, related_name="rejections")
    lifted_by = models.ForeignKey(
        Decision, on_delete=models.SET_NULL, null=True, blank=True, related_name="lifted", editable=False
    )
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the photo's bytes.")
    region = models.JSONField(null=True, blank=True, help_text="The part that was compared. None: all of it.")
    fingerprint = models.CharField(max_length=160, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["product", "decision"], name="rejection_once_a_decision"),
        ]

    def __str__(self) -> str:
        return f"Not {self.product}"


class DeskKeys(models.Model):
    """The keys that a reviewer chose for the desk; what is not in it keeps its default."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="desk_keys")
    keys = models.JSONField(default=dict, help_text="Action to key.")

    class Meta:
        verbose_name_plural = "desk keys"

    def __str__(self) -> str:
        return f"Keys of {self.user}"
