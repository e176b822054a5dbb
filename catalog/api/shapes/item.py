"""Recognised items as the API shows them, and what a reviewer sends."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, PhotoUrl, RegionField, shaped_rows, state_field
from catalog.api.shapes.product import ProductBrief
from catalog.api.shapes.search import HitShape
from catalog.models import Item, ItemState, Photo
from catalog.services.reviewing.claims import MOST

SKIPPED_MOST = 500


class ItemPhoto(serializers.ModelSerializer):
    """The photo that an item was seen in."""

    url = PhotoUrl(source="pk", help_text="The photo itself, signed.")

    class Meta:
        model = Photo
        fields = ["id", "name", "width", "height", "url"]
        read_only_fields = fields


class ItemShape(serializers.ModelSerializer):
    """One recognised thing. The view puts the hits of all items into the context, read at once."""

    state = state_field(ItemState)
    photo = ItemPhoto(allow_null=True, help_text="Null once it was deleted; what was decided stays.")
    product = ProductBrief(allow_null=True, help_text="What it is, as decided; null while nobody decided.")
    box = RegionField(
        read_only=True, allow_null=True, help_text="Where in the upright photo it is, from 0 to 1; null: all of it."
    )
    candidates = serializers.SerializerMethodField()

    class Meta:
        model = Item
        fields = [
            "id", "job_id", "photo", "box", "state", "verdict", "reason", "calibrated", "probability", "bundle_version",
            "product", "candidates", "created_at", "decided_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(HitShape(many=True))
    def get_candidates(self, item: Item) -> list[dict[str, Any]]:
        """What it may be, the best first; no deleted products, and none that a reviewer said it is not."""
        return shaped_rows(HitShape, self.context["hits"][item.pk], self.context)


class ClaimBody(Body):
    """How many items a key wants to have."""

    count = serializers.IntegerField(
        min_value=0, max_value=MOST, help_text="So many in all, with those that the key has already."
    )
    skip = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        max_length=SKIPPED_MOST,
        help_text="Items to give back, or not to be given now.",
    )


class ClaimShape(serializers.Serializer):
    """What a key has now."""

    claimed_until = serializers.DateTimeField(help_text="The claims lapse then, unless the key claims again before.")
    items = ItemShape(many=True, help_text="All that it has, the most instructive first.")


class ProductChoice(Body):
    """Which product it is: by id or by sku."""

    product_id = serializers.UUIDField(required=False, allow_null=True, help_text="The product's id.")
    sku = serializers.CharField(required=False, allow_blank=True, max_length=100, help_text="Or the product's sku.")
