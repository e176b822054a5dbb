"""``Prefer: wait=N`` (RFC 7240): hold an answer until a job or an upload is finished, without thread (``held``)."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.held import after
from catalog.models import UNFINISHED, Job, Upload
from catalog.selectors.job import OWED
from catalog.services.notify import job_wait, upload_wait

WAIT_LIMIT = 30
WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?=$|[,;])", re.IGNORECASE)
APPLIED = "Preference-Applied"


def seconds_asked(request: Request) -> int | None:
    """How long the caller is ready to wait, at most ``WAIT_LIMIT``; ``None`` when nothing was asked."""
    found = WAIT.search(request.headers.get("Prefer", ""))
    return min(int(found[1]), WAIT_LIMIT) if found else None


def answer_when_finished(row: Job | Upload, request: Request, answer: Callable[[dict[str, str]], Response]) -> Response:
    """What ``answer`` makes of the row, after a wait as long as the caller asked for, at the end of which it was read
    again. It is given the headers that say so.
    """
    seconds = seconds_asked(request)
    if seconds is None:
        return answer({})
    rest = partial(answer, {APPLIED: f"wait={seconds}"})
    if not (is_unfinished(row) and seconds):
        return rest()
    wait = job_wait(job=row, seconds=seconds) if isinstance(row, Job) else upload_wait(upload=row, seconds=seconds)
    return after(wait, request._request, rest)


def answer_of_start(row: Job | Upload, request: Request, location: str, body: Callable[[], Any]) -> Response:
    """The answer to the POST that started the row: 200 where it was finished while the caller waited, else 202."""

    def answer(waited: dict[str, str]) -> Response:
        finished = bool(waited) and not is_unfinished(row)
        return Response(body(), status=200 if finished else 202, headers=waited | {"Location": location})

    return answer_when_finished(row, request, answer)


def is_unfinished(row: Job | Upload) -> bool:
    """Whether there is anything to wait for."""
    return row.state in (OWED if isinstance(row, Job) else UNFINISHED)
