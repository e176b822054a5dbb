"""Words that mean the same in one merchant's catalogue."""

import uuid

from django.db import models


class Synonyms(models.Model):
    """A set of words or short phrases: a shopper who writes one of them is searched for with all of them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey("catalog.Merchant", on_delete=models.CASCADE, related_name="synonyms")
    words = models.JSONField(help_text="Two or more, as shoppers write them.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "id"]
        verbose_name_plural = "synonyms"
        indexes = [models.Index(fields=["merchant", "-created_at", "id"], name="synonyms_list")]

    def __str__(self) -> str:
        return ", ".join(self.words)
