"""Examples of a search as the API takes them: products, photos, and photos of earlier searches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, RegionField
from catalog.api.shapes.photo import Base64Photo, PhotoAddress, photo_or_address
from catalog.services.errors import Refused
from catalog.services.outbound import URL_LIMIT
from catalog.services.search_examples import ExampleSent

EXAMPLES_LIMIT = 10
PHOTOS_LIMIT = 5  # among them; each is as much work for a worker as one more search


@dataclass(frozen=True)
class Example:
    """One example as it was sent: a product, or a photo that may still have to be fetched from its address."""

    product_id: UUID | None
    sent: ExampleSent
    url: str = ""


class ExampleBody(Body):
    """An example with its parts named."""

    product_id = serializers.UUIDField(default=None, allow_null=True)
    photo = Base64Photo(default=None, allow_null=True)
    photo_url = PhotoAddress()
    search_id = serializers.UUIDField(default=None, allow_null=True)
    region = RegionField(default=None, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one thing; only a photo has a region."""
        photo_or_address(attrs, required=False)
        given = [attrs["product_id"], attrs["search_id"], attrs["photo"], attrs["photo_url"] or None]
        if sum(each is not None for each in given) != 1:
            sentence = "Name one of product_id, photo, photo_url and search_id."
            raise serializers.ValidationError(sentence, code="example_ambiguous")
        if attrs["region"] and attrs["product_id"]:
            raise Refused(
                "region_without_photo", "A region is a part of a photo: send the photo in the product's place."
            )
        return attrs


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "format": "uuid", "description": "A product."},
            {
                "type": "object",
                "description": "One of the four, and for a photo the part that counts.",
                "properties": {
                    "product_id": {"type": "string", "format": "uuid"},
                    "photo": {
                        "type": "string",
                        "description": "As base64; in a form the name of the part that has it.",
                    },
                    "photo_url": {"type": "string", "format": "uri", "maxLength": URL_LIMIT},
                    "search_id": {"type": "string", "format": "uuid", "description": "An earlier search by photo."},
                    "region": {
                        "type": "array",
                        "items": {"type": "number", "minimum": 0, "maximum": 1},
                        "minItems": 4,
                        "maxItems": 4,
                    },
                },
                "additionalProperties": False,
            },
        ]
    }
)
class ExampleField(serializers.Field):
    """A product's id, or an object that names a product, a photo or an earlier search."""

    def to_internal_value(self, data: Any) -> Example:
        """The example; ``like`` and ``field`` are told by the list that it is in."""
        if not isinstance(data, Mapping):
            return Example(serializers.UUIDField().run_validation(data), ExampleSent("", like=True))
        said = ExampleBody(data=data)
        said.is_valid(raise_exception=True)
        values = said.validated_data
        sent = ExampleSent("", like=True, data=values["photo"], search_id=values["search_id"], region=values["region"])
        return Example(values["product_id"], sent, values["photo_url"])


def examples_split(
    like: Sequence[Example], unlike: Sequence[Example]
) -> tuple[tuple[UUID, ...], tuple[UUID, ...], tuple[Example, ...]]:
    """The products to be like, those to be unlike, and the photos of both lists."""
    photos = [
        replace(each, sent=replace(each.sent, field=f"{name}.{place}", like=name == "like"))
        for name, examples in (("like", like), ("unlike", unlike))
        for place, each in enumerate(examples)
        if each.product_id is None
    ]
    if len(photos) > PHOTOS_LIMIT:
        sentence = f"At most {PHOTOS_LIMIT} of the examples may be photos."
        fault = serializers.ErrorDetail(sentence, code="example_photos_too_many")
        raise serializers.ValidationError({photos[-1].sent.field.partition(".")[0]: [fault]})
    wanted, unwanted = ([each.product_id for each in some if each.product_id] for some in (like, unlike))
    return tuple(wanted), tuple(unwanted), tuple(photos)
