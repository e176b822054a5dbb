"""Review items: the queue of what was recognised, and the verbs accept, correct and reject."""

from collections.abc import Callable, Sequence
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
from catalog.api.shapes.item import ItemShape, ProductChoice
from catalog.models import Item, Merchant, Product
from catalog.selectors.item import item_list
from catalog.selectors.product import product_find
from catalog.selectors.rejections import items_hits
from catalog.services.errors import Refused
from catalog.services.review import item_accept, item_correct, item_reject

BY_SKU = OpenApiExample("by sku", {"sku": "MUG-1"}, request_only=True)
DECIDED = ("not_found", "product_not_found", "item_decided")


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
        return self._decide(item_accept, product=self._choice(request))

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
        return self._decide(item_correct, product=product)

    @extend_schema(
        summary="Reject an item",
        request=None,
        responses={
            200: OpenApiResponse(ItemShape, "The item."),
            **problems(*VERB_PROBLEMS, "not_found", "item_decided"),
        },
    )
    def reject(self, request: Request, id: UUID) -> Response:
        """The photo shows no product of this merchant."""
        return self._decide(item_reject)

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

    def _decide(self, verb: Callable[..., Any], **choice: Product | None) -> Response:
        """Decided by a key: there is no user, the key's name is kept instead."""
        item = self.get_object()
        verb(item=item, reviewer=None, reviewer_name=f"API key {self.key.name}", **choice)
        return self._answer(self.get_object())

    def _answer(self, item: Item) -> Response:
        return Response(items_body([item], self.merchant, self.get_serializer_context())[0])
