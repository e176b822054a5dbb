"""Products: list, create, read, change, delete, by their id or by their sku, and create-or-change by sku."""

from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.filters import ProductFilters
from catalog.api.schema import LOCATION, POST_PROBLEMS, problems
from catalog.api.scopes import PRODUCTS
from catalog.api.shapes.product import ProductBody, ProductChange, ProductFactsBody, ProductShape
from catalog.models import Product
from catalog.selectors.product import product_list, with_photos
from catalog.services.product import product_create, product_delete, product_update, product_upsert
from catalog.services.product_values import sku_stored

MUG = {
    "sku": "MUG-1",
    "title": "Blue stoneware mug",
    "brand": "Hearth",
    "category": "Kitchen/Mugs",
    "price": "12.90",
    "currency": "EUR",
    "in_stock": True,
    "attributes": {"volume_ml": 350},
}
EXAMPLE = OpenApiExample("a mug", MUG, request_only=True)


def body_values(request: Request) -> dict[str, Any]:
    """The body as names and values; the service judges them."""
    if not isinstance(request.data, dict):
        raise ParseError("Send a JSON object.")
    return request.data


@extend_schema(tags=["products"])
class ProductViews(ApiView):
    """What the merchant sells."""

    selector = product_list
    scopes = PRODUCTS
    serializer_class = ProductShape
    filterset_class = ProductFilters

    @extend_schema(
        summary="List products",
        responses={
            200: OpenApiResponse(ProductShape(many=True), "A page of products."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first. A filter that is left out narrows nothing."""
        return self.listed(with_photos(self.filter_queryset(self.get_queryset())))

    @extend_schema(
        summary="Create a product",
        parameters=[LOCATION],
        request=ProductBody,
        examples=[EXAMPLE],
        responses={
            201: OpenApiResponse(ProductShape, "The product."),
            **problems(*POST_PROBLEMS, "invalid", "sku_duplicate"),
        },
    )
    def create(self, request: Request) -> Response:
        """A sku is unique in a merchant. Add photos to the new product to make it findable."""
        return self._made(product_create(merchant=self.merchant, values=body_values(request)))

    @extend_schema(
        summary="Read a product",
        responses={200: OpenApiResponse(ProductShape, "The product."), **problems("not_found")},
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """One product by its id."""
        return self._answer(self.get_object())

    @extend_schema(
        summary="Change a product",
        request=ProductChange,
        examples=[OpenApiExample("a new price", {"price": "9.90"}, request_only=True)],
        responses={
            200: OpenApiResponse(ProductShape, "The product."),
            **problems("malformed", "not_found", "invalid", "sku_duplicate"),
        },
    )
    def partial_update(self, request: Request, id: UUID) -> Response:
        """What is left out stays. Photos are indexed anew when the index must know about the change."""
        return self._answer(product_update(product=self.get_object(), values=body_values(request)))

    @extend_schema(
        summary="Delete a product",
        responses={204: OpenApiResponse(description="Deleted; the index forgets its photos."), **problems("not_found")},
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """Gone from every answer at once; the index forgets its photos in the background."""
        product_delete(product=self.get_object())
        return Response(status=204)

    @extend_schema(
        summary="Create or change the product with a sku",
        parameters=[LOCATION],
        request=ProductFactsBody,
        examples=[OpenApiExample("a mug", {name: MUG[name] for name in MUG if name != "sku"}, request_only=True)],
        responses={
            200: OpenApiResponse(ProductShape, "The product."),
            201: OpenApiResponse(ProductShape, "The product."),
            **problems("malformed", "invalid"),
        },
    )
    def upsert(self, request: Request, sku: str) -> Response:
        """Creates it (201), or changes what is given and leaves the rest (200). Sending it again changes nothing."""
        product, outcome = product_upsert(merchant=self.merchant, sku=sku, values=body_values(request))
        return self._made(product) if outcome == "created" else self._answer(product)

    @extend_schema(
        summary="Read the product with a sku",
        responses={200: OpenApiResponse(ProductShape, "The product."), **problems("not_found")},
    )
    def retrieve_by_sku(self, request: Request, sku: str) -> Response:
        """One product by the name that the merchant has for it."""
        return self._answer(self._of_sku(sku))

    @extend_schema(
        summary="Change the product with a sku",
        request=ProductChange,
        examples=[OpenApiExample("a new price", {"price": "9.90"}, request_only=True)],
        responses={
            200: OpenApiResponse(ProductShape, "The product."),
            **problems("malformed", "not_found", "invalid", "sku_duplicate"),
        },
    )
    def update_by_sku(self, request: Request, sku: str) -> Response:
        """As by id: what is left out stays, and unlike `PUT` nothing is created."""
        return self._answer(product_update(product=self._of_sku(sku), values=body_values(request)))

    @extend_schema(
        summary="Delete the product with a sku",
        responses={204: OpenApiResponse(description="Deleted; the index forgets its photos."), **problems("not_found")},
    )
    def destroy_by_sku(self, request: Request, sku: str) -> Response:
        """As by id."""
        product_delete(product=self._of_sku(sku))
        return Response(status=204)

    def _of_sku(self, sku: str) -> Product:
        """Read as ``upsert`` reads it."""
        return get_object_or_404(self.get_queryset(), sku=sku_stored(sku))

    def _made(self, product: Product) -> Response:
        location = self.request.build_absolute_uri(reverse("api-product", args=[product.pk]))
        return Response(self._shape(product), status=201, headers={"Location": location})

    def _answer(self, product: Product) -> Response:
        return Response(self._shape(product))

    def _shape(self, product: Product) -> dict[str, Any]:
        return self.shaped(with_photos(self.get_queryset()).get(pk=product.pk))
