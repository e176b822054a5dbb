"""Coroutines in tests that are no coroutines themselves. No fixtures here."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def ran(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, on a loop in a thread of its own: browser tests before this one leave theirs in ours."""
    with ThreadPoolExecutor(1) as own:
        return own.submit(asyncio.run, coroutine).result(60)
