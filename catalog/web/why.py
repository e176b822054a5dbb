"""The answer to "why this one?" on the search page: both photos with their heat, and what gave how much.

Asked for when a shopper opens a product, so no page waits for it; a worker makes it. While that is still at it the
answer is 202 and the page asks again. What is in the way is said in words.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from catalog.api.held import Held, after
from catalog.models import Job
from catalog.selectors.explanation import Comparison, search_comparison
from catalog.services.errors import Refused
from catalog.services.explanation import Asked, explanation_ask, explanation_take
from catalog.web.access import job_of_token
from catalog.web.explained import explained
from catalog.web.language import in_their_language
from catalog.web.troubles import trouble_of
from workers.client import PhotoError, Unavailable

WAIT_SECONDS = 4.0  # how long one request is held open


@require_GET
@in_their_language
def why(request: HttpRequest, token: str, product_id: UUID) -> JsonResponse:
    """Why a search of this browser found a product."""
    job = job_of_token(request, token)
    if job is None:
        return _told(HTTPStatus.NOT_FOUND, "search_not_found")
    return _answer(partial(_asked, request, job, product_id))


def _asked(request: HttpRequest, job: Job, product_id: UUID) -> JsonResponse:
    comparison = search_comparison(job=job, product_id=product_id)
    asked = explanation_ask(comparison=comparison, seconds=WAIT_SECONDS)
    take = partial(_taken, comparison, asked)
    return after(asked.wait, request, take) if asked.wait else take()


def _taken(comparison: Comparison, asked: Asked) -> JsonResponse:
    found = explanation_take(asked)
    if found is None:
        return JsonResponse({"ended": False}, status=HTTPStatus.ACCEPTED)
    shown = explained(comparison, found)
    return JsonResponse({"ended": True, "html": render_to_string("search/why.html", {"why": shown})})


def _answer(make: Callable[[], JsonResponse]) -> JsonResponse:
    """What is made, or what is in the way."""
    try:
        return make()
    except Held as held:
        held.rest = partial(_answer, held.rest)
        raise
    except PhotoError as error:
        return _told(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, error.message)
    except Refused as error:
        return _told(error.status, error.code, error.message)
    except Unavailable as error:
        return _told(HTTPStatus.SERVICE_UNAVAILABLE, error.code)


def _told(status: int, code: str, message: str = "") -> JsonResponse:
    html = render_to_string("search/why.html", {"trouble": trouble_of(code, message)})
    return JsonResponse({"ended": True, "code": code, "html": html}, status=status)
