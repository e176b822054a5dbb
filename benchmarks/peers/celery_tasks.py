"""Peer: one Celery task a photo, a process a core, as most tutorials have it."""

import os

from celery import Celery
from redis import Redis

from benchmarks.peers.work import decode, embed

DONE = "peer:done"

app = Celery("peer", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True)
_redis = Redis.from_url(os.environ["REDIS_URL"])


@app.task
def embed_photo(key: str) -> None:
    """A photo's vector; that it is there is told by a list in Redis."""
    _redis.rpush(DONE, str(embed([decode(key)])[0][0]))
