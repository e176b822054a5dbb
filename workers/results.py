"""The answers on their way back: ``ChunkResult`` and ``SearchResult`` as task messages on the results queue.

Comes after ``pipeline``, before the coordinator's tasks. Sends from the calling thread, so the device is never held
up; where Redis is away it tries again for about a minute, then lets go: the lease in SQL heals what was lost.
"""

import logging

from celery import Celery

from recognition.errors import Unavailable
from workers.broker import publish
from workers.contract import RESULTS_QUEUE, STORE_CHUNK_RESULT, STORE_SEARCH_RESULT, ChunkResult, SearchResult

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
