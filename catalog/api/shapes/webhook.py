"""Webhook endpoints and deliveries as the API shows and takes them."""

import json
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, state_field
from catalog.models import DeliveryState, DisabledReason, EventType, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from catalog.services.webhooks.endpoint import OVERLAP, OVERLAP_LIMIT

URL: dict[str, Any] = {"max_length": 2000, "help_text": "Where events are sent: `https://…` or `http://…`."}
DESCRIPTION: dict[str, Any] = {"max_length": 200, "allow_blank": True, "help_text": "For people."}


class EventsField(serializers.ListField):
    """The types of events that an endpoint gets."""

    def __init__(self, **kwargs: Any) -> None:
        options: dict[str, Any] = {"allow_empty": False, "help_text": "The types of events that are sent."}
        super().__init__(child=serializers.ChoiceField(EventType.choices), **(options | kwargs))


class EndpointShape(serializers.ModelSerializer):
    """An endpoint, without its secret."""

    events = EventsField(read_only=True)
    enabled = serializers.BooleanField(read_only=True, help_text="Whether events are sent to it.")
    disabled_reason = serializers.ChoiceField(
        [("", "It is enabled"), *DisabledReason.choices], read_only=True, help_text="Why nothing is sent to it."
    )

    class Meta:
        model = WebhookEndpoint
        fields = [
            "id", "url", "description", "events", "enabled", "disabled_reason", "disabled_at", "failing_since",
            "old_secret_until", "created_at",
        ]  # fmt: skip
        read_only_fields = fields


class EndpointWithSecret(EndpointShape):
    """An endpoint and its new secret, which is shown this once."""

    secret = serializers.CharField(
        allow_null=True, help_text="Keep it now: it is shown this once. Null in a replayed answer."
    )

    class Meta(EndpointShape.Meta):
        fields = [*EndpointShape.Meta.fields, "secret"]
        read_only_fields = fields


class EndpointBody(Body):
    """An endpoint to register."""

    url = serializers.CharField(**URL)
    events = EventsField()
    description = serializers.CharField(default="", **DESCRIPTION)


class EndpointChange(Body):
    """What to change in an endpoint; what is left out stays."""

    url = serializers.CharField(required=False, **URL)
    events = EventsField(required=False)
    description = serializers.CharField(required=False, **DESCRIPTION)
    enabled = serializers.BooleanField(required=False, help_text="`false` pauses it, `true` sends to it again.")


class SecretRotationBody(Body):
    """How long the secret before goes on signing."""

    overlap_seconds = serializers.IntegerField(
        default=int(OVERLAP.total_seconds()),
        min_value=0,
        max_value=int(OVERLAP_LIMIT.total_seconds()),
        help_text="So long both secrets sign. 0 when the one before got into wrong hands.",
    )


class DeliveryShape(serializers.ModelSerializer):
    """One event owed to one endpoint."""

    event_id = serializers.UUIDField(read_only=True, help_text="The `webhook-id` of every try.")
    type = serializers.CharField(source="event.type", read_only=True, help_text="What happened.")
    state = state_field(DeliveryState)

    class Meta:
        model = WebhookDelivery
        fields = [
            "id", "endpoint_id", "event_id", "type", "state", "attempts", "status", "error_code", "next_at",
            "created_at", "delivered_at",
        ]  # fmt: skip
        read_only_fields = fields


class AttemptShape(serializers.ModelSerializer):
    """One try."""

    class Meta:
        model = WebhookAttempt
        fields = ["number", "at", "seconds", "status", "error_code", "error_message", "response"]
        read_only_fields = fields


class DeliveryDetail(DeliveryShape):
    """A delivery with what was sent and every try."""

    payload = serializers.SerializerMethodField()
    log = AttemptShape(many=True, read_only=True, help_text="Every try, the first one first.")

    class Meta(DeliveryShape.Meta):
        fields = [*DeliveryShape.Meta.fields, "payload", "log"]
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": {}})
    def get_payload(self, delivery: WebhookDelivery) -> dict[str, Any]:
        """The body that is sent, as JSON."""
        return json.loads(delivery.event.body)
