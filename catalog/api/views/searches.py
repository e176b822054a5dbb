"""Searches: start one by photo, words or both, wait for it, read it, cancel it."""

from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.events import Place, Seen, event_stream, events_parameters, events_responses
from catalog.api.filters import JobFilters
from catalog.api.idempotency import made_by
from catalog.api.mixins import FetchesPhotos, KeepsJobs, OpenToPages, TakesPhoto, is_form
from catalog.api.pagination import HitCursor
from catalog.api.schema import LOCATION, PAGING, POST_PROBLEMS, PREFER, VERB_PROBLEMS, problems
from catalog.api.scopes import SEARCHES
from catalog.api.shapes.examples import PHOTOS_LIMIT
from catalog.api.shapes.fields import shaped_rows
from catalog.api.shapes.photo import EXAMPLE_PHOTO
from catalog.api.shapes.search import HitShape, SearchBody, SearchForm, SearchShape, SearchSummary
from catalog.api.views.photos import PHOTO_PROBLEMS
from catalog.api.waiting import answer_of_start, answer_when_finished
from catalog.models import Job, JobKind, Merchant
from catalog.selectors.job import OWED, job_list
from catalog.selectors.search import search_answer
from catalog.services.errors import Refused
from catalog.services.job import job_cancel, search_job_create
from catalog.services.notify import job_channel
from catalog.services.photo_address import FetchError
from catalog.services.problems import problem
from config.env import load_env

EXAMPLES = [
    OpenApiExample(
        "by words",
        {
            "words": "blue stoneware mug",
            "filters": {"categories": ["Kitchen/Mugs"], "price_max": "20.00", "currency": "EUR", "in_stock": True},
            "limit": 10,
        },
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "by the address of a photo",
        {"photo_url": "https://example.com/street.jpg"},
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "by a part of a photo",
        {"photo": EXAMPLE_PHOTO, "region": [0.1, 0.2, 0.8, 0.9]},
        request_only=True,
        media_type="application/json",
    ),
]


def searches(*, merchant: Merchant) -> QuerySet[Job]:
    """The merchant's searches."""
    return job_list(merchant=merchant, kind=JobKind.SEARCH)


