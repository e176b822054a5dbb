"""How good reviewers and the machine are: opinions on items that are decided already, and thresholds that follow.

Opinions come from the desk (``services.reviewing.opinions``); thresholds from the coordinator
(``services.thresholds``), and ``services.items`` keeps to them.
"""

import uuid

from django.conf import settings
from django.db import models

from .review import Decision, DecisionAction, Item


class OpinionKind(models.TextChoices):
    """Against a gold item, whose answer is surely right, or against what another reviewer said."""

    GOLD = "gold", "Gold item"
    SECOND = "second", "Second opinion"


class Opinion(models.Model):
    """What a reviewer says of an item that is decided already, without knowing it. Nothing else comes of it.

    A row without an action is a question that is open at a desk.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="opinions")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    about = models.ForeignKey(
        Decision, on_delete=models.CASCADE, related_name="opinions", help_text="The decision it is compared with."
    )
    kind = models.CharField(max_length=6, choices=OpinionKind)
    desk = models.UUIDField(editable=False, help_text="The open desk that was asked.")
    order = models.UUIDField(null=True, blank=True, unique=True, editable=False, help_text="The desk's id of it.")
    action = models.CharField(max_length=12, choices=DecisionAction, blank=True)
    product = models.ForeignKey("catalog.Product", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    seconds = models.FloatField(null=True, blank=True, help_text="From the item being shown to the decision.")
    agrees = models.BooleanField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["item", "reviewer"], name="opinion_once")]
        indexes = [
            models.Index(fields=["desk"], condition=models.Q(action=""), name="opinion_asked"),
            models.Index(fields=["-created_at"], name="opinion_time"),
        ]

    def __str__(self) -> str:
        return f"Opinion of {self.reviewer}"


class Threshold(models.Model):
    """From which probability the machine accepts by itself, in one category of a merchant, with one bundle.

    The newest row holds. A row is written when it changes, with what it rests on, and stays.
    """

    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="thresholds")
    category = models.CharField(max_length=200, blank=True)
    bundle_version = models.CharField(max_length=64)
    value = models.FloatField(null=True, blank=True, help_text="Probability, 0 to 1. None: the bundle's own verdict.")
    wanted = models.FloatField(null=True, blank=True, help_text="The precision wanted then, 0 to 1.")
    precision = models.FloatField(null=True, blank=True, help_text="At and above it, as estimated.")
    lower = models.FloatField(null=True, blank=True, help_text="The lower bound that reached what was wanted.")
    decided = models.PositiveIntegerField(default=0, help_text="Decided items that it rests on.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["merchant", "bundle_version", "-created_at"], name="threshold_newest")]

    def __str__(self) -> str:
        value = "the bundle's own" if self.value is None else f"{self.value:g}"
        return f"{self.category or 'No category'}: {value}"
