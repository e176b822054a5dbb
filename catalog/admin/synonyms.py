"""Synonyms in the admin: sets of words that mean the same to a merchant's shoppers, one word a line.

Comes before ``services.synonyms``, which judges and writes; the next search reads them.
"""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from catalog.admin.look import Dated
from catalog.admin.refusals import RefusalsAsMessages
from catalog.admin.scope import MerchantFilter, MerchantScoped
from catalog.models import Synonyms
from catalog.services.errors import Refused
from catalog.services.synonyms import synonyms_change, synonyms_cleaned, synonyms_create, synonyms_delete


class SynonymsForm(forms.ModelForm):
    """A set; every problem at its field."""

    words = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6}),
        help_text="One word or short phrase a line, in any language: a search for one of them looks for all.",
    )

    class Meta:
        model = Synonyms
        fields = ["merchant", "words"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "words" in self.fields and not self.instance._state.adding:
            self.initial["words"] = "\n".join(self.instance.words)

    def clean_words(self) -> list[str]:
        """The words that a search tells apart."""
        try:
            return synonyms_cleaned([line.strip() for line in self.cleaned_data["words"].splitlines() if line.strip()])
        except Refused as error:
            raise forms.ValidationError([each["message"] for each in error.problems]) from error


@admin.register(Synonyms)
class SynonymsAdmin(RefusalsAsMessages, MerchantScoped, Dated, ModelAdmin):
    """Words that mean the same."""

    form = SynonymsForm
    list_display = ["set_of_words", "merchant", "created"]
    list_filter = [("merchant", MerchantFilter)]
    list_select_related = ["merchant"]
    search_fields = ["words"]
    readonly_fields = ["set_of_words"]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Who may not change a set sees it in one line."""
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return ["merchant", "words" if may else "set_of_words"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Synonyms], search_term: str
    ) -> tuple[QuerySet[Synonyms], bool]:
        """Every word must occur. SQLite keeps JSON with its escapes, PostgreSQL without."""
        for word in search_term.split():
            escaped = json.dumps(word)[1:-1]
            queryset = queryset.filter(Q(words__icontains=word) | Q(words__icontains=escaped))
        return queryset, False

    def save_model(self, request: HttpRequest, obj: Synonyms, form: SynonymsForm, change: bool) -> None:
        """Save through the services."""
        words = form.cleaned_data["words"]
        if change:
            synonyms_change(synonyms=obj, words=words)
        else:
            obj.__dict__.update(synonyms_create(merchant=obj.merchant, words=words).__dict__)

    def delete_model(self, request: HttpRequest, obj: Synonyms) -> None:
        """Forget a set."""
        synonyms_delete(synonyms=obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Synonyms]) -> None:
        """The same for each chosen one."""
        for synonyms in queryset:
            synonyms_delete(synonyms=synonyms)

    @display(description="Words")
    def set_of_words(self, synonyms: Synonyms) -> str:
        """All of them."""
        return " · ".join(synonyms.words)
