"""Helpers that make the OpenAPI document complete: problem responses with examples, and the headers POSTs share."""

from http import HTTPStatus
from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.viewsets import GenericViewSet

from catalog.api.authentication import ApiKeyAuthentication
from catalog.api.errors import MEDIA_TYPE
from catalog.api.pagination import Cursor
from catalog.api.problems import PAGE, PROBLEMS
from catalog.api.scopes import scope_needed

EVERYWHERE = (
    "not_authenticated",
    "key_invalid",
    "scope_missing",
    "origin_not_allowed",
    "permission_denied",
    "throttled",
    "internal_error",
    "unavailable",
)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="Any text of yours, new for each action. The same request sent again within a day gets the first "
    "answer again, with the header `Idempotent-Replayed: true`.",
)
LOCATION = OpenApiParameter(
    "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[201, 202], description="Where to look from now on."
)
REQUEST_ID = OpenApiParameter(
    "X-Request-ID",
    str,
    OpenApiParameter.HEADER,
    response=True,
    description="Name it when you report a fault. Send your own (64 letters, digits, `._-`) to follow a request.",
)
RATE_LIMIT_POLICY = OpenApiParameter(
    "RateLimit-Policy",
    str,
    OpenApiParameter.HEADER,
    response=True,
    description='The budgets that the request counts against: `"key";q=6000;w=60` is 6000 requests in 60 seconds.',
)
RATE_LIMIT = OpenApiParameter(
    "RateLimit",
    str,
    OpenApiParameter.HEADER,
    response=True,
    description='How they stand: `"key";r=5999;t=42` leaves 5999 requests for the next 42 seconds.',
)
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`wait=N` answers when the job is finished, at the latest after N seconds (30 at most).",
    examples=[OpenApiExample("wait ten seconds", "wait=10")],
)
PAGING = [  # of pages in actions that are no ``list``
    OpenApiParameter(each["name"], each["schema"], description=each["description"])
    for each in Cursor().get_schema_operation_parameters()
]
VERB_PROBLEMS = ("idempotency_key_invalid", "idempotency_key_reused", "idempotency_in_progress")
POST_PROBLEMS = ("malformed", "unsupported_media_type", "length_required", "body_too_large", *VERB_PROBLEMS)


class FaultShape(serializers.Serializer):
    """One single fault in a request."""

    field = serializers.CharField(help_text="Dotted path of the field; empty for the request as a whole.")
    code = serializers.CharField(help_text="Stable; for programs.")
    message = serializers.CharField(help_text="A sentence for people.")


class ProblemShape(serializers.Serializer):
    """RFC 9457 problem details: the body of every error."""

    type = serializers.CharField(help_text="Address of the explanation, on this server.")
    title = serializers.CharField(help_text="What went wrong, the same for every occurrence.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What went wrong this time, a sentence for people.")
    code = serializers.CharField(help_text="Stable; for programs.")
    errors = FaultShape(  # type: ignore[assignment]  # a field of that name hides nothing: DRF takes it out of the class
        many=True, help_text="The single faults; may be empty."
    )
    request_id = serializers.CharField(help_text="Also in the header `X-Request-ID`. Name it when you report a fault.")


class Schema(AutoSchema):
    """Adds what belongs to every operation of its kind."""

    def get_override_parameters(self) -> list[Any]:
        """Every answer names its request and the budgets, and every POST may carry an ``Idempotency-Key``."""
        shared = [REQUEST_ID, RATE_LIMIT_POLICY, RATE_LIMIT]
        return [*shared, IDEMPOTENCY_KEY] if self.method == "POST" else shared

    def get_operation_id(self) -> str:
        """The resource and what is done with it, for example ``search_jobs_create``."""
        return f"{self.get_tags()[0].replace('-', '_')}_{cast(GenericViewSet, self.view).action}"


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """Describes the keys in the OpenAPI document."""

    target_class = ApiKeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """The security scheme."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A secret key (`vit_sk_…`) does what its scopes allow; each operation names the one it "
            "needs, and `*` is all of them. A publishable key (`vit_pk_…`) may only start and read searches.",
        }

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[Any]]:
        """The scheme with the scope that a secret key needs (OpenAPI 3.1 allows roles for any scheme)."""
        return {self.name: [scope_needed(auto_schema.view, auto_schema.method).value]}


def problems(*codes: str) -> dict[tuple[int, str], OpenApiResponse]:
    """The error responses of an operation: those that any may give, and these."""
    grouped: dict[int, list[str]] = {}
    for code in dict.fromkeys((*EVERYWHERE, *codes)):
        grouped.setdefault(PROBLEMS[code][0], []).append(code)
    return {(status, MEDIA_TYPE): _response(status, named) for status, named in sorted(grouped.items())}


def _response(status: int, codes: list[str]) -> OpenApiResponse:
    described = f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}."
    return OpenApiResponse(ProblemShape, described, [_example(status, code) for code in codes])


def _example(status: int, code: str) -> OpenApiExample:
    _, title, advice = PROBLEMS[code]
    value: dict[str, Any] = {
        "type": f"{PAGE}#{code}",
        "title": title,
        "status": status,
        "detail": advice,
        "code": code,
        "errors": [],
        "request_id": "6f1c0c3e5a7b4c0e9a3d2f1b8c7d6e5f",
    }
    return OpenApiExample(code, value, response_only=True, status_codes=[str(status)], media_type=MEDIA_TYPE)
