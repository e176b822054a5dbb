"""Hears announcements without holding a thread: what event streams and held answers wait with.

The announcements are made in ``notify``. Comes after the view let the request in; each time something is heard, whoever
waits looks at the row in SQL, which alone is the truth. However many wait in a process, they share one connection to
Redis: to open one took longer than all else that waiting costs.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.env import load_env

CONNECT_SECONDS = 2
AWAY_SECONDS = 2.0  # between two tries while Redis is away; whoever waits looks as often
QUIET_SECONDS = 10.0  # without a word, Redis is asked whether it is there; after as long again, it is not


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
    """The connection of one event loop. It is opened for the first listener and again, for all, when it was lost."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}  # by channel; no channel without one
        self._subscribed: set[str] = set()
        self._pubsub: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._settling = asyncio.Lock()

    async def join(self, channel: str, listener: Listener) -> None:
        """The subscription's begin, or the end of trying, is the listener's first news."""
        others = self._listeners.setdefault(channel, set())
        if others:  # should their subscription not stand yet, its begin is news once more
            listener.news.set()
        others.add(listener)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="announcements")
        await self._settle(channel)

    async def leave(self, channel: str, listener: Listener) -> None:
        """Forget the listener."""
        self._listeners[channel].discard(listener)
        if not self._listeners[channel]:
            del self._listeners[channel]
            await self._settle(channel)

    async def _settle(self, channel: str) -> None:
        """Be subscribed if and only if somebody listens. A connection that is broken is the reader's: it hears it too,
        and subscribes to everything once more."""
        async with self._settling:
            wanted = channel in self._listeners
            if self._pubsub is None or wanted == (channel in self._subscribed):
                return
            with suppress(RedisError, OSError):
                if wanted:
                    self._subscribed.add(channel)
                    await self._pubsub.subscribe(channel)
                else:
                    self._subscribed.discard(channel)
                    await self._pubsub.unsubscribe(channel)

    async def _read(self) -> None:
        try:
            while self._listeners:
                began = time.monotonic()
                with suppress(RedisError, OSError):
                    await self._read_until_lost()
                self._tell(list(self._listeners))
                await asyncio.sleep(began + AWAY_SECONDS - time.monotonic())  # at once, if it lasted longer
        finally:
            self._reader = None

    async def _read_until_lost(self) -> None:
        client = Redis.from_url(
            load_env().broker,
            decode_responses=True,
            socket_connect_timeout=CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        async with client, client.pubsub() as pubsub:
            try:
                async with self._settling:
                    self._subscribed = set(self._listeners)
                    await pubsub.subscribe(*self._subscribed)
                    self._pubsub = pubsub
                for channel in self._listeners.keys() ^ self._subscribed:  # who came or went meanwhile
                    await self._settle(channel)
                await self._pass_on(pubsub)
            finally:
                self._pubsub = None

    async def _pass_on(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=QUIET_SECONDS)
            _check_cancelled()
            if message:
                self._tell([message["channel"]])
            elif asked:
                return
            else:
                await pubsub.ping()
            asked = not message

    def _tell(self, channels: list[str]) -> None:
        for channel in channels:
            for listener in self._listeners.get(channel, ()):
                listener.news.set()


_ears: WeakKeyDictionary[asyncio.AbstractEventLoop, Ear] = WeakKeyDictionary()


def _check_cancelled() -> None:
    """Raise what was swallowed: a cancellation that meets a timeout of redis-py in the same turn of the loop is lost.
    The event loop would wait for the reader for ever when it ends."""
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def listening(channel: str) -> AsyncIterator[Listener]:
    """Listen to a channel while the block runs. Never fails because of Redis."""
    ear, listener = _ears.setdefault(asyncio.get_running_loop(), Ear()), Listener()
    try:
        await ear.join(channel, listener)
        yield listener
    finally:
        await ear.leave(channel, listener)
