"""A product's attributes as texts: what facets count, what searches filter by, what a hit says about itself.

Read by ``product`` for the workers, by ``search_options`` for facets and by ``search`` for reasons; so a value that a
facet shows is the value to filter by. Pure functions.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

FILTERABLE_LENGTH = 200  # characters; a longer value is a text to read, not one to choose
FILTERABLE_VALUES = 500  # of one product


def attribute_values(value: Any) -> list[str]:
    """An attribute as the texts that one filters by: of a list each, of an object none."""
    each = value if isinstance(value, list) else [value]
    plain = [str(one).lower() if isinstance(one, bool) else str(one) for one in each if _is_plain(one)]
    return [text for text in plain if text]


def attribute_pairs(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The names with the values that searches can filter by, a name as often as it has values."""
    return tuple(islice(_pairs(attributes), FILTERABLE_VALUES))


def _pairs(attributes: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in attributes.items():
        for text in dict.fromkeys(attribute_values(value)):
            if len(text) <= FILTERABLE_LENGTH:
                yield name, text


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)
