"""Quality in the admin: gold items, who said what of an item that was decided already, thresholds and their reasons.

Managers alone see gold items and opinions: a reviewer who knew which items are gold would not be measured by them.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import action, display

from catalog.admin.look import ACTION_COLOURS, Dated, thumbnail
from catalog.admin.scope import MerchantFilter, MerchantScoped, may_manage, merchants_managed
from catalog.models import Decision, Item, Opinion, Threshold
from catalog.services.reviewing.opinions import items_make_gold


class Gold(ModelAdmin):
    """For the admin of items: managers choose gold items; to all others nothing tells them."""

    actions = ["use_as_gold", "no_longer_gold"]

    def has_gold_permission(self, request: HttpRequest) -> bool:
        """Managers."""
        return may_manage(request)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Gold or not, for managers."""
        filters = list(super().get_list_filter(request))
        return [*filters, "gold"] if may_manage(request) else filters

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Nobody else asks for them by the address either."""
        if lookup.partition("__")[0] in ("gold", "opinions") and not may_manage(request):
            return False
        return super().lookup_allowed(lookup, value, request)

    @action(description="Use as gold items", permissions=["gold"])
    def use_as_gold(self, request: HttpRequest, queryset: QuerySet[Item]) -> None:
        """What was decided is surely right: reviewers are measured by it."""
        self._make(request, queryset, gold=True)

    @action(description="No longer gold items", permissions=["gold"])
    def no_longer_gold(self, request: HttpRequest, queryset: QuerySet[Item]) -> None:
        """As they were; what was said of them stays."""
        self._make(request, queryset, gold=False)

    def _make(self, request: HttpRequest, queryset: QuerySet[Item], *, gold: bool) -> None:
        mine = Item.objects.filter(pk__in=queryset.values("pk"), merchant__in=merchants_managed(request))
        changed = items_make_gold(items=mine, gold=gold)
        messages.success(request, f"{changed} changed. Only decided items of your shops can be gold, not new products.")


@admin.register(Opinion)
class OpinionAdmin(MerchantScoped, Dated, ModelAdmin):
    """Opinions on decided items, the disagreements among them."""

    read_only = True
    merchant_path = "item__merchant_id"
    list_display = ["picture", "kind_label", "agreement", "said", "reviewer", "compared", "took", "created"]
    list_filter = [("kind", ChoicesCheckboxFilter), "agrees"]
    list_select_related = ["item", "product", "reviewer", "about__product"]
    search_fields = ["reviewer__username", "about__reviewer_name", "product__title", "about__product__title"]
    fields = ["item", "kind", "reviewer", "action", "product", "about", "agrees", "seconds", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """Answers in the shops that the person manages."""
        return super().get_queryset(request).exclude(action="").filter(item__merchant__in=merchants_managed(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Managers."""
        return may_manage(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Managers."""
        return may_manage(request, self.merchant_id_of(obj))

    @display(description="")
    def picture(self, opinion: Opinion) -> str:
        """The photo."""
        return thumbnail(opinion.item.photo_id)

    @display(description="Against")
    def kind_label(self, opinion: Opinion) -> str:
        """What it is compared with."""
        return opinion.get_kind_display()

    @display(description="", label={"agrees": "success", "disagrees": "danger"})
    def agreement(self, opinion: Opinion) -> str:
        """With the decision."""
        return "agrees" if opinion.agrees else "disagrees"

    @display(description="Opinion", label=ACTION_COLOURS)
    def said(self, opinion: Opinion) -> tuple[str, str]:
        """What this reviewer said."""
        return opinion.action, f"{opinion.get_action_display()}{_of(opinion)}"

    @display(description="Decision")
    def compared(self, opinion: Opinion) -> str:
        """What was decided, and by whom."""
        return f"{opinion.about.get_action_display()}{_of(opinion.about)}, {opinion.about.reviewer_name or 'API key'}"

    @display(description="Took", ordering="seconds")
    def took(self, opinion: Opinion) -> str:
        """From the item being shown to the answer."""
        return "–" if opinion.seconds is None else f"{opinion.seconds:.1f} s"


@admin.register(Threshold)
class ThresholdAdmin(MerchantScoped, Dated, ModelAdmin):
    """The log of thresholds: each change, with what it rests on. The newest of a category holds."""

    read_only = True
    list_display = ["category_name", "merchant", "accepted", "wanted_share", "estimate", "decided", "bundle", "created"]
    list_filter = [("merchant", MerchantFilter)]
    list_select_related = ["merchant"]
    search_fields = ["category", "bundle_version"]
    fields = [
        "merchant", "category", "bundle_version", "value", "wanted", "precision", "lower", "decided", "created_at",
    ]  # fmt: skip

    @display(description="Category", ordering="category")
    def category_name(self, threshold: Threshold) -> str:
        """Of the product that the machine names."""
        return threshold.category or "No category"

    @display(description="Accepted from", ordering="value")
    def accepted(self, threshold: Threshold) -> str:
        """The probability."""
        return "the bundle's own" if threshold.value is None else _percent(threshold.value)

    @display(description="Wanted", ordering="wanted")
    def wanted_share(self, threshold: Threshold) -> str:
        """The precision that the shop wanted."""
        return _percent(threshold.wanted)

    @display(description="Precision then")
    def estimate(self, threshold: Threshold) -> str:
        """As estimated from what was decided, and the bound that was asked to reach what is wanted."""
        if threshold.precision is None:
            return "too few decisions, or none reaches it" if threshold.wanted else "–"
        return f"{_percent(threshold.precision)}, at least {_percent(threshold.lower)}"

    @display(description="Bundle", ordering="bundle_version")
    def bundle(self, threshold: Threshold) -> str:
        """It holds for this bundle alone."""
        return threshold.bundle_version


def _of(said: Opinion | Decision) -> str:
    return f": {said.product}" if said.product else ""


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
