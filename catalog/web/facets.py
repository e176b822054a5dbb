"""The filters that a catalogue offers: its categories, brands and currencies, read at most once a minute."""

from dataclasses import dataclass
from typing import cast

from django.core.cache import cache
from django.db.models import Count

from catalog.models import Merchant
from catalog.selectors.product import product_list

MOST = 200  # longer menus help nobody
KEPT_SECONDS = 60


@dataclass(frozen=True)
class Facets:
    """What the menus of the search page list: in alphabetical order, currencies by how many products have them."""

    categories: tuple[str, ...]
    brands: tuple[str, ...]
    currencies: tuple[str, ...]


def facets_of(merchant: Merchant) -> Facets:
    """The facets of a merchant's living products."""
    return cast(Facets, cache.get_or_set(f"facets:{merchant.pk}", lambda: _read(merchant), KEPT_SECONDS))


def _read(merchant: Merchant) -> Facets:
    return Facets(_values(merchant, "category"), _values(merchant, "brand"), _currencies(merchant))


def _values(merchant: Merchant, field: str) -> tuple[str, ...]:
    products = product_list(merchant=merchant).exclude(**{field: ""}).order_by(field)
    return tuple(products.values_list(field, flat=True).distinct()[:MOST])


def _currencies(merchant: Merchant) -> tuple[str, ...]:
    products = product_list(merchant=merchant).exclude(currency="").order_by()
    counted = products.values("currency").annotate(products=Count("pk")).order_by("-products", "currency")
    return tuple(counted.values_list("currency", flat=True)[:MOST])
