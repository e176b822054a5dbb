"""The admin's forms: a product with new photos, and a bulk upload. They check; the services write."""

from typing import Any, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from catalog.models import Merchant, Product
from catalog.selectors.product import product_list
from catalog.services.product_values import FIELDS, clean_values, currency_problem
from config.env import load_env
from workers.client import PhotoError, inspect_photo


class PhotosInput(forms.FileInput):
    """A file field that takes several photos."""

    allow_multiple_selected = True


class PhotosField(forms.FileField):
    """Several photos, inspected; cleaned to a list of ``(file name, bytes)``."""

    widget = PhotosInput(attrs={"accept": "image/*", "class": "v-file"})

    def clean(self, data: list[UploadedFile] | None, initial: Any = None) -> list[tuple[str, bytes]]:
        """Refuses each photo that cannot be used, by name."""
        photos, problems = [], []
        for file in data or []:
            try:
                photos.append((file.name or "", _inspected(super().clean(file, initial))))
            except PhotoError as error:
                problems.append(f"{file.name}: {error.message}")
        if problems:
            raise forms.ValidationError(problems)
        return photos


def _inspected(file: UploadedFile) -> bytes:
    most = load_env().photo_max_bytes
    if (file.size or 0) > most:
        raise PhotoError("photo_too_large", f"The file is larger than {most / 1e6:g} MB.")
    data = file.read()
    inspect_photo(data)
    return data


class ProductForm(forms.ModelForm):
    """A product, judged by the same rules as a row of a manifest. ``held`` is the product being changed."""

    held: Product | None = None
    new_photos = PhotosField(
        required=False,
        allow_empty_file=True,
        label="Add photos",
        help_text="JPEG, PNG, WebP, AVIF, GIF, BMP or TIFF. They are indexed in the background.",
    )

    class Meta:
        model = Product
        fields = ["merchant", *FIELDS]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, rows in (("description", 5), ("attributes", 3)):
            if name in self.fields:  # absent for people who may only look
                self.fields[name].widget.attrs["rows"] = rows

    def clean(self) -> dict[str, Any]:
        """Every problem at its field."""
        values = super().clean() or self.cleaned_data
        given = {name: values[name] for name in FIELDS if name in values}
        cleaned, problems = clean_values(given, partial=True)
        if found := currency_problem(cleaned.get("price"), cleaned.get("currency", "")):
            problems.append(found)
        for problem in problems:
            self.add_error(problem["field"] if problem["field"] in self.fields else None, problem["message"])
        self._check_sku(cleaned.get("sku"))
        return values | cleaned

    def _check_sku(self, sku: str | None) -> None:
        merchant = self.held.merchant if self.held else self.cleaned_data.get("merchant")
        if not sku or merchant is None:
            return
        same = product_list(merchant=merchant).filter(sku=sku)
        if (same.exclude(pk=self.held.pk) if self.held else same).exists():
            self.add_error("sku", f"There is a product with the sku {sku!r} already.")

    def _get_validation_exclusions(self) -> set[str]:
        """``clean`` judges the sku: a deleted product that the index still has to forget does not block it."""
        return super()._get_validation_exclusions() | {"sku"}  # type: ignore[misc]  # the stubs leave it out


class UploadForm(forms.Form):
    """A bulk upload: whose, which file, for real or to be checked only."""

    merchant = forms.ModelChoiceField(
        Merchant.objects.none(), empty_label="Choose a shop", widget=UnfoldAdminSelectWidget()
    )
    file = forms.FileField(
        widget=forms.FileInput(attrs={"accept": ".zip,.csv,.tsv,.xlsx,image/*"}),
        error_messages={"required": "Choose a file to upload.", "empty": "This file is empty."},
    )
    dry_run = forms.BooleanField(required=False, widget=UnfoldBooleanSwitchWidget())

    def __init__(self, *args: Any, merchants: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ModelChoiceField, self.fields["merchant"])
        field.queryset = merchants
        if (only := merchants[:2]) and len(only) == 1:
            field.initial = only[0]
