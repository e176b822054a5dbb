"""What some views add to the base: taking photos within their limit, and being called from a shop's page."""

from collections.abc import Mapping
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.db import DatabaseError
from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.utils.cache import patch_vary_headers
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import JSON_LIMIT, REQUEST_ID, ApiView, PlainJson
from catalog.api.budgets import POLICY, STANDING
from catalog.api.idempotency import HEADER, REPLAYED
from catalog.api.shapes.photo import photo_too_large
from catalog.models import ApiKey, Job, KeyKind
from catalog.selectors.job import is_kept, jobs_kept
from catalog.selectors.key import origin_is_open
from catalog.services.errors import Refused
from catalog.services.photo_address import FetchError, photo_fetch, photos_fetch
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


class FetchesPhotos(ApiView):
    """For views that take a photo by its address too (``services.photo_address``). A publishable key may not."""

    def photo_sent(self, photo: bytes | None, url: str) -> bytes | None:
        """The photo itself, or what lies at its address."""
        if not url:
            return photo
        self.check_may_fetch()
        return photo_fetch(merchant_id=self.merchant.pk, url=url)

    def photos_sent(self, urls: Mapping[str, str]) -> dict[str, bytes | FetchError]:
        """What lies at these addresses, by the names of the fields that they came in, or why there is nothing."""
        if not urls:
            return {}
        self.check_may_fetch()
        found: dict[str, bytes | FetchError] = {}
        for field, each in zip(urls, photos_fetch(merchant_id=self.merchant.pk, urls=list(urls.values())), strict=True):
            if isinstance(each, FetchError):
                found[field] = each
                continue
            with each:
                found[field] = each.read()
        return found

    def check_may_fetch(self) -> None:
        """Whoever finds a publishable key in a page must not send this server anywhere with it."""
        if self.key.kind != KeyKind.SECRET:
            raise PermissionDenied("A publishable key cannot have addresses fetched: send the photo itself.")


class KeepsJobs(ApiView):
    """For views of jobs: those whose results are no longer kept leave the lists and answer 410."""

    def get_object(self) -> Job:
        """The job that the address names."""
        job = super().get_object()
        if not is_kept(job=job):
            raise Refused("job_expired", "The results of this job are not kept any more.", status=410)
        return job

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        """What a list is narrowed to."""
        listed = jobs_kept(jobs=queryset) if self.action == "list" else queryset
        return super().filter_queryset(listed)


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
    """For views that a shop's page calls from another origin (CORS), with a publishable key that is open to it.

    A browser asks first, and without the key: that is answered for origins that any key is open to. No cookie is ever
    looked at, so nothing depends on credentials. (django-cors-headers knows one list of origins for all callers.)
    """

    def get_permissions(self) -> list[Any]:
        """A browser asks first (OPTIONS), and without the key."""
        return [] if self.request.method == "OPTIONS" else list(super().get_permissions())

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]  # as in DRF
        """The answer to the browser's question."""
        if "Origin" in request.headers and not self._reader(request):
            raise Refused("origin_not_allowed", "No publishable key may be used by pages of this origin.", status=403)
        headers = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": f"Authorization, Content-Type, Prefer, Last-Event-ID, {HEADER}, "
            f"{REQUEST_ID}",
            "Access-Control-Max-Age": "86400",
        }
        return Response(status=204, headers=headers)

    def finalize_response(self, request: Request, response: HttpResponseBase, *args: Any, **kwargs: Any) -> Any:
        """Let the page read the answer and the headers that matter."""
        patch_vary_headers(response, ["Origin"])  # type: ignore[arg-type]  # of any response with headers
        if origin := self._reader(request):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = (
                f"Location, Preference-Applied, {POLICY}, {STANDING}, Retry-After, {REPLAYED}, {REQUEST_ID}"
            )
        return super().finalize_response(request, response, *args, **kwargs)

    def _reader(self, request: Request) -> str:
        """The origin of the page that may read the answer, or nothing. A secret key has no business in a page."""
        origin, key = request.headers.get("Origin", ""), request.auth
        if not origin or (isinstance(key, ApiKey) and key.kind == KeyKind.SECRET):
            return ""
        try:
            return origin if origin_is_open(origin=origin, key=key if isinstance(key, ApiKey) else None) else ""
        except DatabaseError:  # the answer is then the problem that says so, for whoever can read it
            return ""
