"""The dispatcher and the reconciler: leases owed photos in chunks, fairly, and takes lost leases back.

Comes after uploads, reviews and jobs committed rows as ``pending``; before the workers. Redis holds only the window of
chunks in flight, so a merchant with 100,000 photos cannot starve one with ten, and a flushed Redis loses nothing.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import cast

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, prefetch_related_objects
from django.utils import timezone

from catalog.models import Job, JobKind, JobState, LedgerState, Merchant, Photo, Purpose, ShadowPhoto
from catalog.selectors.bundle import live_version
from catalog.selectors.product import product_facts
from catalog.services.job import jobs_forget, recognition_job_finish, recognitions_drop, search_job_send
from catalog.services.notify import job_announce
from catalog.services.photo import bytes_sweep, photos_owe
from catalog.services.shadow import photos_of_another, shadow_reconcile
from catalog.services.upload import (
    archives_sweep,
    upload_finish_if_done,
    uploads_forget,
    uploads_processing,
    uploads_wake,
)
from catalog.services.webhooks.events import event_job_finished
from config.env import load_env
from config.logs import told
from workers import client
from workers.client import Unavailable
from workers.contract import Chunk, ChunkPurpose, PhotoWork

log = logging.getLogger(__name__)

ALONE_AFTER = 2  # a photo whose lease was lost twice travels alone, so a poisonous one takes no neighbour with it
LOST_LIMIT = 5  # and one that lost five leases while workers were alive is given up
WEIGHT_OF_MANY = 8  # a photo that is searched for many things costs a worker at least as much time as eight others


def chunks_dispatch() -> int:
    """Fill the window of chunks in flight, one chunk a merchant in turn. Returns how many chunks were sent.

    Nothing is leased while no worker is alive: photos wait in SQL, where they can be counted and cancelled.
    """
    try:
        room = len(client.live_workers()) * load_env().window_chunks - _chunks_in_flight()
    except Unavailable:
        return 0
    sent = 0
    while room > sent and (chunk := _lease_next()):
        try:
            client.send_chunk(chunk)
        except Unavailable as error:
            log.warning("chunk %s not sent, its photos are pending again: %s", chunk.chunk_id, error)
            _give_back(chunk)
            break
        with told(chunk=chunk.chunk_id, merchant=chunk.merchant_id):
            log.info("chunk sent, %s photos=%d", chunk.purpose, len(chunk.photos))
        sent += 1
    return sent


def _chunks_in_flight() -> int:
    return Photo.objects.filter(state=LedgerState.DISPATCHED).aggregate(n=Count("chunk_id", distinct=True))["n"]


def _owed(now: datetime) -> QuerySet[Photo]:
    """Photos that may be sent now; one that backs off after a fault has its ``queued_at`` in the future.

    Without a fault it does not wait, whatever ``queued_at`` says: the web that wrote it may have a clock of its own.
    One that is with a worker for the shadow is not forgotten meanwhile: the shadow would get it after all.
    """
    owed = Photo.objects.filter(Q(queued_at__lte=now) | Q(error_code=""), state=LedgerState.PENDING)
    with_shadow = ShadowPhoto.objects.filter(photo=OuterRef("pk"), state=LedgerState.DISPATCHED)
    return owed.exclude(Q(purpose__in=(Purpose.FORGET, Purpose.WITHDRAW)) & Exists(with_shadow))


@transaction.atomic
def _lease_next() -> Chunk | None:
    """Lease the next chunk of the merchant whose turn it is, or ``None`` when nobody is owed anything."""
    now = timezone.now()
    # Locking the merchant's row keeps two dispatchers from serving the same one at the same moment (and, without its
    # key, from waiting for everybody who inserts something of this merchant).
    owed = Exists(_owed(now).filter(merchant=OuterRef("pk")))
    merchants = Merchant.objects.filter(owed).order_by(F("served_at").asc(nulls_first=True), "pk")
    turn = merchants.values_list("pk", flat=True).first()
    if turn is None:
        return None
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=turn)
    photos = _take(_owed(now).filter(merchant=merchant))
    if not photos:
        return None
    chunk_id = uuid.uuid4()
    Photo.objects.filter(pk__in=[photo.pk for photo in photos]).update(
        state=LedgerState.DISPATCHED,
        chunk_id=chunk_id,
        lease_until=now + timedelta(seconds=load_env().lease_seconds),
    )
    Job.objects.filter(pk__in={photo.job_id for photo in photos}, state=JobState.PENDING).update(
        state=JobState.DISPATCHED
    )
    Merchant.objects.filter(pk=merchant.pk).update(served_at=now)
    return _chunk(chunk_id, photos)


def _take(owed: QuerySet[Photo]) -> list[Photo]:
    """The longest-waiting photos with one purpose, as many as one lease carries; a suspicious photo comes alone."""
    skip_locked, most = connection.features.has_select_for_update_skip_locked, load_env().chunk_size
    locked = owed.select_for_update(skip_locked=skip_locked).order_by("queued_at", "pk")
    photos = list(locked[:most])
    if not photos:
        return []
    first = photos[0]
    if first.attempts >= ALONE_AFTER:
        photos = [first]
    elif any(photo.purpose != first.purpose or photo.attempts >= ALONE_AFTER for photo in photos):
        photos = list(locked.filter(purpose=first.purpose, attempts__lt=ALONE_AFTER)[:most])
    # Once the photos are locked, and not in the same statement: that could still see a product as it was before.
    prefetch_related_objects(photos, "product", "job")
    carried = accumulate(WEIGHT_OF_MANY if _wants_many(photo) else 1 for photo in photos)
    fitting = [photo for photo, weight in zip(photos, carried, strict=True) if weight <= most]
    return fitting or [first]


def _wants_many(photo: Photo) -> bool:
    return photo.purpose == Purpose.RECOGNISE and photo.job is not None and photo.job.wants_many


def _chunk(chunk_id: uuid.UUID, photos: list[Photo]) -> Chunk:
    works = tuple(
        PhotoWork(
            photo_id=photo.pk,
            key=photo.key,
            product=product_facts(photo.product) if photo.product and photo.purpose == Purpose.INDEX else None,
            region=photo.region,
            embedded_by=photo.bundle_version if photo.purpose == Purpose.INDEX else "",
            items="many" if _wants_many(photo) else "one",
        )
        for photo in photos
    )
    # To the index a reference that was withdrawn is one to forget, like any other.
    asked = Purpose.FORGET if photos[0].purpose == Purpose.WITHDRAW else photos[0].purpose
    purpose = cast(ChunkPurpose, asked)
    return Chunk(
        chunk_id=chunk_id, merchant_id=photos[0].merchant_id, purpose=purpose, photos=works, bundle=live_version()
    )


def _give_back(chunk: Chunk) -> None:
    Photo.objects.filter(chunk_id=chunk.chunk_id, state=LedgerState.DISPATCHED).update(
        state=LedgerState.PENDING, lease_until=None
    )
    recognitions_drop(photos=Photo.objects.filter(chunk_id=chunk.chunk_id))


@dataclass(frozen=True)
class Reconciled:
    """What one round of reconciling found."""

    photos_back: int
    photos_lost: int
    searches_expired: int
    shadow_back: int
    uploads_woken: int
    jobs_forgotten: int
    uploads_forgotten: int
    bytes_deleted: int
    archives_deleted: int


def reconcile() -> Reconciled:
    """Heal what got lost: leases that ran out, searches past their deadline, imports that died, ends not noticed."""
    now = timezone.now()
    lost, back = leases_reconcile(now=now)
    found = Reconciled(
        photos_back=back,
        photos_lost=lost,
        searches_expired=searches_expire(now=now),
        shadow_back=shadow_reconcile(now=now),
        uploads_woken=uploads_wake(),
        jobs_forgotten=jobs_forget(now=now),
        uploads_forgotten=uploads_forget(now=now),
        bytes_deleted=bytes_sweep(now=now),
        archives_deleted=archives_sweep(),
    )
    _ends_notice()
    photos_owe(photos_of_another(settled=now - timedelta(seconds=2 * load_env().lease_seconds)), bundle_version="")
    return found


def leases_reconcile(*, now: datetime) -> tuple[int, int]:
    """Photos whose lease ran out: given up after ``LOST_LIMIT``, else pending again. Returns (given up, pending again).

    ``chunk_id`` stays, so that a result which is merely late is still welcome until the photo is sent anew. While no
    worker is alive, no photo is to blame: a night without workers gives nothing up.
    """
    blame = client.any_worker_alive()
    run_out = Photo.objects.filter(state=LedgerState.DISPATCHED, lease_until__lt=now)
    with transaction.atomic():
        run_out.filter(changed=True).update(
            state=LedgerState.PENDING, changed=False, chunk_id=None, lease_until=None, queued_at=now
        )
        lost = 0
        if blame:
            lost = run_out.filter(attempts__gte=LOST_LIMIT - 1).update(
                state=LedgerState.FAILED,
                attempts=F("attempts") + 1,
                finished_at=now,
                error_code="worker_lost",
                error_message="Every worker that took this photo was lost. Retry it once the workers are healthy.",
            )
        back = run_out.update(
            state=LedgerState.PENDING, attempts=F("attempts") + int(blame), lease_until=None, queued_at=now
        )
        recognitions_drop(photos=Photo.objects.all())
    return lost, back


def searches_expire(*, now: datetime) -> int:
    """Searches past their deadline are expired, never run late. Returns how many."""
    late = Job.objects.filter(
        kind=JobKind.SEARCH, state__in=(JobState.PENDING, JobState.DISPATCHED), deadline__lt=now
    ).values_list("pk", flat=True)
    expired = 0
    for job_id in list(late):
        with transaction.atomic():
            changed = Job.objects.filter(pk=job_id, state__in=(JobState.PENDING, JobState.DISPATCHED)).update(
                state=JobState.EXPIRED,
                finished_at=now,
                error_code="deadline_passed",
                error_message="No worker was free before the deadline. Try again, or allow more time.",
            )
            if changed:
                event_job_finished(job_id=job_id)
        if changed:
            expired += 1
            job_announce(job_id=job_id)
    return expired


def searches_resend() -> int:
    """Send searches that the broker could not take when they were made. Returns how many were tried."""
    now = timezone.now()
    pending = Job.objects.filter(kind=JobKind.SEARCH, state=JobState.PENDING, deadline__gt=now)
    tried = 0
    for job in pending.order_by("created_at"):
        taken = Job.objects.filter(pk=job.pk, state=JobState.PENDING).update(
            state=JobState.DISPATCHED, lease_until=job.deadline
        )
        if taken:
            search_job_send(job=job)
            tried += 1
    return tried


def _ends_notice() -> None:
    """Ends that a killed coordinator did not notice: jobs and uploads none of whose photos is owed any more."""
    owed = Q(photos__state__in=(LedgerState.PENDING, LedgerState.DISPATCHED))
    jobs = Job.objects.filter(kind=JobKind.RECOGNITION, state__in=(JobState.PENDING, JobState.DISPATCHED))
    for job_id in jobs.exclude(owed).values_list("pk", flat=True):  # also one whose photos were all deleted
        with transaction.atomic():
            recognition_job_finish(job_id=job_id)
    for upload_id in uploads_processing():
        upload_finish_if_done(upload_id=upload_id)
