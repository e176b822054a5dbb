"""What a product's values must be: one place for the bulk upload, the API and the admin.

Comes before ``product`` and ``uploading`` write anything. ``clean_values`` takes text (a manifest's cells) as well as
JSON values, and reports every problem at once; it reads no table.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from catalog.models import Product
from catalog.services.currencies import CURRENCIES
from catalog.services.problems import Problem, problem, storable

REQUIRED = ("sku", "title")
LENGTHS = {"sku": 100, "variant_group": 100, "title": 300, "brand": 120, "category": 200, "description": 10_000}
FIELDS = (*LENGTHS, "price", "currency", "in_stock", "attributes")
# What the index knows about a product: a change of any of these makes its photos owed again.
INDEXED = frozenset(FIELDS) - {"sku"}

PRICE_LIMIT = Decimal("9999999999.99")
ATTRIBUTE_LIMIT = 100
ATTRIBUTE_NAME_LENGTH = 100
ATTRIBUTE_VALUE_LENGTH = 1_000

_PLAIN_PRICE = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_COMMA_PRICE = re.compile(r"([+-]?[0-9]{1,20}),([0-9]{1,2})")  # 12,50 can only be twelve and a half
_GROUPED_PRICE = re.compile(r"[+-]?[0-9]{1,3}([.,' ][0-9]{3})*([.,][0-9]*)?")
_UNCLEAN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TRUE = {"true", "yes", "y", "1"}
_FALSE = {"false", "no", "n", "0"}


def clean_values(values: Mapping[str, Any], *, partial: bool = False) -> tuple[dict[str, Any], list[Problem]]:
    """Values ready for ``Product`` and every problem found. ``partial``: a field that is absent is no problem.

    Only fields that were given come back. Codes: field_unknown, <field>_missing (sku, title), <field>_too_long,
    <field>_not_text, price_not_a_number, price_ambiguous, price_negative, price_too_many_decimals, price_too_large,
    currency_unknown, in_stock_not_yes_or_no, attributes_not_an_object, attributes_too_many, attributes_not_text,
    attribute_too_long.
    """
    cleaned: dict[str, Any] = {}
    problems: list[Problem] = []
    for field, value in values.items():
        if clean := _CLEANERS.get(field):
            found = clean(field, value)
            problems.extend(found) if isinstance(found, list) else cleaned.update({field: found})
        else:
            problems.append(problem("field_unknown", f"A product has no field {field[:100]!r}.", field=field[:100]))
    for field in REQUIRED:
        if field not in values and not partial:
            problems.append(_missing(field))
    return cleaned, problems


def sku_stored(sku: str) -> str:
    """What ``clean_values`` makes of a sku: the product that an address or an upsert means has this one."""
    return _one_line(storable(sku))


def currency_problem(price: Decimal | None, currency: str) -> Problem | None:
    """A price only means something with a currency: code currency_missing."""
    if price is None or currency:
        return None
    return problem("currency_missing", "There is a price without a currency: write for example EUR.", field="currency")


def values_lacking(values: Mapping[str, Any], held: Product | None) -> list[Problem]:
    """What is missing once cleaned values, perhaps only some of them, are laid over the product that is there.

    A product that is not there, or was deleted, has nothing to lay them over.
    """
    alive = held if held and not held.deleted_at else Product()
    missing = [] if alive is held else [_missing(field) for field in REQUIRED if field not in values]
    found = currency_problem(values.get("price", alive.price), values.get("currency", alive.currency))
    return [*missing, found] if found else missing


def apply_values(product: Product, values: Mapping[str, Any]) -> set[str]:
    """Set cleaned values on a product that is not saved yet; returns the names of the fields that changed."""
    changed = {field for field, value in values.items() if getattr(product, field) != value}
    for field in changed:
        setattr(product, field, values[field])
    return changed


def text_is_clean(text: str) -> bool:
    """No control characters (but tab and line ends) and nothing that a database cannot store."""
    return not _UNCLEAN.search(text)


def _missing(field: str) -> Problem:
    return problem(f"{field}_missing", f"The {field} is missing.", field=field)


def _line(field: str, value: Any) -> str | list[Problem]:
    """One line of text: outer blanks go, line ends inside become blanks."""
    return _text(field, _one_line(value) if isinstance(value, str) and text_is_clean(value) else value)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _text(field: str, value: Any) -> str | list[Problem]:
    value = "" if value is None else value
    if not isinstance(value, str) or not text_is_clean(value):
        return [problem(f"{field}_not_text", f"The {field} is not plain text.", field=field)]
    value = value.strip()
    if not value and field in REQUIRED:
        return [_missing(field)]
    if len(value) > LENGTHS[field]:
        sentence = f"The {field} has {len(value):,} characters; at most {LENGTHS[field]:,} are taken."
        return [problem(f"{field}_too_long", sentence, field=field)]
    return value


def _price(field: str, value: Any) -> Decimal | list[Problem] | None:
    text = "" if value is None else str(value).strip()
    if not text and not isinstance(value, bool):
        return None
    if comma := _COMMA_PRICE.fullmatch(text):
        text = f"{comma[1]}.{comma[2]}"
    shown = text[:40]
    if isinstance(value, bool) or not _PLAIN_PRICE.fullmatch(text):
        return [_odd_price(shown)]
    price = Decimal(text)
    exponent = price.normalize().as_tuple().exponent
    if price < 0:
        return [problem("price_negative", f"The price {shown} is negative.", field="price")]
    if isinstance(exponent, int) and exponent < -2:
        sentence = f"The price {shown} has more than two decimals."
        return [problem("price_too_many_decimals", sentence, field="price")]
    if price > PRICE_LIMIT:
        return [problem("price_too_large", f"The price {shown} is larger than {PRICE_LIMIT:,}.", field="price")]
    return price.quantize(Decimal("0.01"))


def _odd_price(shown: str) -> Problem:
    if "," in shown and _GROUPED_PRICE.fullmatch(shown):
        sentence = f"The price {shown} can be read in more than one way: write it like 1234.50."
        return problem("price_ambiguous", sentence, field="price")
    sentence = f"The price {shown!r} is not a number: write it like 1234.50, the currency in its own column."
    return problem("price_not_a_number", sentence, field="price")


def _currency(field: str, value: Any) -> str | list[Problem]:
    code = "" if value is None else str(value).strip().upper()
    if code and code not in CURRENCIES:
        sentence = f"{str(value).strip()[:20]!r} is no currency code of ISO 4217: write for example EUR."
        return [problem("currency_unknown", sentence, field="currency")]
    return code


def _in_stock(field: str, value: Any) -> bool | list[Problem]:
    text = "" if value is None else str(value).strip().lower()
    if text in _TRUE or not text:
        return True
    if text in _FALSE:
        return False
    sentence = f"In stock is {text[:40]!r}: write yes or no."
    return [problem("in_stock_not_yes_or_no", sentence, field="in_stock")]


def _attributes(field: str, value: Any) -> dict[str, Any] | list[Problem]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return [problem("attributes_not_an_object", "Attributes must be names with values.", field=field)]
    if len(value) > ATTRIBUTE_LIMIT:
        sentence = f"There are {len(value)} attributes; at most {ATTRIBUTE_LIMIT} are taken."
        return [problem("attributes_too_many", sentence, field=field)]
    return [each for name in value for each in _attribute_problems(name, value[name])] or dict(value)


def _attribute_problems(name: str, value: Any) -> list[Problem]:
    shown = name[:40]
    try:
        length = len(value) if isinstance(value, str) else len(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError):
        sentence = f"The value of the attribute {shown!r} cannot be kept."
        return [problem("attributes_not_an_object", sentence, field=name[:100])]
    if len(name) > ATTRIBUTE_NAME_LENGTH or length > ATTRIBUTE_VALUE_LENGTH:
        sentence = (
            f"The attribute {shown!r} is too long: a name has at most {ATTRIBUTE_NAME_LENGTH} characters, "
            f"a value {ATTRIBUTE_VALUE_LENGTH:,}."
        )
        return [problem("attribute_too_long", sentence, field=name[:100])]
    if not all(map(text_is_clean, (name, *_texts(value)))):
        return [problem("attributes_not_text", f"The attribute {shown!r} is not plain text.", field=name[:100])]
    return []


def _texts(value: Any) -> Iterator[str]:
    """Every text inside a JSON value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for name, each in value.items() for text in (name, *_texts(each)))
    elif isinstance(value, list):
        yield from (text for each in value for text in _texts(each))


_CLEANERS: dict[str, Callable[[str, Any], Any]] = {
    "sku": _line,
    "variant_group": _line,
    "title": _line,
    "brand": _line,
    "category": _line,
    "description": _text,
    "price": _price,
    "currency": _currency,
    "in_stock": _in_stock,
    "attributes": _attributes,
}
