"""What lists can be narrowed by, as query parameters."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django_filters import rest_framework as filters

from catalog.models import (
    TEST_EVENT,
    ApiKey,
    DeliveryState,
    EventType,
    Item,
    ItemState,
    Job,
    JobState,
    KeyKind,
    Product,
    RowVerdict,
    Upload,
    UploadKind,
    UploadRow,
    UploadState,
    Verdict,
    WebhookDelivery,
)
from catalog.selectors.product import products_matching

PRICE = {"max_digits": 12, "decimal_places": 2, "min_value": 0}


class YesNoField(forms.NullBooleanField):
    """``true`` or ``false``; anything else is refused, where Django's own field takes it for nothing asked."""

    widget = forms.TextInput
    answers = {"true": True, "1": True, "false": False, "0": False}

    def to_python(self, value: str | None) -> bool | None:  # type: ignore[override]  # as in NullBooleanField
        """``None`` when nothing was sent."""
        if not value:
            return None
        if value.lower() not in self.answers:
            raise forms.ValidationError("Send true or false.", code="invalid")
        return self.answers[value.lower()]


class YesNoFilter(filters.BooleanFilter):
    """Narrows by yes or no."""

    field_class = YesNoField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"widget": forms.TextInput} | kwargs)


class ProductFilters(filters.FilterSet):
    """Narrows products."""

    q = filters.CharFilter(method="search", max_length=200, label="Words in sku, title or brand.")
    sku = filters.CharFilter(max_length=100, label="Exactly this sku.")
    variant_group = filters.CharFilter(max_length=100, label="Variants of this article.")
    category = filters.CharFilter(max_length=200, label="Exactly this category.")
    brand = filters.CharFilter(max_length=120, label="Exactly this brand.")
    currency = filters.CharFilter(max_length=3, label="Prices in this currency.")
    in_stock = YesNoFilter(label="Only what is (not) in stock.")
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
    problems = YesNoFilter(method="troubled", label="Only rows with (or without) problems.")

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


class KeyFilters(filters.FilterSet):
    """Narrows API keys."""

    kind = filters.ChoiceFilter(choices=KeyKind.choices, label="Only of this kind.")

    class Meta:
        model = ApiKey
        fields: list[str] = []


class DeliveryFilters(filters.FilterSet):
    """Narrows webhook deliveries."""

    state = filters.ChoiceFilter(choices=DeliveryState.choices, label="Only in this state.")
    endpoint = filters.UUIDFilter("endpoint_id", label="Only to this endpoint.")
    type = filters.ChoiceFilter(
        "event__type", choices=[*EventType.choices, (TEST_EVENT, "Test")], label="Only events of this type."
    )

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []
