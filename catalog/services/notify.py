"""Tells whoever waits that a job or an upload came further, or an explanation is there: Redis publish and subscribe.

``result``, ``job`` and ``upload`` announce after their commits, a worker announces an explanation; the API's, the
page's and the admin's waits listen here, its event streams in ``listen``. A lost announcement costs a waiter at most
one second, because the wait looks for itself too (at a row in SQL, at an explanation's key); for a row, an absent
Redis costs the same.
"""

import time
from collections.abc import Callable, Collection
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


def job_wait(*, job: Job, seconds: float) -> None:
    """Return as soon as the job is finished, or after ``seconds``; the row is read again. Raises ``DoesNotExist``."""
    _wait(job_channel(job.pk), seconds, partial(_is_owed, job, OWED))


def upload_wait(*, upload: Upload, seconds: float) -> None:
    """Return as soon as the upload is finished, or after ``seconds``; as ``job_wait``."""
    _wait(upload_channel(upload.pk), seconds, partial(_is_owed, upload, UNFINISHED))


def explanation_wait(*, token: str, seconds: float) -> None:
    """Return as soon as a worker kept this explanation, or after ``seconds``. Raises ``Unavailable`` without Redis."""
    _wait(EXPLANATION_KEY_PREFIX + token, seconds, lambda: client.explanation_of(token) is None)


def _wait(channel: str, seconds: float, is_owed: Callable[[], bool]) -> None:
    """The first look comes when the subscription stands, which is at once: nothing is announced between the two."""
    until = time.monotonic() + seconds
    listener = _connection().pubsub(ignore_subscribe_messages=True)
    try:
        _subscribe(listener, channel)
        while (left := until - time.monotonic()) > 0:
            _listen(listener, min(left, LOOK_SECONDS))
            if not is_owed():
                return
    finally:
        _close(listener)


def _is_owed(row: Job | Upload, owed: Collection[str]) -> bool:
    """Read the row again; hold no database connection while waiting for the next look, for waiters may be many."""
    row.refresh_from_db()
    if row.state not in owed:
        return False
    if not connection.in_atomic_block:
        connection.close()
    return True


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
