"""The review list: what the machine was not sure about, and the three buttons that settle it.

Comes after ``services.result`` stored an item; every button calls one verb of ``services.review``, which writes the
decision and makes the photo a reference of its product.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST, require_safe
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesCheckboxFilter
from unfold.decorators import display

from catalog.admin.desk import Desk
from catalog.admin.explanations import explanation_panel
from catalog.admin.look import ACTION_COLOURS, ITEM_COLOURS, VERDICT_COLOURS, Dated, probability_text, thumbnail
from catalog.admin.quality import Gold
from catalog.admin.queue_overview import QueueOverview
from catalog.admin.refusals import refusal_text
from catalog.admin.scope import MerchantFilter, MerchantScoped, person_of
from catalog.annotated import ProductWithMainPhoto
from catalog.models import Decision, DecisionAction, Item, Merchant, Product
from catalog.selectors.decisions import decision_standing
from catalog.selectors.explanation import item_comparison
from catalog.selectors.product import product_list, products_matching, with_main_photo
from catalog.selectors.queue import QueueFilters, queue_for, unclaimed
from catalog.selectors.rejections import items_hits
from catalog.services.errors import Refused
from catalog.services.review import ADDED, GONE, HELD, UNDECIDED, item_accept, item_correct, item_reject
from catalog.services.reviewing.acting import Act
from catalog.services.reviewing.undo import decision_undo
from catalog.web.cards import card_of
from catalog.web.money import format_price
from catalog.web.photos import photo_address

FOUND_SHOWN = 12
REFERENCES = {
    ADDED: "The photo becomes a reference of it.",
    HELD: "This very photo is a reference of it already.",
    GONE: "The photo was deleted, so it becomes no reference.",
}


@admin.register(Item)
class ItemAdmin(Gold, MerchantScoped, Dated, ModelAdmin):
    """Items. Every member of a merchant may decide; nobody edits the machine's own words."""

    read_only = True
    list_display = ["picture", "suggestion", "score", "verdict_label", "state_label", "merchant", "created"]
    list_display_links = ["picture", "suggestion"]
    list_filter = [
        ("state", ChoicesCheckboxFilter),
        ("verdict", ChoicesCheckboxFilter),
        ("merchant", MerchantFilter),
    ]
    list_filter_submit = True
    list_select_related = ["merchant", "best_product", "product"]
    list_per_page = 50
    show_full_result_count = False
    search_fields = ["best_product__title", "best_product__sku", "product__title", "product__sku", "photo__name"]
    change_form_template = "admin/catalog/item/page.html"

    def get_urls(self) -> list[URLPattern]:
        """The three buttons, the search for the right product, and why it may be one."""
        verbs = [
            path(f"<uuid:item_id>/{name}/", self.admin_site.admin_view(view), name=f"catalog_item_{name}")
            for name, view in (
                ("accept", self.accept_view),
                ("correct", self.correct_view),
                ("reject", self.reject_view),
                ("products", self.products_view),
                ("undo", self.undo_view),
            )
        ]
        explanation = path(
            "<uuid:item_id>/explanation/<uuid:product_id>/",
            self.admin_site.admin_view(self.explanation_view),
            name="catalog_item_explanation",
        )
        desk = Desk(self.admin_site, self.log_change).urls()
        overview = QueueOverview(self.admin_site).urls()
        return [*verbs, explanation, *desk, *overview, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The photo, the candidates, what was decided so far."""
        item = self.get_object(request, object_id)
        if item is not None and self.has_view_permission(request, item):
            extra_context = (extra_context or {}) | self._page(request, item)
        return super().change_view(request, object_id, form_url, extra_context)

    def _page(self, request: HttpRequest, item: Item) -> dict[str, Any]:
        hits = items_hits(merchant=item.merchant, items=[item])[item.pk]
        decisions = list(item.decisions.select_related("product", "reviewer", "undone_by"))
        return {
            "item": item,
            "title": "Review",
            "subtitle": None,
            "undecided": item.state in UNDECIDED,
            "photo": photo_address(item.photo_id, size="medium") if item.photo_id else "",
            "photo_full": photo_address(item.photo_id) if item.photo_id else "",
            "box": _box(item),
            "others": Item.objects.filter(photo=item.photo_id).exclude(pk=item.pk).count() if item.photo_id else 0,
            "cards": [card_of(hit, calibrated=item.calibrated) for hit in hits],
            "verdict_colour": VERDICT_COLOURS.get(item.verdict, ""),
            "state_colour": ITEM_COLOURS.get(item.state, ""),
            "decisions": decisions,
            "undoable": None if item.state in UNDECIDED else _standing(decisions),
            "waiting": _queue(request, item.merchant).exclude(pk=item.pk).count(),
        }

    @method_decorator(require_POST)
    def accept_view(self, request: HttpRequest, item_id: UUID) -> HttpResponse:
        """The first candidate is right, or the one whose button was pressed."""
        item = self._item(request, item_id)
        product = self._product(request, item) if request.POST.get("product") else None
        return self._decided(
            request, item, lambda: item_accept(item=item, reviewer=person_of(request), product=product)
        )

    @method_decorator(require_POST)
    def correct_view(self, request: HttpRequest, item_id: UUID) -> HttpResponse:
        """It is another product."""
        item = self._item(request, item_id)
        product = self._product(request, item)
        return self._decided(
            request, item, lambda: item_correct(item=item, reviewer=person_of(request), product=product)
        )

    @method_decorator(require_POST)
    def reject_view(self, request: HttpRequest, item_id: UUID) -> HttpResponse:
        """It is none of this merchant's products."""
        item = self._item(request, item_id)
        return self._decided(request, item, lambda: item_reject(item=item, reviewer=person_of(request)))

    @method_decorator(require_POST)
    def undo_view(self, request: HttpRequest, item_id: UUID) -> HttpResponse:
        """Take the decision back that stands: the item waits again, the index forgets the reference."""
        item = self._item(request, item_id)
        try:
            decision = decision_standing(item=item)
            if decision is None:
                raise Refused("decision_undone", "There is no decision to undo.", status=409)
            decision_undo(decision=decision, act=Act(person_of(request)))
            self.log_change(request, item, f"Undo: {decision.get_action_display()}")
            messages.success(request, "Undone: the item waits for review again.")
        except Refused as error:
            messages.error(request, refusal_text(error))
        return HttpResponseRedirect(reverse("admin:catalog_item_change", args=[item.pk]))

    @method_decorator(require_safe)
    def products_view(self, request: HttpRequest, item_id: UUID) -> HttpResponse:
        """Products whose sku, title or brand contain the words: the fragment below the search field."""
        item = self._item(request, item_id)
        words = request.GET.get("words", "").strip()
        found = products_matching(products=product_list(merchant=item.merchant), words=words)
        rows: Iterable[ProductWithMainPhoto] = (
            with_main_photo(found.order_by("title", "pk"))[:FOUND_SHOWN] if words else []
        )
        products = [
            {
                "product": row,
                "photo": photo_address(row.main_photo_id, size="thumb") if row.main_photo_id else "",
                "price": format_price(row.price, row.currency),
            }
            for row in rows
        ]
        return render(request, "admin/catalog/item/found.html", {"item": item, "products": products, "words": words})

    @method_decorator(require_safe)
    def explanation_view(self, request: HttpRequest, item_id: UUID, product_id: UUID) -> HttpResponse:
        """Why it may be this product: the fragment above the cards."""
        item = self._item(request, item_id)
        return explanation_panel(request, lambda: item_comparison(item=item, product_id=product_id))

    def _item(self, request: HttpRequest, item_id: UUID) -> Item:
        item = get_object_or_404(self.get_queryset(request).select_related("merchant", "best_product"), pk=item_id)
        if not self.has_view_permission(request, item):
            raise Http404
        return item

    def _product(self, request: HttpRequest, item: Item) -> Product:
        try:
            wanted = UUID(request.POST.get("product", ""))
        except ValueError:
            raise Http404 from None
        return get_object_or_404(product_list(merchant=item.merchant), pk=wanted)

    def _decided(self, request: HttpRequest, item: Item, decide: Any) -> HttpResponse:
        """Decide, say so, and go on to the next that nobody has; back to the item when it was refused."""
        try:
            decision = decide()
        except Refused as error:
            messages.error(request, refusal_text(error))
            return HttpResponseRedirect(reverse("admin:catalog_item_change", args=[item.pk]))
        self.log_change(request, item, f"{decision.get_action_display()}: {decision.product or 'no product'}")
        messages.success(request, _said(decision))
        following = _queue(request, item.merchant).values_list("pk", flat=True).first()
        if following:
            return HttpResponseRedirect(reverse("admin:catalog_item_change", args=[following]))
        return HttpResponseRedirect(reverse("admin:catalog_item_changelist"))

    @display(description="")
    def picture(self, item: Item) -> str:
        """The photo that was recognised."""
        return thumbnail(item.photo_id)

    @display(description="Product")
    def suggestion(self, item: Item) -> str:
        """What was decided, else what the machine suggests."""
        return str(item.product or item.best_product or "no candidate")

    @display(description="Score", ordering="probability")
    def score(self, item: Item) -> str:
        """Of the first candidate, saying whether it is calibrated."""
        return probability_text(item.probability, calibrated=item.calibrated)

    @display(description="Verdict", label=VERDICT_COLOURS, ordering="verdict")
    def verdict_label(self, item: Item) -> str:
        """The machine's judgement."""
        return item.verdict

    @display(description="State", label=ITEM_COLOURS, ordering="state")
    def state_label(self, item: Item) -> tuple[str, str]:
        """What became of it."""
        return item.state, item.get_state_display()


def _queue(request: HttpRequest, merchant: Merchant) -> QuerySet[Item]:
    """What waits at this merchant for this reviewer in the desk's order, without what is open at a desk now."""
    queue = queue_for(reviewer=person_of(request), filters=QueueFilters(merchant=merchant.slug))
    return queue.filter(unclaimed(timezone.now()))


def _standing(decisions: Sequence[Decision]) -> Decision | None:
    """The latest decision that was not undone; the newest come first."""
    stands = (each for each in decisions if each.action != DecisionAction.UNDO and not hasattr(each, "undone_by"))
    return next(stands, None)


def _box(item: Item) -> dict[str, int] | None:
    """Where the item is, in pixels of its photo; None where that is the whole photo."""
    photo = item.photo
    if not item.box or photo is None or not photo.width or not photo.height:
        return None
    left, top, right, bottom = item.box
    return {
        "x": round(left * photo.width),
        "y": round(top * photo.height),
        "width": round((right - left) * photo.width),
        "height": round((bottom - top) * photo.height),
    }


def _said(decision: Decision) -> str:
    if decision.product is None:
        return "Rejected: the photo shows none of the products."
    return f"{decision.said.capitalize()}: {decision.product}. {REFERENCES[decision.after['reference']]}"


@admin.register(Decision)
class DecisionAdmin(MerchantScoped, Dated, ModelAdmin):
    """The log of decisions: never changed, never deleted."""

    read_only = True
    merchant_path = "item__merchant_id"
    list_display = ["picture", "action_label", "product", "reviewer_name", "took", "created"]
    list_filter = [("action", ChoicesCheckboxFilter)]
    list_select_related = ["item", "product"]
    search_fields = ["reviewer_name", "product__title", "product__sku"]
    fields = ["item", "action", "product", "reviewer_name", "lane", "seconds", "before", "after", "created_at"]

    @display(description="")
    def picture(self, decision: Decision) -> str:
        """The photo that was decided on."""
        return thumbnail(decision.item.photo_id)

    @display(description="Decision", label=ACTION_COLOURS)
    def action_label(self, decision: Decision) -> tuple[str, str]:
        """The verb."""
        return decision.action, decision.get_action_display()

    @display(description="Took", ordering="seconds")
    def took(self, decision: Decision) -> str:
        """From the item being shown to the decision."""
        return "–" if decision.seconds is None else f"{decision.seconds:.1f} s"
