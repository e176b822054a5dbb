"""What reviewers decided, as one file: CSV, JSON lines or COCO."""

from functools import partial

from django.http import Http404, HttpRequest, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from catalog.api.base import ApiView
from catalog.api.schema import problems
from catalog.api.scopes import REVIEWS
from catalog.api.shapes.item import ItemShape
from catalog.api.streaming import file_streamed
from catalog.models import Merchant
from catalog.selectors.decision_files import FILES
from catalog.selectors.decisions import decided_items

FOUND = "A line or a box for each item, in the form that was asked for."
KIND = OpenApiParameter("kind", str, OpenApiParameter.PATH, enum=list(FILES), description="The form of the file.")


def decisions_streamed(request: Request | HttpRequest, merchant: Merchant, kind: str) -> HttpResponseBase:
    """The file; the admin sends it too. Raises ``Http404`` where there is no such kind."""
    if kind not in FILES:
        raise Http404
    file, name = FILES[kind], f"{merchant.slug}-decisions.{kind}"
    return file_streamed(request, partial(file.blocks, merchant), name=name, content_type=file.content_type)


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
        return decisions_streamed(request, self.merchant, kind)
