"""The two clients: where calls meet the network, with blocking or asynchronous httpx.

Everything that decides anything is in ``_flows`` and ``resources``; here a step is taken, and what it came to is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import httpx
from pydantic_core import to_jsonable_python

from vitrine._calls import Async, Mode, Runner, Sync
from vitrine._steps import Answer, Give, Next, Open, Outcome, Request, Send, Sleep, Step, Stream, advance
from vitrine.errors import ConnectionFailed, TimedOut
from vitrine.resources import Resources

T = TypeVar("T")

TIMEOUT = 60.0
RETRIES = 2
try:
    VERSION = version("vitrine")
except PackageNotFoundError:  # used from a checkout
    VERSION = "0"


class _Client(Resources[Mode]):
    """What both have: the settings, and how a request is written."""

    def __init__(self, key: str, url: str, *, timeout: float = TIMEOUT, retries: int = RETRIES) -> None:
        """``key``: an API key. ``url``: where Vitrine is, for example ``https://vitrine.example.com``.

        ``timeout``: seconds without an answer, of each try. ``retries``: how often a request is sent again when no
        answer came, Vitrine was away (5xx) or asked to wait (429).
        """
        if not key:
            raise ValueError("no API key was given")
        super().__init__(cast(Runner, self))
        self.timeout, self.retries = timeout, retries
        self._url = url.rstrip("/") + "/api/v1/"
        self._headers = {"Authorization": f"Bearer {key}", "User-Agent": f"vitrine-python/{VERSION}"}

    def _arguments(self, request: Request) -> dict[str, Any]:
        """What ``build_request`` of either httpx client takes."""
        seconds = self.timeout if request.timeout is None else request.timeout
        params = {name: to_jsonable_python(value) for name, value in request.params.items() if value is not None}
        return {
            "method": request.method,
            "url": self._url + request.path,
            "params": params or None,
            "headers": {**self._headers, **request.headers},
            "json": to_jsonable_python(request.json),
            "data": dict(request.form) or None,
            "files": request.files or None,
            "content": request.content,
            "timeout": httpx.Timeout(seconds, read=seconds + request.wait),
        }


class Vitrine(_Client[Sync]):
    """The client whose calls block. Safe to share between threads; close it, or use it in a ``with`` block."""

    def __init__(
        self, key: str, url: str, *, timeout: float = TIMEOUT, retries: int = RETRIES, http: httpx.Client | None = None
    ) -> None:
        """``http``: an httpx client of your own, for proxies or certificates; the rest as in ``_Client``."""
        super().__init__(key, url, timeout=timeout, retries=retries)
        self._http = http or httpx.Client()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, flow: Stream[T], /) -> T:
        """The result of a call."""
        (result,) = self.iterate(flow)
        return result

    def iterate(self, stream: Stream[T], /) -> Generator[T, None, None]:
        """What a call gives, one after the other."""
        outcome, wire = Outcome(), _Wire(self)
        try:
            while (step := advance(stream, outcome)) is not None:
                if isinstance(step, Give):
                    outcome = Outcome()
                    yield step.value
                else:
                    outcome = wire.take(step)
        finally:
            stream.close()
            wire.close()


class AsyncVitrine(_Client[Async]):
    """The client whose calls are awaited. Close it, or use it in an ``async with`` block."""

    def __init__(
        self,
        key: str,
        url: str,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """As ``Vitrine``."""
        super().__init__(key, url, timeout=timeout, retries=retries)
        self._http = http or httpx.AsyncClient()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def run(self, flow: Stream[T], /) -> T:
        """The result of a call."""
        (result,) = [each async for each in self.iterate(flow)]
        return result

    async def iterate(self, stream: Stream[T], /) -> AsyncGenerator[T, None]:
        """What a call gives, one after the other."""
        outcome, wire = Outcome(), _AsyncWire(self)
        try:
            while (step := advance(stream, outcome)) is not None:
                if isinstance(step, Give):
                    outcome = Outcome()
                    yield step.value
                else:
                    outcome = await wire.take(step)
        finally:
            stream.close()
            await wire.close()


class _Wire:
    """Takes steps; knows the one answer that is open."""

    def __init__(self, client: Vitrine) -> None:
        self._client = client
        self._open: httpx.Response | None = None
        self._blocks: Iterator[bytes] = iter(())

    def take(self, step: Step) -> Outcome:
        try:
            with _translated():
                return Outcome(self._take(step))
        except ConnectionFailed as failed:
            return Outcome(error=failed)

    def _take(self, step: Step) -> Any:
        match step:
            case Sleep():
                return time.sleep(step.seconds)
            case Next():
                return next(self._blocks, None)
            case Send() | Open():
                self.close()
                http = self._client._http
                response = http.send(http.build_request(**self._client._arguments(step.request)), stream=True)
                if isinstance(step, Open) and response.status_code == 200:
                    self._open, self._blocks = response, response.iter_bytes()
                    return Answer(response.status_code, response.headers)
                try:
                    return Answer(response.status_code, response.headers, response.read())
                finally:
                    response.close()

    def close(self) -> None:
        if self._open:
            self._open.close()
            self._open = None


class _AsyncWire:
    """The same, awaited."""

    def __init__(self, client: AsyncVitrine) -> None:
        self._client = client
        self._open: httpx.Response | None = None
        self._blocks: AsyncIterator[bytes]

    async def take(self, step: Step) -> Outcome:
        try:
            with _translated():
                return Outcome(await self._take(step))
        except ConnectionFailed as failed:
            return Outcome(error=failed)

    async def _take(self, step: Step) -> Any:
        match step:
            case Sleep():
                return await asyncio.sleep(step.seconds)
            case Next():
                return await anext(self._blocks, None)
            case Send() | Open():
                await self.close()
                http = self._client._http
                response = await http.send(http.build_request(**self._client._arguments(step.request)), stream=True)
                if isinstance(step, Open) and response.status_code == 200:
                    self._open, self._blocks = response, response.aiter_bytes()
                    return Answer(response.status_code, response.headers)
                try:
                    return Answer(response.status_code, response.headers, await response.aread())
                finally:
                    await response.aclose()

    async def close(self) -> None:
        if self._open:
            await self._open.aclose()
            self._open = None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise TimedOut(str(error) or "no answer in time") from error
    except httpx.TransportError as error:
        raise ConnectionFailed(str(error) or type(error).__name__) from error
