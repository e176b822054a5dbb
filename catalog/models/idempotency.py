"""Answers already given, so that a POST that is sent twice happens once."""

from django.db import models


class IdempotencyRecord(models.Model):
    """The answer to one ``Idempotency-Key`` of one merchant, kept for a day."""

    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    made = models.UUIDField(
        null=True, help_text="The id of what the request makes, the same however often it is taken up again."
    )
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty while the first request is still running.")
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merchant", "key"], name="idempotency_once")]

    def __str__(self) -> str:
        return self.key
