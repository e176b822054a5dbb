"""What reviewers decided, as one file: CSV, JSON lines or COCO."""

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from catalog.api.base import ApiView
from catalog.api.schema import problems
from catalog.api.scopes import REVIEWS
from catalog.api.shapes.item import ItemShape
from catalog.api.streaming import streamed
from catalog.selectors.decision_files import FILES
from catalog.selectors.decisions import decided_items

FOUND = "A line or a box for each item, in the form that was asked for."
KIND = OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=list(FILES), description="The form of the file.")


@extend_schema(tags=["review-items"])
class DecisionExportView(ApiView):
    """Every decision that stands."""

    selector = decided_items
    scopes = REVIEWS
    serializer_class = ItemShape

    @extend_schema(
        summary="Take all decisions home",
        parameters=[KIND],
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, FOUND),
            (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR, FOUND),
            (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, FOUND),
            **problems("not_found"),
        },
    )
    def export(self, request: Request, kind: str) -> HttpResponseBase:
        """The decision on each item that stands, undone ones only in the history that JSON lines have.

        `csv` for a spreadsheet, `jsonl` for programs, `coco.json` with boxes in pixels for tools that draw them.
        """
        if kind not in FILES:
            raise Http404
        sent: dict[str, Any] = {
            "content_type": FILES[kind].content_type,
            "headers": {"Content-Disposition": f'attachment; filename="{self.merchant.slug}-decisions.{kind}"'},
        }
        if request.method == "HEAD":  # only wants to know whether it may
            return HttpResponse(**sent)
        return streamed(request, FILES[kind].blocks(self.merchant), **sent)
