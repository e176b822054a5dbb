"""The shadow's ledger: photos owed to the bundle that is not live, and photos that both bundles are compared on.

Comes after ``bundle`` put a version into the shadow, and after ``result`` stored what the live index got: whatever the
live bundle has, the shadow is owed too. Before the workers' shadow lane, which does it when nothing else is to be done.
The rules are those of ``dispatch``: leases, lost ones taken back, a result counted once.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeAlias

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from catalog.models import Bundle, BundleState, ComparedPhoto, LedgerState, Photo, Purpose, ShadowPhoto
from catalog.selectors.bundle import bundle_in, photos_indexed
from catalog.selectors.product import product_facts
from catalog.services.rows import rows_saved
from config.env import load_env
from workers import client
from workers.client import Unavailable
from workers.contract import COUNTED_FAULTS, Assignment, Chunk, ChunkResult, Fault, PhotoOutcome, PhotoWork

CHUNK_PHOTOS = 16  # done within a lease also by a worker that rests most of the time
CHUNKS_A_WORKER = 2  # one in hand, one that waits
FILLED_AT_ONCE = 2_000
LOST_LIMIT = 5  # leases, as in ``dispatch``
RETRY_SECONDS = 5.0
RETIRED_TOLD = 20  # versions whose photos the workers are to delete; they have long deleted older ones'

Owed: TypeAlias = ShadowPhoto | ComparedPhoto


def assignment_write() -> None:
    """Tell the workers which bundles to serve, again and again: Redis may forget. Nothing without a live bundle.

    Raises ``Unavailable``.
    """
    versions: dict[str, list[str]] = {}
    for version, state in Bundle.objects.order_by("-created_at").values_list("version", "state"):
        versions.setdefault(state, []).append(version)
    if live := versions.get(BundleState.LIVE):
        shadow = "".join(versions.get(BundleState.SHADOW, []))
        retired = tuple(versions.get(BundleState.RETIRED, [])[:RETIRED_TOLD])
        client.write_assignment(Assignment(live=live[0], shadow=shadow, retired=retired))


def shadow_owe(*, photos: Iterable[Photo]) -> None:
    """The live index got these photos: the shadow, where there is one, is owed them as they are now."""
    ids = [photo.pk for photo in photos]
    if not ids or not Bundle.objects.filter(state=BundleState.SHADOW).exists():
        return
    now = timezone.now()
    ShadowPhoto.objects.bulk_create([ShadowPhoto(photo_id=pk) for pk in ids], ignore_conflicts=True)
    known = ShadowPhoto.objects.filter(photo__in=ids)
    known.filter(state=LedgerState.DISPATCHED).update(changed=True)
    known.exclude(state=LedgerState.DISPATCHED).update(
        state=LedgerState.PENDING, queued_at=now, attempts=0, error_code="", error_message=""
    )


def shadow_fill() -> int:
    """Owe the shadow some of the photos that it was never owed. Returns how many; 0 once it knows all."""
    shadow = Bundle.objects.filter(state=BundleState.SHADOW)
    if not shadow.exists():
        return 0
    new = photos_indexed().filter(shadow=None).order_by().values_list("pk", flat=True)[:FILLED_AT_ONCE]
    rows = [ShadowPhoto(photo_id=pk) for pk in new]
    ShadowPhoto.objects.bulk_create(rows, ignore_conflicts=True)
    shadow.update(is_filled=not rows)
    return len(rows)


def shadow_dispatch() -> int:
    """Send a few chunks for the shadow, comparisons first. Returns how many.

    Nothing is sent while no worker serves both bundles.
    """
    shadow = bundle_in(BundleState.SHADOW)
    if shadow is None:
        return 0
    try:
        able = sum(card.serves(shadow.version) for card in client.live_workers())
    except Unavailable:
        return 0
    if not shadow.is_filled and not ShadowPhoto.objects.filter(state=LedgerState.PENDING).exists():
        shadow_fill()
    room = able * CHUNKS_A_WORKER - _in_flight()
    sent = 0
    while sent < room and (chunk := _lease_compared() or _lease_photos(shadow.version)):
        try:
            client.send_shadow_chunk(chunk)
        except Unavailable:
            _rows_of(chunk.chunk_id, chunk.purpose).update(state=LedgerState.PENDING, lease_until=None)
            break
        sent += 1
    return sent


def _in_flight() -> int:
    return sum(
        model._default_manager.filter(state=LedgerState.DISPATCHED).values("chunk_id").distinct().count()
        for model in (ShadowPhoto, ComparedPhoto)
    )


@transaction.atomic
def _lease_photos(version: str) -> Chunk | None:
    """The next photos to embed: of one merchant, the longest-waiting first."""
    owed = ShadowPhoto.objects.filter(state=LedgerState.PENDING, queued_at__lte=timezone.now())
    owed = owed.filter(photo__purpose=Purpose.INDEX, photo__product__isnull=False)
    rows = _take(owed.select_related("photo__product"), "photo__merchant")
    if not rows:
        return None
    works = [
        PhotoWork(
            photo_id=row.photo_id, key=row.photo.key, product=product_facts(row.photo.product), region=row.photo.region
        )
        for row in rows
    ]
    return _leased(rows, works, version, Purpose.INDEX)


@transaction.atomic
def _lease_compared() -> Chunk | None:
    """The next photos to compare: of one merchant and one bundle."""
    owed = ComparedPhoto.objects.filter(state=LedgerState.PENDING, queued_at__lte=timezone.now())
    rows = _take(owed.select_related("photo"), "photo__merchant", "bundle_version")
    if not rows:
        return None
    works = [PhotoWork(photo_id=row.photo_id, key=row.photo.key, region=row.photo.region) for row in rows]
    return _leased(rows, works, rows[0].bundle_version, Purpose.RECOGNISE)


def _take(owed: QuerySet, *same: str) -> list:
    """The longest-waiting rows that agree in these columns, locked; as many as one chunk carries."""
    first = owed.order_by("queued_at", "pk").values(*same).first()
    if first is None:
        return []
    skip_locked = connection.features.has_select_for_update_skip_locked
    locked = owed.filter(**first).select_for_update(skip_locked=skip_locked, of=("self",))
    return list(locked.order_by("queued_at", "pk")[:CHUNK_PHOTOS])


def _leased(rows: list, works: list[PhotoWork], version: str, purpose: Purpose) -> Chunk:
    chunk_id = uuid.uuid4()
    type(rows[0])._default_manager.filter(pk__in=[row.pk for row in rows]).update(
        state=LedgerState.DISPATCHED,
        chunk_id=chunk_id,
        lease_until=timezone.now() + timedelta(seconds=load_env().lease_seconds),
    )
    return Chunk(
        chunk_id=chunk_id,
        merchant_id=rows[0].photo.merchant_id,
        purpose=purpose.value,
        photos=tuple(works),
        bundle=version,
        shadow=True,
    )


def _rows_of(chunk_id: uuid.UUID, purpose: str) -> QuerySet:
    model = ShadowPhoto if purpose == Purpose.INDEX else ComparedPhoto
    return model._default_manager.filter(chunk_id=chunk_id, state__in=(LedgerState.PENDING, LedgerState.DISPATCHED))


@transaction.atomic
def shadow_result_store(*, result: ChunkResult) -> int:
    """Store the outcomes of a shadow chunk that still owes them. Returns how many.

    One of a bundle that is neither live nor in the shadow any more is about nothing, and left alone.
    """
    if not Bundle.objects.filter(version=result.bundle_version).exclude(state=BundleState.RETIRED).exists():
        return 0
    outcomes = {outcome.photo_id: outcome for outcome in result.outcomes}
    rows = list(_rows_of(result.chunk_id, result.purpose).select_for_update().order_by("pk"))
    told = [row for row in rows if row.photo_id in outcomes]
    now = timezone.now()
    with rows_saved(told):  # all of one model: a chunk is of one purpose
        for row in told:
            _store(row, outcomes[row.photo_id], now)
    return len(told)


def _store(row: Owed, outcome: PhotoOutcome, now: datetime) -> None:
    row.lease_until, row.chunk_id = None, None
    if isinstance(row, ShadowPhoto) and row.changed:
        row.state, row.queued_at, row.changed = LedgerState.PENDING, now, False
    elif outcome.fault:
        _store_fault(row, outcome.fault, now)
    else:
        row.state, row.finished_at, row.error_code, row.error_message = LedgerState.DONE, now, "", ""
        if isinstance(row, ComparedPhoto):
            row.verdict = outcome.verdict or ""
            row.candidates = [candidate.model_dump(mode="json") for candidate in outcome.candidates]


def _store_fault(row: Owed, fault: Fault, now: datetime) -> None:
    """A service that is away costs nothing but time; what else went wrong is tried as often as with the live index."""
    row.error_code, row.error_message = fault.code, fault.message[:500]
    counted = fault.code in COUNTED_FAULTS
    row.attempts += counted or fault.kind != "retry"
    seconds: float | None = None
    if counted:
        seconds = load_env().lease_seconds if row.attempts < LOST_LIMIT else None
    elif fault.kind == "retry":
        seconds = RETRY_SECONDS
    elif fault.kind == "bug" and row.attempts < load_env().max_attempts:
        seconds = 2.0**row.attempts
    if seconds is not None:
        row.state, row.queued_at = LedgerState.PENDING, now + timedelta(seconds=seconds)
    else:
        row.state, row.finished_at = LedgerState.FAILED, now


def shadow_reconcile(*, now: datetime) -> int:
    """Take back what was leased and never answered, and find what was never owed. Returns how many photos.

    While no worker is alive, no photo is to blame.
    """
    back, blame = 0, int(client.any_worker_alive())
    for model in (ShadowPhoto, ComparedPhoto):
        back += model._default_manager.filter(state=LedgerState.DISPATCHED, lease_until__lt=now).update(
            state=LedgerState.PENDING, lease_until=None, queued_at=now, attempts=F("attempts") + blame
        )
        model._default_manager.filter(state=LedgerState.PENDING, attempts__gte=LOST_LIMIT).update(
            state=LedgerState.FAILED,
            finished_at=now,
            error_code="worker_lost",
            error_message="Every worker that took this photo was lost.",
        )
    return back + shadow_fill()


def photos_of_another(*, settled: datetime) -> QuerySet[Photo]:
    """Indexed photos that another bundle than the live one embedded, where that became live after ``settled``.

    A result that was being stored at the very moment of a promotion; a moment later nothing of the kind can happen.
    """
    live = bundle_in(BundleState.LIVE)
    if live is None or live.live_since is None or live.live_since < settled:
        return Photo.objects.none()
    return photos_indexed().exclude(bundle_version=live.version)
