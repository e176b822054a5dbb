"""Webhooks: endpoints that are told what happened, and the log of what was told."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.filters import DeliveryFilters
from catalog.api.idempotency import ShownOnce
from catalog.api.schema import LOCATION, POST_PROBLEMS, VERB_PROBLEMS, problems
from catalog.api.scopes import WEBHOOKS
from catalog.api.shapes.webhook import (
    DeliveryDetail,
    DeliveryShape,
    EndpointBody,
    EndpointChange,
    EndpointShape,
    EndpointWithSecret,
    SecretRotationBody,
)
from catalog.models import WebhookDelivery, WebhookEndpoint
from catalog.selectors.webhook import delivery_list, endpoint_list
from catalog.services.webhooks.delivery import delivery_replay
from catalog.services.webhooks.endpoint import (
    endpoint_create,
    endpoint_delete,
    endpoint_secret_rotate,
    endpoint_test,
    endpoint_update,
)

EXAMPLE = OpenApiExample(
    "uploads and decisions",
    {"url": "https://shop.example/vitrine", "events": ["upload.finished", "item.decided"]},
    request_only=True,
)


def owed(view: ApiView, delivery: WebhookDelivery) -> Response:
    """202: it is sent in a moment."""
    location = view.request.build_absolute_uri(reverse("api-webhook-delivery", args=[delivery.pk]))
    body = DeliveryShape(delivery, context=view.get_serializer_context()).data
    return Response(body, status=202, headers={"Location": location})


def shown(endpoint: WebhookEndpoint, **answer: Any) -> ShownOnce:
    """The endpoint with its new secret, which no replay shows again."""
    return ShownOnce(EndpointWithSecret(endpoint).data, secrets=("secret",), **answer)


@extend_schema(tags=["webhook-endpoints"])
class WebhookEndpointViews(ApiView):
    """Where the merchant's server listens."""

    selector = endpoint_list
    scopes = WEBHOOKS
    serializer_class = EndpointShape

    @extend_schema(
        summary="List endpoints",
        responses={
            200: OpenApiResponse(EndpointShape(many=True), "A page of endpoints."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first, without their secrets."""
        return self.listed(self.get_queryset())

    @extend_schema(
        summary="Register an endpoint",
        parameters=[LOCATION],
        request=EndpointBody,
        examples=[EXAMPLE],
        responses={
            201: OpenApiResponse(EndpointWithSecret, "The endpoint, and its secret this once."),
            **problems(*POST_PROBLEMS, "invalid", "webhook_endpoints_too_many"),
        },
    )
    def create(self, request: Request) -> Response:
        """Every event is sent to it as a signed POST. Verify the signature with the `secret` of this answer."""
        body = EndpointBody(data=request.data)
        body.is_valid(raise_exception=True)
        endpoint, _ = endpoint_create(merchant=self.merchant, **body.validated_data)
        location = request.build_absolute_uri(reverse("api-webhook-endpoint", args=[endpoint.pk]))
        return shown(endpoint, status=201, headers={"Location": location})

    @extend_schema(
        summary="Read an endpoint",
        responses={200: OpenApiResponse(EndpointShape, "The endpoint."), **problems("not_found")},
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """Whether it is enabled, and why not."""
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Change an endpoint",
        request=EndpointChange,
        examples=[OpenApiExample("enable it again", {"enabled": True}, request_only=True)],
        responses={
            200: OpenApiResponse(EndpointShape, "The endpoint."),
            **problems("malformed", "not_found", "invalid"),
        },
    )
    def partial_update(self, request: Request, id: UUID) -> Response:
        """What is left out stays. Pausing gives up what is owed to it; that can be replayed once it is enabled."""
        body = EndpointChange(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(self.shaped(endpoint_update(endpoint=self.get_object(), values=body.validated_data)))

    @extend_schema(
        summary="Delete an endpoint",
        responses={204: OpenApiResponse(description="Deleted, with its log."), **problems("not_found")},
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """Nothing more is sent to it."""
        endpoint_delete(endpoint=self.get_object())
        return Response(status=204)

    @extend_schema(
        summary="Rotate an endpoint's secret",
        request=SecretRotationBody,
        examples=[OpenApiExample("an hour to change over", {"overlap_seconds": 3600}, request_only=True)],
        responses={
            200: OpenApiResponse(EndpointWithSecret, "The endpoint, and its new secret this once."),
            **problems(*POST_PROBLEMS, "not_found", "invalid"),
        },
    )
    def rotate_secret(self, request: Request, id: UUID) -> Response:
        """For a day, or as long as you say, requests carry two signatures: of the new secret and the one before."""
        body = SecretRotationBody(data=request.data)
        body.is_valid(raise_exception=True)
        endpoint = self.get_object()
        endpoint_secret_rotate(endpoint=endpoint, overlap=timedelta(seconds=body.validated_data["overlap_seconds"]))
        return shown(self.get_object())

    @extend_schema(
        summary="Send a test event",
        parameters=[LOCATION],
        request=None,
        responses={
            202: OpenApiResponse(DeliveryShape, "Owed. `Location` says where to look."),
            **problems(*VERB_PROBLEMS, "not_found", "webhook_endpoint_disabled"),
        },
    )
    def test(self, request: Request, id: UUID) -> Response:
        """An event of the type `vitrine.test`, signed and retried like any other."""
        return owed(self, endpoint_test(endpoint=self.get_object()))


@extend_schema(tags=["webhook-deliveries"])
class WebhookDeliveryViews(ApiView):
    """What was told, to whom, and what they answered."""

    selector = delivery_list
    scopes = WEBHOOKS
    serializer_class = DeliveryDetail
    filterset_class = DeliveryFilters

    @extend_schema(
        summary="List deliveries",
        responses={
            200: OpenApiResponse(DeliveryShape(many=True), "A page of deliveries."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first; they are kept for 30 days."""
        return self.listed(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        summary="Read a delivery",
        responses={200: OpenApiResponse(DeliveryDetail, "The delivery."), **problems("not_found")},
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """With the body that is sent and the log of every try."""
        return Response(self.shaped(self.get_object()))

    @extend_schema(
        summary="Replay a delivery",
        parameters=[LOCATION],
        request=None,
        responses={
            202: OpenApiResponse(DeliveryShape, "Owed again. `Location` says where to look."),
            **problems(*VERB_PROBLEMS, "not_found", "webhook_endpoint_disabled"),
        },
    )
    def replay(self, request: Request, id: UUID) -> Response:
        """Send it now, whether it failed, waits for its next try or was delivered. The `webhook-id` stays the same."""
        return owed(self, delivery_replay(delivery=self.get_object()))

    def get_serializer_class(self) -> Any:
        """Lists leave body and log out, so that a page costs one query."""
        return DeliveryShape if self.action == "list" else DeliveryDetail
