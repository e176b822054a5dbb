"""API keys in the admin: made through the service, the token shown exactly once, revoked but never edited."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from catalog.admin.look import Dated
from catalog.admin.scope import MerchantFilter, MerchantScoped, merchants_managed
from catalog.models import ApiKey, KeyKind
from catalog.services.key import api_key_create, api_key_revoke


class KeyRequest(HttpRequest):
    """The request that makes a key, as a type: it holds the token until the answer is written."""

    vitrine_token: str


@admin.register(ApiKey)
class ApiKeyAdmin(MerchantScoped, Dated, ModelAdmin):
    """Keys of a merchant's servers and pages."""

    list_display = ["name", "merchant", "kind_label", "hint", "state_label", "last_used_at", "created"]
    list_filter = [("merchant", MerchantFilter), ("kind", ChoicesDropdownFilter)]
    list_select_related = ["merchant"]
    search_fields = ["name", "hint"]
    actions = ["revoke"]
    add_fieldsets = [(None, {"fields": ["merchant", "name", "kind"]})]
    fieldsets = [(None, {"fields": ["merchant", "name", "kind", "hint", "created_at", "last_used_at", "revoked_at"]})]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A key is what it is: it can only be revoked."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A revoked key stays, so that its uses can be told later."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Managers revoke."""
        return super().has_change_permission(request)

    def save_model(self, request: KeyRequest, obj: ApiKey, form: Form, change: bool) -> None:
        """Make the key through the service and keep the token for the answer to this very request."""
        key, request.vitrine_token = api_key_create(merchant=obj.merchant, name=obj.name, kind=obj.kind)
        obj.__dict__.update(key.__dict__)

    def response_add(self, request: KeyRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """The page with the token: not stored, not in a redirect, not in a cache; leaving it is losing it."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Keep this key now",
            "opts": self.opts,
            "key": obj,
            "token": request.vitrine_token,
            "secret": obj.kind == KeyKind.SECRET,
        }
        return TemplateResponse(request, "admin/catalog/apikey/token.html", context)

    @admin.action(description="Revoke the chosen keys", permissions=["revoke"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        """End keys at once."""
        living = keys.filter(revoked_at=None, merchant__in=merchants_managed(request))
        count = len([api_key_revoke(key=key) for key in living])
        messages.success(request, f"{count} key{'' if count == 1 else 's'} revoked.")

    @display(description="Kind", label={KeyKind.SECRET: "warning", KeyKind.PUBLISHABLE: "info"})
    def kind_label(self, key: ApiKey) -> tuple[str, str]:
        """Secret or publishable."""
        return key.kind, key.get_kind_display()

    @display(description="State", label={"revoked": "danger", "active": "success"})
    def state_label(self, key: ApiKey) -> str:
        """Active or revoked."""
        return "revoked" if key.revoked_at and key.revoked_at <= timezone.now() else "active"

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Explains the two kinds where they are chosen."""
        kwargs.setdefault(
            "help_texts", {"kind": "Secret: for a server, does everything. Publishable: may only search."}
        )
        return super().get_form(request, obj, change=change, **kwargs)
