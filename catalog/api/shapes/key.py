"""API keys as the API takes and shows them. The secret is no field of a key: only the answer that made one has it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, state_field
from catalog.models import ApiKey, KeyKind, KeyState, Scope
from catalog.services.key import ORIGIN_LENGTH, ORIGINS_LIMIT, OVERLAP, OVERLAP_LIMIT, PRESETS

RATE_LIMIT_MOST = 1_000_000
RATE_HELP = "Requests a minute by all who use the key; null: as the installation says."
EXPIRY_HELP = "The key ends then by itself; null: never."


class ScopeList(serializers.ListField):
    """What a key may do."""

    child = serializers.ChoiceField(Scope.choices)


class OriginList(serializers.ListField):
    """Origins as browsers send them; the service judges them."""

    child = serializers.CharField(max_length=ORIGIN_LENGTH)


class KeyShape(serializers.ModelSerializer):
    """An API key, without its secret."""

    scopes = ScopeList(help_text="What it may do; `*` is everything.")
    origins = serializers.SerializerMethodField(help_text="The pages that may use it; `*` is any.")
    state = state_field(KeyState)
    replaced_by_id = serializers.UUIDField(allow_null=True, help_text="The key that replaced it by rotation, or null.")
    replaces_id = serializers.SerializerMethodField(help_text="The key that it replaced, or null.")

    class Meta:
        model = ApiKey
        fields = [
            "id", "name", "kind", "scopes", "origins", "rate_limit", "hint", "state", "created_at", "last_used_at",
            "expires_at", "revoked_at", "replaced_by_id", "replaces_id",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(OriginList())
    def get_origins(self, key: ApiKey) -> list[str]:
        """Read with the key, see ``selectors.key``."""
        return [each.origin for each in key.origins.all()]

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_replaces_id(self, key: ApiKey) -> UUID | None:
        """Read with the key, see ``selectors.key``."""
        return key.replaces.pk if hasattr(key, "replaces") else None


class NewKeyShape(KeyShape):
    """A key that was just made, with its secret."""

    secret = serializers.CharField(
        source="token", allow_null=True, help_text="Keep it now: it is shown this once. Null in a replayed answer."
    )

    class Meta(KeyShape.Meta):
        fields = [*KeyShape.Meta.fields, "secret"]
        read_only_fields = fields


class KeyBody(Body):
    """A key to make."""

    name = serializers.CharField(max_length=100, help_text="What it is for.")
    kind = serializers.ChoiceField(KeyKind.choices, default=KeyKind.SECRET, help_text="For a server, or for a page.")
    scopes = ScopeList(required=False, max_length=len(Scope), help_text="Of a secret key: what it may do.")
    preset = serializers.ChoiceField(list(PRESETS), required=False, help_text="Or a usual set of scopes.")
    origins = OriginList(
        default=list, max_length=ORIGINS_LIMIT, help_text="Of a publishable key: `https://shop.example`, or `*`."
    )
    expires_at = serializers.DateTimeField(default=None, allow_null=True, help_text=EXPIRY_HELP)
    rate_limit = serializers.IntegerField(
        default=None, allow_null=True, min_value=1, max_value=RATE_LIMIT_MOST, help_text=RATE_HELP
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A preset leaves here as its scopes."""
        named = [*attrs.pop("scopes", []), *PRESETS.get(attrs.pop("preset", ""), ())]
        return attrs | {"scopes": named}


class KeyChange(Body):
    """What to change in a key; what is left out stays."""

    name = serializers.CharField(max_length=100, required=False, help_text="What it is for.")
    scopes = ScopeList(required=False, max_length=len(Scope), help_text="Of a secret key: what it may do.")
    origins = OriginList(required=False, max_length=ORIGINS_LIMIT, help_text="Of a publishable key: all its origins.")
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text=EXPIRY_HELP)
    rate_limit = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=RATE_LIMIT_MOST, help_text=RATE_HELP
    )


class RotationBody(Body):
    """How a key is replaced."""

    overlap_seconds = serializers.IntegerField(
        default=int(OVERLAP.total_seconds()),
        min_value=0,
        max_value=int(OVERLAP_LIMIT.total_seconds()),
        help_text="How long the old key still works.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The overlap as the service takes it."""
        return {"overlap": timedelta(seconds=attrs["overlap_seconds"])}