@extend_schema(tags=["search-jobs"])
class SearchViews(OpenToPages, KeepsJobs, FetchesPhotos, TakesPhoto):
    """A shopper's searches."""

    selector = searches
    serializer_class = SearchShape
    filterset_class = JobFilters
    scopes = SEARCHES
    publishable = frozenset({"create", "retrieve", "hits", "events"})

    def body_limit(self) -> int:
        """A form is spooled to disk; JSON is held in memory, so all its photos together are as one large photo."""
        more = PHOTOS_LIMIT * load_env().photo_max_bytes if is_form(self.request) else 0
        return super().body_limit() + more

    @extend_schema(
        summary="List searches",
        responses={
            200: OpenApiResponse(SearchSummary(many=True), "A page of searches."),
            **problems("invalid", "cursor_invalid"),
        },
    )
    def list(self, request: Request) -> Response:
        """The newest first, without their hits."""
        return self.listed(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        summary="Start a search",
        parameters=[PREFER, LOCATION],
        request={"application/json": SearchBody, "multipart/form-data": SearchForm},
        examples=EXAMPLES,
        responses={
            200: OpenApiResponse(SearchShape, "Finished while you waited."),
            202: OpenApiResponse(SearchShape, "Started. `Location` says where to look."),
            **problems(
                *POST_PROBLEMS,
                "invalid",
                "search_empty",
                "region_invalid",
                "region_without_photo",
                "product_not_found",
                "example_not_found",
                "example_without_photo",
                "photos_refused",
                *PHOTO_PROBLEMS,
            ),
        },
    )
    def create(self, request: Request) -> Response:
        """By photo, by words, or by both, served before all bulk work. With `Prefer: wait=5` one call is enough."""
        body = (SearchForm if is_form(request) else SearchBody)(data=request.data)
        body.is_valid(raise_exception=True)
        asked = self._fetched(body.validated_data)
        job = search_job_create(merchant=self.merchant, **asked, job_id=made_by(request))
        location = request.build_absolute_uri(reverse("api-search", args=[job.pk]))
        return answer_of_start(job, request, location, lambda: self.shaped(job))

    def _fetched(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What was asked with every photo that was named by its address, fetched together.

        Raises ``FetchError`` for the search's own photo, ``Refused("photos_refused")`` naming every bad example.
        """
        url, examples = asked.pop("photo_url"), asked.pop("examples")
        urls = {"photo": url} if url else {}
        found = self.photos_sent(urls | {each.sent.field: each.url for each in examples if each.url})
        if isinstance(photo := found.get("photo", asked["photo"]), FetchError):
            raise photo
        bad = [
            problem(each.code, each.message, field=field)
            for field, each in found.items()
            if isinstance(each, FetchError)
        ]
        if bad:
            raise Refused("photos_refused", "Some photos cannot be used; nothing was started.", problems=bad)
        sent = [replace(each.sent, data=found.get(each.sent.field, each.sent.data)) for each in examples]
        return asked | {"photo": photo, "examples": sent}

    @extend_schema(
        summary="Read a search",
        parameters=[PREFER],
        responses={200: OpenApiResponse(SearchShape, "The search."), **problems("not_found", "job_expired")},
    )
    def retrieve(self, request: Request, id: UUID) -> Response:
        """With its hits when its state is `done`, with the reason when it is `failed` or `expired`."""
        job = self.get_object()
        return answer_when_finished(job, request, lambda waited: Response(self.shaped(job), headers=waited))

    @extend_schema(
        summary="List a search's hits",
        operation_id="search_jobs_hits",
        parameters=PAGING,
        responses={
            200: OpenApiResponse(HitShape(many=True), "A page of hits."),
            **problems("not_found", "job_expired", "invalid", "cursor_invalid"),
        },
    )
    def hits(self, request: Request, id: UUID) -> Response:
        """All that were `found`, the best first, beyond the `limit` that the search itself shows; none before its state
        is `done`.
        """
        answer = search_answer(merchant=self.merchant, job=self.get_object(), all_found=True)
        pages = HitCursor()
        page = pages.paginate_hits(answer.hits, request)
        return pages.get_paginated_response(shaped_rows(HitShape, page, self.get_serializer_context()))

    @extend_schema(
        summary="Follow a search",
        parameters=events_parameters(),
        responses={
            **events_responses(
                "Events: `job.progress` (the search as `GET` shows it, whenever its place changes) and at last "
                "`job.finished` (with its hits, or why there are none)."
            ),
            **problems("not_found", "job_expired", "streams_too_many"),
        },
    )
    def events(self, request: Request, id: UUID) -> HttpResponseBase:
        """Server-sent events until it is finished: no polling, and the hits at once."""
        self.get_object()
        return event_stream(request, topic="job", channel=job_channel(id), look=partial(self._look, id))

    def _look(self, id: UUID, place: Place) -> Seen | None:
        job = self.get_queryset().filter(pk=id).first()
        return None if job is None else Seen(self.shaped(job), finished=job.state not in OWED)

    @extend_schema(
        summary="Cancel a search",
        request=None,
        responses={
            200: OpenApiResponse(SearchShape, "The search."),
            **problems(*VERB_PROBLEMS, "not_found", "job_finished", "job_expired"),
        },
    )
    def cancel(self, request: Request, id: UUID) -> Response:
        """A finished search cannot be cancelled."""
        return Response(self.shaped(job_cancel(job=self.get_object())))

    @extend_schema(
        summary="Cancel a search",
        responses={
            200: OpenApiResponse(SearchShape, "The search."),
            **problems("not_found", "job_finished", "job_expired"),
        },
    )
    def destroy(self, request: Request, id: UUID) -> Response:
        """The same as `cancel`; what was asked stays on record."""
        return self.cancel(request, id)

    def get_serializer_class(self) -> Any:
        """Lists leave the hits out, so that a page costs one query."""
        return SearchSummary if self.action == "list" else SearchShape
