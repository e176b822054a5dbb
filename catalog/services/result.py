"""Stores what the workers found: one transaction a chunk, and storing the same result twice changes nothing.

Comes after a worker's result message; before the waiting API call, the page, the review desk and the next dispatch.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from catalog.models import (
    Job,
    JobState,
    LedgerState,
    Photo,
    Product,
    Purpose,
)
from catalog.selectors.bundle import live_version
from catalog.services.dispatch import LOST_LIMIT
from catalog.services.enqueue import dispatch_soon
from catalog.services.figures import fault_counted, search_counted
from catalog.services.items import items_store
from catalog.services.job import OWED, recognition_job_finish, search_deadline
from catalog.services.notify import job_announce, upload_announce
from catalog.services.photo import photos_delete
from catalog.services.product import product_purge_if_empty
from catalog.services.rows import rows_saved
from catalog.services.shadow import shadow_owe
from catalog.services.upload import PHOTO_ID, row_problem_add, row_problems_settle, upload_finish_if_done
from catalog.services.webhooks.events import event_job_finished
from config.env import load_env
from workers.contract import COUNTED_FAULTS, MESSAGE_INVALID, ChunkResult, Fault, PhotoOutcome, SearchResult

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
ANSWERED = (  # the columns of a search that its answer fills
    *("state", "lease_until", "finished_at", "error_code", "error_message", "error_trace"),
    *("verdict", "reason", "box", "candidates", "bundle_version", "calibrated", "degraded", "worker", "seconds"),
)


@dataclass(frozen=True)
class Stored:
    """How many outcomes of a chunk were stored, and how many came too late or twice and were left alone."""

    stored: int
    ignored: int


@transaction.atomic
def chunk_result_store(*, result: ChunkResult) -> Stored:
    """Store a chunk's outcomes.

    An outcome counts only while its photo still owes this very chunk. A photo that changed while it was with the
    worker is owed again instead: what the worker found is about yesterday's text.
    """
    now = timezone.now()
    if result.purpose == Purpose.FORGET:
        _lock_products(result)
    waiting = Photo.objects.select_for_update().filter(
        pk__in=[outcome.photo_id for outcome in result.outcomes],
        chunk_id=result.chunk_id,
        state__in=(LedgerState.PENDING, LedgerState.DISPATCHED),
    )
    waiting = waiting.order_by("pk")  # everybody locks in one order, so nobody waits in a circle
    photos = {photo.pk: photo for photo in waiting}
    stale = _stale(result) if photos else set()
    changed = [photo for photo in photos.values() if photo.changed or photo.pk in stale]
    told = [(photos[outcome.photo_id], outcome) for outcome in result.outcomes if outcome.photo_id in photos]
    answered = [(photo, outcome) for photo, outcome in told if photo not in changed]
    done = [(photo, outcome) for photo, outcome in answered if outcome.fault is None]
    # What this bundle recognised before and was not asked to do again is the same result once more.
    repeated = {photo.pk for photo in photos.values() if photo.bundle_version == result.bundle_version}
    with rows_saved(list(photos.values())):
        for photo in changed:
            _mark_owed(photo, now)
        for photo, outcome in answered:
            if outcome.fault is None:
                _mark_done(photo, outcome, result, now)
            else:
                _mark_fault(photo, outcome.fault, now)
                fault_counted(code=outcome.fault.code)
        for photo in photos.values():
            photo.changed = False
    if result.purpose == Purpose.RECOGNISE:
        done = [(photo, outcome) for photo, outcome in done if photo.pk not in repeated]
    FINISH[Purpose(result.purpose)](done, result)
    _notice_ends(photos.values())
    transaction.on_commit(dispatch_soon)
    return Stored(stored=len(answered), ignored=len(result.outcomes) - len(answered))


def _stale(result: ChunkResult) -> set[UUID]:
    """Photos that a bundle indexed which is not live any more: it was sent before the promotion."""
    if result.purpose != Purpose.INDEX or result.bundle_version == (live_version() or result.bundle_version):
        return set()
    return {outcome.photo_id for outcome in result.outcomes if outcome.fault is None}


def _lock_products(result: ChunkResult) -> None:
    """Products before their photos, as whoever changes a product locks them: forgetting may delete the product."""
    photos = Photo.objects.filter(pk__in=[outcome.photo_id for outcome in result.outcomes])
    list(Product.objects.select_for_update().filter(pk__in=photos.values("product")).order_by("pk"))


def _mark_owed(photo: Photo, now: datetime) -> None:
    photo.state, photo.queued_at, photo.lease_until, photo.chunk_id = LedgerState.PENDING, now, None, None


def _mark_done(photo: Photo, outcome: PhotoOutcome, result: ChunkResult, now: datetime) -> None:
    photo.state = LedgerState.DONE
    photo.lease_until = None
    photo.finished_at = now
    photo.bundle_version = result.bundle_version
    photo.width = outcome.width or photo.width
    photo.height = outcome.height or photo.height
    photo.error_code = photo.error_message = photo.error_trace = ""


def _mark_fault(photo: Photo, fault: Fault, now: datetime) -> None:
    """The photo waits for another try, or it has failed and the row that it came from says why."""
    photo.lease_until = None
    photo.error_code, photo.error_message, photo.error_trace = fault.code, fault.message[:500], fault.trace
    photo.attempts += fault.kind == "bug" or fault.code in COUNTED_FAULTS
    seconds = _seconds_to_wait(photo, fault)
    if seconds is not None:
        photo.state, photo.queued_at = LedgerState.PENDING, now + timedelta(seconds=seconds)
        return
    photo.state, photo.finished_at = LedgerState.FAILED, now
    if photo.upload_row_id:
        problem = {"code": fault.code, "message": fault.message, "field": "images", "photo": photo.name}
        problem[PHOTO_ID] = str(photo.pk)
        row_problem_add(row_id=photo.upload_row_id, problem=problem)


def _seconds_to_wait(photo: Photo, fault: Fault) -> float | None:
    """Before the next try; ``None``: there is none.

    The client's fault ends the photo, an absent service lets it wait, a bug of ours is tried three times. A message
    that a worker could not read, or bytes that it could not, are as good as a lost lease: the photo waits as long for
    a worker that can, and is given up as late. Else one bad sector would hold its upload at 99 % for ever.
    """
    if fault.code in COUNTED_FAULTS:
        return load_env().lease_seconds if photo.attempts < LOST_LIMIT else None
    if fault.kind == "retry":
        return RETRY_SECONDS
    if fault.kind == "bug" and photo.attempts < load_env().max_attempts:
        return 2.0**photo.attempts
    return None


Done = list[tuple[Photo, PhotoOutcome]]


def _finish_indexed(done: Done, result: ChunkResult) -> None:
    """Indexed photos need nothing more, the ledger says it all; what was wrong with them before is no problem now."""
    photos = [photo for photo, _ in done]
    row_problems_settle(photos=photos)
    shadow_owe(photos=photos)


def _finish_recognised(done: Done, result: ChunkResult) -> None:
    """Their items, once the jobs are locked."""
    _lock_jobs(photo for photo, _ in done)
    items_store(done=done, result=result)
    row_problems_settle(photos=[photo for photo, _ in done])


def _finish_forgotten(done: Done, result: ChunkResult) -> None:
    """The index has forgotten them: now the rows may go, then the bytes nobody shares, then the deleted product.

    A photo that was only withdrawn is again what it was before a reviewer made it a reference.
    """
    withdrawn = [photo.pk for photo, _ in done if photo.purpose == Purpose.WITHDRAW]
    Photo.objects.filter(pk__in=withdrawn).update(purpose=Purpose.RECOGNISE)
    photos = [photo for photo, _ in done if photo.purpose == Purpose.FORGET]
    products = list(Product.objects.filter(photos__in=photos, deleted_at__isnull=False).distinct())
    photos_delete(photos=photos)
    for product in products:
        product_purge_if_empty(product=product)


FINISH: dict[Purpose, Callable[[Done, ChunkResult], None]] = {
    Purpose.INDEX: _finish_indexed,
    Purpose.RECOGNISE: _finish_recognised,
    Purpose.FORGET: _finish_forgotten,
}


def _lock_jobs(photos: Iterable[Photo]) -> None:
    """Before their items are made: those of one job are then created in the order in which they are committed.

    A stream of events resumes after the last item that it sent, so none may appear before that one later.
    """
    job_ids = {photo.job_id for photo in photos if photo.job_id}
    list(Job.objects.select_for_update(no_key=True).filter(pk__in=job_ids).order_by("pk"))


def _notice_ends(photos: Iterable[Photo]) -> None:
    """Finish what is finished, and tell everybody who follows these jobs and uploads that they came further."""
    photos = list(photos)
    for job_id in sorted({photo.job_id for photo in photos if photo.job_id}):
        recognition_job_finish(job_id=job_id)
        transaction.on_commit(partial(job_announce, job_id=job_id))
    for upload_id in sorted({photo.upload_id for photo in photos if photo.upload_id}):
        upload_finish_if_done(upload_id=upload_id)
        transaction.on_commit(partial(upload_announce, upload_id=upload_id))


@transaction.atomic
def search_result_store(*, result: SearchResult) -> bool:
    """Store a search's answer and tell whoever waits. Returns False when the job was finished already."""
    job = Job.objects.select_for_update().filter(pk=result.job_id, state__in=OWED).first()
    if job is None:
        return False
    if result.fault and _may_pass(result.fault) and search_deadline(job) > timezone.now():
        job.state, job.lease_until = JobState.PENDING, None
        job.save(update_fields=["state", "lease_until"])
        return True
    job.state = _search_state(result)
    if result.expired:
        job.error_code, job.error_message = "deadline_passed", "No worker was free before the deadline."
    if result.fault:
        job.error_code, job.error_message = result.fault.code, result.fault.message[:500]
        job.error_trace = result.fault.trace
    job.verdict, job.reason, job.box = result.verdict or "", result.reason[:300], result.box
    job.candidates = [candidate.model_dump(mode="json") for candidate in result.candidates]
    job.bundle_version, job.calibrated = result.bundle_version, result.calibrated
    job.degraded = result.degraded
    job.worker, job.seconds = result.worker, result.seconds
    job.lease_until, job.finished_at = None, timezone.now()
    job.save(update_fields=ANSWERED)
    search_counted(state=job.state, asked=job.created_at, answered=job.finished_at)
    event_job_finished(job_id=job.pk)
    transaction.on_commit(partial(job_announce, job_id=job.pk))
    return True


def _may_pass(fault: Fault) -> bool:
    """Whether another worker, or the same one later, may answer what this one could not."""
    return fault.kind == "retry" or fault.code == MESSAGE_INVALID


def _search_state(result: SearchResult) -> JobState:
    if result.expired:
        return JobState.EXPIRED
    return JobState.FAILED if result.fault else JobState.DONE
