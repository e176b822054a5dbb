"""Photos: those of a product, and any photo of the merchant by its id."""

from uuid import UUID

from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.mixins import FetchesPhotos, TakesPhoto, is_form
from catalog.api.schema import LOCATION, POST_PROBLEMS, problems
from catalog.api.scopes import PRODUCTS
from catalog.api.shapes.photo import PhotoBody, PhotoForm, PhotoShape, name_in_address
from catalog.models import PhotoOrigin, Product
from catalog.selectors.photo import next_position, photo_list, product_photos
from catalog.selectors.product import product_list
from catalog.services.photo import photo_add, photo_remove

URL_PROBLEMS = (
    "photo_twice",
    "photo_url_invalid",
    "photo_url_refused",
    "photo_url_unreachable",
    "photo_url_timeout",
    "photo_url_redirects",
    "photo_url_status",
    "photo_url_busy",
)
PHOTO_PROBLEMS = (
    *URL_PROBLEMS,
    "photo_base64_invalid",
    "photo_too_large",
    "photo_empty",
    "photo_not_an_image",
    "photo_unreadable",
    "photo_too_many_pixels",
    "photo_unsupported_type",
    "storage_unavailable",
)


@extend_schema(tags=["photos"])
class ProductPhotoViews(FetchesPhotos, TakesPhoto):
    """The photos of one product."""

    selector = product_list
    scopes = PRODUCTS
    serializer_class = PhotoShape
    cursor_ordering = ("position", "created_at", "id")

    @extend_schema(
        summary="List a product's photos",
        responses={
            200: OpenApiResponse(PhotoShape(many=True), "A page of photos."),
            **problems("not_found", "invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request, product_id: UUID) -> Response:
        """The main photo first."""
        return self.listed(product_photos(product=self._product(product_id)))

    @extend_schema(
        summary="Add a photo to a product",
        parameters=[LOCATION],
        request={"application/json": PhotoBody, "multipart/form-data": PhotoForm},
        responses={
            200: OpenApiResponse(PhotoShape, "The product has this very photo already."),
            202: OpenApiResponse(PhotoShape, "Kept; a worker indexes it soon. `Location` says where to look."),
            **problems(*POST_PROBLEMS, "not_found", "invalid", *PHOTO_PROBLEMS),
        },
    )
    def create(self, request: Request, product_id: UUID) -> Response:
        """It becomes findable when its state is `done`. The same bytes again are no second photo."""
        product = self._product(product_id)
        body = (PhotoForm if is_form(request) else PhotoBody)(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        data = self.photo_sent(sent["photo"], sent["photo_url"]) or b""
        photo, is_new = photo_add(
            merchant=self.merchant,
            product=product,
            data=data,
            name=sent["name"]
            or name_in_address(sent["photo_url"])
            or getattr(body.initial_data.get("photo"), "name", ""),
            origin=PhotoOrigin.API,
            position=next_position(product=product),
            retry=True,
        )
        location = request.build_absolute_uri(reverse("api-photo", args=[photo.pk]))
        return Response(self.shaped(photo), status=202 if is_new else 200, headers={"Location": location})

    def _product(self, product_id: UUID) -> Product:
        return get_object_or_404(self.get_queryset(), pk=product_id)


@extend_schema(tags=["photos"])
class PhotoViews(ApiView):
    """Any photo of the merchant."""

    selector = photo_list
    scopes = PRODUCTS
    serializer_class = PhotoShape

    @extend_schema(
        summary="Read a photo", responses={200: OpenApiResponse(PhotoShape, "The photo."), **problems("not_found")}
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """Its state and size, and signed addresses to show it."""
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Delete a photo",
        responses={204: OpenApiResponse(description="Deleted; the index forgets it."), **problems("not_found")},
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """Gone from every answer at once; the index forgets it in the background."""
        photo_remove(photo=self.get_object())
        return Response(status=204)
