"""The shadow lane: chunks for a bundle that is not live, on one thread of their own with less of the processor.

As ``search_lane`` for searches, beside the bulk queue: a shadow chunk is slow on purpose, and would hold a thread of
the task pool for as long as it rests. After it comes ``tasks.run_shadow_chunk``.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kombu import Message

from workers.contract import RUN_CHUNK, SHADOW_QUEUE
from workers.search_lane import SearchLane
from workers.served import be_nice
from workers.tasks import run_shadow_chunk


class ShadowLane(SearchLane):
    """Consumes the shadow queue, one chunk after the other."""

    queue = SHADOW_QUEUE
    answers = {RUN_CHUNK: run_shadow_chunk}

    def threads(self) -> int:
        """One: more would only rest together."""
        return 1

    def pool(self) -> ThreadPoolExecutor:
        """A thread that comes after those who answer searches."""
        return ThreadPoolExecutor(1, thread_name_prefix="shadow", initializer=be_nice)

    def carry_out(self, answer: Callable[..., None], body: Any, message: Message) -> None:
        """Run one chunk, as long as its lease allows."""
        answer(self._parent.app, body, message.headers)
