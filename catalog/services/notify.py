"""Tells whoever waits that a job or an upload came further, or an explanation is there: Redis publish and subscribe.

``result``, ``job`` and ``upload`` announce after their commits, a worker announces an explanation. Here is what is
waited for, and a wait that keeps its thread, as the admin's do; the API, the page and all event streams wait without
one (``listen``). A lost announcement costs a waiter at most one second, because the wait looks for itself too (at a row
in SQL, at an explanation's key); for a row, an absent Redis costs the same.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from uuid import UUID

import redis
from django.db import connection
from redis.exceptions import RedisError

from catalog.models import UNFINISHED, Job, JobState, Upload
from config.env import load_env
from workers import client
from workers.contract import EXPLANATION_KEY_PREFIX

LOOK_SECONDS = 1.0
AWAY_SECONDS = 0.2
OWED = (JobState.PENDING, JobState.DISPATCHED)


@lru_cache(maxsize=1)
def _connection() -> redis.Redis:
    return redis.Redis.from_url(load_env().broker, socket_timeout=5, socket_connect_timeout=2)


def job_channel(job_id: UUID) -> str:
    """Where a job's changes are announced."""
    return f"vitrine:job:{job_id}"


def upload_channel(upload_id: UUID) -> str:
    """Where an upload's changes are announced."""
    return f"vitrine:upload:{upload_id}"


def job_announce(*, job_id: UUID) -> None:
    """Wake everybody who follows this job: it came further. Never fails: those who miss it look at the row."""
    _publish(job_channel(job_id))


def upload_announce(*, upload_id: UUID) -> None:
    """Wake everybody who follows this upload, as ``job_announce`` does."""
    _publish(upload_channel(upload_id))


def _publish(channel: str) -> None:
    try:
        _connection().publish(channel, "changed")
    except RedisError:
        return


@dataclass(frozen=True)
class Wait:
    """For at most ``seconds``, until ``is_owed`` says no: it looks, and is worth asking when the channel says so."""

    channel: str
    seconds: float
    is_owed: Callable[[], bool]


def job_wait(*, job: Job, seconds: float) -> Wait:
    """Until the job is finished. Each look reads the row again, and raises ``DoesNotExist``."""
    return Wait(job_channel(job.pk), seconds, partial(_is_owed, job, OWED))


def upload_wait(*, upload: Upload, seconds: float) -> Wait:
    """Until the upload is finished; as ``job_wait``."""
    return Wait(upload_channel(upload.pk), seconds, partial(_is_owed, upload, UNFINISHED))


def explanation_wait(*, token: str, seconds: float) -> Wait:
    """Until a worker kept this explanation. A look raises ``Unavailable`` without Redis."""
    return Wait(EXPLANATION_KEY_PREFIX + token, seconds, lambda: client.explanation_of(token) is None)


def wait_here(wait: Wait) -> None:
    """Return when the wait is over; the thread waits (``api.held`` waits without one).

    The first look comes when the subscription stands, which is at once: nothing is announced between the two.
    """
    until = time.monotonic() + wait.seconds
    _close_connection()
    listener = _connection().pubsub(ignore_subscribe_messages=True)
    try:
        _subscribe(listener, wait.channel)
        while (left := until - time.monotonic()) > 0:
            _listen(listener, min(left, LOOK_SECONDS))
            if not wait.is_owed():
                return
            _close_connection()
    finally:
        _close(listener)


def _is_owed(row: Job | Upload, owed: Collection[str]) -> bool:
    row.refresh_from_db()
    return row.state in owed


def _close_connection() -> None:
    """Hold none until the next look: of threads that wait there may be many."""
    if not connection.in_atomic_block:
        connection.close()


def _subscribe(listener: redis.client.PubSub, channel: str) -> None:
    try:
        listener.subscribe(channel)
    except RedisError:
        return


def _listen(listener: redis.client.PubSub, seconds: float) -> None:
    """Wait for an announcement or the time; simply for some time when Redis is away. The caller looks at the row then.

    The confirmation of the subscription ends a wait too, at once: what was announced before it is seen in the row.
    """
    try:
        if listener.subscribed:
            listener.get_message(timeout=seconds)
            return
    except RedisError:
        pass
    time.sleep(min(seconds, AWAY_SECONDS))


def _close(listener: redis.client.PubSub) -> None:
    try:
        listener.close()
    except RedisError:
        return
