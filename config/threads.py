"""The threads that answer requests: a few stay for the requests to come, each with its database connection.

Comes round the whole application (``config.asgi``). Django makes a thread for each request, which opens a connection
and takes it along when it ends; of a search's time in the web process that was a sixth. How many requests run at once
is not limited here: whoever finds no thread gets a new one, and what is more than a few ends when it is done.
"""

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")
Scope = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

KEPT = 4  # threads, and so database connections; more would wait for one another's turn of the interpreter


class KeptThreads(Executor):
    """Runs each call in a thread of its own; at most ``kept`` idle ones stay, the last one used goes first."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._idle: list[ThreadPoolExecutor] = []  # of one thread each
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Never waits for a thread."""
        with self._lock:
            thread = self._idle.pop() if self._idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        future = thread.submit(fn, *args, **kwargs)
        future.add_done_callback(partial(self._is_idle, thread))  # called in that thread
        return future

    def _is_idle(self, thread: ThreadPoolExecutor, _: Future) -> None:
        with self._lock:
            if stays := len(self._idle) < self._kept:
                self._idle.append(thread)
        if not stays:
            connections.close_all()
            thread.shutdown(wait=False)


class RequestThreads:
    """An ASGI application whose synchronous parts run in kept threads. A request has one only while something of it
    runs, and may have another later; nothing synchronous may count on finding the thread that it had before.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._threads = KeptThreads(KEPT)

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """One request."""
        async with ThreadSensitiveContext(executor=self._threads):
            await self._application(scope, receive, send)
