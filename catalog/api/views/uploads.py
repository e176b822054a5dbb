"""Bulk uploads: send one, follow it, read every row's verdict, take the bad rows home, cancel it."""

from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import JSON_LIMIT, ApiView
from catalog.api.events import Place, Seen, event_stream, events_parameters, events_responses
from catalog.api.filters import RowFilters, UploadFilters
from catalog.api.idempotency import made_by
from catalog.api.schema import LOCATION, POST_PROBLEMS, PREFER, VERB_PROBLEMS, problems
from catalog.api.scopes import UPLOADS
from catalog.api.shapes.upload import RowShape, UploadDetail, UploadForm, UploadShape
from catalog.api.waiting import answer_of_start, answer_when_finished, is_unfinished
from catalog.models import Merchant, Upload, UploadRow
from catalog.selectors.upload import upload_bad_rows_csv, upload_is_kept, uploads_kept
from catalog.services.errors import Refused
from catalog.services.notify import upload_channel
from catalog.services.upload import upload_cancel, upload_create
from config.env import load_env


def uploads(*, merchant: Merchant) -> QuerySet[Upload]:
    """The merchant's uploads."""
    return Upload.objects.filter(merchant=merchant)


def still_kept(upload: Upload) -> Upload:
    """The upload, unless its rows are kept no longer; products and photos that came of it are."""
    if not upload_is_kept(upload=upload):
        raise Refused("upload_expired", "The rows of this upload are not kept any more.", status=410)
    return upload


@extend_schema(tags=["uploads"])
class UploadViews(ApiView):
    """Bulk uploads of the merchant."""

    selector = uploads
    scopes = UPLOADS
    serializer_class = UploadDetail
    filterset_class = UploadFilters
    parser_classes = (MultiPartParser,)

    def body_limit(self) -> int:
        """As much as an upload may hold, and room for the form around it."""
        return load_env().upload_max_bytes + JSON_LIMIT

    def refuse_body(self) -> Refused:
        """Only the file can be that large."""
        limit = load_env().upload_max_bytes / 1e9
        return Refused("upload_too_large", f"Send an upload of at most {limit:g} GB.", status=413)

    @extend_schema(
        summary="List uploads",
        responses={
            200: OpenApiResponse(UploadShape(many=True), "A page of uploads."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first, with the counts of their rows."""
        return self.listed(self.filter_queryset(uploads_kept(uploads=self.get_queryset())))

    @extend_schema(
        summary="Send an upload",
        parameters=[PREFER, LOCATION],
        request={"multipart/form-data": UploadForm},
        responses={
            200: OpenApiResponse(UploadDetail, "Finished while you waited."),
            202: OpenApiResponse(UploadDetail, "Kept; its rows are read soon. `Location` says where to look."),
            **problems(*POST_PROBLEMS, "invalid", "upload_empty", "upload_too_large", "storage_unavailable"),
        },
    )
    def create(self, request: Request) -> Response:
        """Every row gets a verdict; one bad row never holds up the others. The same upload again changes nothing."""
        body = UploadForm(data=request.data)
        body.is_valid(raise_exception=True)
        file = body.validated_data["file"]
        upload = upload_create(
            merchant=self.merchant,
            name=file.name,
            stream=file,
            dry_run=body.validated_data["dry_run"],
            created_by=f"API key {self.key.name}",
            upload_id=made_by(request),
        )
        location = request.build_absolute_uri(reverse("api-upload", args=[upload.pk]))
        return answer_of_start(upload, request, location, lambda: self.shaped(upload))

    @extend_schema(
        summary="Read an upload",
        parameters=[PREFER],
        responses={200: OpenApiResponse(UploadDetail, "The upload."), **problems("not_found", "upload_expired")},
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """How far it is. It is `done` when no photo of it is owed any more."""
        upload = self.get_object()
        return answer_when_finished(upload, request, lambda waited: Response(self.shaped(upload), headers=waited))

    @extend_schema(
        summary="Follow an upload",
        parameters=events_parameters(),
        responses={
            **events_responses(
                "Events: `upload.progress` (the upload as `GET` shows it, whenever it came further) and at last "
                "`upload.finished`."
            ),
            **problems("not_found", "upload_expired", "streams_too_many"),
        },
    )
    def events(self, request: Request, id: UUID) -> HttpResponseBase:
        """Server-sent events until it is finished."""
        self.get_object()
        return event_stream(request, topic="upload", channel=upload_channel(id), look=partial(self._look, id))

    def _look(self, id: UUID, place: Place) -> Seen | None:
        upload = self.get_queryset().filter(pk=id).first()
        return None if upload is None else Seen(self.shaped(upload), finished=not is_unfinished(upload))

    @extend_schema(
        summary="Cancel an upload",
        request=None,
        responses={
            200: OpenApiResponse(UploadDetail, "The upload."),
            **problems(*VERB_PROBLEMS, "not_found", "upload_finished", "upload_expired"),
        },
    )
    def cancel(self, request: Request, id: UUID) -> Response:
        """No more rows are read. What was imported stays."""
        return Response(self.shaped(upload_cancel(upload=self.get_object())))

    @extend_schema(
        summary="Take the bad rows home",
        responses={
            (200, "text/csv"): OpenApiResponse(
                OpenApiTypes.STR, "The rows with problems, and what is wrong with them."
            ),
            **problems("not_found", "upload_expired"),
        },
    )
    def bad_rows(self, request: Request, id: UUID) -> HttpResponse:
        """As a CSV that can be corrected and uploaded again."""
        upload = self.get_object()
        name = f"bad-rows-{upload.pk}.csv"
        return HttpResponse(
            "".join(upload_bad_rows_csv(upload)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def get_object(self) -> Upload:
        """The upload that the address names."""
        return still_kept(super().get_object())

    def get_serializer_class(self) -> Any:
        """Lists do not count photos, so that a page costs one query."""
        return UploadShape if self.action == "list" else UploadDetail


def rows(*, merchant: Merchant) -> QuerySet[UploadRow]:
    """The rows of the merchant's uploads."""
    return UploadRow.objects.filter(upload__merchant=merchant)


@extend_schema(tags=["uploads"])
class UploadRowViews(ApiView):
    """The rows of one upload."""

    selector = rows
    scopes = UPLOADS
    serializer_class = RowShape
    filterset_class = RowFilters
    cursor_ordering = ("number", "id")

    @extend_schema(
        summary="List an upload's rows",
        operation_id="uploads_rows",
        responses={
            200: OpenApiResponse(RowShape(many=True), "A page of rows."),
            **problems("not_found", "upload_expired", "invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request, id: UUID) -> Response:
        """In the order of the manifest, each with its verdict and every problem found."""
        upload = still_kept(get_object_or_404(uploads(merchant=self.merchant), pk=id))
        return self.listed(self.filter_queryset(self.get_queryset().filter(upload=upload)))
