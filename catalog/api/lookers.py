"""The few threads in which a web process looks for those who wait: event streams (``events``), held answers (``held``).

Whoever waits has no thread of its own meanwhile (``config.threads``), and takes one of these for each look.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from django.db import close_old_connections

T = TypeVar("T")

# Of the whole web process: so many threads and database connections, however many clients there are.
_LOOKERS = ThreadPoolExecutor(4, thread_name_prefix="lookers")


async def looked(look: Callable[[], T]) -> T:
    """What one look finds, in one of the few threads, each of which keeps its database connection for the next one."""
    return await asyncio.wrap_future(look_aside(look))


def look_aside(look: Callable[[], T]) -> Future[T]:
    """The same, for whoever does not stay to hear of it."""

    def run() -> T:
        close_old_connections()
        return look()

    return _LOOKERS.submit(copy_context().run, run)
