"""What arrives from the queues: unpack, call the pipeline, send the answer. Thin on purpose, and never crashes.

``run_chunk`` is an ordinary Celery task on the bulk queue; ``ANSWERS`` are called by the search lane, and
``run_shadow_chunk`` by the shadow lane. A message that cannot be read (damaged, or of a release that this worker does
not know) is logged and, where its ids can be read, answered with a fault, so that the ledger need not wait for its
lease.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import Celery, Task, shared_task

from config.logs import told
from recognition.errors import Unavailable
from workers.clock import UNTIL
from workers.contract import (
    MESSAGE_INVALID,
    RUN_CHUNK,
    RUN_EXPLAIN,
    RUN_INVENTORY,
    RUN_SEARCH,
    Chunk,
    ChunkResult,
    Explain,
    Fault,
    Inventory,
    PhotoOutcome,
    Search,
    SearchResult,
)
from workers.explain import run_explain
from workers.faults import fault_of
from workers.inventory import run_inventory
from workers.line import Line
from workers.pipeline import run_chunk as run_chunk_on
from workers.results import keep_explanation, keep_inventory, send_chunk_result, send_search_result
from workers.search import run_search as run_search_on
from workers.served import Served

logger = logging.getLogger(__name__)

PURPOSES = ("index", "recognise", "forget")


@shared_task(bind=True, name=RUN_CHUNK, ignore_result=True)
def run_chunk(task: Task, message: object) -> None:
    """A chunk of bulk work."""
    _run_chunk(task.app, message, {UNTIL: getattr(task.request, UNTIL, None)})


def run_shadow_chunk(app: Celery, message: object, headers: Mapping[str, Any]) -> None:
    """A chunk of the shadow, from the shadow lane."""
    _run_chunk(app, message, headers)


def _run_chunk(app: Any, message: object, headers: Mapping[str, Any]) -> None:
    """A chunk whose lease is over is dropped: its photos were leased anew."""
    served: Served = app.served
    until = served.primary().lease_end(headers)
    if time.monotonic() > until:
        logger.info("a chunk is dropped: its lease is over")
        return
    try:
        chunk = Chunk.model_validate(message)
    except ValueError as error:
        _refuse_chunk(app, served.primary(), message, error)
        return
    with told(chunk=chunk.chunk_id, merchant=chunk.merchant_id):
        with served.primary().watchdog.watching(f"chunk {chunk.chunk_id}"):
            result = _answer_chunk(served, chunk, until)
        send_chunk_result(app, result)
        _tell(chunk, result)


def _answer_chunk(served: Served, chunk: Chunk, until: float) -> ChunkResult:
    """What came out; a fault for every photo where this worker does not serve the bundle that the chunk names."""
    try:
        line = served.background(chunk.bundle) if chunk.shadow else served.of(chunk.bundle)
    except Unavailable as error:
        return _faulty(served.primary(), chunk, fault_of(error))
    result = run_chunk_on(line, chunk, until)
    if chunk.purpose == "forget":  # in the shadow too: what is promoted one day must not bring it back
        others = [other for other in served.lines() if other.recogniser is not line.recogniser]
        result = _with_faults_of(result, [run_chunk_on(other, chunk, until) for other in others])
    for outcome in result.outcomes:
        line.counts.photo(chunk.purpose, outcome.fault.kind if outcome.fault else "")
    return result.model_copy(update={"shadow": chunk.shadow})


def _with_faults_of(result: ChunkResult, others: Sequence[ChunkResult]) -> ChunkResult:
    """The result, with the faults that the same chunk met elsewhere."""
    met = {outcome.photo_id: outcome for other in others for outcome in other.outcomes if outcome.fault}
    outcomes = tuple(outcome if outcome.fault else met.get(outcome.photo_id, outcome) for outcome in result.outcomes)
    return result.model_copy(update={"outcomes": outcomes})


def _faulty(line: Line, chunk: Chunk, fault: Fault) -> ChunkResult:
    bundle = line.recogniser.bundle
    return ChunkResult(
        chunk_id=chunk.chunk_id,
        worker=line.name,
        bundle_version=chunk.bundle,
        calibrated=bundle.calibration.calibrated,
        purpose=chunk.purpose,
        outcomes=tuple(PhotoOutcome(photo_id=photo.photo_id, fault=fault) for photo in chunk.photos),
        seconds=0.0,
        shadow=chunk.shadow,
    )


def _tell(chunk: Chunk, result: ChunkResult) -> None:
    faults = sorted({outcome.fault.code for outcome in result.outcomes if outcome.fault})
    logger.info(
        "chunk %s%s done, photos=%d seconds=%.2f photos/s=%.1f%s",
        "for the shadow, " if chunk.shadow else "",
        chunk.purpose,
        len(chunk.photos),
        result.seconds,
        len(chunk.photos) / max(result.seconds, 0.001),
        f" faults={','.join(faults)}" if faults else "",
    )
    for outcome in result.outcomes:
        if outcome.fault and outcome.fault.kind == "bug":
            logger.error("photo=%s %s\n%s", outcome.photo_id, outcome.fault.message, outcome.fault.trace)


def answer_search(app: Celery, message: object) -> None:
    """A search, from the search lane."""
    served: Served = app.served
    try:
        search = Search.model_validate(message)
    except ValueError as error:
        _refuse_search(app, served.primary(), message, error)
        return
    with told(job=search.job_id, request=search.request_id, merchant=search.merchant_id), served.searching():
        with served.primary().watchdog.watching(f"search {search.job_id}"):
            result = _answer_search(served, search)
        send_search_result(app, result)
        outcome = "expired" if result.expired else result.fault.kind if result.fault else "done"
        served.primary().counts.search(outcome, result.seconds)
        logger.info("search %s, candidates=%d seconds=%.3f", outcome, len(result.candidates), result.seconds)
        if result.fault and result.fault.kind == "bug":
            logger.error("search failed: %s\n%s", result.fault.message, result.fault.trace)


def _answer_search(served: Served, search: Search) -> SearchResult:
    """The answer; a fault where this worker does not serve the bundle that the search names."""
    try:
        line = served.of(search.bundle)
    except Unavailable as error:
        own = served.primary()
        return SearchResult(
            job_id=search.job_id,
            worker=own.name,
            bundle_version=search.bundle,
            calibrated=False,
            fault=fault_of(error),
            request_id=search.request_id,
        )
    return run_search_on(line, search).model_copy(update={"request_id": search.request_id})


def answer_explain(app: Celery, message: object) -> None:
    """A question why, from the search lane. One that cannot be read is not answered: its deadline ends the wait."""
    served: Served = app.served
    try:
        question = Explain.model_validate(message)
    except ValueError as error:
        logger.error("an explain message cannot be read: %s", error)
        return
    with served.searching():
        answer = run_explain(served.primary(), question)
    keep_explanation(answer)
    outcome = "expired" if answer.expired else answer.fault.kind if answer.fault else "done"
    logger.info(
        "explanation=%s merchant=%s %s seconds=%.3f", answer.token[:12], question.merchant_id, outcome, answer.seconds
    )
    if answer.fault and answer.fault.kind == "bug":
        logger.error("explanation=%s %s\n%s", answer.token[:12], answer.fault.message, answer.fault.trace)


def answer_inventory(app: Celery, message: object) -> None:
    """A question what the index holds, from the search lane. One that nobody waits for any more is dropped."""
    try:
        question = Inventory.model_validate(message)
    except ValueError as error:
        logger.error("an inventory message cannot be read: %s", error)
        return
    if datetime.now(UTC) <= question.deadline:
        keep_inventory(run_inventory(app.served.primary(), question))


# What the search queue carries, by the name of its task.
ANSWERS: dict[str, Callable[[Celery, object], None]] = {
    RUN_SEARCH: answer_search,
    RUN_EXPLAIN: answer_explain,
    RUN_INVENTORY: answer_inventory,
}


def _refuse_chunk(app: Celery, line: Line, message: object, error: ValueError) -> None:
    logger.error("a chunk message cannot be read: %s", error)
    fields = message if isinstance(message, Mapping) else {}
    chunk_id, purpose = _uuid(fields.get("chunk_id")), fields.get("purpose")
    photos = fields.get("photos")
    parts = [photo for photo in photos if isinstance(photo, Mapping)] if isinstance(photos, list) else []
    photo_ids = [_uuid(part.get("photo_id")) for part in parts]
    if chunk_id is None or purpose not in PURPOSES or not any(photo_ids):
        return
    bundle, fault = line.recogniser.bundle, _unreadable(error)
    result = ChunkResult(
        chunk_id=chunk_id,
        worker=line.name,
        bundle_version=bundle.version,
        calibrated=bundle.calibration.calibrated,
        purpose=purpose,
        outcomes=tuple(PhotoOutcome(photo_id=photo_id, fault=fault) for photo_id in photo_ids if photo_id),
        seconds=0.0,
        shadow=fields.get("shadow") is True,
    )
    send_chunk_result(app, result)


def _refuse_search(app: Celery, line: Line, message: object, error: ValueError) -> None:
    logger.error("a search message cannot be read: %s", error)
    job_id = _uuid(message.get("job_id")) if isinstance(message, Mapping) else None
    if job_id is None:
        return
    bundle = line.recogniser.bundle
    result = SearchResult(
        job_id=job_id,
        worker=line.name,
        bundle_version=bundle.version,
        calibrated=bundle.calibration.calibrated,
        fault=_unreadable(error),
    )
    send_search_result(app, result)


def _unreadable(error: ValueError) -> Fault:
    """Nothing is wrong with the photo or the search: another worker may be of the release that sent it."""
    said = {"code": MESSAGE_INVALID, "message": "The worker cannot read this message: web and worker differ."}
    return fault_of(error).model_copy(update={"kind": "retry", **said})


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
