"""The answer to "why this one?" on the search page: both photos with their heat, and what gave how much.

Asked for when a shopper opens a product, so no page waits for it; a worker makes it. While that is still at it the
answer is 202 and the page asks again. What is in the way is said in words.
"""

from http import HTTPStatus
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from catalog.selectors.explanation import search_comparison
from catalog.services.errors import Refused
from catalog.services.explanation import explanation_find
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
    try:
        comparison = search_comparison(job=job, product_id=product_id)
        found = explanation_find(comparison=comparison, seconds=WAIT_SECONDS)
        if found is None:
            return JsonResponse({"ended": False}, status=HTTPStatus.ACCEPTED)
        shown = explained(comparison, found)
    except PhotoError as error:
        return _told(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, error.message)
    except Refused as error:
        return _told(error.status, error.code, error.message)
    except Unavailable as error:
        return _told(HTTPStatus.SERVICE_UNAVAILABLE, error.code)
    return JsonResponse({"ended": True, "html": render_to_string("search/why.html", {"why": shown})})


def _told(status: int, code: str, message: str = "") -> JsonResponse:
    html = render_to_string("search/why.html", {"trouble": trouble_of(code, message)})
    return JsonResponse({"ended": True, "code": code, "html": html}, status=status)
