"""Webhooks: where a merchant's server listens, what happened, what is owed to whom, and every try to tell.

An event is written in the transaction of the change it tells of, with one delivery for each endpoint that listens:
the outbox. A delivery is a ledger row like a photo: SQL says what is owed, a lease says who sends it now.
"""

import uuid

from django.db import models


class EventType(models.TextChoices):
    """What an endpoint may listen to."""

    UPLOAD_FINISHED = "upload.finished", "Upload finished"
    JOB_FINISHED = "job.finished", "Search or recognition finished"
    ITEM_DECIDED = "item.decided", "Item decided"


TEST_EVENT = "vitrine.test"  # sent on request only, to whatever endpoint


class DisabledReason(models.TextChoices):
    """Why nothing is sent to an endpoint."""

    PAUSED = "paused", "Paused by the merchant"
    FAILING = "failing", "It failed for days"
    GONE = "gone", "It answered 410 Gone"


class WebhookEndpoint(models.Model):
    """One address of a merchant's server. The secret is kept as it is, because every sending signs with it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="webhook_endpoints")
    url = models.CharField("URL", max_length=2000, help_text="Where events are sent, https:// or http://.")
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField(default=list, help_text="The types of events that are sent.")
    secret = models.CharField(max_length=100, editable=False)
    old_secret = models.CharField(max_length=100, blank=True, editable=False)
    old_secret_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until then both secrets sign."
    )
    disabled_at = models.DateTimeField(null=True, blank=True, editable=False)
    disabled_reason = models.CharField(max_length=10, choices=DisabledReason, blank=True, editable=False)
    failing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it first failed after it last took an event."
    )
    served_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When a delivery was last taken to be sent."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]
        indexes = [models.Index(fields=["merchant", "-created_at"], name="webhook_endpoint_list")]

    def __str__(self) -> str:
        return self.url

    @property
    def enabled(self) -> bool:
        """Whether events are sent to it."""
        return self.disabled_at is None


class WebhookEvent(models.Model):
    """Something that happened, as it is told: its id is the ``webhook-id`` of every sending."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="webhook_events")
    type = models.CharField(max_length=40)
    subject = models.UUIDField(help_text="The upload, job or decision that it is about.")
    body = models.TextField(help_text="JSON, byte for byte the same in every sending.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["type", "subject"], name="webhook_event_once")]
        indexes = [models.Index(fields=["created_at"], name="webhook_event_age")]

    def __str__(self) -> str:
        return f"{self.type} {str(self.id)[:8]}"


class DeliveryState(models.TextChoices):
    """``pending`` is owed, now or at ``next_at``; ``failed`` is given up until it is replayed."""

    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"


class WebhookDelivery(models.Model):
    """One event owed to one endpoint."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="webhook_deliveries")
    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="deliveries")
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Tries so far, replays included.")
    tries = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Tries since it was made or replayed: where it stands in the schedule."
    )
    next_at = models.DateTimeField(null=True, blank=True, help_text="When it is sent next; empty when it is over.")
    lease_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Being sent; a sender that died is given up then."
    )
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status of the last try.")
    error_code = models.CharField(max_length=64, blank=True, help_text="What went wrong last.")
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "id"]
        verbose_name_plural = "webhook deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "endpoint"], name="webhook_delivery_once")]
        indexes = [
            models.Index(
                fields=["endpoint", "next_at"], condition=models.Q(state=DeliveryState.PENDING), name="webhook_owed"
            ),
            # What is under way is counted for every delivery that is taken, however many are owed.
            models.Index(
                fields=["merchant", "endpoint"], condition=models.Q(lease_until__isnull=False), name="webhook_under_way"
            ),
            models.Index(fields=["merchant", "-created_at"], name="webhook_delivery_list"),
        ]

    def __str__(self) -> str:
        return f"Delivery {str(self.id)[:8]}"


class WebhookAttempt(models.Model):
    """One try, as the log keeps it."""

    delivery = models.ForeignKey(WebhookDelivery, on_delete=models.CASCADE, related_name="log")
    number = models.PositiveSmallIntegerField(help_text="Counted from 1.")
    at = models.DateTimeField(help_text="When it began.")
    seconds = models.FloatField(help_text="How long it took.")
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="HTTP status; empty without an answer.")
    error_code = models.CharField(max_length=64, blank=True)
    error_message = models.CharField(max_length=300, blank=True)
    response = models.TextField(blank=True, help_text="How the answer's body begins.")

    class Meta:
        ordering = ["delivery_id", "number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="webhook_attempt_once")]

    def __str__(self) -> str:
        return f"attempt {self.number}"
