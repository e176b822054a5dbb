"""The search page: shows it, takes a search, and follows the job until there is an answer.

Comes before ``services.job`` (which commits the search and sends it) and again after ``services.result`` (which
stores the answer). The page's script talks to ``submit`` and ``poll``; both answer with JSON and ready HTML.
"""

from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST, require_safe

from catalog.models import Job
from catalog.services.errors import Refused
from catalog.services.job import search_job_create
from catalog.services.notify import job_wait
from catalog.web.access import job_of_token, job_token, merchants_searchable
from catalog.web.answers import Trouble, answer_context, has_ended, notice_of, step_of
from catalog.web.facets import facets_of
from catalog.web.forms import SearchForm
from config.env import load_env
from workers.client import PhotoError, Unavailable

WAIT_SECONDS = 4.0  # how long a poll is held open; short enough to tell soon when the workers are away
LIMIT = 24
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def _with_policy(view: Any) -> Any:
    """Nothing from elsewhere, nothing inline: what the page shows comes from its own files."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return wrapped


@require_safe
@ensure_csrf_cookie
@_with_policy
def page(request: HttpRequest) -> HttpResponse:
    """The page itself, for the merchant in ``?merchant=`` or the first that the visitor may search."""
    merchants = list(merchants_searchable(request))
    asked = request.GET.get("merchant")
    merchant = next((each for each in merchants if each.slug == asked), merchants[0] if merchants else None)
    context = {"merchants": merchants, "merchant": merchant, "facets": facets_of(merchant) if merchant else None}
    return render(request, "search/page.html", context)


@require_POST
def submit(request: HttpRequest) -> JsonResponse:
    """Take a search: 202 with the address to follow, or the reason why not, as a sentence."""
    form = SearchForm(request.POST, request.FILES, merchants=merchants_searchable(request))
    if not form.is_valid():
        return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "search_invalid", form.first_problem())
    values = form.cleaned_data
    try:
        job = search_job_create(
            merchant=values["merchant"],
            photo=_photo_bytes(values["photo"]),
            words=values["words"],
            filters=form.filters(),
            limit=LIMIT,
        )
    except PhotoError as error:
        return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, error.message)
    except Refused as error:
        return _refusal(error.status, error.code, error.message)
    except Unavailable as error:
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, error.code, "Photos cannot be taken right now. Try again soon.")
    return JsonResponse(_follow_up(request, job), status=HTTPStatus.ACCEPTED)


@require_GET
def poll(request: HttpRequest, token: str) -> JsonResponse:
    """Where a search stands; held open for a few seconds while it runs. 404 for another browser's search."""
    job = job_of_token(request, token)
    if job is None:
        return _refusal(HTTPStatus.NOT_FOUND, "search_not_found", "This search is gone. Please search again.")
    if not has_ended(job):
        job_wait(job_id=job.pk, seconds=WAIT_SECONDS)
        job.refresh_from_db()
    if not has_ended(job):
        return JsonResponse(_follow_up(request, job))
    html = render_to_string("search/answer.html", answer_context(job), request)
    return JsonResponse({"ended": True, "step": "done", "html": html})


def _photo_bytes(file: Any) -> bytes | None:
    """The photo, unless it is too large to be read at all."""
    if file is None:
        return None
    most = load_env().photo_max_bytes
    if file.size > most:
        raise PhotoError("photo_too_large", f"The photo is larger than {most / 1e6:g} MB.")
    return file.read()


def _follow_up(request: HttpRequest, job: Job) -> dict[str, Any]:
    return {
        "ended": False,
        "step": step_of(job),
        "notice": notice_of(job),
        "address": reverse("search-poll", args=[job_token(request, job)]),
    }


def _refusal(status: int, code: str, message: str) -> JsonResponse:
    trouble = Trouble("That did not work.", message, code)
    html = render_to_string("search/answer.html", {"trouble": trouble})
    return JsonResponse({"ended": True, "code": code, "message": message, "html": html}, status=status)
