"""API keys in the admin: made, changed, rotated and revoked through the services; a token is shown exactly once."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from catalog.admin.look import Dated
from catalog.admin.refusals import RefusalsAsMessages, refusal_text
from catalog.admin.scope import MerchantFilter, MerchantScoped, merchants_managed
from catalog.models import ApiKey, KeyKind, KeyState, Scope
from catalog.services.errors import Refused
from catalog.services.key import (
    PRESETS,
    api_key_create,
    api_key_revoke,
    api_key_rotate,
    api_key_update,
    origin_cleaned,
)

STATE_COLOURS = {
    KeyState.ACTIVE: "success",
    KeyState.RETIRING: "warning",
    KeyState.EXPIRED: "danger",
    KeyState.REVOKED: "danger",
}
PRESET_NAMES = {
    "": "As ticked below",
    "full": "Everything",
    "catalogue": "Keep the catalogue in step",
    "search": "Search and recognise",
    "review": "Review",
}
CHANGED = ("name", "scopes", "origins", "expires_at", "rate_limit")


class KeyRequest(HttpRequest):
    """The request that makes a key, as a type: it holds the token until the answer is written."""

    vitrine_token: str


class KeyForm(forms.ModelForm):
    """A key. It checks what can be said at a field; the services judge the rest."""

    preset = forms.ChoiceField(
        choices=[(name, PRESET_NAMES[name]) for name in ("", *PRESETS)],
        required=False,
        widget=UnfoldAdminSelectWidget(),
        help_text="Of a secret key: a usual set of scopes.",
    )
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget(),
        help_text="Of a secret key: what it may do. Give no more than it needs.",
    )
    origins = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Of a publishable key: the pages that use it, one a line, like https://shop.example. * is any page.",
    )

    class Meta:
        model = ApiKey
        fields = ["merchant", "name", "kind", "scopes", "rate_limit", "expires_at"]
        help_texts = {"kind": "Secret: for a server, does what its scopes say. Publishable: may only search."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "origins" in self.fields and not self.instance._state.adding:
            self.initial["origins"] = "\n".join(each.origin for each in self.instance.origins.all())

    def clean_origins(self) -> list[str]:
        """One origin a line."""
        try:
            return [origin_cleaned(line.strip()) for line in self.cleaned_data["origins"].splitlines() if line.strip()]
        except Refused as error:
            raise forms.ValidationError(error.message) from error

    def clean(self) -> dict[str, Any]:
        """A preset counts as its scopes."""
        values = super().clean() or self.cleaned_data
        named = [*values.get("scopes", []), *PRESETS.get(values.get("preset", ""), ())]
        if values.get("kind") == KeyKind.SECRET and not named:
            self.add_error("scopes", "Say what the key may do.")
        return values | {"scopes": named}


@admin.register(ApiKey)
class ApiKeyAdmin(RefusalsAsMessages, MerchantScoped, Dated, ModelAdmin):
    """Keys of a merchant's servers and pages."""

    form = KeyForm
    list_display = ["name", "merchant", "kind_label", "hint", "allowed", "state_label", "last_used_at", "created"]
    list_filter = [("merchant", MerchantFilter), ("kind", ChoicesDropdownFilter)]
    list_select_related = ["merchant"]
    search_fields = ["name", "hint"]
    actions = ["rotate", "revoke"]
    add_fieldsets = [
        (None, {"fields": ["merchant", "name", "kind"]}),
        ("What it may do", {"fields": ["preset", "scopes", "origins"]}),
        ("Limits", {"fields": [("expires_at", "rate_limit")]}),
    ]
    fieldsets = [
        (None, {"fields": ["merchant", "name", "kind_label", "hint", "state_label"]}),
        ("What it may do", {"fields": ["scopes", "origins"]}),
        ("Limits", {"fields": [("expires_at", "rate_limit")]}),
        ("When", {"fields": ["created_at", "last_used_at", "revoked_at"]}),
    ]
    readonly_fields = ["kind_label", "hint", "state_label", "created_at", "last_used_at", "revoked_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        """With their origins: one more query, however many rows."""
        return super().get_queryset(request).prefetch_related("origins")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Who may not change a key sees what it may do in one line."""
        if obj is None:
            return self.add_fieldsets
        if self.has_change_permission(request, obj):
            fixed = "scopes" if isinstance(obj, ApiKey) and obj.kind == KeyKind.PUBLISHABLE else "origins"
            return [
                (name, {"fields": [field for field in options["fields"] if field != fixed]})
                for name, options in self.fieldsets
            ]
        shown = ("What it may do", {"fields": ["allowed"]})
        return [shown if name == shown[0] else (name, options) for name, options in self.fieldsets]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """What a key may do is spelt out where it cannot be changed."""
        return () if obj is None else (*super().get_readonly_fields(request, obj), "allowed")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers change keys that have not ended."""
        ended = isinstance(obj, ApiKey) and obj.state in (KeyState.EXPIRED, KeyState.REVOKED)
        return not ended and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A revoked key stays, so that its uses can be told later."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiKey, form: KeyForm, change: bool) -> None:
        """Save through the service, and keep a new token for the answer to this very request."""
        values = {name: form.cleaned_data[name] for name in CHANGED if name in form.cleaned_data}
        if change:
            given = {name: value for name, value in values.items() if name in form.changed_data}
            obj.__dict__.update(api_key_update(key=obj, values=given).__dict__)
            return
        key, cast(KeyRequest, request).vitrine_token = api_key_create(merchant=obj.merchant, kind=obj.kind, **values)
        obj.__dict__.update(key.__dict__)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The page with the token: not stored, not in a redirect, not in a cache; leaving it is losing it."""
        return self._token_page(request, obj, cast(KeyRequest, request).vitrine_token)

    @admin.action(description="Rotate the chosen key", permissions=["change"])
    def rotate(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse | None:
        """Make its successor and show that; the old one works for one day more."""
        chosen = list(keys.filter(merchant__in=merchants_managed(request))[:2])
        if len(chosen) != 1:
            messages.error(request, "Choose one key to rotate: its successor is shown once.")
            return None
        try:
            return self._token_page(request, *api_key_rotate(key=chosen[0]), old=chosen[0])
        except Refused as error:
            messages.error(request, refusal_text(error))
            return None

    @admin.action(description="Revoke the chosen keys", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        """End keys at once."""
        living = keys.filter(revoked_at=None, merchant__in=merchants_managed(request))
        count = len([api_key_revoke(key=key) for key in living])
        messages.success(request, f"{count} key{'' if count == 1 else 's'} revoked.")

    @display(description="Kind", label={KeyKind.SECRET: "warning", KeyKind.PUBLISHABLE: "info"})
    def kind_label(self, key: ApiKey) -> tuple[str, str]:
        """Secret or publishable."""
        return key.kind, key.get_kind_display()

    @display(description="State", label=STATE_COLOURS)
    def state_label(self, key: ApiKey) -> tuple[str, str]:
        """Whether it works."""
        return key.state.value, str(key.state.label)

    @display(description="May")
    def allowed(self, key: ApiKey) -> str:
        """Scopes of a secret key, pages of a publishable one."""
        if key.kind == KeyKind.SECRET:
            return ", ".join(key.scopes)
        return "search from " + ", ".join(each.origin for each in key.origins.all())

    def _token_page(self, request: HttpRequest, key: ApiKey, token: str, old: ApiKey | None = None) -> HttpResponse:
        if old:
            old.refresh_from_db()
        context = {
            **self.admin_site.each_context(request),
            "title": "Keep this key now",
            "opts": self.opts,
            "key": key,
            "old": old,
            "token": token,
            "secret": key.kind == KeyKind.SECRET,
        }
        return TemplateResponse(request, "admin/catalog/apikey/token.html", context)
