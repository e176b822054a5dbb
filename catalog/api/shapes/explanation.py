"""Explanations as the API shows them."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.product import ProductBrief


@extend_schema_field(OpenApiTypes.URI)
class Address(serializers.Field):
    """A relative address as this caller reaches it; an empty one becomes null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: str) -> str | None:
        """Absolute."""
        return self.context["request"].build_absolute_uri(value) if value else None


class HeatMapShape(serializers.Serializer):
    """Where the network looked: a grid over a part of the upright photo."""

    rows = serializers.IntegerField()
    columns = serializers.IntegerField()
    values = serializers.ListField(
        child=serializers.FloatField(), help_text="Row by row, from 0 to 1; 1 is the hottest cell of this photo."
    )
    box = serializers.ListField(
        child=serializers.FloatField(),
        help_text="What the grid covers: left, top, right, bottom as parts (0 to 1) of the upright photo.",
    )


class SeenPhotoShape(serializers.Serializer):
    """One of the two photos that were compared."""

    photo_id = serializers.UUIDField(allow_null=True, help_text="Null for the photo of a search.")
    photo_url = Address(source="address", help_text="The photo itself, signed.")
    overlay_url = Address(source="overlay", allow_null=True, help_text="A small version with the heat over it, signed.")
    heat_map = HeatMapShape(source="heat", allow_null=True)


class ScorePartShape(serializers.Serializer):
    """What one part of the matched photo's fused vector gave."""

    share = serializers.FloatField(help_text="What the network let this part count, from 0 to 1; they add up to 1.")
    cosine = serializers.FloatField(help_text="Of the query with this part alone.")
    contribution = serializers.FloatField(help_text="What it added to `fused`; the three add up to it exactly.")


class SimilarityShape(serializers.Serializer):
    """The similarity and its split, measured now."""

    image = serializers.FloatField(allow_null=True, help_text="Cosine of the two photos; null for a search by words.")
    fused = serializers.FloatField(help_text="Cosine of the query with the matched photo, its words and its price.")
    parts = serializers.DictField(
        child=ScorePartShape(), help_text="`image`, `words` and `price`: the split of `fused`."
    )


class ExplanationShape(serializers.Serializer):
    """Why this product: where the network looked, and what photo, words and price gave to the score."""

    product = ProductBrief(source="comparison.hit.product")
    verdict = serializers.CharField(
        source="comparison.verdict", help_text="Of the whole answer; empty for words alone."
    )
    reason = serializers.CharField(source="comparison.reason", help_text="Of the verdict, a sentence.")
    probability = serializers.FloatField(source="comparison.hit.candidate.probability", allow_null=True)
    match = serializers.CharField(source="comparison.hit.candidate.match", help_text="`same`, `similar` or `other`.")
    why = serializers.CharField(source="comparison.hit.why", help_text="The scores as they were found, a sentence.")
    sentence = serializers.CharField(help_text="The split, a sentence.")
    similarity = serializers.SerializerMethodField()
    query = SeenPhotoShape(allow_null=True, help_text="The photo that was asked with; null for a search by words.")
    matched = SeenPhotoShape(help_text="The photo of the product that it was compared with.")
    no_heat_map = serializers.CharField(source="no_map", help_text="Why there are no heat maps; empty where there are.")
    bundle_version = serializers.CharField(source="found.bundle_version", help_text="The model that explains.")

    @extend_schema_field(SimilarityShape)
    def get_similarity(self, explained: Any) -> dict[str, Any]:
        """The numbers of the split."""
        parts = {each.name: each.part.model_dump() for each in explained.slices}
        return {"image": explained.found.image, "fused": explained.found.fused, "parts": parts}


class PendingShape(serializers.Serializer):
    """An explanation that is still being made."""

    state = serializers.ChoiceField(["pending"], help_text="Ask again at `Location`, in `Retry-After` seconds.")
