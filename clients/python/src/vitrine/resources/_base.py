"""What resources share: writing a request with the call's options, and reading its answer as a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, Any, TypeVar, cast
from urllib.parse import quote
from uuid import uuid4

from vitrine._calls import Mode, Resource
from vitrine._flows import explained, listed, read, sent
from vitrine._steps import Flow, Request, Stream
from vitrine.models import Explanation, Model, Page
from vitrine.params import File, Options

T = TypeVar("T")
M = TypeVar("M", bound=Model)
OPTIONS = Options.__annotations__.keys()


def request(method: str, path: str, options: Mapping[str, Any], *, wait: float = 0, **more: Any) -> Request:
    """A request with the call's options. Every POST gets an ``Idempotency-Key``, the same for all of its tries."""
    headers = {}
    if method == "POST":
        headers["Idempotency-Key"] = str(options.get("idempotency_key") or uuid4())
    if wait:
        headers["Prefer"] = f"wait={math.ceil(wait)}"
    timeout = cast(float | None, options.get("timeout"))
    return Request(method, path, headers={**headers, **more.pop("headers", {})}, timeout=timeout, wait=wait, **more)


def split(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of the body, and the call's options."""
    body = {name: value for name, value in asked.items() if name not in OPTIONS}
    return body, {name: value for name, value in asked.items() if name in OPTIONS}


def part(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


@contextmanager
def opened(file: File) -> Iterator[tuple[str, bytes | IO[bytes]]]:
    """A file's name and what to send of it."""
    if isinstance(file, bytes):
        yield "file", file
    elif isinstance(file, str | PathLike):
        path = Path(file)
        with path.open("rb") as stream:
            yield path.name, stream
    else:
        yield Path(str(getattr(file, "name", "file"))).name, file


def content_of(file: File) -> tuple[str, bytes]:
    """A file's name and its bytes, for photos: they are small enough to be kept for another try."""
    with opened(file) as (name, content):
        return name, content if isinstance(content, bytes) else content.read()


class Calls(Resource[Mode]):
    """A resource's means to write its calls."""

    def _send(self, kind: type[M], request: Request) -> Flow[M]:
        """Send it, and read the answer as a model."""
        answer = yield from sent(request, self._runner.retries)
        return read(kind, answer.body)

    def _done(self, request: Request) -> Flow[None]:
        """Send what has no answer."""
        yield from sent(request, self._runner.retries)

    def _listed(self, kind: type[Page[T]], path: str, asked: Mapping[str, Any]) -> Stream[T]:
        """Every row of a list; what is asked narrows it."""
        params, options = split(asked)
        asked_for = request("GET", path, options, params={"page_size": 200, **params})
        return listed(partial(read, kind), asked_for, self._runner.retries)

    def _explained(self, path: str, options: Mapping[str, Any], seconds: float, **params: Any) -> Flow[Explanation]:
        """Why a product was found, as soon as a worker has looked."""
        return explained(
            lambda held: request("GET", path, options, wait=held, params=params), self._runner.retries, seconds
        )
