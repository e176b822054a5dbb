"""Webhooks in the admin: endpoints with their buttons, the secret shown exactly once, deliveries with their log.

Comes before ``services.webhooks``, which does everything that changes a row; the coordinator sends.
"""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from catalog.admin.look import Dated
from catalog.admin.refusals import RefusalsAsMessages, refusal_text
from catalog.admin.scope import MerchantFilter, MerchantScoped, may_manage, merchants_managed
from catalog.models import DeliveryState, EventType, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from catalog.services.errors import Refused
from catalog.services.webhooks.delivery import delivery_replay
from catalog.services.webhooks.endpoint import (
    endpoint_create,
    endpoint_delete,
    endpoint_secret_rotate,
    endpoint_test,
    endpoint_update,
)

DELIVERY_COLOURS: dict[str, str] = {
    DeliveryState.PENDING: "info",
    DeliveryState.DELIVERED: "success",
    DeliveryState.FAILED: "danger",
}
CHANGED = ("url", "events", "description")


class SecretRequest(HttpRequest):
    """The request that registers an endpoint, as a type: it holds the secret until the answer is written."""

    vitrine_secret: str


class EndpointForm(forms.ModelForm):
    """An endpoint; the service judges its address."""

    events = forms.MultipleChoiceField(choices=EventType.choices, widget=UnfoldAdminCheckboxSelectMultipleWidget)

    class Meta:
        model = WebhookEndpoint
        fields = ["merchant", "url", "description", "events"]


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(RefusalsAsMessages, MerchantScoped, Dated, ModelAdmin):
    """Where merchants' servers listen."""

    form = EndpointForm
    list_display = ["url", "merchant", "events_label", "state_label", "created"]
    list_filter = [("merchant", MerchantFilter), ("disabled_reason", ChoicesDropdownFilter)]
    list_select_related = ["merchant"]
    search_fields = ["url", "description"]
    fields = ["merchant", "url", "description", "events"]
    change_form_outer_before_template = "admin/catalog/webhookendpoint/before.html"

    def get_urls(self) -> list[URLPattern]:
        """The buttons."""
        verbs = [
            path(
                f"<uuid:endpoint_id>/{name}/", self.admin_site.admin_view(view), name=f"catalog_webhookendpoint_{name}"
            )
            for name, view in (("test", self.test_view), ("rotate", self.rotate_view), ("switch", self.switch_view))
        ]
        return [*verbs, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: EndpointForm, change: bool) -> None:
        """Through the service; a new endpoint's secret is kept for the answer to this very request."""
        values = {name: form.cleaned_data[name] for name in CHANGED}
        if change:
            endpoint_update(endpoint=obj, values=values)
            return
        made, cast(SecretRequest, request).vitrine_secret = endpoint_create(merchant=obj.merchant, **values)
        obj.__dict__.update(made.__dict__)

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The page with the secret: not in a redirect, not in a cache; leaving it is losing it."""
        return self._secret_page(request, obj, cast(SecretRequest, request).vitrine_secret)

    def delete_model(self, request: HttpRequest, obj: WebhookEndpoint) -> None:
        """With its log."""
        endpoint_delete(endpoint=obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[str], dict[str, int], set, list]:
        """What the confirmation page names: the endpoints, and not every line of their logs."""
        endpoints = list(objs)
        denied = {"endpoint"} if any(not self.has_delete_permission(request, each) for each in endpoints) else set()
        return [str(each) for each in endpoints], {"endpoints": len(endpoints)}, denied, []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its state and the buttons come first."""
        endpoint = self.get_object(request, object_id)
        if endpoint is not None:
            log = reverse("admin:catalog_webhookdelivery_changelist")
            extra_context = (extra_context or {}) | {
                "endpoint": endpoint,
                "log": f"{log}?endpoint__id__exact={endpoint.pk}",
                "may_manage": may_manage(request, endpoint.merchant_id),
            }
        return super().change_view(request, object_id, form_url, extra_context)

    @method_decorator(require_POST)
    def test_view(self, request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
        """Send a test event and go to its delivery."""
        endpoint = self._managed(request, endpoint_id)
        try:
            delivery = endpoint_test(endpoint=endpoint)
        except Refused as error:
            messages.error(request, refusal_text(error))
            return HttpResponseRedirect(reverse("admin:catalog_webhookendpoint_change", args=[endpoint.pk]))
        messages.success(request, "A test event is on its way. Load this page again to see what was answered.")
        return HttpResponseRedirect(reverse("admin:catalog_webhookdelivery_change", args=[delivery.pk]))

    @method_decorator(require_POST)
    def rotate_view(self, request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
        """A new secret, shown once; the one before signs too for a day."""
        endpoint = self._managed(request, endpoint_id)
        return self._secret_page(request, endpoint, endpoint_secret_rotate(endpoint=endpoint))

    @method_decorator(require_POST)
    def switch_view(self, request: HttpRequest, endpoint_id: UUID) -> HttpResponse:
        """Pause it, or enable it again, whichever the button said."""
        endpoint = self._managed(request, endpoint_id)
        enabled = request.POST.get("enabled") == "true"
        endpoint_update(endpoint=endpoint, values={"enabled": enabled})
        messages.success(request, "Events are sent to it again." if enabled else "Nothing more is sent to it.")
        return HttpResponseRedirect(reverse("admin:catalog_webhookendpoint_change", args=[endpoint.pk]))

    def _managed(self, request: HttpRequest, endpoint_id: UUID) -> WebhookEndpoint:
        endpoint = get_object_or_404(self.get_queryset(request).select_related("merchant"), pk=endpoint_id)
        if not may_manage(request, endpoint.merchant_id):
            raise PermissionDenied
        return endpoint

    def _secret_page(self, request: HttpRequest, endpoint: WebhookEndpoint, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Keep this secret now",
            "opts": self.opts,
            "endpoint": endpoint,
            "secret": secret,
        }
        return TemplateResponse(request, "admin/catalog/webhookendpoint/secret.html", context)

    @display(description="Events")
    def events_label(self, endpoint: WebhookEndpoint) -> str:
        """What it listens to."""
        return ", ".join(endpoint.events)

    @display(description="State", label={"enabled": "success", "failing": "warning", "disabled": "danger"})
    def state_label(self, endpoint: WebhookEndpoint) -> tuple[str, str]:
        """Enabled, failing at the moment, or disabled and why."""
        if not endpoint.enabled:
            return "disabled", endpoint.get_disabled_reason_display()
        return ("failing", "Failing") if endpoint.failing_since else ("enabled", "Enabled")


class AttemptInline(MerchantScoped, TabularInline):
    """Every try of a delivery."""

    model = WebhookAttempt
    read_only = True
    merchant_path = "merchant_id"  # an inline is asked about the row above it: the delivery
    extra = 0
    hide_title = True
    readonly_fields = ["number", "at", "seconds", "status", "error_code", "error_message", "response"]
    fields = [*readonly_fields]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookAttempt]:
        """The admin of the delivery has scoped it already."""
        return WebhookAttempt.objects.order_by("number")


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(MerchantScoped, Dated, ModelAdmin):
    """What was told to whom. The coordinator writes it; people read it and replay."""

    read_only = True
    list_display = ["type", "endpoint", "merchant", "state_label", "attempts", "status", "problem", "created"]
    list_filter = [("state", ChoicesDropdownFilter), ("merchant", MerchantFilter), "event__type"]
    list_select_related = ["merchant", "endpoint", "event"]
    show_full_result_count = False
    search_fields = ["id", "event__id", "event__subject", "endpoint__url"]
    actions = ["replay"]
    inlines = [AttemptInline]
    readonly_fields = [
        "type", "endpoint", "merchant", "event_id", "state", "attempts", "next_at", "delivered_at", "problem", "body",
    ]  # fmt: skip
    fields = [*readonly_fields]
    change_form_outer_before_template = "admin/catalog/webhookdelivery/before.html"

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """An endpoint's page leads to its own deliveries."""
        return lookup == "endpoint__id__exact" or super().lookup_allowed(lookup, value, request)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Managers."""
        return may_manage(request)

    def get_urls(self) -> list[URLPattern]:
        """The button."""
        replay = path(
            "<uuid:delivery_id>/replay/",
            self.admin_site.admin_view(self.replay_view),
            name="catalog_webhookdelivery_replay",
        )
        return [replay, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """With the button for managers."""
        delivery = cast(WebhookDelivery | None, self.get_object(request, object_id))
        may_replay = delivery is not None and may_manage(request, delivery.merchant_id)
        return super().change_view(request, object_id, form_url, (extra_context or {}) | {"may_replay": may_replay})

    @method_decorator(require_POST)
    def replay_view(self, request: HttpRequest, delivery_id: UUID) -> HttpResponse:
        """Send it now."""
        delivery = get_object_or_404(self.get_queryset(request).select_related("endpoint"), pk=delivery_id)
        if not may_manage(request, delivery.merchant_id):
            raise PermissionDenied
        self._replay(request, [delivery])
        return HttpResponseRedirect(reverse("admin:catalog_webhookdelivery_change", args=[delivery.pk]))

    @admin.action(description="Replay the chosen deliveries", permissions=["replay"])
    def replay(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        """Send the chosen ones now, for example all that failed while a server was away."""
        self._replay(request, deliveries.filter(merchant__in=merchants_managed(request)).select_related("endpoint"))

    def _replay(self, request: HttpRequest, deliveries: Any) -> None:
        count = 0
        refused: dict[str, None] = {}  # each sentence once
        for delivery in deliveries:
            try:
                delivery_replay(delivery=delivery)
                count += 1
            except Refused as error:
                refused[refusal_text(error)] = None
        for text in refused:
            messages.error(request, text)
        if count:
            messages.success(request, f"{count} deliver{'y is' if count == 1 else 'ies are'} sent again.")

    @display(description="Event", ordering="event__type")
    def type(self, delivery: WebhookDelivery) -> str:
        """What happened."""
        return delivery.event.type

    @display(description="State", label=DELIVERY_COLOURS, ordering="state")
    def state_label(self, delivery: WebhookDelivery) -> tuple[str, str]:
        """Where it stands."""
        return delivery.state, delivery.get_state_display()

    @display(description="Problem", ordering="error_code")
    def problem(self, delivery: WebhookDelivery) -> str:
        """What went wrong last."""
        return delivery.error_code or "–"

    @display(description="Body")
    def body(self, delivery: WebhookDelivery) -> str:
        """What is sent, byte for byte."""
        return delivery.event.body

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A log stays; it is forgotten after a month."""
        return False
