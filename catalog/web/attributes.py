"""Attributes on the search page: which of a shop's the filters offer, and what a visitor chose among them.

Merchants name attributes as they like. The page looks at some of the products and offers the names that most of them
have and that tell them apart: a number as a range, anything else as a list of values. Read by ``facets`` (which keeps
what was read for a minute) and by ``forms``.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, DecimalException

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext

from catalog.models import Merchant
from catalog.selectors.attributes import attribute_pairs
from catalog.selectors.product import product_list
from catalog.selectors.search_options import ATTRIBUTE, Facet, FacetValue
from workers.contract import AttributeFilter

SAMPLE = 2_000  # products that are looked at
OFFERED = 8  # attributes
LONGEST_LIST = 60  # values; an attribute with more is a text to read, not one to choose from
SHORTEST_RANGE = 8  # numbers; fewer are values to choose from, such as sizes of shoes
VALUES_LIMIT = 50  # of one attribute in one search, as in the API
FARTHEST = Decimal("1e15")


@dataclass(frozen=True)
class AttributeMenu:
    """One attribute that the filters offer, with what is known of its values before a search."""

    name: str
    is_range: bool
    values: tuple[FacetValue, ...]

    @property
    def facet(self) -> str:
        """What a search calls it, to count it."""
        return f"{ATTRIBUTE}{self.name}"

    @property
    def label(self) -> str:
        """For people: ``volume_ml`` is "Volume ml"."""
        words = self.name.replace("_", " ").strip()
        return words[:1].upper() + words[1:]

    def known(self) -> Facet:
        """Its values as a facet."""
        return Facet(self.facet, self.values)


def attribute_menus(merchant: Merchant) -> tuple[AttributeMenu, ...]:
    """The attributes to filter by, those of most products first. Counts are 0, which is unknown, beside a sample."""
    sample = list(product_list(merchant=merchant).order_by("pk").values_list("attributes", flat=True)[:SAMPLE])
    counted: dict[str, Counter[str]] = {}
    for attributes in sample:
        for name, value in attribute_pairs(attributes):
            counted.setdefault(name, Counter())[value] += 1
    names = sorted(counted, key=lambda name: (-counted[name].total(), name))
    menus = (_menu(name, counted[name], is_whole=len(sample) < SAMPLE) for name in names)
    return tuple([menu for menu in menus if menu][:OFFERED])


def attributes_chosen(data: QueryDict, menus: Iterable[AttributeMenu]) -> tuple[AttributeFilter, ...]:
    """The filters in a form's data; what is not offered is not asked for. Raises Django's ``ValidationError``."""
    chosen = (_range_chosen(data, each.name) if each.is_range else _values_chosen(data, each.name) for each in menus)
    return tuple(each for each in chosen if each)


def _menu(name: str, counts: Counter[str], *, is_whole: bool) -> AttributeMenu | None:
    """How one attribute is offered; ``None``: it tells nothing apart, or everything."""
    numbers = [number for value in counts if (number := _number(value)) is not None]
    if len(numbers) == len(counts) >= SHORTEST_RANGE:
        ends = (min(numbers), max(numbers))
        return AttributeMenu(name, True, tuple(FacetValue(f"{each:f}", 0) for each in ends))
    if not 1 < len(counts) <= LONGEST_LIST or len(counts) == counts.total():
        return None
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    return AttributeMenu(name, False, tuple(FacetValue(each, counts[each] if is_whole else 0) for each in ordered))


def _values_chosen(data: QueryDict, name: str) -> AttributeFilter | None:
    values = dict.fromkeys(each[:200] for each in data.getlist(f"attribute.{name}") if each)
    if len(values) > VALUES_LIMIT:
        raise forms.ValidationError(gettext("These are too many at once."), code="too_many")
    return AttributeFilter(name=name, values=tuple(values)) if values else None


def _range_chosen(data: QueryDict, name: str) -> AttributeFilter | None:
    bounds = {end: _bound(data.get(f"attribute_{end}.{name}", "")) for end in ("min", "max")}
    low, high = bounds["min"], bounds["max"]
    if low is not None and high is not None and low > high:
        raise forms.ValidationError(gettext("The lowest number is above the highest one."), code="range")
    return None if low is None and high is None else AttributeFilter(name=name, min=low, max=high)


def _bound(text: str) -> float | None:
    if not text.strip():
        return None
    number = _number(text.strip().replace(",", "."))
    if number is None:
        raise forms.ValidationError(gettext("Write plain numbers, for example 350."), code="invalid")
    return float(number)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except DecimalException:
        return None
    return number if number.is_finite() and abs(number) < FARTHEST else None
