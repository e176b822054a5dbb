"""Bundles that an operator changes to: which is live, which is in its shadow, what is owed to the shadow, comparisons.

Without a row here every worker serves the bundle that its own settings name, as in a new installation.
"""

import uuid

from django.db import models

from .ledger import Ledger, LedgerState


class BundleState(models.TextChoices):
    """One bundle is live; one more may be in the shadow: on its way up, or live before and kept for a rollback."""

    LIVE = "live", "Live"
    SHADOW = "shadow", "In the shadow"
    RETIRED = "retired", "Retired"


class Bundle(models.Model):
    """A version of the model, as this installation knows it; its files lie in the photo store."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=8, choices=BundleState, default=BundleState.SHADOW)
    facts = models.JSONField(default=dict, help_text="Network, size of the vectors, labels: what people want to know.")
    is_filled = models.BooleanField(
        default=False, editable=False, help_text="Of the one in the shadow: every indexed photo was owed to it once."
    )
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    live_since = models.DateTimeField(null=True, blank=True, help_text="When it was last made live; empty: never.")

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state__in=["live", "shadow"]), name="bundle_one_live_one_shadow"
            ),
        ]

    def __str__(self) -> str:
        return self.version


class ShadowPhoto(Ledger):
    """What the bundle in the shadow is owed of one indexed photo; there is at most one such bundle."""

    photo = models.OneToOneField("catalog.Photo", on_delete=models.CASCADE, primary_key=True, related_name="shadow")
    chunk_id = models.UUIDField(null=True, blank=True, editable=False)
    changed = models.BooleanField(
        default=False, editable=False, help_text="Changed while with a worker: owed again as soon as its answer came."
    )

    class Meta:
        indexes = [
            models.Index(fields=["queued_at"], condition=models.Q(state=LedgerState.PENDING), name="shadow_owed"),
            models.Index(
                fields=["lease_until"], condition=models.Q(state=LedgerState.DISPATCHED), name="shadow_leased"
            ),
        ]

    def __str__(self) -> str:
        return str(self.photo_id)


class Comparison(models.Model):
    """One comparison of the live bundle with the one in the shadow, on photos of which the right product is known."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    live = models.CharField(max_length=64)
    shadow = models.CharField(max_length=64)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.live} with {self.shadow}"


class ComparedPhoto(Ledger):
    """What one of the two bundles says about one photo of a comparison."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="photos")
    photo = models.ForeignKey("catalog.Photo", on_delete=models.CASCADE, related_name="+")
    product = models.ForeignKey(
        "catalog.Product", on_delete=models.CASCADE, related_name="+", help_text="The right answer."
    )
    reviewed = models.BooleanField(default=False, help_text="A reviewer said so; else the merchant's own photo of it.")
    bundle_version = models.CharField(max_length=64)
    chunk_id = models.UUIDField(null=True, blank=True, editable=False)
    verdict = models.CharField(max_length=8, blank=True)
    candidates = models.JSONField(default=list, help_text="Products in order, as the worker sent them.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comparison", "photo", "bundle_version"], name="compared_once_a_bundle"),
        ]
        indexes = [
            models.Index(fields=["queued_at"], condition=models.Q(state=LedgerState.PENDING), name="compared_owed"),
            models.Index(
                fields=["lease_until"], condition=models.Q(state=LedgerState.DISPATCHED), name="compared_leased"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.photo_id} by {self.bundle_version}"
