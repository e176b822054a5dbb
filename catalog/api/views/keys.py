"""API keys: make, list, change, rotate with an overlap, revoke. Only for secret keys with the scope ``keys``."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.filters import KeyFilters
from catalog.api.idempotency import ShownOnce
from catalog.api.schema import LOCATION, POST_PROBLEMS, problems
from catalog.api.scopes import KEYS
from catalog.api.shapes.key import KeyBody, KeyChange, KeyShape, NewKeyShape, RotationBody
from catalog.models import ApiKey
from catalog.selectors.key import key_list
from catalog.services.key import api_key_create, api_key_revoke, api_key_rotate, api_key_update

EXAMPLES = [
    OpenApiExample("for a catalogue sync", {"name": "ERP", "preset": "catalogue"}, request_only=True),
    OpenApiExample(
        "for a shop's page",
        {"name": "Shop", "kind": "publishable", "origins": ["https://shop.example"]},
        request_only=True,
    ),
]
ORIGIN_PROBLEMS = ("origins_missing", "origins_not_taken", "origins_too_many", "origin_invalid")
EXCEEDED = ("scope_exceeded", "expiry_exceeded", "rate_exceeded")
MADE = (*EXCEEDED, "expiry_passed", *ORIGIN_PROBLEMS)


@extend_schema(tags=["keys"])
class KeyViews(ApiView):
    """The merchant's API keys."""

    selector = key_list
    scopes = KEYS
    serializer_class = KeyShape
    filterset_class = KeyFilters

    @extend_schema(
        summary="List keys",
        responses={
            200: OpenApiResponse(KeyShape(many=True), "A page of keys."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first, those that ended too. No secret is ever shown again."""
        return self.listed(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        summary="Make a key",
        parameters=[LOCATION],
        request=KeyBody,
        examples=EXAMPLES,
        responses={
            201: OpenApiResponse(NewKeyShape, "The key with its secret."),
            **problems(*POST_PROBLEMS, "invalid", "scopes_missing", *MADE),
        },
    )
    def create(self, request: Request) -> Response:
        """A secret key needs `scopes` or a `preset`, a publishable key its `origins`. Nobody can give more scopes,
        more time or more requests a minute than the key that asks has itself.
        """
        body = KeyBody(data=request.data)
        body.is_valid(raise_exception=True)
        return self._made(*api_key_create(merchant=self.merchant, by=self.key, **body.validated_data))

    @extend_schema(
        summary="Read a key", responses={200: OpenApiResponse(KeyShape, "The key."), **problems("not_found")}
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """One key by its id."""
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Change a key",
        request=KeyChange,
        examples=[OpenApiExample("a new name", {"name": "ERP, warehouse 2", "rate_limit": 600}, request_only=True)],
        responses={
            200: OpenApiResponse(KeyShape, "The key."),
            **problems(
                "malformed",
                "unsupported_media_type",
                "not_found",
                "invalid",
                "scopes_missing",
                "scopes_fixed",
                "key_ended",
                *MADE,
            ),
        },
    )
    def partial_update(self, request: Request, id: UUID) -> Response:
        """What is left out stays; `origins` and `scopes` are replaced as a whole. It counts from the next request.

        No key can be given more than the one that asks has, itself included.
        """
        key = self.get_object()
        body = KeyChange(data=request.data)
        body.is_valid(raise_exception=True)
        api_key_update(key=key, values=body.validated_data, by=self.key)
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Revoke a key", responses={200: OpenApiResponse(KeyShape, "The key."), **problems("not_found")}
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """It ends at once, and stays in the list."""
        api_key_revoke(key=self.get_object())
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Rotate a key",
        parameters=[LOCATION],
        request=RotationBody,
        examples=[OpenApiExample("an hour to change over", {"overlap_seconds": 3600}, request_only=True)],
        responses={
            201: OpenApiResponse(NewKeyShape, "The new key with its secret."),
            **problems(*POST_PROBLEMS, "not_found", "invalid", "key_ended", "key_replaced", *EXCEEDED),
        },
    )
    def rotate(self, request: Request, id: UUID) -> Response:
        """A new key that may do the same. The old one works on for the overlap: a day, or as long as you say.

        A key that ends is followed by one with as long a life; by one with the same end, where it replaces itself.
        """
        key = self.get_object()
        body = RotationBody(data=request.data)
        body.is_valid(raise_exception=True)
        return self._made(*api_key_rotate(key=key, by=self.key, **body.validated_data))

    def _made(self, key: ApiKey, token: str) -> Response:
        made: Any = self.get_queryset().get(pk=key.pk)
        made.token = token
        body = NewKeyShape(made, context=self.get_serializer_context()).data
        location = self.request.build_absolute_uri(reverse("api-key", args=[key.pk]))
        return ShownOnce(body, secrets=("secret",), status=201, headers={"Location": location})
