"""What some views add to the base: taking photos within their limit, and being called from a shop's page."""

from collections.abc import Mapping
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import JSON_LIMIT, REQUEST_ID, ApiView, PlainJson
from catalog.api.idempotency import HEADER, REPLAYED
from catalog.api.shapes.photo import photo_too_large
from catalog.services.errors import Refused
from config.env import load_env


def is_form(request: Request) -> bool:
    """Whether the body is a form with parts, not JSON."""
    return (request.content_type or "").startswith(MultiPartParser.media_type)


class TakesPhoto(ApiView):
    """For views that take one photo: JSON with base64, or a form with a file part. Too large is refused unread."""

    parser_classes = (PlainJson, MultiPartParser)

    def body_limit(self) -> int:
        """The photo's limit, a third more for base64, and room for the rest."""
        photo = load_env().photo_max_bytes
        return (photo if is_form(self.request) else photo * 4 // 3) + JSON_LIMIT

    def refuse_body(self) -> Refused:
        """Only the photo can be that large."""
        return photo_too_large()


class JsonLines(BaseParser):
    """A body of JSON lines as a file: in memory while it is small, on disk after that."""

    media_type = "application/x-ndjson"

    def parse(  # type: ignore[override]  # whatever it gives is the request's data
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> UploadedFile:
        """The whole body, unread. The view closes it."""
        file = SpooledTemporaryFile(max_size=JSON_LIMIT)  # noqa: SIM115 - handed to the view
        copyfileobj(stream, file)
        return UploadedFile(file, "products.jsonl", self.media_type, size=file.tell())


class OpenToPages(ApiView):
    """For views that a shop's page calls. Keys travel in a header, never in a cookie, so any page may."""

    def get_permissions(self) -> list[Any]:
        """A browser asks first (OPTIONS), and without the key."""
        return [] if self.request.method == "OPTIONS" else list(super().get_permissions())

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]  # as in DRF
        """The answer to the browser's question."""
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": f"Authorization, Content-Type, Prefer, {HEADER}, {REQUEST_ID}",
            "Access-Control-Max-Age": "86400",
        }
        return Response(status=204, headers=headers)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        """Let the page read the answer and the headers that matter."""
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = (
            f"Location, Preference-Applied, Retry-After, {REPLAYED}, {REQUEST_ID}"
        )
        return super().finalize_response(request, response, *args, **kwargs)
