"""Recognitions as the API takes and shows them."""

import json
from collections.abc import Sequence
from typing import IO, Any, get_args

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import Body, LedgerError, QueuePlaceShape, RegionField, shaped_rows, state_field
from catalog.api.shapes.item import ItemShape
from catalog.api.shapes.photo import Base64Photo, FilePhoto, PhotoAddress, photo_bytes, photo_or_address
from catalog.models import Job, JobState, Photo
from workers.contract import Items

PHOTOS_LIMIT = 100


class NamedPhoto(Body):
    """One photo of a recognition, in JSON."""

    photo = Base64Photo(default=None, allow_null=True, help_text="The file's bytes as base64.")
    photo_url = PhotoAddress()
    name = serializers.CharField(max_length=255, default="", allow_blank=True, help_text="A file name, for people.")
    region = RegionField(default=None, allow_null=True, help_text="The part of the photo that counts.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of both is needed."""
        return photo_or_address(attrs, required=True)


class ItemsField(serializers.ChoiceField):
    """How many products to look for in each photo."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs = {"default": "one", "help_text": "`many`: find every product in a photo of a shelf or a room."} | kwargs
        super().__init__(get_args(Items), **kwargs)


class RecognitionBody(Body):
    """Photos to recognise, in JSON."""

    items = ItemsField()
    photos = NamedPhoto(  # type: ignore[call-arg]  # the limit of a list, taken by its many=True
        many=True, max_length=PHOTOS_LIMIT, help_text="The photos."
    )


class RecognitionOptions(Body):
    """The other parts of a form, the same for all of its photos."""

    items = ItemsField()
    region = RegionField(
        default=None, allow_null=True, help_text="JSON in a text part: the part of each of these photos that counts."
    )

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Unpack the JSON part; an empty part is one that was not sent."""
        plain = {name: data[name] for name in data if data[name] != "" or name not in self.fields}
        if "region" in plain:
            try:
                plain["region"] = json.loads(plain["region"])
            except (TypeError, ValueError) as error:
                raise serializers.ValidationError({"region": ["Send JSON in this part."]}) from error
        return super().to_internal_value(plain)


class RecognitionForm(RecognitionOptions):
    """Photos to recognise, as a form: the part ``photos`` as often as there are photos (read by ``FileParts``)."""

    photos = serializers.ListField(child=FilePhoto(), max_length=PHOTOS_LIMIT, help_text="The files.")


class FileParts(Sequence):
    """File parts as ``(name, bytes)``, each read when its turn comes, so that one photo at a time is in memory."""

    def __init__(self, parts: list[UploadedFile]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return FileParts(self._parts[index])
        part = self._parts[index]
        return part.name, photo_bytes(part)


class NamedPhotos(Sequence):
    """Photos sent in JSON as ``(name, bytes)``; a fetched one is read from its file when its turn comes."""

    def __init__(self, photos: Sequence[tuple[str, bytes | IO[bytes]]]) -> None:
        self._photos = photos

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return NamedPhotos(self._photos[index])
        name, data = self._photos[index]
        if isinstance(data, bytes):
            return name, data
        data.seek(0)
        return name, data.read()


class ProgressShape(serializers.Serializer):
    """How far a recognition is, in photos and items."""

    total = serializers.IntegerField(help_text="Photos.")
    finished = serializers.IntegerField(help_text="Photos of which nothing more is to come.")
    states = serializers.DictField(child=serializers.IntegerField(), help_text="Photos by state.")
    verdicts = serializers.DictField(child=serializers.IntegerField(), help_text="Items by verdict.")
    eta_seconds = serializers.FloatField(
        allow_null=True, help_text="At the pace of the last minute; null while nothing is known."
    )


class FailedPhoto(serializers.ModelSerializer):
    """A photo that could not be recognised."""

    error = LedgerError(source="*", help_text="Why.")

    class Meta:
        model = Photo
        fields = ["id", "name", "error"]
        read_only_fields = fields


class RecognitionRequestShape(serializers.Serializer):
    """What was asked for."""

    items = ItemsField()


class RecognitionSummary(serializers.ModelSerializer):
    """A recognition as lists show it."""

    request = serializers.SerializerMethodField()

    state = state_field(JobState)
    error = LedgerError(source="*", allow_null=True, help_text="Why it failed, or null.")

    class Meta:
        model = Job
        fields = ["id", "state", "request", "error", "created_at", "finished_at"]
        read_only_fields = fields

    @extend_schema_field(RecognitionRequestShape)
    def get_request(self, job: Job) -> dict[str, Any]:
        """How many products were looked for in each photo."""
        return {"items": "many" if job.wants_many else "one"}


class ItemPage(serializers.Serializer):
    """A page of items."""

    next = serializers.URLField(allow_null=True, help_text="This recognition with its next items, or null.")
    previous = serializers.URLField(allow_null=True)
    next_cursor = serializers.CharField(allow_null=True)
    results = ItemShape(many=True)


class RecognitionFollowed(RecognitionSummary):
    """A recognition as its events show it: each item comes as an event of its own."""

    progress = serializers.SerializerMethodField()
    queue = serializers.SerializerMethodField()
    failed_photos = serializers.SerializerMethodField()

    class Meta(RecognitionSummary.Meta):
        fields = [*RecognitionSummary.Meta.fields, "progress", "queue", "failed_photos"]
        read_only_fields = fields

    @extend_schema_field(ProgressShape)
    def get_progress(self, job: Job) -> dict[str, Any]:
        """Counted by the view."""
        return ProgressShape(self.context["progress"]).data

    @extend_schema_field(QueuePlaceShape(allow_null=True))
    def get_queue(self, job: Job) -> dict[str, Any] | None:
        """``null`` once it is finished."""
        place = self.context["progress"].queue
        return None if place is None else QueuePlaceShape(place).data

    @extend_schema_field(FailedPhoto(many=True))
    def get_failed_photos(self, job: Job) -> list[dict[str, Any]]:
        """The first hundred."""
        return shaped_rows(FailedPhoto, self.context["failed"])


class RecognitionShape(RecognitionFollowed):
    """A recognition with its progress, the photos that failed, and a page of its items."""

    items = serializers.SerializerMethodField()

    class Meta(RecognitionFollowed.Meta):
        fields = [*RecognitionFollowed.Meta.fields, "items"]
        read_only_fields = fields

    @extend_schema_field(ItemPage)
    def get_items(self, job: Job) -> dict[str, Any]:
        """One page, cut by the view."""
        return self.context["items"]
