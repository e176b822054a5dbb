"""Many products in one request, as JSON lines: a few are written at once, many become an upload."""

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import ApiView
from catalog.api.idempotency import made_by
from catalog.api.mixins import JsonLines
from catalog.api.schema import LOCATION, POST_PROBLEMS, problems
from catalog.api.scopes import PRODUCTS
from catalog.api.shapes.bulk import BulkShape, bulk_answer
from catalog.api.shapes.upload import UploadDetail
from catalog.api.views.uploads import uploads
from catalog.services.errors import Refused
from catalog.services.product_bulk import bulk_fits, products_bulk
from catalog.services.upload import upload_create
from config.env import load_env

LINES = '{"sku": "MUG-1", "price": "9.90"}\n{"sku": "MUG-2", "title": "Red mug", "price": "12.90", "currency": "EUR"}\n'


@extend_schema(tags=["products"])
class BulkViews(ApiView):
    """Create or change many products."""

    selector = uploads
    scopes = PRODUCTS
    serializer_class = UploadDetail
    parser_classes = (JsonLines,)

    def body_limit(self) -> int:
        """As much as an upload may hold."""
        return load_env().upload_max_bytes

    def refuse_body(self) -> Refused:
        """The same words as for an upload."""
        limit = load_env().upload_max_bytes / 1e9
        return Refused("upload_too_large", f"Send at most {limit:g} GB at once.", status=413)

    @extend_schema(
        summary="Create or change many products",
        parameters=[LOCATION],
        request={"application/x-ndjson": OpenApiTypes.STR},
        examples=[OpenApiExample("a price and a new mug", LINES, request_only=True, media_type="application/x-ndjson")],
        responses={
            200: OpenApiResponse(BulkShape, "Every line's verdict."),
            202: OpenApiResponse(
                UploadDetail, "More than 1,000 lines or 1 MB: an upload, read soon. `Location` says where to look."
            ),
            **problems(*POST_PROBLEMS, "upload_empty", "upload_too_large", "storage_unavailable"),
        },
    )
    def bulk(self, request: Request) -> Response:
        """JSON lines, a product each, known by its `sku`: fields that are left out stay. A bad line holds up no other.

        Up to 1,000 lines of 1 MB together are written at once and answered line by line; more become an upload whose
        rows carry the same verdicts.
        """
        file = request.data
        if not isinstance(file, UploadedFile) or not file.size:
            raise Refused("upload_empty", "Send one JSON object a line.")
        if bulk_fits(file=file, size=file.size):
            return Response(bulk_answer(products_bulk(merchant=self.merchant, file=file)))
        file.seek(0)
        made = upload_create(
            merchant=self.merchant,
            name=str(file.name),
            stream=file,
            created_by=f"API key {self.key.name}",
            upload_id=made_by(request),
        )
        location = request.build_absolute_uri(reverse("api-upload", args=[made.pk]))
        return Response(self.shaped(made), status=202, headers={"Location": location})

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        """The body's file is needed no more."""
        if isinstance(sent := getattr(request, "_full_data", None), UploadedFile):
            sent.close()
        return super().finalize_response(request, response, *args, **kwargs)
