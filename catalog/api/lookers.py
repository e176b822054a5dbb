"""The few threads in which a web process looks for those who wait: event streams (``events``), held answers (``held``).

Whoever waits has no thread of its own meanwhile: it lets the request's go, and takes one of these for each look.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from asgiref.sync import SyncToAsync
from django.db import connection

T = TypeVar("T")

# Of the whole web process: so many threads and database connections, however many clients there are.
_LOOKERS = ThreadPoolExecutor(4, thread_name_prefix="lookers")


async def looked(look: Callable[[], T]) -> T:
    """What one look finds, in one of the few threads, which keeps no database connection for the next one."""
    return await asyncio.wrap_future(look_aside(look))


def look_aside(look: Callable[[], T]) -> Future[T]:
    """The same, for whoever does not stay to hear of it."""

    def run() -> T:
        try:
            return look()
        finally:
            connection.close()

    return _LOOKERS.submit(copy_context().run, run)


def let_go_of_thread() -> None:
    """End the thread that Django keeps for the synchronous parts of this request.

    It would idle for as long as is waited; should anything synchronous follow, a new one is made.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor:
        executor.shutdown(wait=False)
