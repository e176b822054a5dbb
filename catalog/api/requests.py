"""Names every request and logs its end: the first of all middlewares, before the API, the admin and the page.

The name is the caller's own ``X-Request-ID`` where that is a plain one. It is on the answer, on every line that is
logged meanwhile, and travels with a search through Redis, the worker and the coordinator (``config.logs``).
"""

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.encoding import iri_to_uri

from config.logs import told

REQUEST_ID = "X-Request-ID"
ALLOWED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UNLOGGED = ("/static/", "/health/", "/metrics")  # asked for every few seconds

log = logging.getLogger(__name__)


def named_requests(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable:
    """A middleware."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        started = request.__dict__.setdefault("vitrine_started", time.perf_counter())  # one that was held comes twice
        with told(request=name_of(request)):
            return _told(request, get_response(request), started)

    return answer


def name_of(request: HttpRequest) -> str:
    """The request's id; made once."""
    if not hasattr(request, "vitrine_id"):
        given = request.headers.get(REQUEST_ID, "")
        request.vitrine_id = given if ALLOWED_ID.fullmatch(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
    return request.vitrine_id  # type: ignore[attr-defined, no-any-return]


def _told(request: HttpRequest, response: HttpResponseBase, started: float) -> HttpResponseBase:
    """The path without what is asked behind it, which may hold a signature; a line break in it begins no line here."""
    response.headers[REQUEST_ID] = name_of(request)
    if not request.path.startswith(UNLOGGED):
        seconds = time.perf_counter() - started
        log.info("%s %s %d seconds=%.3f", request.method, iri_to_uri(request.path), response.status_code, seconds)
    return response
