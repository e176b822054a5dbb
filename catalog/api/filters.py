"""What lists can be narrowed by, as query parameters."""

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from catalog.models import (
    Item,
    ItemState,
    Job,
    JobState,
    Product,
    RowVerdict,
    Upload,
    UploadKind,
    UploadRow,
    UploadState,
    Verdict,
)
from catalog.selectors.product import products_matching

PRICE = {"max_digits": 12, "decimal_places": 2, "min_value": 0}


class ProductFilters(filters.FilterSet):
    """Narrows products."""

    q = filters.CharFilter(method="search", max_length=200, label="Words in sku, title or brand.")
    sku = filters.CharFilter(max_length=100, label="Exactly this sku.")
    category = filters.CharFilter(max_length=200, label="Exactly this category.")
    brand = filters.CharFilter(max_length=120, label="Exactly this brand.")
    currency = filters.CharFilter(max_length=3, label="Prices in this currency.")
    in_stock = filters.BooleanFilter(label="Only what is (not) in stock.")
    price_min = filters.NumberFilter("price", "gte", label="At least this price.", **PRICE)
    price_max = filters.NumberFilter("price", "lte", label="At most this price.", **PRICE)

    class Meta:
        model = Product
        fields: list[str] = []

    def search(self, queryset: QuerySet[Product], name: str, value: str) -> QuerySet[Product]:
        """Every word must occur."""
        return products_matching(products=queryset, words=value)


class CreatedFilters(filters.FilterSet):
    """Narrows by the time of creation, for those that walk a long list in spans."""

    created_after = filters.IsoDateTimeFilter("created_at", "gte", label="Created at this time or later (ISO 8601).")
    created_before = filters.IsoDateTimeFilter("created_at", "lt", label="Created before this time (ISO 8601).")


class UploadFilters(CreatedFilters):
    """Narrows uploads."""

    state = filters.ChoiceFilter(choices=UploadState.choices, label="Only in this state.")
    kind = filters.ChoiceFilter(choices=UploadKind.choices, label="With a manifest, or photos alone.")

    class Meta:
        model = Upload
        fields: list[str] = []


class RowFilters(filters.FilterSet):
    """Narrows an upload's rows."""

    verdict = filters.ChoiceFilter(choices=RowVerdict.choices, label="Only with this verdict.")
    problems = filters.BooleanFilter(method="troubled", label="Only rows with (or without) problems.")

    class Meta:
        model = UploadRow
        fields: list[str] = []

    def troubled(self, queryset: QuerySet[UploadRow], name: str, value: bool) -> QuerySet[UploadRow]:
        """A photo's problem counts too, even where the row itself was taken."""
        return queryset.exclude(problems=[]) if value else queryset.filter(problems=[])


class JobFilters(CreatedFilters):
    """Narrows jobs."""

    state = filters.ChoiceFilter(choices=JobState.choices, label="Only in this state.")

    class Meta:
        model = Job
        fields: list[str] = []


class ItemFilters(filters.FilterSet):
    """Narrows items."""

    state = filters.ChoiceFilter(choices=ItemState.choices, label="Only in this state.")
    verdict = filters.ChoiceFilter(choices=Verdict.choices, label="Only with this verdict.")
    job = filters.UUIDFilter("job_id", label="Only of this recognition.")

    class Meta:
        model = Item
        fields: list[str] = []
