"""Who sells: merchants, the people who act for them, and the keys their servers and pages use."""

import uuid

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone


class Merchant(models.Model):
    """A shop. Everything else belongs to exactly one merchant, and every query is scoped to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True, help_text="Short name used on the command line and in addresses.")
    name = models.CharField(max_length=200)
    public_search = models.BooleanField(
        default=False, help_text="Anyone may search this catalogue on the search page, without logging in."
    )
    wanted_precision = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.5), MaxValueValidator(0.999)],
        help_text="Of what the machine accepts by itself, the share that is to be right, 0.5 to 0.999. Its thresholds "
        "follow what reviewers decide. Empty: the bundle's own.",
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
    """A secret key does what its scopes allow; a publishable key may only search, from its origins."""

    SECRET = "secret", "Secret"
    PUBLISHABLE = "publishable", "Publishable"


class Scope(models.TextChoices):
    """What a key may do. Whoever may change products may read them; ``*`` is every scope, later ones included."""

    ALL = "*", "Everything"
    PRODUCTS_READ = "products:read", "Read products and photos"
    PRODUCTS_WRITE = "products:write", "Read and change products and photos"
    UPLOADS = "uploads", "Bulk uploads"
    SEARCHES = "searches", "Searches"
    RECOGNITIONS = "recognitions", "Recognitions"
    REVIEWS = "reviews", "Review items"
    WEBHOOKS = "webhooks", "Webhooks"
    KEYS = "keys", "API keys"


class KeyState(models.TextChoices):
    """How a key stands now, see ``ApiKey.state``."""

    ACTIVE = "active", "Active"
    RETIRING = "retiring", "Replaced, works until it expires"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Revoked"


class ApiKey(models.Model):
    """An API key. Only its SHA-256 is stored; ``hint``, its first and last characters, lets people tell keys apart."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=16, choices=KeyKind, default=KeyKind.SECRET)
    scopes = models.JSONField(default=list, help_text="What it may do.")
    rate_limit = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a minute, by all who use the key. Empty: as the installation says."
    )
    hint = models.CharField(max_length=32, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="It ends then by itself. Empty: never.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.OneToOneField(
        "self", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="replaces"
    )

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint})"

    def may(self, scope: str) -> bool:
        """Whether its scopes hold this one."""
        enough = {scope, Scope.ALL} | ({Scope.PRODUCTS_WRITE} if scope == Scope.PRODUCTS_READ else set())
        return not enough.isdisjoint(self.scopes)

    @property
    def state(self) -> KeyState:
        """Whether it works, and if not, why."""
        now = timezone.now()
        if self.revoked_at and self.revoked_at <= now:
            return KeyState.REVOKED
        if self.expires_at and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.RETIRING if self.replaced_by_id else KeyState.ACTIVE


class KeyOrigin(models.Model):
    """A page's origin from which a publishable key may be used; ``*`` is any. A table, so that a browser's question
    before the key is known (is any key open to this origin?) is one look into an index.
    """

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="origins")
    origin = models.CharField(max_length=255, db_index=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["key", "origin"], name="key_origin_once")]

    def __str__(self) -> str:
        return self.origin
