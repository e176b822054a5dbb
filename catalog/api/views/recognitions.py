"""Recognitions: which products are in these photos? Start one, follow it, read its items, cancel it."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase, QueryDict
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.base import PlainJson
from catalog.api.events import (
    ITEMS_AT_ONCE,
    Place,
    Seen,
    event_stream,
    events_parameters,
    events_responses,
)
from catalog.api.filters import JobFilters
from catalog.api.idempotency import made_by
from catalog.api.mixins import FetchesPhotos, KeepsJobs, is_form
from catalog.api.pagination import Cursor
from catalog.api.schema import LOCATION, PAGING, POST_PROBLEMS, PREFER, VERB_PROBLEMS, problems
from catalog.api.scopes import RECOGNITIONS
from catalog.api.shapes.photo import EXAMPLE_PHOTO, name_in_address
from catalog.api.shapes.recognition import (
    PHOTOS_LIMIT,
    FileParts,
    NamedPhotos,
    RecognitionBody,
    RecognitionFollowed,
    RecognitionForm,
    RecognitionOptions,
    RecognitionShape,
    RecognitionSummary,
)
from catalog.api.views.items import items_body
from catalog.api.waiting import answer_of_start, answer_when_finished
from catalog.models import Job, JobKind, Merchant
from catalog.selectors.item import job_items, job_items_after
from catalog.selectors.job import OWED, failed_photos, job_list, recognition_progress
from catalog.services.errors import Refused
from catalog.services.job import job_cancel, recognition_job_create
from catalog.services.notify import job_channel
from catalog.services.photo_address import FetchError, photos_fetch
from config.env import load_env

FAILED_LIMIT = 100
OLDEST_FIRST = ("created_at", "id")  # so that a follower's next page only ever grows
EXAMPLES = [
    OpenApiExample(
        "one photo",
        {"photos": [{"photo": EXAMPLE_PHOTO, "name": "mug-1.jpg"}]},
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "a shelf",
        {"items": "many", "photos": [{"photo": EXAMPLE_PHOTO, "name": "shelf-1.jpg"}]},
        request_only=True,
        media_type="application/json",
    ),
]


def recognitions(*, merchant: Merchant) -> QuerySet[Job]:
    """The merchant's recognitions."""
    return job_list(merchant=merchant, kind=JobKind.RECOGNITION)


