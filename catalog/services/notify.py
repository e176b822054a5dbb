"""Tells whoever waits for a job that it is finished: Redis publish and subscribe, with SQL as the truth.

``result`` announces after its commit; the API's and the page's waits listen. A lost announcement costs a waiter at
most one second, because the wait looks at the row too; an absent Redis costs the same.
"""

import time
from functools import lru_cache
from uuid import UUID

import redis
from django.db import connection
from redis.exceptions import RedisError

from catalog.models import Job, JobState
from config.env import load_env

LOOK_SECONDS = 1.0
AWAY_SECONDS = 0.2
OWED = (JobState.PENDING, JobState.DISPATCHED)


@lru_cache(maxsize=1)
def _connection() -> redis.Redis:
    return redis.Redis.from_url(load_env().broker, socket_timeout=5, socket_connect_timeout=2)


def _channel(job_id: UUID) -> str:
    return f"vitrine:job:{job_id}"


def job_announce(*, job_id: UUID) -> None:
    """Wake everybody who waits for this job. Never fails: those who miss it look at the row."""
    try:
        _connection().publish(_channel(job_id), "finished")
    except RedisError:
        return


def job_wait(*, job_id: UUID, seconds: float) -> None:
    """Return as soon as the job is finished, or after ``seconds``. Read the row again afterwards."""
    until = time.monotonic() + seconds
    listener = _connection().pubsub(ignore_subscribe_messages=True)
    try:
        _subscribe(listener, job_id)
        while (left := until - time.monotonic()) > 0 and _is_owed(job_id):
            _listen(listener, min(left, LOOK_SECONDS))
    finally:
        _close(listener)


def _is_owed(job_id: UUID) -> bool:
    """Look at the row, and hold no database connection while waiting for the next look: waiters may be many."""
    try:
        return Job.objects.filter(pk=job_id, state__in=OWED).exists()
    finally:
        if not connection.in_atomic_block:
            connection.close()


def _subscribe(listener: redis.client.PubSub, job_id: UUID) -> None:
    try:
        listener.subscribe(_channel(job_id))
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
