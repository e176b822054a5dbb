"""Photos as the API shows and takes them: base64 in JSON or a file part in a form, both end as bytes."""

import base64
import binascii
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, LedgerError, PhotoUrl, state_field
from catalog.models import LedgerState, Photo
from catalog.services.errors import Refused
from catalog.services.outbound import URL_LIMIT
from config.env import load_env

# A whole PNG, two pixels wide: the photo of the examples in the OpenAPI document, which can be sent as they stand.
EXAMPLE_PHOTO = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR42mNsYGBiYAAAApIAhOoU7S4AAAAASUVORK5CYII="


def photo_too_large() -> Refused:
    """What is said about a photo over the limit, wherever it is noticed."""
    return Refused("photo_too_large", f"Send a photo of at most {load_env().photo_max_bytes / 1e6:g} MB.", status=413)


def photo_bytes(value: Any) -> bytes:
    """A photo's bytes, from a file part or from base64 (or a ``data:`` address). Refuses what is too large unread."""
    limit = load_env().photo_max_bytes
    if isinstance(value, UploadedFile):
        if (value.size or 0) > limit:
            raise photo_too_large()
        value.seek(0)
        return value.read()
    if not isinstance(value, str):
        raise Refused("photo_base64_invalid", "Send the photo as a base64 string or as a file part.")
    text = value.partition(",")[2] if value.startswith("data:") else value
    if len(text) > limit * 4 / 3 + 1000:
        raise photo_too_large()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("photo_base64_invalid", "The photo is not valid base64.") from error


@extend_schema_field(OpenApiTypes.BYTE)
class Base64Photo(serializers.Field):
    """A photo's bytes in JSON."""

    def to_internal_value(self, data: Any) -> bytes:
        """The bytes; their content is looked at by the service."""
        return photo_bytes(data)


@extend_schema_field(OpenApiTypes.BINARY)
class FilePhoto(Base64Photo):
    """A photo as a file part of a form."""


@extend_schema_field({"type": "string", "format": "uri", "maxLength": URL_LIMIT})
class PhotoAddress(serializers.CharField):
    """The address of a photo elsewhere, in place of its bytes; what is wrong with it is said when it is fetched."""

    def __init__(self, **kwargs: Any) -> None:
        told = "Or its address on the public internet (secret keys only): it is fetched before the answer."
        super().__init__(default="", allow_blank=True, max_length=URL_LIMIT, help_text=told, **kwargs)


def photo_or_address(attrs: dict[str, Any], *, required: bool) -> dict[str, Any]:
    """Check that a photo is sent once: itself or by its address."""
    if attrs["photo"] is not None and attrs["photo_url"]:
        raise Refused("photo_twice", "Send the photo itself or its address, not both.")
    if required and attrs["photo"] is None and not attrs["photo_url"]:
        missing = serializers.ErrorDetail("Send the photo itself or its address.", code="required")
        raise serializers.ValidationError({"photo": [missing]})
    return attrs


def name_in_address(url: str) -> str:
    """The file name at the end of an address, for people."""
    return PurePosixPath(urlsplit(url).path).name


class PhotoShape(serializers.ModelSerializer):
    """A photo and how far it is."""

    state = state_field(LedgerState)
    error = LedgerError(source="*", allow_null=True, help_text="Why it failed, or null.")
    url = PhotoUrl(source="pk", help_text="The photo itself, signed.")
    thumb_url = PhotoUrl(source="pk", size="thumb", help_text="A small version, signed.")

    class Meta:
        model = Photo
        fields = [
            "id", "product_id", "job_id", "upload_id", "purpose", "state", "error", "name", "position", "content_type",
            "bytes", "width", "height", "bundle_version", "url", "thumb_url", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class PhotoBody(Body):
    """A photo of a product, in JSON."""

    photo = Base64Photo(default=None, allow_null=True, help_text="The file's bytes as base64.")
    photo_url = PhotoAddress()
    name = serializers.CharField(max_length=255, default="", allow_blank=True, help_text="A file name, for people.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of both is needed."""
        return photo_or_address(attrs, required=True)


class PhotoForm(PhotoBody):
    """A photo of a product, as a form."""

    photo = FilePhoto(default=None, allow_null=True, help_text="The file.")
