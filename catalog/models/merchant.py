"""Who sells: merchants, the people who act for them, and the keys their servers and pages use."""

import uuid

from django.conf import settings
from django.db import models


class Merchant(models.Model):
    """A shop. Everything else belongs to exactly one merchant, and every query is scoped to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True, help_text="Short name used on the command line and in addresses.")
    name = models.CharField(max_length=200)
    public_search = models.BooleanField(
        default=False, help_text="Anyone may search this catalogue on the search page, without logging in."
    )
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="merchants")
    served_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the dispatcher last sent a chunk.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    """What a member may do: a reviewer decides on items, a manager also changes the catalogue."""

    MANAGER = "manager", "Manager"
    REVIEWER = "reviewer", "Reviewer"


class Membership(models.Model):
    """One person's place in one merchant."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.REVIEWER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["merchant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()} of {self.merchant})"


class KeyKind(models.TextChoices):
    """A secret key does everything for its merchant; a publishable key may only search."""

    SECRET = "secret", "Secret"
    PUBLISHABLE = "publishable", "Publishable"


class ApiKey(models.Model):
    """An API key. Only its SHA-256 is stored; ``hint``, its first and last characters, lets people tell keys apart."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=KeyKind, default=KeyKind.SECRET)
    hint = models.CharField(max_length=32, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"