@extend_schema(tags=["recognition-jobs"])
class RecognitionViews(KeepsJobs, FetchesPhotos):
    """Photos to be recognised."""

    selector = recognitions
    scopes = RECOGNITIONS
    serializer_class = RecognitionShape
    filterset_class = JobFilters
    parser_classes = (PlainJson, MultiPartParser)

    def body_limit(self) -> int:
        """A form is spooled to disk; JSON is held in memory, so it takes as much as one large photo."""
        env = load_env()
        return PHOTOS_LIMIT * env.photo_max_bytes if is_form(self.request) else env.photo_max_bytes * 4 // 3 + 1_000_000

    @extend_schema(
        summary="List recognitions",
        responses={
            200: OpenApiResponse(RecognitionSummary(many=True), "A page of recognitions."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first."""
        return self.listed(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        summary="Start a recognition",
        parameters=[PREFER, LOCATION],
        request={"application/json": RecognitionBody, "multipart/form-data": RecognitionForm},
        examples=EXAMPLES,
        responses={
            200: OpenApiResponse(RecognitionShape, "Finished while you waited."),
            202: OpenApiResponse(RecognitionShape, "Started. `Location` says where to look."),
            **problems(
                *POST_PROBLEMS,
                "too_many_files",
                "invalid",
                "region_invalid",
                "photo_twice",
                "photo_base64_invalid",
                "photo_url_busy",
                "photos_missing",
                "photos_refused",
            ),
        },
    )
    def create(self, request: Request) -> Response:
        """One to a hundred photos; for more use a bulk upload without a manifest. One bad photo refuses them all.

        With `"items": "many"` every product in a photo of a shelf or a room becomes an item of its own, with its `box`.
        """
        with ExitStack() as files:
            asked = self._asked(request, files)
            job = recognition_job_create(merchant=self.merchant, **asked, job_id=made_by(request))
        location = request.build_absolute_uri(reverse("api-recognition", args=[job.pk]))
        return answer_of_start(job, request, location, lambda: self._body(job))

    @extend_schema(
        summary="Read a recognition",
        parameters=[PREFER, *PAGING],
        responses={
            200: OpenApiResponse(RecognitionShape, "The recognition."),
            **problems("not_found", "job_expired", "invalid", "cursor_invalid"),
        },
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """How far it is, which photos failed, and a page of its items, the first recognised first."""
        job = self.get_object()
        return answer_when_finished(job, request, lambda waited: Response(self._body(job), headers=waited))

    @extend_schema(
        summary="Follow a recognition",
        parameters=events_parameters(),
        responses={
            **events_responses(
                "Events: `item.found` (each item once, as under review-items), `job.progress` (state, progress, place "
                "in the queue, failed photos) and at last `job.finished` (the same, finished)."
            ),
            **problems("not_found", "job_expired", "streams_too_many"),
        },
    )
    def events(self, request: Request, id: UUID) -> HttpResponseBase:
        """Server-sent events until it is finished, each item as soon as it is stored."""
        self.get_object()
        return event_stream(request, topic="job", channel=job_channel(id), look=partial(self._look, id))

    def _look(self, id: UUID, place: Place) -> Seen | None:
        job = self.get_queryset().filter(pk=id).first()  # before its items: one that is done has all of them
        if job is None:
            return None
        found = list(job_items_after(job=job, created_at=place.created_at, item_id=place.item_id)[: ITEMS_AT_ONCE + 1])
        items = found[:ITEMS_AT_ONCE]
        bodies = items_body(items, self.merchant, self.get_serializer_context()) if items else []
        return Seen(
            body=RecognitionFollowed(job, context=self.get_serializer_context() | self._figures(job)).data,
            finished=job.state not in OWED,
            items=list(zip(items, bodies, strict=True)),
            more=len(found) > len(items),
        )

    @extend_schema(
        summary="Cancel a recognition",
        request=None,
        responses={
            200: OpenApiResponse(RecognitionShape, "The recognition."),
            **problems(*VERB_PROBLEMS, "not_found", "job_finished", "job_expired"),
        },
    )
    def cancel(self, request: Request, id: UUID) -> Response:
        """Photos that no worker has yet are left alone; what was recognised stays."""
        return Response(self._body(job_cancel(job=self.get_object())))

    @extend_schema(
        summary="Cancel a recognition",
        responses={
            200: OpenApiResponse(RecognitionShape, "The recognition."),
            **problems("not_found", "job_finished", "job_expired"),
        },
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """The same as `cancel`."""
        return self.cancel(request, id)

    def get_serializer_class(self) -> Any:
        """Lists leave items and progress out, so that a page costs one query."""
        return RecognitionSummary if self.action == "list" else RecognitionShape

    def _asked(self, request: Request, files: ExitStack) -> dict[str, Any]:
        """What the service takes: photos, items and regions. ``files`` closes those that were fetched."""
        if is_form(request):
            form = cast(QueryDict, request.data)
            if stray := [each for each in form.getlist("photos") if isinstance(each, str)]:
                raise Refused("photos_refused", f"{len(stray)} parts `photos` are text, not files.")
            options = RecognitionOptions(data={name: form[name] for name in form if name != "photos"})
            options.is_valid(raise_exception=True)
            photos = FileParts(request.FILES.getlist("photos"))
            asked = options.validated_data
            return {"photos": photos, "items": asked["items"], "regions": [asked["region"]] * len(photos)}
        body = RecognitionBody(data=request.data)
        body.is_valid(raise_exception=True)
        rows = body.validated_data["photos"]
        return {
            "photos": self._fetched(rows, files),
            "items": body.validated_data["items"],
            "regions": [each["region"] for each in rows],
        }

    def _fetched(self, rows: Sequence[dict[str, Any]], files: ExitStack) -> NamedPhotos:
        """The photos of a JSON body, those named by their address fetched. Raises ``Refused`` naming every bad one."""
        urls = {number: each["photo_url"] for number, each in enumerate(rows) if each["photo_url"]}
        names = [each["name"] or name_in_address(each["photo_url"]) or "photo" for each in rows]
        if not urls:
            return NamedPhotos([(name, each["photo"]) for name, each in zip(names, rows, strict=True)])
        self.check_may_fetch()
        found = dict(zip(urls, photos_fetch(merchant_id=self.merchant.pk, urls=list(urls.values())), strict=True))
        bad: dict[int, FetchError] = {}
        for number, each in found.items():
            if isinstance(each, FetchError):
                bad[number] = each
            else:
                files.enter_context(each)
        if bad:
            told = [
                {"code": each.code, "message": f"{names[number]}: {each.message}", "field": f"photos[{number}]"}
                for number, each in bad.items()
            ]
            raise Refused("photos_refused", "Some photos cannot be used; nothing was started.", problems=told)
        return NamedPhotos([(names[number], found.get(number, each["photo"])) for number, each in enumerate(rows)])

    def _body(self, job: Job) -> dict[str, Any]:
        pages = Cursor(OLDEST_FIRST)
        items = pages.paginate_queryset(job_items(job=job), self.request)
        pages.url = self.request.build_absolute_uri(reverse("api-recognition", args=[job.pk]))
        return self.shaped(
            job,
            items=pages.page(items_body(items, self.merchant, self.get_serializer_context())),
            **self._figures(job),
        )

    def _figures(self, job: Job) -> dict[str, Any]:
        return {"progress": recognition_progress(job=job), "failed": failed_photos(job=job, limit=FAILED_LIMIT)}
