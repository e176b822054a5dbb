"""The coordinator's tasks: each unpacks a message and calls one service. Any of them may run twice.

Comes between Redis and ``services``; started by ``config.celery``.
"""

import logging
from dataclasses import astuple
from threading import BoundedSemaphore
from typing import Any

from celery import shared_task
from django.db import OperationalError, close_old_connections
from django.utils import timezone

from catalog.services.dispatch import chunks_dispatch, reconcile, searches_resend
from catalog.services.enqueue import DELIVER_WEBHOOKS, DISPATCH, IMPORT_UPLOAD
from catalog.services.result import chunk_result_store, search_result_store
from catalog.services.shadow import assignment_write, shadow_dispatch, shadow_result_store
from catalog.services.thresholds import thresholds_follow
from catalog.services.upload import upload_import, uploads_wake
from catalog.services.webhooks.delivery import webhooks_sweep
from catalog.services.webhooks.sender import deliveries_start
from config.logs import told
from workers.client import coordinator_beat
from workers.contract import STORE_CHUNK_RESULT, STORE_SEARCH_RESULT, ChunkResult, SearchResult

log = logging.getLogger(__name__)

# Of the coordinator's four threads: results and dispatching always find one, however many uploads are read.
IMPORTS_AT_ONCE = 2
_import_slots = BoundedSemaphore(IMPORTS_AT_ONCE)
# A deadlock, or a database that restarts, must not cost a result: else its photos wait until their lease runs out.
TRY_AGAIN: dict[str, Any] = {"autoretry_for": (OperationalError,), "max_retries": 5, "retry_backoff": 1}


@shared_task(name=DISPATCH)
def dispatch() -> None:
    """Fill the window of chunks in flight and send the searches that the broker could not take before."""
    close_old_connections()
    coordinator_beat()
    assignment_write()
    searches_resend()
    chunks_dispatch()
    shadow_dispatch()


@shared_task(name="catalog.reconcile")
def reconcile_ledger() -> None:
    """Take back what was lost."""
    close_old_connections()
    found = reconcile()
    if any(astuple(found)):
        log.info("reconciled: %s", found)
    webhooks_sweep(now=timezone.now())


@shared_task(name="catalog.thresholds")
def follow_thresholds() -> None:
    """Let the thresholds follow the precision that merchants want."""
    close_old_connections()
    thresholds_follow()


@shared_task(name=DELIVER_WEBHOOKS)
def deliver_webhooks() -> None:
    """Begin to send the events that are owed to merchants' servers, and wait for none of them."""
    close_old_connections()
    deliveries_start()


@shared_task(name=STORE_CHUNK_RESULT, **TRY_AGAIN)
def store_chunk_result(message: dict) -> None:
    """Store the outcomes of one chunk."""
    close_old_connections()
    result = ChunkResult.model_validate(message)
    with told(chunk=result.chunk_id, worker=result.worker):
        if result.shadow:
            log.info("shadow chunk stored, photos=%d", shadow_result_store(result=result))
        else:
            log.info("chunk stored, %s", chunk_result_store(result=result))


@shared_task(name=STORE_SEARCH_RESULT, **TRY_AGAIN)
def store_search_result(message: dict) -> None:
    """Store the answer to one search."""
    close_old_connections()
    result = SearchResult.model_validate(message)
    with told(job=result.job_id, request=result.request_id, worker=result.worker):
        stored = search_result_store(result=result)
        log.info("search stored" if stored else "search was finished already")


@shared_task(name=IMPORT_UPLOAD)
def import_upload(upload_id: str) -> None:
    """Read an upload's rows and photos into the catalogue, unless this process reads enough others now.

    An upload left alone stays owed in SQL, and is woken when one in hand is finished. A run that finished nothing
    wakes nobody: with the storage away, every message would leave one for each owed upload behind.
    """
    if not _import_slots.acquire(blocking=False):
        return
    try:
        close_old_connections()
        finished = upload_import(upload_id=upload_id)
    finally:
        _import_slots.release()
    if finished:
        uploads_wake()
