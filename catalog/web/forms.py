"""What the search page sends, checked and turned into a search; nothing is trusted, the filters least of all."""

from decimal import Decimal
from typing import Any, cast

from django import forms

from catalog.models import Merchant
from workers.contract import SearchFilters


class PriceField(forms.DecimalField):
    """A price as shoppers type it: ``49.90``, ``49,90`` or ``€ 49``."""

    default_error_messages = dict.fromkeys(
        ("invalid", "max_digits", "max_whole_digits"), "Write prices as plain numbers, for example 49.90."
    )

    def to_python(self, value: Any) -> Decimal | None:  # type: ignore[override]  # as the stubs' own DecimalField
        """The number, never negative."""
        price = super().to_python(str(value or "").strip(" €$£¥").replace(",", "."))
        return None if price is None else abs(price)


class SearchForm(forms.Form):
    """Photo, words and filters. ``merchants`` are those that this visitor may search."""

    merchant = forms.ModelChoiceField(
        Merchant.objects.none(),
        to_field_name="slug",
        error_messages={"invalid_choice": "This shop cannot be searched from here.", "required": "Choose a shop."},
    )
    photo = forms.FileField(required=False, allow_empty_file=True)
    words = forms.CharField(
        required=False,
        max_length=500,
        error_messages={"max_length": "These are too many words: at most 500 characters are read."},
    )
    category = forms.CharField(required=False, max_length=200)
    brand = forms.CharField(required=False, max_length=120)
    price_min = PriceField(required=False, max_digits=12)
    price_max = PriceField(required=False, max_digits=12)
    currency = forms.RegexField(r"^[A-Z]{3}$", required=False)
    in_stock = forms.BooleanField(required=False)

    def __init__(self, *args: Any, merchants: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ModelChoiceField, self.fields["merchant"]).queryset = merchants

    def clean(self) -> dict[str, Any]:
        """A range the wrong way round is refused instead of finding nothing."""
        values = super().clean() or self.cleaned_data
        low, high = values.get("price_min"), values.get("price_max")
        if low is not None and high is not None and low > high:
            raise forms.ValidationError("The lowest price is above the highest one.", code="price_range")
        return values

    def filters(self) -> SearchFilters:
        """The filters, as the index will evaluate them."""
        values = self.cleaned_data
        low, high = values["price_min"], values["price_max"]
        return SearchFilters(
            categories=(values["category"],) if values["category"] else (),
            brands=(values["brand"],) if values["brand"] else (),
            price_min=None if low is None else float(low),
            price_max=None if high is None else float(high),
            currency=(values["currency"] or None) if (low, high) != (None, None) else None,
            in_stock=True if values["in_stock"] else None,
        )

    def first_problem(self) -> str:
        """One sentence for people."""
        return str(next(iter(self.errors.values()))[0])
