"""Turns every exception of a view into RFC 9457 problem details (``application/problem+json``).

Comes last in a request's way: services raise ``Refused``, ``PhotoError`` and ``Unavailable``, DRF raises its own, and
anything else is a bug of ours that is logged with the request's id.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation, TooManyFilesSent
from django.db import OperationalError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

from catalog.api.problems import PAGE, title_of
from catalog.services.errors import Refused
from catalog.services.idempotency import IN_PROGRESS
from workers.client import PhotoError, Unavailable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = "5"
PHOTO_STATUS = {"photo_too_large": 413}


@dataclass(frozen=True)
class Problem:
    """One refusal before it becomes a response."""

    status: int
    code: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


def problem_details(exc: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: the one place where an exception becomes an answer."""
    request = context.get("request")
    request_id = getattr(request, "request_id", "")
    problem = _ours(exc) or _django(exc) or _drf(exc)
    if problem is None:
        log.error("request %s failed", request_id, exc_info=exc)
        problem = Problem(
            500, "internal_error", "Something went wrong on our side. It was logged with this request id."
        )
    body = {
        "type": f"{PAGE}#{problem.code}",
        "title": title_of(problem.code, problem.status),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "errors": problem.errors,
        "request_id": request_id,
    }
    return Response(body, status=problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


def _ours(exc: Exception) -> Problem | None:
    if isinstance(exc, Refused):
        errors = [{"field": p.get("field", ""), "code": p["code"], "message": p["message"]} for p in exc.problems]
        passing = exc.status in (429, 503) or exc.code == IN_PROGRESS
        return Problem(exc.status, exc.code, exc.message, errors, {"Retry-After": RETRY_SECONDS} if passing else {})
    if isinstance(exc, PhotoError):
        return Problem(PHOTO_STATUS.get(exc.code, 422), exc.code, exc.message)
    if isinstance(exc, Unavailable):
        log.warning("a service is away: %s", exc)
        detail = "A part of Vitrine is away. Nothing was changed; try again soon."
        return Problem(503, exc.code, detail, headers={"Retry-After": RETRY_SECONDS})
    return None


def _django(exc: Exception) -> Problem | None:
    if isinstance(exc, Http404):
        return Problem(404, "not_found", "There is nothing here.")
    if isinstance(exc, PermissionDenied):
        return Problem(403, "permission_denied", "This is not allowed.")
    if isinstance(exc, RequestDataTooBig):
        return Problem(413, "body_too_large", "The body is too large.")
    if isinstance(exc, TooManyFilesSent):
        return Problem(413, "too_many_files", "There are too many files in one request. Use a bulk upload.")
    if isinstance(exc, SuspiciousOperation | UnreadablePostError):
        return Problem(400, "malformed", "The request cannot be read.")
    if isinstance(exc, OperationalError):
        log.error("the database is away or busy", exc_info=exc)
        detail = "The database is away or busy. Try again soon."
        return Problem(503, "unavailable", detail, headers={"Retry-After": RETRY_SECONDS})
    return None


def _drf(exc: Exception) -> Problem | None:
    if not isinstance(exc, exceptions.APIException):
        return None
    headers = {}
    if auth_header := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    if isinstance(exc, exceptions.ValidationError):
        return Problem(
            422, "invalid", "Some values are not valid; nothing was changed.", list(_flat(exc.get_full_details()))
        )
    if isinstance(exc, exceptions.Throttled):
        wait = math.ceil(getattr(exc, "wait", None) or 1)
        return Problem(
            429, "throttled", f"Too many requests. Try again in {wait} s.", headers={"Retry-After": str(wait)}
        )
    code = str(exc.get_codes())
    code = {"parse_error": "malformed"}.get(code, code)
    return Problem(exc.status_code, code, str(exc.detail), headers=headers)


def _flat(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Every single fault of DRF's nested details, with the dotted path of its field."""
    if isinstance(details, list):
        for index, each in enumerate(details):
            yield from _flat(each, path if _is_fault(each) else f"{path}[{index}]")
    elif _is_fault(details):
        yield {"field": path, "code": str(details["code"]), "message": str(details["message"])}
    else:
        for name, each in details.items():
            step = "" if name == "non_field_errors" else str(name)
            yield from _flat(each, f"{path}.{step}" if path and step else path or step)


def _is_fault(details: Any) -> bool:
    return (
        isinstance(details, dict)
        and set(details) == {"message", "code"}
        and not isinstance(details["message"], dict | list)
    )
