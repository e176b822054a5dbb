"""The threads that answer requests: a few stay for the requests to come, each with its database connection.

Comes round the whole application (``config.asgi``). Django makes a thread for each request, which opens a connection
and takes it along when it ends; of a search's time in the web process that was a sixth. How many requests run at once
is not limited here: whoever finds no thread gets a new one, and what is more than a few ends when it is done.
"""

import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import ThreadSensitiveContext
from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")
Scope = MutableMapping[str, Any]
Application = Callable[..., Awaitable[None]]

KEPT = 4  # threads, and so database connections; more would wait for one another's turn of the interpreter


class Threads:
    """Threads that do nothing now: at most ``kept``, the last one used goes first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._idle: list[ThreadPoolExecutor] = []  # of one thread each
        self._lock = threading.Lock()

    def take(self) -> ThreadPoolExecutor:
        """One that is idle, or a new one."""
        with self._lock:
            return self._idle.pop() if self._idle else ThreadPoolExecutor(1, thread_name_prefix="request")

    def give_back(self, thread: ThreadPoolExecutor) -> None:
        """It has nothing to do any more, or will be done at once."""
        with self._lock:
            if stays := len(self._idle) < self._kept:
                self._idle.append(thread)
        if not stays:
            thread.submit(connections.close_all)
            thread.shutdown(wait=False)


class RequestThread(Executor):
    """What runs the synchronous parts of one request, one after the other. It has a thread only while one of them runs.

    One that is still running, because nobody waits for it any more (the client hung up), keeps the thread, and the next
    one comes after it, as in a thread of the request's own: what it works on is not closed under its hands.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._thread: ThreadPoolExecutor | None = None
        self._under_way = 0
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Waits for no thread, but for what this request began before."""
        with self._lock:
            self._under_way += 1
            self._thread = self._thread or self._threads.take()
            future = self._thread.submit(_begin, fn, *args, **kwargs)
        future.add_done_callback(self._is_done)
        return future

    def _is_done(self, _: Future) -> None:
        with self._lock:
            self._under_way -= 1
            thread = None if self._under_way else self._thread
            if thread:
                self._thread = None
        if thread:
            self._threads.give_back(thread)


def _begin(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Looks after the connection that the thread kept, as Django does when a request starts, then runs the call."""
    close_old_connections()
    return fn(*args, **kwargs)


class RequestThreads:
    """An ASGI application whose requests share threads. What is synchronous in one may run in another thread than what
    was before it: nothing but the database connection is left in a thread.
    """

    def __init__(self, application: Application) -> None:
        self._application = application
        self._threads = Threads()

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """One request."""
        async with ThreadSensitiveContext(executor=RequestThread(self._threads)):
            await self._application(scope, receive, send)
