"""Ends a worker that hangs: a thread that never returns cannot be stopped, only its process can.

Around every chunk and search (``tasks``). A decoder in an endless loop would hold its thread for ever, and once it
holds all of them the worker looks alive and does nothing. Whatever started the worker starts it anew, and the lease
sends what it held to a worker again: alone from the third time on, and no longer after the fifth.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

LOOKS = 10  # in the time that is allowed


class Watchdog:
    """Calls ``on_hang`` once something has been under way for longer than ``seconds``."""

    def __init__(self, seconds: float, on_hang: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._on_hang = on_hang
        self._lock = threading.Lock()
        self._running: dict[object, tuple[str, float]] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start looking."""
        self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """What happens inside must end in time; ``what`` names it in the log."""
        token = object()
        with self._lock:
            self._running[token] = (what, time.monotonic())
        try:
            yield
        finally:
            with self._lock:
                del self._running[token]

    def _look(self) -> None:
        while not self._closed.wait(self._seconds / LOOKS):
            since = time.monotonic() - self._seconds
            with self._lock:
                hanging = [what for what, started in self._running.values() if started < since]
            if hanging:
                logger.critical("the worker hangs and ends: %s for more than %.0f s", hanging[0], self._seconds)
                self._on_hang(hanging[0])
                return
