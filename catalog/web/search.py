"""The search page: shows it, takes a search, and follows the job until there is an answer.

Comes before ``services.job`` (which commits the search and sends it) and again after ``services.result`` (which
stores the answer). The page's script talks to ``submit``, then follows ``events``, or ``poll`` where streams do not
come through; all of them answer with the same JSON and ready HTML.
"""

from functools import partial, wraps
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, override
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST, require_safe

from catalog.api.events import Place, Seen, event_stream
from catalog.api.held import after
from catalog.models import Job
from catalog.services.budget import Budget, budgets_spend
from catalog.services.errors import Refused
from catalog.services.job import search_job_create
from catalog.services.notify import job_channel, job_wait
from catalog.services.visitor import visitor_of
from catalog.web.access import job_of_token, job_token, merchants_searchable
from catalog.web.answers import has_ended, refusal_of, standing_of
from catalog.web.facets import catalogue_menus, facets_shown
from catalog.web.forms import SearchForm
from catalog.web.language import View, in_their_language
from catalog.web.questions import question_of
from catalog.web.texts import page_texts
from catalog.web.troubles import Trouble, trouble_of
from config.env import load_env
from workers import client
from workers.client import PhotoError, Unavailable

WAIT_SECONDS = 4.0  # how long a poll is held open; short enough to tell soon when the workers are away
LOOK_SECONDS = 2.0  # how often a stream looks for what is not announced: that the workers are away
LIMIT = 48
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def _with_policy(view: View) -> View:
    """Nothing from elsewhere, nothing inline: what the page shows comes from its own files."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return wrapped


@require_safe
@ensure_csrf_cookie
@_with_policy
@in_their_language
def page(request: HttpRequest) -> HttpResponse:
    """The page itself, for the merchant in ``?merchant=`` or the first that the visitor may search.

    ``?search=`` names a search of this browser, by which the page begins: so a reload, and Back, find it again.
    """
    merchants = list(merchants_searchable(request))
    token = request.GET.get("search", "")
    job = job_of_token(request, token) if token else None
    asked = job.merchant.slug if job else request.GET.get("merchant")
    merchant = next((each for each in merchants if each.slug == asked), merchants[0] if merchants else None)
    context: dict[str, Any] = {"merchants": merchants, "merchant": merchant}
    if merchant:
        menus = catalogue_menus(merchant)
        facets = facets_shown(menus.facets)
        start = {"texts": page_texts(), "facets": facets}
        if token:
            start["search"] = _earlier(request, token, job if job and job.merchant == merchant else None)
        context |= {"facets": facets, "menus": menus, "start": start}
    return render(request, "search/page.html", context)


def _earlier(request: HttpRequest, token: str, job: Job | None) -> dict[str, Any]:
    """The search that the page's address names: what was asked, and where it stands."""
    if job is None:
        return refusal_of(trouble_of("search_not_found"))
    return standing_of(job) | _addresses(request, token) | {"question": question_of(job)}


@require_POST
@in_their_language
def submit(request: HttpRequest) -> JsonResponse:
    """Take a search: 202 with the addresses to follow, or the reason why not, in words."""
    if wait := budgets_spend([_budget(request)]).wait:
        refusal = _refusal(HTTPStatus.TOO_MANY_REQUESTS, trouble_of("throttled"))
        refusal.headers["Retry-After"] = str(wait)
        return refusal
    form = SearchForm(request.POST, request.FILES, merchants=merchants_searchable(request))
    if not form.is_valid():
        return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, trouble_of("search_invalid", form.first_problem()))
    values = form.cleaned_data
    try:
        job = search_job_create(
            merchant=values["merchant"],
            photo=_photo_bytes(values["photo"]) or _earlier_photo(request, values["again"]),
            words=values["words"],
            filters=form.filters(),
            region=values["region"],
            limit=LIMIT,
            options=form.options(),
        )
    except PhotoError as error:
        return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, trouble_of(error.code, error.message))
    except Refused as error:
        return _refusal(error.status, trouble_of(error.code, error.message))
    except Unavailable as error:
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, trouble_of(error.code))
    return JsonResponse(standing_of(job) | _addresses(request, job_token(request, job)), status=HTTPStatus.ACCEPTED)


@require_GET
@in_their_language
def poll(request: HttpRequest, token: str) -> JsonResponse:
    """Where a search stands; held open for a few seconds while it runs. 404 for another browser's search."""
    job = job_of_token(request, token)
    if job is None:
        return _refusal(HTTPStatus.NOT_FOUND, trouble_of("search_not_found"))
    if has_ended(job):
        return JsonResponse(standing_of(job))
    return after(job_wait(job=job, seconds=WAIT_SECONDS), request, lambda: JsonResponse(standing_of(job)))


@require_GET
@in_their_language
def events(request: HttpRequest, token: str) -> HttpResponseBase:
    """The same as a stream of server-sent events (``catalog.api.events``): told as soon as it is stored."""
    job = job_of_token(request, token)
    if job is None:
        return _refusal(HTTPStatus.NOT_FOUND, trouble_of("search_not_found"))
    look = partial(_look, job.pk, get_language())
    try:
        return event_stream(request, topic="search", channel=job_channel(job.pk), look=look, every=LOOK_SECONDS)
    except Refused as error:
        return _refusal(error.status, trouble_of(error.code, error.message))


def _look(job_id: UUID, language: str | None, place: Place) -> Seen | None:
    """In a thread of the stream's, which has no language of its own."""
    job = Job.objects.select_related("merchant").filter(pk=job_id).first()
    with override(language):
        return None if job is None else Seen(standing_of(job), finished=has_ended(job))


def _budget(request: HttpRequest) -> Budget:
    """The page is open to strangers, as a publishable key is: as many searches a visitor, whatever shop is searched."""
    return Budget("searches", f"vitrine:budget:{{page}}:searches:{visitor_of(request)}", load_env().visitor_searches)


def _photo_bytes(file: Any) -> bytes | None:
    """The photo, unless it is too large to be read at all."""
    if file is None:
        return None
    most = load_env().photo_max_bytes
    if file.size > most:
        raise PhotoError("photo_too_large", f"The photo is larger than {most / 1e6:g} MB.")
    data: bytes = file.read()
    if not data:
        raise PhotoError("photo_empty", "The file is empty.")
    return data


def _earlier_photo(request: HttpRequest, token: str) -> bytes | None:
    """The photo of an earlier search of this browser."""
    if not token:
        return None
    job = job_of_token(request, token)
    if job is None or not job.key:
        raise Refused("photo_gone", "The photo of that search is not kept any more.", status=410)
    return client.photo_store().read(job.key)


def _addresses(request: HttpRequest, token: str) -> dict[str, str | None]:
    """Where to follow a search, and by what name to mean its photo again.

    A server of threads (WSGI) would hold a stream back until its end, so there it is not offered.
    """
    stream = reverse("search-events", args=[token]) if isinstance(request, ASGIRequest) else None
    return {"token": token, "address": reverse("search-poll", args=[token]), "events": stream}


def _refusal(status: int, trouble: Trouble) -> JsonResponse:
    return JsonResponse(refusal_of(trouble), status=status)
