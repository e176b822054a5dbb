"""Hears announcements without holding a thread: what event streams and held answers wait with.

The announcements are made in ``notify``. Comes after the view let the request in; each time something is heard, whoever
waits looks at the row in SQL, which alone is the truth. However many wait in a process, they share one connection to
Redis: to open one took longer than all else that waiting costs.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from config.env import load_env

CONNECT_SECONDS = 2
AWAY_SECONDS = 2.0  # between two tries while Redis is away; whoever waits looks as often
QUIET_SECONDS = 10.0  # without anything to say to Redis, it is asked whether it is there; silent for two, it is not

log = logging.getLogger(__name__)


class Listener:
    """The announcements of one channel. Use :func:`listening`."""

    def __init__(self) -> None:
        self.news = asyncio.Event()

    async def hear(self, seconds: float) -> bool:
        """Whether something was announced within ``seconds``; several announcements at once are one.

        A subscription that begins counts as one too: what was announced before it is found by looking. With Redis
        away it is true every ``AWAY_SECONDS``, because nobody else would say that there is something new.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            return False
        self.news.clear()
        return True


class Ear:
    """The connection of one event loop: one task reads from it, one writes to it, and nobody else touches it. It is
    opened for the first listener, and again when it was lost.

    Not redis-py's ``PubSub``, whose readers and writers each open a lost connection again, at once and the same one.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}  # by channel; no channel without one
        self._subscribed: set[str] = set()  # said to Redis, perhaps not confirmed yet
        self._wish = asyncio.Event()  # the two differ
        self._life: asyncio.Task[None] | None = None

    def join(self, channel: str, listener: Listener) -> None:
        """The subscription's begin, or the end of trying, is the listener's first news."""
        if channel in self._subscribed:  # should it not stand yet, its begin is news once more
            listener.news.set()
        self._listeners.setdefault(channel, set()).add(listener)
        self._wish.set()
        if self._life is None:
            self._life = asyncio.create_task(self._live(), name="announcements")

    def leave(self, channel: str, listener: Listener) -> None:
        """Forget the listener."""
        self._listeners[channel].discard(listener)
        if not self._listeners[channel]:
            del self._listeners[channel]
            self._wish.set()

    async def _live(self) -> None:
        try:
            while self._listeners:
                began = time.monotonic()
                try:
                    await self._until_lost()
                except* (RedisError, OSError) as lost:
                    log.debug("announcements are not heard: %r", lost.exceptions)
                except* Exception:  # our bug, or redis-py's: whoever waits goes on looking, and hears again
                    log.exception("announcements are not heard")
                self._tell(list(self._listeners))
                await asyncio.sleep(began + AWAY_SECONDS - time.monotonic())  # at once, if it lasted longer
        finally:
            self._life = None

    async def _until_lost(self) -> None:
        wanted = {"protocol": 2, "decode_responses": True}  # announcements then come as answers do
        limits = {"socket_connect_timeout": CONNECT_SECONDS, "socket_timeout": None}  # silence is the reader's to judge
        connection = ConnectionPool.from_url(load_env().broker, **wanted, **limits).make_connection()
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):  # a Redis that hangs lets in, and says nothing
                await connection.connect()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._read(connection))
                both.create_task(self._write(connection))
        finally:
            self._subscribed = set()
            await connection.disconnect(nowait=True)

    async def _read(self, connection: AbstractConnection) -> None:
        while told := await connection.read_response(timeout=2 * QUIET_SECONDS):
            _check_cancelled()
            self._tell(told[1:2])  # [kind, channel, text], or ["pong", ""]
        raise ConnectionError("Redis is silent")

    async def _write(self, connection: AbstractConnection) -> None:
        self._wish.set()
        while True:
            try:
                async with asyncio.timeout(QUIET_SECONDS):
                    await self._wish.wait()
            except TimeoutError:
                await connection.send_command("PING")
            self._wish.clear()
            before, self._subscribed = self._subscribed, set(self._listeners)
            if begun := self._subscribed - before:
                await connection.send_command("SUBSCRIBE", *begun)
            if ended := before - self._subscribed:
                await connection.send_command("UNSUBSCRIBE", *ended)
            _check_cancelled()

    def _tell(self, channels: Iterable[str]) -> None:
        for channel in channels:
            for listener in self._listeners.get(channel, ()):
                listener.news.set()


_ears: WeakKeyDictionary[asyncio.AbstractEventLoop, Ear] = WeakKeyDictionary()


def _check_cancelled() -> None:
    """Raise what was swallowed: a cancellation that meets a timeout of redis-py in the same turn of the loop is lost.
    The other task would wait for this one for ever, and the event loop for both when it ends."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


@contextmanager
def listening(channel: str) -> Iterator[Listener]:
    """Listen to a channel while the block runs. Never fails because of Redis."""
    ear, listener = _ears.setdefault(asyncio.get_running_loop(), Ear()), Listener()
    ear.join(channel, listener)
    try:
        yield listener
    finally:
        ear.leave(channel, listener)
