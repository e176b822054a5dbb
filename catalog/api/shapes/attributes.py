"""The filter by attributes as the API takes and tells it: names of the merchant's own, with values or a range."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.selectors.attributes import FILTERABLE_LENGTH, attribute_values
from catalog.services.product_values import ATTRIBUTE_NAME_LENGTH, text_is_clean
from workers.contract import AttributeFilter

NAMES_LIMIT = 10
VALUES_LIMIT = 50
BOUNDS = ("min", "max")

_VALUE = {
    "oneOf": [
        {"type": "string", "minLength": 1, "maxLength": FILTERABLE_LENGTH},
        {"type": "number"},
        {"type": "boolean"},
    ]
}
_RANGE = {
    "type": "object",
    "properties": {bound: {"type": "number"} for bound in BOUNDS},
    "minProperties": 1,
    "additionalProperties": False,
}


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": NAMES_LIMIT,
        "additionalProperties": {
            "oneOf": [{"type": "array", "items": _VALUE, "minItems": 1, "maxItems": VALUES_LIMIT}, _RANGE]
        },
        "example": {"colour": ["red", "blue"], "volume_ml": {"min": 300}},
    }
)
class AttributesField(serializers.Field):
    """``{"colour": ["red", "blue"], "volume_ml": {"min": 300, "max": 500}}``; leaves as what the workers get."""

    def to_internal_value(self, data: Any) -> tuple[AttributeFilter, ...]:
        """Every fault, each under its attribute's name."""
        if not isinstance(data, Mapping):
            _refuse("attributes_not_an_object", "Send an object: names with lists of values.")
        if len(data) > NAMES_LIMIT:
            _refuse("attribute_names_too_many", f"At most {NAMES_LIMIT} attributes narrow a search.")
        filters, faults = [], {}
        for name, wanted in data.items():
            try:
                filters.append(_filter(str(name), wanted))
            except serializers.ValidationError as error:
                faults[str(name)[:ATTRIBUTE_NAME_LENGTH]] = error.detail
        if faults:
            raise serializers.ValidationError(cast(dict[str, Any], faults))
        return tuple(filters)

    def to_representation(self, value: Any) -> Any:
        """As it was stored, see ``attributes_told``."""
        return value


def attributes_told(filters: Iterable[AttributeFilter]) -> dict[str, Any]:
    """The filters as they were sent."""
    return {each.name: list(each.values) or each.model_dump(include=set(BOUNDS), exclude_none=True) for each in filters}


def _filter(name: str, wanted: Any) -> AttributeFilter:
    if not name or len(name) > ATTRIBUTE_NAME_LENGTH or not text_is_clean(name):
        _refuse("attribute_name_invalid", f"A name is plain text of 1 to {ATTRIBUTE_NAME_LENGTH} characters.")
    if isinstance(wanted, Mapping):
        return _range(name, wanted)
    if not isinstance(wanted, list):
        _refuse("attribute_not_a_list", 'Send a list of values, or {"min": …, "max": …}.')
    if not 1 <= len(wanted) <= VALUES_LIMIT:
        _refuse("attribute_values_number", f"Send 1 to {VALUES_LIMIT} values.")
    texts = [text for each in wanted if not isinstance(each, list) for text in attribute_values(each)]
    if len(texts) < len(wanted) or not all(len(text) <= FILTERABLE_LENGTH and text_is_clean(text) for text in texts):
        _refuse(
            "attribute_value_invalid", f"Values are plain texts of 1 to {FILTERABLE_LENGTH} characters, or numbers."
        )
    return AttributeFilter(name=name, values=tuple(dict.fromkeys(texts)))


def _range(name: str, wanted: Mapping[str, Any]) -> AttributeFilter:
    bounds = {bound: wanted[bound] for bound in BOUNDS if wanted.get(bound) is not None}
    numbers = [each for each in bounds.values() if isinstance(each, int | float) and not isinstance(each, bool)]
    finite = len(numbers) == len(bounds) and all(abs(each) < 1e15 and math.isfinite(each) for each in numbers)
    if not bounds or not finite or set(wanted) - set(BOUNDS) or (len(numbers) == 2 and numbers[0] > numbers[1]):
        _refuse("attribute_range_invalid", "Send numbers min and max, or one of them; min is at most max.")
    return AttributeFilter(name=name, **{bound: float(each) for bound, each in bounds.items()})


def _refuse(code: str, sentence: str) -> NoReturn:
    raise serializers.ValidationError(sentence, code=code)
