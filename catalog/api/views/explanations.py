"""Explanations of items and hits: where the network looked, and what each part gave to the score."""

from typing import Any
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.held import after
from catalog.api.mixins import KeepsJobs
from catalog.api.schema import LOCATION, problems
from catalog.api.scopes import REVIEWS, SEARCHES
from catalog.api.shapes.explanation import ExplanationShape, PendingShape
from catalog.api.views.searches import searches
from catalog.api.waiting import APPLIED, WAIT_LIMIT, seconds_asked
from catalog.selectors.explanation import Comparison, item_comparison, search_comparison
from catalog.selectors.item import item_list
from catalog.services.explanation import explanation_ask, explanation_take
from catalog.web.explained import explained

WAIT_SECONDS = 10
RETRY_SECONDS = "2"
PREFER = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description=f"`wait=N` answers when it is there, at the latest after N seconds ({WAIT_LIMIT} at most; "
    f"{WAIT_SECONDS} where nothing is said).",
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After", OpenApiTypes.INT, OpenApiParameter.HEADER, response=[202], description="Seconds until then."
)
PROBLEMS = (
    "not_found",
    "candidate_not_found",
    "photo_gone",
    "photo_unreadable",
    "explanation_failed",
    "broker_unavailable",
    "storage_unavailable",
    "worker_unavailable",
    "deadline_passed",
)


def _responses(*codes: str) -> dict[Any, Any]:
    return {
        200: OpenApiResponse(ExplanationShape, "The explanation."),
        202: OpenApiResponse(PendingShape, "A worker is still at it. Ask again."),
        **problems(*PROBLEMS, *codes),
    }


class _ExplanationView(ApiView):
    """Waits for one explanation. Not for publishable keys: an explanation costs more on the device than a search."""

    serializer_class = ExplanationShape

    def answer(self, request: Request, comparison: Comparison) -> Response:
        """The explanation, or 202 when it takes longer than the caller waits."""
        seconds = seconds_asked(request)
        applied = {} if seconds is None else {APPLIED: f"wait={seconds}"}
        asked = explanation_ask(comparison=comparison, seconds=WAIT_SECONDS if seconds is None else seconds)

        def answer() -> Response:
            found = explanation_take(asked)
            if found is None:
                headers = {"Location": request.build_absolute_uri(), "Retry-After": RETRY_SECONDS}
                return Response({"state": "pending"}, status=202, headers=applied | headers)
            return Response(self.shaped(explained(comparison, found)), headers=applied)

        return after(asked.wait, request._request, answer) if asked.wait else answer()


@extend_schema(tags=["review-items"])
class ItemExplanationView(_ExplanationView):
    """Why an item may be a product."""

    selector = item_list
    scopes = REVIEWS

    @extend_schema(
        summary="Explain an item",
        parameters=[
            OpenApiParameter("product_id", UUID, description="One of its candidates; without it, the first."),
            PREFER,
            LOCATION,
            RETRY_AFTER,
        ],
        responses=_responses("invalid"),
    )
    def explanation(self, request: Request, id: UUID) -> Response:
        """Where the network looked in the item's photo and in the matched one, and how the score splits.

        Made by a worker when it is asked for, and kept for an hour. The numbers are measured now: where the product's
        text or the model changed since, they differ from those of the item.
        """
        product_id = _uuid(request.query_params.get("product_id"))
        return self.answer(request, item_comparison(item=self.get_object(), product_id=product_id))


@extend_schema(tags=["search-jobs"])
class HitExplanationView(KeepsJobs, _ExplanationView):
    """Why a search found a product."""

    selector = searches
    scopes = SEARCHES

    @extend_schema(
        summary="Explain a hit", parameters=[PREFER, LOCATION, RETRY_AFTER], responses=_responses("job_expired")
    )
    def explanation(self, request: Request, id: UUID, product_id: UUID) -> Response:
        """As for an item. A search by words has no heat maps; how its score splits is told all the same."""
        return self.answer(request, search_comparison(job=self.get_object(), product_id=product_id))


def _uuid(text: str | None) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise serializers.ValidationError({"product_id": ["This is no UUID."]}) from None
