"""The habits that all calls share: retries, lists page by page, waiting for a job, event streams, downloads.

Written as steps (``_steps``), used by ``resources``. Nothing here does input or output on the network.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vitrine._steps import Answer, Flow, Give, Next, Open, Request, Send, Sleep, Stream
from vitrine.errors import AnswerInvalid, ConnectionFailed, Problem, StillRunning, TimedOut
from vitrine.models import Event, Explanation, Fault, Model, Page, RecognitionJob, SearchJob, Upload

T = TypeVar("T")
M = TypeVar("M", bound=Model)
Job = TypeVar("Job", SearchJob, RecognitionJob, Upload)

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0  # seconds between tries, doubled from one to the next
PATIENCE = 60.0  # a Retry-After beyond that is left to the caller
HELD = 30.0  # as long as Vitrine holds an answer at most
SILENCE = 45.0  # an event stream says something every 15 s


def sent(request: Request, retries: int, step: type[Send] | type[Open] = Send) -> Flow[Answer]:
    """A good answer, after as many retries as it takes. Raises ``Problem`` or ``ConnectionFailed``.

    Every try is the very same request, with the same ``Idempotency-Key`` where it has one: Vitrine does it once.
    """
    unanswered = False
    for attempt in range(retries + 1):
        failure: ConnectionFailed | Problem
        try:
            answer: Answer = yield step(request)
        except ConnectionFailed as failed:
            failure, unanswered = failed, True
        else:
            if answer.status < 400:
                return answer
            if unanswered and request.method == "DELETE" and answer.status == 404:
                return Answer(204, answer.headers)  # the try whose answer was lost deleted it
            failure = problem_of(answer)
        wait = wait_before_retry(failure, attempt)
        if wait is None or attempt == retries:
            raise failure
        yield Sleep(wait)
    raise AssertionError("unreachable")


def wait_before_retry(failure: ConnectionFailed | Problem, attempt: int) -> float | None:
    """Seconds until the next try, ``None`` where another one would end the same. Attempts count from 0."""
    if isinstance(failure, Problem):
        passing = failure.status in (408, 429) or failure.status >= 500 or failure.code == "idempotency_in_progress"
        if not passing or (failure.retry_after or 0) > PATIENCE:
            return None
        if failure.retry_after is not None:
            return failure.retry_after
    return min(FIRST_WAIT * (1 << attempt), LONGEST_WAIT) * random.uniform(0.75, 1)


def problem_of(answer: Answer) -> Problem:
    """The problem details of an answer; of a proxy's answer, what can be said about it."""
    try:
        told = json.loads(answer.body)
        errors = [Fault.model_validate(each) for each in told["errors"]]
        details = {"code": str(told["code"]), "detail": str(told["detail"]), "errors": errors}
    except (ValueError, TypeError, KeyError):
        details = {"code": "", "detail": answer.body[:200].decode(errors="replace"), "errors": []}
    after = answer.headers.get("retry-after", "")
    return Problem.of(
        answer.status,
        request_id=answer.headers.get("x-request-id", ""),
        retry_after=float(after) if after.isascii() and after.isdigit() else None,
        **details,
    )


def read(kind: type[M], body: bytes | str) -> M:
    """The body as a model. Raises ``AnswerInvalid``."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise AnswerInvalid(str(error)) from error


def listed(page_of: Callable[[bytes], Page[T]], request: Request, retries: int) -> Stream[T]:
    """Every row of a list, a page at a time. ``page_of`` reads an answer's page."""
    cursor: str | None = ""
    while cursor is not None:
        again = {"cursor": cursor} if cursor else {}
        answer = yield from sent(replace(request, params={**request.params, **again}), retries)
        page = page_of(answer.body)
        yield from map(Give, page.results)
        cursor = page.next_cursor


def waited(job: Job, look: Callable[..., Flow[Job]], seconds: float) -> Flow[Job]:
    """The job as soon as it is finished; ``look(wait=…)`` reads it again. Raises ``StillRunning``."""
    until = time.monotonic() + seconds
    while not job.is_finished:
        left = until - time.monotonic()
        if left <= 0:
            raise StillRunning(job)
        job = yield from look(wait=min(math.ceil(left), HELD))
    return job


def followed(kind: Callable[[str], type[Any]], request: Request, retries: int) -> Stream[Event[Any]]:
    """Every event until the last one, through as many connections as it takes. ``kind``: what an event carries."""
    last, failures = "", 0
    while True:
        again = {"Last-Event-ID": last} if last else {}
        asked = replace(request, headers={**request.headers, **again}, wait=SILENCE)
        answer = yield from sent(asked, retries, Open)
        if answer.status == 204:
            return
        decoder = Decoder()
        try:
            while (block := (yield Next())) is not None:
                for event in decoder.feed(block):
                    last, failures = event.id, 0
                    yield Give(Event(id=event.id, name=event.name, data=read(kind(event.name), event.data)))
                    if event.name.endswith(".finished"):
                        return
        except ConnectionFailed:
            failures += 1
            if failures > retries:
                raise
        yield Sleep(decoder.retry)


@dataclass(frozen=True)
class RawEvent:
    """An event as it arrived."""

    id: str
    name: str
    data: str


class Decoder:
    """Server-sent events out of bytes, as far as Vitrine uses them: one line of data an event."""

    def __init__(self) -> None:
        self.retry = 2.0  # seconds
        self._rest = b""

    def feed(self, block: bytes) -> Iterator[RawEvent]:
        """The events that these bytes complete."""
        *whole, self._rest = (self._rest + block).split(b"\n\n")
        for text in whole:
            fields = dict(line.split(": ", 1) for line in text.decode().split("\n") if ": " in line[1:])
            if "retry" in fields:
                self.retry = int(fields["retry"]) / 1000
            if "event" in fields:
                yield RawEvent(fields.get("id", ""), fields["event"], fields.get("data", ""))


def explained(request: Callable[[float], Request], retries: int, seconds: float) -> Flow[Explanation]:
    """An explanation as soon as a worker made it. ``request``: how to ask, with so many seconds to wait."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        answer = yield from sent(request(min(left, HELD)), retries)
        if answer.status == 200:
            return read(Explanation, answer.body)
        yield Sleep(float(answer.headers.get("retry-after", FIRST_WAIT)))
    raise TimedOut("the explanation was not there in time")


def downloaded(request: Request, retries: int, to: Path) -> Flow[int]:
    """A file, whole or not at all; its bytes. A connection that is cut off begins anew."""
    part = to.with_name(to.name + ".part")
    for attempt in range(retries + 1):
        yield from sent(request, retries, Open)
        try:
            size = 0
            with part.open("wb") as file:
                while (block := (yield Next())) is not None:
                    size += file.write(block)
        except ConnectionFailed:
            part.unlink(missing_ok=True)
            if attempt == retries:
                raise
            yield Sleep(FIRST_WAIT)
        else:
            part.replace(to)
            return size
    raise AssertionError("unreachable")
