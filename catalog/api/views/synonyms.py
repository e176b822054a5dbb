"""Synonyms: list, add, read, change, delete; the next search reads them."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.schema import LOCATION, POST_PROBLEMS, problems
from catalog.api.scopes import PRODUCTS
from catalog.api.shapes.synonyms import SynonymsBody, SynonymsShape
from catalog.models import Merchant, Synonyms
from catalog.services.synonyms import synonyms_change, synonyms_create, synonyms_delete

EXAMPLE = OpenApiExample("a cup", {"words": ["mug", "coffee cup", "杯子"]}, request_only=True)


def synonyms(*, merchant: Merchant) -> QuerySet[Synonyms]:
    """The merchant's sets."""
    return Synonyms.objects.filter(merchant=merchant)


@extend_schema(tags=["synonyms"])
class SynonymsViews(ApiView):
    """Words that mean the same to the merchant's shoppers."""

    selector = synonyms
    scopes = PRODUCTS
    serializer_class = SynonymsShape

    @extend_schema(
        summary="List synonyms",
        responses={
            200: OpenApiResponse(SynonymsShape(many=True), "A page of sets."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first."""
        return self.listed(self.get_queryset())

    @extend_schema(
        summary="Add synonyms",
        parameters=[LOCATION],
        request=SynonymsBody,
        examples=[EXAMPLE],
        responses={
            201: OpenApiResponse(SynonymsShape, "The set."),
            **problems(*POST_PROBLEMS, "invalid", "synonyms_too_many"),
        },
    )
    def create(self, request: Request) -> Response:
        """A search for one of the words looks for all of them. Nothing is indexed anew."""
        made = synonyms_create(merchant=self.merchant, **self._body(request))
        location = request.build_absolute_uri(reverse("api-synonyms-set", args=[made.pk]))
        return Response(self.shaped(made), status=201, headers={"Location": location})

    @extend_schema(
        summary="Read synonyms", responses={200: OpenApiResponse(SynonymsShape, "The set."), **problems("not_found")}
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """One set."""
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Change synonyms",
        request=SynonymsBody,
        examples=[EXAMPLE],
        responses={
            200: OpenApiResponse(SynonymsShape, "The set."),
            **problems("malformed", "not_found", "invalid"),
        },
    )
    def update(self, request: Request, id: UUID) -> Response:
        """Other words in the place of the set's."""
        return Response(self.shaped(synonyms_change(synonyms=self.get_object(), **self._body(request))))

    @extend_schema(
        summary="Delete synonyms",
        responses={204: OpenApiResponse(description="Deleted."), **problems("not_found")},
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """The next search does not know them."""
        synonyms_delete(synonyms=self.get_object())
        return Response(status=204)

    def _body(self, request: Request) -> dict[str, Any]:
        body = SynonymsBody(data=request.data)
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)
