"""What the filters of the search page list: values with how many products have them, of a catalogue or of an answer.

A catalogue's are read at most once a minute; those of an answer are counted in ``selectors.search_options``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from django.core.cache import cache
from django.db.models import Count, Max, Min

from catalog.models import Merchant
from catalog.selectors.product import product_list
from catalog.selectors.search_options import FACETS, Facet, FacetValue
from catalog.web.attributes import AttributeMenu, attribute_menus

MOST = 200  # longer menus help nobody
KEPT_SECONDS = 60


@dataclass(frozen=True)
class Menus:
    """What the filters of a shop offer. ``facets`` are values by how many living products have them."""

    facets: tuple[Facet, ...]
    attributes: tuple[AttributeMenu, ...]
    has_variants: bool

    @property
    def counted(self) -> tuple[str, ...]:
        """What a search counts for them."""
        return (*FACETS, *(each.facet for each in self.attributes))


def catalogue_menus(merchant: Merchant) -> Menus:
    """The filters of a merchant's catalogue."""
    return cast(Menus, cache.get_or_set(f"menus:{merchant.pk}", lambda: _read(merchant), KEPT_SECONDS))


def facets_shown(facets: Iterable[Facet]) -> dict[str, list[dict[str, Any]]]:
    """Facets as the page's script takes them; money stays exact, as text."""
    return {facet.name: [_value_shown(value) for value in facet.values] for facet in facets}


def _value_shown(value: FacetValue) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": value.value, "count": value.count}
    if value.min is not None and value.max is not None:
        shown |= {"min": f"{value.min:.2f}", "max": f"{value.max:.2f}"}
    return shown


def _read(merchant: Merchant) -> Menus:
    attributes = attribute_menus(merchant)
    facets = (
        Facet("categories", _values(merchant, "category")),
        Facet("brands", _values(merchant, "brand")),
        Facet("prices", _prices(merchant)),
        *(each.known() for each in attributes),
    )
    has_variants = product_list(merchant=merchant).exclude(variant_group="").exists()
    return Menus(facets, attributes, has_variants)


def _values(merchant: Merchant, field: str) -> tuple[FacetValue, ...]:
    products = product_list(merchant=merchant).exclude(**{field: ""}).order_by()
    counted = products.values_list(field).annotate(products=Count("pk")).order_by("-products", field)
    return tuple(FacetValue(value, count) for value, count in counted[:MOST])


def _prices(merchant: Merchant) -> tuple[FacetValue, ...]:
    priced = product_list(merchant=merchant).exclude(currency="").exclude(price=None).order_by()
    counted = priced.values_list("currency").annotate(products=Count("pk"), low=Min("price"), high=Max("price"))
    rows = counted.order_by("-products", "currency")[:MOST]
    return tuple(FacetValue(currency, count, low, high) for currency, count, low, high in rows)
