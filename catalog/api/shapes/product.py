"""Products as the API shows and takes them."""

from rest_framework import serializers

from catalog.api.shapes.fields import PhotoUrl
from catalog.models import Product

FACTS = [
    "sku", "title", "brand", "category", "description", "price", "currency", "in_stock", "variant_group", "attributes",
]  # fmt: skip
PRICE = {"min_value": 0, "help_text": "Decimal string, for example `12.90`; null when unknown."}


class ProductShape(serializers.ModelSerializer):
    """A product."""

    attributes = serializers.DictField(help_text="Whatever else the merchant keeps about it.")
    photo_url = PhotoUrl(source="main_photo_id", allow_null=True, size="medium", help_text="The main photo, signed.")
    photos_total = serializers.IntegerField(help_text="Photos it has.")
    photos_indexed = serializers.IntegerField(help_text="Of these, how many searches find already.")

    class Meta:
        model = Product
        fields = ["id", *FACTS, "photo_url", "photos_total", "photos_indexed", "created_at", "updated_at"]
        read_only_fields = fields


class ProductBody(serializers.ModelSerializer):
    """A product to create. For the OpenAPI document only: the service judges the values, as it does for uploads."""

    attributes = serializers.DictField(required=False, allow_null=True, help_text="A JSON object of your own.")

    class Meta:
        model = Product
        fields = FACTS
        extra_kwargs = {"price": PRICE, "currency": {"help_text": "ISO 4217, needed beside a price."}}


class ProductChange(ProductBody):
    """What to change in a product; what is left out stays."""


class ProductFactsBody(ProductBody):
    """A product whose sku stands in the address."""

    class Meta(ProductBody.Meta):
        fields = FACTS[1:]


class ProductBrief(serializers.ModelSerializer):
    """A product inside a hit."""

    attributes = serializers.DictField(help_text="Whatever else the merchant keeps about it.")

    class Meta:
        model = Product
        fields = [
            "id", "sku", "title", "brand", "category", "price", "currency", "in_stock", "variant_group", "attributes",
        ]  # fmt: skip
        read_only_fields = fields


class VariantShape(serializers.ModelSerializer):
    """Another variant of the article that a hit stands for."""

    attributes = serializers.DictField(help_text="Whatever else the merchant keeps about it.")
    photo_url = PhotoUrl(source="main_photo_id", allow_null=True, size="medium", help_text="Its main photo, signed.")
    found = serializers.BooleanField(help_text="Whether it was found as well: it passes the filters, and is near.")

    class Meta:
        model = Product
        fields = ["id", "sku", "title", "price", "currency", "in_stock", "attributes", "photo_url", "found"]
        read_only_fields = fields
