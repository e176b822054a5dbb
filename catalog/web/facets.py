"""What the filters of the search page list: values with how many products have them, of a catalogue or of an answer.

A catalogue's are read at most once a minute; those of an answer are counted in ``selectors.search_options``.
"""

from collections.abc import Iterable
from typing import Any, cast

from django.core.cache import cache
from django.db.models import Count, Max, Min

from catalog.models import Merchant
from catalog.selectors.product import product_list
from catalog.selectors.search_options import Facet, FacetValue

MOST = 200  # longer menus help nobody
KEPT_SECONDS = 60


def catalogue_facets(merchant: Merchant) -> list[Facet]:
    """The facets of a merchant's living products, values by how many products have them."""
    return cast(list[Facet], cache.get_or_set(f"facets:{merchant.pk}", lambda: _read(merchant), KEPT_SECONDS))


def facets_shown(facets: Iterable[Facet]) -> dict[str, list[dict[str, Any]]]:
    """Facets as the page's script takes them; money stays exact, as text."""
    return {facet.name: [_value_shown(value) for value in facet.values] for facet in facets}


def _value_shown(value: FacetValue) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": value.value, "count": value.count}
    if value.min is not None and value.max is not None:
        shown |= {"min": f"{value.min:.2f}", "max": f"{value.max:.2f}"}
    return shown


def _read(merchant: Merchant) -> list[Facet]:
    return [
        Facet("categories", _values(merchant, "category")),
        Facet("brands", _values(merchant, "brand")),
        Facet("prices", _prices(merchant)),
    ]


def _values(merchant: Merchant, field: str) -> tuple[FacetValue, ...]:
    products = product_list(merchant=merchant).exclude(**{field: ""}).order_by()
    counted = products.values_list(field).annotate(products=Count("pk")).order_by("-products", field)
    return tuple(FacetValue(value, count) for value, count in counted[:MOST])


def _prices(merchant: Merchant) -> tuple[FacetValue, ...]:
    priced = product_list(merchant=merchant).exclude(currency="").exclude(price=None).order_by()
    counted = priced.values_list("currency").annotate(products=Count("pk"), low=Min("price"), high=Max("price"))
    rows = counted.order_by("-products", "currency")[:MOST]
    return tuple(FacetValue(currency, count, low, high) for currency, count, low, high in rows)
