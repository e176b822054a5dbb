"""What the search page sends, checked and turned into a search; nothing is trusted, the filters least of all."""

from decimal import Decimal
from typing import Any, cast, get_args
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from catalog.models import Merchant
from catalog.selectors.search_options import SearchOptions, Sort
from catalog.web.attributes import attributes_chosen
from catalog.web.facets import catalogue_menus
from workers.contract import Region, SearchFilters

NAMES_LIMIT = 50
EXAMPLES_LIMIT = 10


class PriceField(forms.DecimalField):
    """A price as shoppers type it: ``49.90``, ``49,90`` or ``€ 49``."""

    default_error_messages = dict.fromkeys(
        ("invalid", "max_digits", "max_whole_digits"), _("Write prices as plain numbers, for example 49.90.")
    )

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]  # as the stubs' own DecimalField
        """The number, never negative."""
        price = super().to_python(str(value or "").strip(" €$£¥").replace(",", "."))
        return None if price is None else abs(price)


class NamesField(forms.Field):
    """Several values under one name, as checkboxes send them."""

    widget = forms.MultipleHiddenInput
    default_error_messages = {"too_many": _("These are too many at once.")}
    most = NAMES_LIMIT

    def to_python(self, value: Any) -> tuple[Any, ...]:
        """Each once, in their order."""
        names = tuple(dict.fromkeys(str(each)[:200] for each in value or () if each))
        if len(names) > self.most:
            raise forms.ValidationError(self.error_messages["too_many"], code="too_many")
        return names


class ProductsField(NamesField):
    """Products to be like or unlike, by their ids."""

    default_error_messages = {"invalid": _("This product is gone.")}
    most = EXAMPLES_LIMIT

    def to_python(self, value: Any) -> tuple[UUID, ...]:
        """Their ids."""
        try:
            return tuple(UUID(each) for each in super().to_python(value))
        except ValueError as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error


class RegionField(forms.CharField):
    """Left, top, right, bottom as parts (0 to 1) of the upright photo, separated by commas."""

    default_error_messages = {"invalid": _("The frame lies outside of the photo. Draw it anew.")}

    def to_python(self, value: Any) -> Region | None:  # type: ignore[override]  # a frame, not its text
        """The region; ``None``: all of the photo, or its main subject."""
        text = super().to_python(value)
        if not text:
            return None
        try:
            left, top, right, bottom = (float(each) for each in text.split(","))
        except ValueError as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return left, top, right, bottom


class SearchForm(forms.Form):
    """Photo, words, filters and examples. ``merchants`` are those that this visitor may search.

    Attributes have names of the merchant's own, so they are no fields: ``web.attributes`` reads them.

    ``again`` is the address of an earlier search whose photo is meant, so that no photo travels twice.
    """

    merchant = forms.ModelChoiceField(
        Merchant.objects.none(),
        to_field_name="slug",
        error_messages={
            "invalid_choice": _("This shop cannot be searched from here."),
            "required": _("Choose a shop."),
        },
    )
    photo = forms.FileField(required=False, allow_empty_file=True)
    again = forms.CharField(required=False, max_length=300)
    region = RegionField(required=False, max_length=200)
    words = forms.CharField(
        required=False,
        max_length=500,
        error_messages={"max_length": _("These are too many words: at most 500 characters are read.")},
    )
    photo_weight = forms.FloatField(required=False, min_value=0, max_value=1)
    like = ProductsField(required=False)
    unlike = ProductsField(required=False)
    category = NamesField(required=False)
    brand = NamesField(required=False)
    price_min = PriceField(required=False, max_digits=12)
    price_max = PriceField(required=False, max_digits=12)
    currency = forms.RegexField(r"^[A-Z]{3}$", required=False)
    in_stock = forms.BooleanField(required=False)
    every_variant = forms.BooleanField(required=False)
    sort = forms.ChoiceField(required=False, choices=[(each, each) for each in get_args(Sort)])

    def __init__(self, *args: Any, merchants: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ModelChoiceField, self.fields["merchant"]).queryset = merchants

    def clean(self) -> dict[str, Any]:
        """What would find nothing, or mean nothing, is refused in a sentence."""
        values = super().clean() or self.cleaned_data
        if merchant := values.get("merchant"):
            values["menus"] = catalogue_menus(merchant)
            values["attributes"] = attributes_chosen(cast(QueryDict, self.data), values["menus"].attributes)
        low, high = values.get("price_min"), values.get("price_max")
        if low is not None and high is not None and low > high:
            raise forms.ValidationError(_("The lowest price is above the highest one."), code="price_range")
        if values.get("unlike") and not self._has_picture(values):
            raise forms.ValidationError(_("Show a photo, or choose a product to be like, first."), code="unlike_alone")
        return values

    def filters(self) -> SearchFilters:
        """The filters, as the index will evaluate them."""
        values = self.cleaned_data
        low, high = values["price_min"], values["price_max"]
        needs_currency = (low, high) != (None, None) or values["sort"].startswith("price")
        return SearchFilters(
            categories=values["category"],
            brands=values["brand"],
            price_min=None if low is None else float(low),
            price_max=None if high is None else float(high),
            currency=(values["currency"] or None) if needs_currency else None,
            in_stock=True if values["in_stock"] else None,
            attributes=values["attributes"],
        )

    def options(self) -> SearchOptions:
        """The order, the examples, and what is counted for the filters."""
        values = self.cleaned_data
        is_mixture = bool(values["words"].strip()) and self._has_picture(values)
        return SearchOptions(
            sort=values["sort"] or "relevance",
            facets=values["menus"].counted,
            photo_weight=values["photo_weight"] if is_mixture else None,
            like=values["like"],
            unlike=values["unlike"],
            group_variants=not values["every_variant"],
        )

    def first_problem(self) -> str:
        """One sentence for people."""
        return str(next(iter(self.errors.values()))[0])

    @staticmethod
    def _has_picture(values: dict[str, Any]) -> bool:
        return bool(values.get("photo") or values.get("again") or values.get("like"))
