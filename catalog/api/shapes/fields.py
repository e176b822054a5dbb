"""Fields that several shapes share: addresses of photos and errors of ledger rows."""

from collections.abc import Iterable, Mapping
from typing import Any, cast
from uuid import UUID

from django.db.models import TextChoices
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.models import Ledger
from catalog.services.errors import Refused
from catalog.web.photos import Size, photo_address
from workers.contract import Region


@extend_schema_field(OpenApiTypes.URI)
class PhotoUrl(serializers.Field):
    """The absolute signed address of the photo whose id the source holds; good for a day at least."""

    def __init__(self, *, size: Size = "full", **kwargs: Any) -> None:
        super().__init__(read_only=True, **kwargs)
        self.size: Size = size

    def to_representation(self, value: UUID) -> str:
        """The address as this caller reaches it."""
        return self.context["request"].build_absolute_uri(photo_address(value, size=self.size))


def shaped_rows(
    shape: type[serializers.Serializer], rows: Iterable[Any], context: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Many rows in one shape."""
    return cast(list[dict[str, Any]], shape(rows, many=True, context=context or {}).data)


def state_field(states: type[TextChoices]) -> serializers.Field:
    """A state to read, with what each one means. Its schema names no shared enum: several resources have states."""
    known = [{"const": str(state), "title": str(state.label)} for state in states]

    @extend_schema_field({"type": "string", "oneOf": known})
    class State(serializers.CharField):
        pass

    return State(read_only=True, help_text="Where it stands.")


@extend_schema_field(
    {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 4, "maxItems": 4}
)
class RegionField(serializers.Field):
    """Left, top, right, bottom as parts (0 to 1) of the upright photo."""

    def to_internal_value(self, data: Any) -> Region:
        """Refuses what is empty, turned round or outside."""
        numbers = data if isinstance(data, list) and len(data) == 4 else []
        if all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers) and numbers:
            left, top, right, bottom = (float(each) for each in numbers)
            if 0 <= left < right <= 1 and 0 <= top < bottom <= 1:
                return left, top, right, bottom
        raise Refused("region_invalid", "Send left < right and top < bottom as parts, from 0 to 1, of the photo.")

    def to_representation(self, value: Region) -> list[float]:
        """As it was stored."""
        return list(value)


class Body(serializers.Serializer):
    """A request's body: a field that it does not know is refused, because a misspelt filter must not be overlooked."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The values, or every fault."""
        if isinstance(data, Mapping) and (unknown := [str(name) for name in data if name not in self.fields]):
            fault = [serializers.ErrorDetail("There is no such field.", code="field_unknown")]
            raise serializers.ValidationError(dict.fromkeys(unknown, fault))
        return super().to_internal_value(data)


class QueuePlaceShape(serializers.Serializer):
    """Where an unfinished job stands."""

    position = serializers.IntegerField(help_text="1 is served next: searches, a merchant's own photos, or uploads.")
    eta_seconds = serializers.FloatField(
        allow_null=True, help_text="Until it is done, from recent work; null while nothing is known."
    )


class ErrorShape(serializers.Serializer):
    """Why a photo, a job or an upload failed."""

    code = serializers.CharField(help_text="Stable; for programs.")
    message = serializers.CharField(help_text="A sentence for people.")


class LedgerError(ErrorShape):
    """The error of a ledger row as an object; give it ``source="*"``. ``null`` while nothing is wrong."""

    def to_representation(self, instance: Ledger) -> dict[str, str] | None:  # type: ignore[override]  # null is fine
        """Code and message, never the trace."""
        if not instance.error_code:
            return None
        return {"code": instance.error_code, "message": instance.error_message}
