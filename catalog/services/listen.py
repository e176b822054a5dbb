"""Hears announcements without holding a thread: what an event stream waits with, one Redis connection each.

The announcements are made in ``notify``. Comes after the stream's view let the request in; each time something is
heard, ``api.events`` looks at the row in SQL, which alone is the truth.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.env import load_env

CONNECT_SECONDS = 2
AWAY_SECONDS = 2.0  # between two tries while Redis is away; the caller looks for itself as often


class Listener:
    """The announcements of one channel. Use :func:`listening`."""

    def __init__(self, pubsub: PubSub, channel: str) -> None:
        self._pubsub = pubsub
        self._channel = channel

    async def hear(self, seconds: float) -> bool:
        """Whether something was announced within ``seconds``; several announcements at once are one.

        A subscription that begins counts as one too: what was announced before it is found by looking. With Redis
        away it is over after ``AWAY_SECONDS`` and true, because nobody else would say that there is something new.
        """
        try:
            if not self._pubsub.subscribed:
                await self._pubsub.subscribe(self._channel)
            heard = await self._pubsub.get_message(timeout=seconds) is not None
            while await self._pubsub.get_message(timeout=0) is not None:
                pass
        except (RedisError, OSError):
            await asyncio.sleep(min(seconds, AWAY_SECONDS))
            heard = True
        _check_cancelled()
        return heard


def _check_cancelled() -> None:
    """Raise what was swallowed: a cancellation that meets a timeout of redis-py in the same turn of the loop is lost.

    Whoever hung up in that moment would be listened for until the stream is over.
    """
    task = asyncio.current_task()
    if task and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def listening(channel: str) -> AsyncIterator[Listener]:
    """Listen to a channel while the block runs. Never fails because of Redis."""
    client = Redis.from_url(load_env().broker, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0))
    pubsub = client.pubsub()
    try:
        yield Listener(pubsub, channel)
    finally:
        with suppress(RedisError, OSError):
            await pubsub.aclose()
        with suppress(RedisError, OSError):
            await client.aclose()
