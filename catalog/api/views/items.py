"""Review items: the queue of what was recognised, claims, the verbs that decide on one, and undo.

To claims a key is one reviewer at one desk: what it has nobody else decides on, and the other way round.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.filters import ItemFilters
from catalog.api.schema import POST_PROBLEMS, VERB_PROBLEMS, problems
from catalog.api.scopes import REVIEWS
from catalog.api.shapes.fields import shaped_rows
from catalog.api.shapes.item import ClaimBody, ClaimShape, ItemShape, ProductChoice
from catalog.api.shapes.product import ProductBody
from catalog.api.views.products import EXAMPLE, body_values
from catalog.models import Decision, Item, Merchant, Product
from catalog.selectors.decisions import decision_standing
from catalog.selectors.item import item_list
from catalog.selectors.product import product_find
from catalog.selectors.rejections import items_hits
from catalog.services.errors import Refused
from catalog.services.review import item_accept, item_correct, item_new_product, item_reject, item_unknown
from catalog.services.reviewing.acting import Act
from catalog.services.reviewing.claims import items_claim_by_key
from catalog.services.reviewing.undo import decision_undo

BY_SKU = OpenApiExample("by sku", {"sku": "MUG-1"}, request_only=True)
STANDS = ("not_found", "item_decided", "item_claimed")
DECIDED = ("product_not_found", *STANDS)


def items_body(items: Sequence[Item], merchant: Merchant, context: dict[str, Any]) -> list[dict[str, Any]]:
    """Items in their shape; the candidates of all of them are read in three queries."""
    return shaped_rows(ItemShape, items, context | {"hits": items_hits(merchant=merchant, items=items)})


@extend_schema(tags=["review-items"])
class ItemViews(ApiView):
    """What was recognised, and what it is."""

    selector = item_list
    scopes = REVIEWS
    serializer_class = ItemShape
    filterset_class = ItemFilters

    @extend_schema(
        summary="List items",
        responses={
            200: OpenApiResponse(ItemShape(many=True), "A page of items."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first. `?state=open` is the queue that waits for a decision."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response(items_body(page, self.merchant, self.get_serializer_context()))

    @extend_schema(
        summary="Read an item", responses={200: OpenApiResponse(ItemShape, "The item."), **problems("not_found")}
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """With its candidates, the best first."""
        return self._answer(self.get_object())

    @extend_schema(
        summary="Claim items",
        request=ClaimBody,
        examples=[OpenApiExample("twenty", {"count": 20}, request_only=True)],
        responses={200: OpenApiResponse(ClaimShape, "What the key has."), **problems(*POST_PROBLEMS, "invalid")},
    )
    def claim(self, request: Request) -> Response:
        """Take the items that teach most, so that nobody else is given them or decides on them. A claim lapses by
        itself; to keep it, claim again. Give each person who reviews a key of their own: a key's claims are one
        reviewer's.
        """
        body = ClaimBody(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        items, until = items_claim_by_key(key=self.key, count=asked["count"], without=asked.get("skip", ()))
        context = self.get_serializer_context() | {"hits": items_hits(merchant=self.merchant, items=items)}
        return Response(ClaimShape({"claimed_until": until, "items": items}, context=context).data)

    @extend_schema(
        summary="Accept an item",
        request=ProductChoice,
        examples=[OpenApiExample("the first candidate", {}, request_only=True), BY_SKU],
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*POST_PROBLEMS, "invalid", *DECIDED, "item_without_candidate"),
        },
    )
    def accept(self, request: Request, id: UUID) -> Response:
        """The first candidate, or the product named, is right. The photo becomes one of its references."""
        return self._decide(partial(item_accept, reviewer=None), product=self._choice(request))

    @extend_schema(
        summary="Correct an item",
        request=ProductChoice,
        examples=[BY_SKU],
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*POST_PROBLEMS, "invalid", *DECIDED, "product_missing"),
        },
    )
    def correct(self, request: Request, id: UUID) -> Response:
        """It is another product. The photo becomes one of that product's references."""
        product = self._choice(request)
        if product is None:
            raise Refused("product_missing", "Send `product_id` or `sku`.")
        return self._decide(partial(item_correct, reviewer=None), product=product)

    @extend_schema(
        summary="Reject an item",
        request=None,
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*VERB_PROBLEMS, *STANDS),
        },
    )
    def reject(self, request: Request, id: UUID) -> Response:
        """The photo shows no product of this merchant."""
        return self._decide(partial(item_reject, reviewer=None))

    @extend_schema(
        summary="Say that nobody can tell",
        request=None,
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*VERB_PROBLEMS, *STANDS),
        },
    )
    def unknown(self, request: Request, id: UUID) -> Response:
        """Nobody can tell from this photo what it shows. Nothing is learnt from it."""
        return self._decide(item_unknown)

    @extend_schema(
        summary="Make a product of an item",
        request=ProductBody,
        examples=[EXAMPLE],
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*POST_PROBLEMS, "invalid", *STANDS, "sku_duplicate"),
        },
    )
    def new_product(self, request: Request, id: UUID) -> Response:
        """It is a product that the catalogue does not have yet: it is made, with the photo as its first reference."""
        return self._decide(item_new_product, values=body_values(request))

    @extend_schema(
        summary="Undo a decision",
        request=None,
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*VERB_PROBLEMS, "not_found", "decision_undone", "decision_superseded", "split_decided"),
        },
    )
    def undo(self, request: Request, id: UUID) -> Response:
        """Take back the decision that stands, whoever made it. Item, photo and index are as they were before it."""
        return self._decide(_undo_standing)

    def _choice(self, request: Request) -> Product | None:
        body = ProductChoice(data=request.data)
        body.is_valid(raise_exception=True)
        product_id, sku = body.validated_data.get("product_id"), body.validated_data.get("sku", "")
        if not product_id and not sku:
            return None
        product = product_find(merchant=self.merchant, product_id=product_id, sku=sku)
        if product is None:
            raise Refused("product_not_found", "This merchant has no such product.", status=404)
        return product

    def _decide(self, verb: Callable[..., Decision], **more: Any) -> Response:
        """Decided by a key: there is no user, the key's name is kept instead."""
        verb(item=self.get_object(), act=Act(None, f"API key {self.key.name}", desk=self.key.pk), **more)
        return self._answer(self.get_object())

    def _answer(self, item: Item) -> Response:
        return Response(items_body([item], self.merchant, self.get_serializer_context())[0])


def _undo_standing(*, item: Item, act: Act) -> Decision:
    decision = decision_standing(item=item)
    if decision is None:
        raise Refused("decision_undone", "There is no decision to undo.", status=409)
    return decision_undo(decision=decision, act=act)
