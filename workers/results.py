"""The answers on their way back: ``ChunkResult`` and ``SearchResult`` as task messages on the results queue, an
``Explanation`` into Redis itself.

Comes after ``pipeline`` and ``explain``, before the coordinator's tasks and the web. Sends from the calling thread,
so the device is never held up; where Redis is away it tries again for about a minute, then lets go: the lease in SQL
heals what was lost.
"""

import logging
from functools import lru_cache

from celery import Celery
from redis import Redis

from config.env import load_env
from recognition.errors import Unavailable
from workers import explanations, inventories
from workers.broker import BROKER_AWAY, publish
from workers.contract import (
    RESULTS_QUEUE,
    STORE_CHUNK_RESULT,
    STORE_SEARCH_RESULT,
    ChunkResult,
    Explanation,
    InventoryPage,
    SearchResult,
)

logger = logging.getLogger(__name__)

_CHUNK_RETRIES = 35  # with publish's back-off: about a minute
_SEARCH_RETRIES = 12  # about 15 seconds: nobody waits longer for a search


def send_chunk_result(app: Celery, result: ChunkResult) -> None:
    """Send one message a chunk; a result that cannot be sent is logged and left to the lease."""
    try:
        publish(app, task=STORE_CHUNK_RESULT, queue=RESULTS_QUEUE, message=result, retries=_CHUNK_RETRIES)
    except Unavailable as error:
        logger.error("chunk=%s its result is lost, its lease will heal it: %s", result.chunk_id, error.message)


def send_search_result(app: Celery, result: SearchResult) -> None:
    """Send the answer of a search; one that cannot be sent is logged, its job expires."""
    try:
        publish(app, task=STORE_SEARCH_RESULT, queue=RESULTS_QUEUE, message=result, retries=_SEARCH_RETRIES)
    except Unavailable as error:
        logger.error("search=%s its result is lost: %s", result.job_id, error.message)


def keep_explanation(explanation: Explanation) -> None:
    """Keep an explanation where the web looks for it; one that cannot be kept is logged, whoever waits asks again."""
    try:
        explanations.keep(_redis(), explanation)
    except BROKER_AWAY as error:
        logger.error("explanation=%s it is lost, Redis is away: %s", explanation.token, error)


def keep_inventory(page: InventoryPage) -> None:
    """Lay a page of the inventory down for the one who asked; one that cannot be kept is asked for again."""
    try:
        inventories.keep(_redis(), page)
    except BROKER_AWAY as error:
        logger.error("inventory=%s its page is lost, Redis is away: %s", page.token, error)


@lru_cache(maxsize=1)
def _redis() -> Redis:
    return Redis.from_url(load_env().broker, socket_timeout=3, socket_connect_timeout=3)
