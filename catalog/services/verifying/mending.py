"""Mends what a verification found, through the services that do the same every day: by owing it again, or letting go.

Comes after the checks, for each batch of findings of one code. What has no way here can only be mended by sending it
again: nobody else has the bytes of a photo.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic, sleep
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from catalog.models import LedgerState, LooseBytes, Photo, RowVerdict, Upload, UploadState
from catalog.services.dispatch import leases_reconcile, searches_expire
from catalog.services.job import recognition_job_finish
from catalog.services.photo import photos_owe
from catalog.services.upload import upload_finish_if_done
from catalog.services.verifying.findings import Finding
from catalog.services.verifying.points import ask
from workers import client
from workers.contract import CHUNK_LIMIT, Chunk, PhotoWork

FORGET_SECONDS = 60.0  # how long to wait for the workers to forget points: chunks that wait are done first
LOOK_SECONDS = 0.5

Found = Sequence[Finding]


def mend(code: str, found: Found) -> int:
    """Mend findings of one code. Returns how many are mended or owed now. Raises ``Unavailable``."""
    way = WAYS.get(code)
    return way(found) if way else 0


def _take_back_leases(found: Found) -> int:
    """One that never got an end has run out now."""
    now = timezone.now()
    endless = Photo.objects.filter(pk__in=[UUID(each.subject) for each in found], lease_until=None)
    endless.filter(state=LedgerState.DISPATCHED).update(lease_until=now - timedelta(seconds=1))
    return sum(leases_reconcile(now=now))


def _owe_again(found: Found) -> int:
    """To be embedded anew, whatever bundle embedded them before."""
    return photos_owe(Photo.objects.filter(pk__in=[UUID(each.subject) for each in found]), bundle_version="")


def _expire_searches(found: Found) -> int:
    return searches_expire(now=timezone.now())


def _finish_jobs(found: Found) -> int:
    for each in found:
        recognition_job_finish(job_id=UUID(each.subject))
    return len(found)


def _finish_uploads(found: Found) -> int:
    return sum(upload_finish_if_done(upload_id=UUID(each.subject)) for each in found)


def _count_rows(found: Found) -> int:
    for each in found:
        with transaction.atomic():
            upload = Upload.objects.select_for_update().get(pk=UUID(each.subject))
            told = {f"rows_{verdict}": Count("pk", filter=Q(verdict=verdict)) for verdict in RowVerdict.values}
            counts = upload.rows.aggregate(rows_done=Count("pk"), **told)
            if upload.state in (UploadState.PROCESSING, UploadState.DONE):  # read to the end
                counts["rows_total"] = counts["rows_done"]
            Upload.objects.filter(pk=upload.pk).update(**counts)
    return len(found)


def _let_bytes_go(found: Found) -> int:
    """Into the hands of ``photo.bytes_sweep``, which looks again in an hour whether nobody refers to them."""
    now = timezone.now()
    loose = [LooseBytes(sha256=each.subject.rpartition("/")[2], key=each.subject, since=now) for each in found]
    LooseBytes.objects.bulk_create(loose, ignore_conflicts=True)
    return len(loose)


def _delete_files(found: Found) -> int:
    for each in found:
        client.photo_store().delete(each.subject)
    return len(found)


def _forget(found: Found) -> int:
    """Tell the workers to forget points that no row owns, and wait until they have."""
    by_merchant: dict[UUID, list[UUID]] = defaultdict(list)
    for each in found:
        by_merchant[UUID(each.owner)].append(UUID(each.subject))
    for merchant_id, photo_ids in by_merchant.items():
        for start in range(0, len(photo_ids), CHUNK_LIMIT):
            works = tuple(PhotoWork(photo_id=each, key="") for each in photo_ids[start : start + CHUNK_LIMIT])
            client.send_chunk(Chunk(chunk_id=uuid4(), merchant_id=merchant_id, purpose="forget", photos=works))
    until = monotonic() + FORGET_SECONDS
    while left := len(ask(UUID(each.subject) for each in found).points):
        if monotonic() > until:
            break
        sleep(LOOK_SECONDS)
    return len(found) - left


def _remove(found: Found) -> int:
    ask([uuid4()], remove=[each.subject for each in found])
    return len(found)


WAYS: dict[str, Callable[[Found], int]] = {
    "lease_stale": _take_back_leases,
    "photo_unexplained": _owe_again,
    "photo_without_item": _owe_again,
    "search_overdue": _expire_searches,
    "job_endless": _finish_jobs,
    "upload_endless": _finish_uploads,
    "upload_miscounted": _count_rows,
    "bytes_unused": _let_bytes_go,
    "thumbnail_unused": _delete_files,
    "archive_unused": _delete_files,
    "part_unused": _delete_files,
    "point_missing": _owe_again,
    "point_outdated": _owe_again,
    "point_of_other_bundle": _owe_again,
    "point_unowned": _forget,
    "point_twice": _remove,
}
