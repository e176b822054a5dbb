"""The bodies of webhooks, for the OpenAPI document; written by ``services.webhooks.events``, a test compares them."""

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.shapes.fields import ErrorShape, state_field
from catalog.api.shapes.upload import KINDS
from catalog.models import TEST_EVENT, DecisionAction, EventType, ItemState, JobKind, JobState, UploadState, Verdict
from catalog.services.review import ADDED, GONE, HELD


def type_field(value: str) -> serializers.Field:
    """The type of an event: always the same word."""

    @extend_schema_field({"type": "string", "const": str(value)})
    class Type(serializers.CharField):
        pass

    return Type(help_text="What happened.")


class EventShape(serializers.Serializer):
    """What all events share."""

    timestamp = serializers.DateTimeField(help_text="When it happened.")


class UploadData(serializers.Serializer):
    """An upload that is over."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(KINDS, help_text="With a manifest, or photos alone.")
    state = state_field(UploadState)
    name = serializers.CharField(help_text="The file's name.")
    dry_run = serializers.BooleanField(help_text="Whether nothing was to be changed.")
    job_id = serializers.UUIDField(allow_null=True, help_text="The recognition job, for photos without a manifest.")
    rows_total = serializers.IntegerField()
    rows_done = serializers.IntegerField()
    rows_created = serializers.IntegerField()
    rows_updated = serializers.IntegerField()
    rows_unchanged = serializers.IntegerField()
    rows_refused = serializers.IntegerField()
    error = ErrorShape(allow_null=True, help_text="Why the whole upload failed, or null.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    url = serializers.URLField(help_text="Where to read the rest.")


class UploadFinished(EventShape):
    """`upload.finished`."""

    type = type_field(EventType.UPLOAD_FINISHED)
    data = UploadData()  # type: ignore[assignment]  # DRF takes a field out of the class: it hides nothing


class JobData(serializers.Serializer):
    """A search or a recognition that is over."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(JobKind.choices, help_text="What kind of job it was.")
    state = state_field(JobState)
    verdict = serializers.ChoiceField(Verdict.choices, allow_null=True, help_text="Of a search by photo.")
    error = ErrorShape(allow_null=True, help_text="Why it failed, or null.")
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    url = serializers.URLField(help_text="Where to read the rest.")


class JobFinished(EventShape):
    """`job.finished`."""

    type = type_field(EventType.JOB_FINISHED)
    data = JobData()  # type: ignore[assignment]  # DRF takes a field out of the class: it hides nothing


@extend_schema_field({"type": "string", "enum": [ADDED, HELD, GONE, None]})
class ReferenceField(serializers.CharField):
    """``added``, ``held`` (the product had this very photo), ``gone`` (the photo was deleted)."""


class DecidedProduct(serializers.Serializer):
    """What an item was decided to be."""

    id = serializers.UUIDField()
    sku = serializers.CharField()
    title = serializers.CharField()


class DecisionData(serializers.Serializer):
    """A reviewer's decision on an item."""

    id = serializers.UUIDField(help_text="The item's.")
    job_id = serializers.UUIDField(allow_null=True)
    photo_id = serializers.UUIDField(allow_null=True)
    verdict = serializers.ChoiceField(Verdict.choices, help_text="The machine's.")
    state = state_field(ItemState)
    action = serializers.ChoiceField(DecisionAction.choices, help_text="What the reviewer did.")
    product = DecidedProduct(allow_null=True, help_text="Null for a rejected item.")
    reference = ReferenceField(
        allow_null=True, help_text="Whether the photo became a reference of the product; null for a rejected item."
    )
    decided_by = serializers.CharField(help_text="A person's name, or the key's.")
    decided_at = serializers.DateTimeField()
    url = serializers.URLField(help_text="Where to read the rest.")


class ItemDecided(EventShape):
    """`item.decided`."""

    type = type_field(EventType.ITEM_DECIDED)
    data = DecisionData()  # type: ignore[assignment]  # DRF takes a field out of the class: it hides nothing


class PingData(serializers.Serializer):
    """Nothing happened."""

    endpoint_id = serializers.UUIDField()
    message = serializers.CharField()


class VitrineTest(EventShape):
    """`vitrine.test`."""

    type = type_field(TEST_EVENT)
    data = PingData()  # type: ignore[assignment]  # DRF takes a field out of the class: it hides nothing


EVENT_SHAPES: dict[str, type[EventShape]] = {
    EventType.UPLOAD_FINISHED: UploadFinished,
    EventType.JOB_FINISHED: JobFinished,
    EventType.ITEM_DECIDED: ItemDecided,
    TEST_EVENT: VitrineTest,
}
