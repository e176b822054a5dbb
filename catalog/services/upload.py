"""Bulk uploads: taken in, imported, cancelled, and done when the workers have done their photos.

The first and last step of an upload's way: ``upload_create`` streams the archive to the store and wakes the
coordinator, whose task calls ``upload_import``; ``result`` calls ``row_problem_add`` and ``upload_finish_if_done``.
Everything in between is in the package ``uploading``.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from catalog.models import UNFINISHED, LedgerState, Merchant, Photo, Upload, UploadRow, UploadState
from catalog.selectors.upload import uploads_kept_since
from catalog.services.enqueue import IMPORT_UPLOAD, dispatch_soon, wake
from catalog.services.errors import Refused
from catalog.services.job import OWED, job_cancel, recognition_job_finish
from catalog.services.notify import upload_announce
from catalog.services.problems import Problem, storable
from catalog.services.uploading.importing import import_rows
from catalog.services.uploading.lease import importable
from catalog.services.uploading.spool import Readable, spool_delete, spool_write
from catalog.services.webhooks.events import event_upload_finished
from workers.client import Unavailable

log = logging.getLogger(__name__)

ARCHIVE_READ = (UploadState.PROCESSING, UploadState.DONE, UploadState.FAILED, UploadState.CANCELLED)
SWEPT_AT_ONCE = 100
FORGOTTEN_AT_ONCE = 1_000
ROWS_FORGOTTEN_AT_ONCE = 5_000  # so that no transaction is long: a large upload takes several rounds

# In a problem that a worker found: whose it is. What the import found about a file of the same name has none.
PHOTO_ID = "photo_id"


def upload_create(
    *,
    merchant: Merchant,
    name: str,
    stream: Readable,
    dry_run: bool = False,
    created_by: str = "",
    upload_id: UUID | None = None,
) -> Upload:
    """Store an archive or a manifest as it streams in, and owe its import.

    ``name`` is the file's name (its suffix tells a bare CSV). With an ``upload_id`` it happens once: an upload of the
    merchant's that has this id already is returned as it stands, and nothing is read.

    Raises ``Refused``: upload_empty, upload_too_large (413); ``Unavailable``. Whatever is wrong inside is told by the
    import.
    """
    if upload_id and (made := Upload.objects.filter(merchant=merchant, pk=upload_id).first()):
        return made
    upload_id = upload_id or uuid4()
    source = spool_write(upload_id, stream)
    try:
        return _create(upload_id, merchant, name, source, dry_run=dry_run, created_by=created_by)
    except IntegrityError:  # the same request was taken up elsewhere meanwhile: the archive is that one's
        raise
    except BaseException:
        spool_delete(source)
        raise


def upload_create_from_folder(*, merchant: Merchant, path: Path, dry_run: bool = False, created_by: str = "") -> Upload:
    """Owe the import of a folder, which the importing machine reads in place.

    Raises ``Refused``: folder_missing, folder_name_not_text (its path cannot be kept in the upload's row).
    """
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise Refused("folder_missing", f"There is no folder {storable(str(folder))}.")
    if storable(str(folder)) != str(folder):
        raise Refused("folder_name_not_text", f"The path {storable(str(folder))} is not UTF-8: rename the folder.")
    return _create(
        uuid4(), merchant, folder.name, str(folder), dry_run=dry_run, created_by=created_by, source_is_folder=True
    )


def _create(
    upload_id: UUID,
    merchant: Merchant,
    name: str,
    source: str,
    *,
    dry_run: bool,
    created_by: str,
    source_is_folder: bool = False,
) -> Upload:
    with transaction.atomic():
        upload = Upload.objects.create(
            pk=upload_id,
            merchant=merchant,
            name=storable(name[-255:]),
            source=source,
            source_is_folder=source_is_folder,
            dry_run=dry_run,
            created_by=created_by[:150],
        )
        transaction.on_commit(partial(upload_wake, upload_id=upload.pk))
    return upload


def upload_wake(*, upload_id: UUID) -> None:
    """Ask the coordinator to import it now; with the broker away the reconciler asks again."""
    wake(IMPORT_UPLOAD, str(upload_id))


def upload_import(*, upload_id: UUID | str, on_batch: Callable[[], None] = lambda: None) -> bool:
    """Import an upload, or what is left of it. May run twice, in two places, or be killed: every row counts once.

    Returns whether this call finished it, well or badly.

    ``on_batch`` is called after each committed batch of rows, for those who show progress.
    """
    upload_id = UUID(str(upload_id))

    def batch_done() -> None:
        upload_announce(upload_id=upload_id)
        on_batch()

    if not import_rows(upload_id, on_batch=batch_done):
        return False
    upload_announce(upload_id=upload_id)
    upload = Upload.objects.get(pk=upload_id)
    _drop_archive(upload)
    if upload.job_id:
        with transaction.atomic():
            recognition_job_finish(job_id=upload.job_id)
    if not upload_finish_if_done(upload_id=upload_id):
        dispatch_soon()
    return True


def upload_finish_if_done(*, upload_id: UUID) -> bool:
    """Mark an upload done once it is imported and none of its photos is owed. Returns whether it just became done.

    Its row is locked before the photos are counted: of two last chunks stored at the same moment, the second sees both.
    """
    with transaction.atomic():
        waiting = Upload.objects.filter(pk=upload_id, state=UploadState.PROCESSING)
        if waiting.select_for_update(no_key=True).first() is None:
            return False
        owed = Photo.objects.filter(upload_id=upload_id, state__in=(LedgerState.PENDING, LedgerState.DISPATCHED))
        if owed.exists():
            return False
        waiting.update(state=UploadState.DONE, finished_at=timezone.now())
        event_upload_finished(upload_id=upload_id)
        transaction.on_commit(partial(upload_announce, upload_id=upload_id))
        return True


def upload_cancel(*, upload: Upload) -> Upload:
    """Read no more rows. What was imported stays, and photos of products are indexed; a recognition job is cancelled.

    Raises ``Refused("upload_finished")`` (409).
    """
    with transaction.atomic():
        running = Upload.objects.filter(pk=upload.pk, state__in=UNFINISHED)
        if not running.update(state=UploadState.CANCELLED, finished_at=timezone.now(), lease_until=None):
            raise Refused("upload_finished", "This upload is already finished.", status=409)
        event_upload_finished(upload_id=upload.pk)
        upload.refresh_from_db()
        if upload.job and upload.job.state in OWED:
            job_cancel(job=upload.job)
        transaction.on_commit(partial(upload_announce, upload_id=upload.pk))
    _drop_archive(upload)
    return upload


def uploads_owed() -> QuerySet[Upload]:
    """Uploads to be imported that nobody holds: new ones, and those whose import died."""
    return importable()


def uploads_wake() -> int:
    """Wake the import of every upload that nobody holds, the oldest first. Returns how many."""
    owed = list(uploads_owed().order_by("created_at").values_list("pk", flat=True))
    for upload_id in owed:
        upload_wake(upload_id=upload_id)
    return len(owed)


def uploads_processing() -> QuerySet[Upload, UUID]:
    """Ids of uploads that wait for nothing but the workers."""
    return Upload.objects.filter(state=UploadState.PROCESSING).values_list("pk", flat=True)


def row_problem_add(*, row_id: int, problem: Problem) -> None:
    """Add what a worker found to the row of its photo; the same problem of the same photo is there once."""
    with transaction.atomic():
        row = UploadRow.objects.select_for_update().filter(pk=row_id).first()
        if row is None or any(_same(problem, known) for known in row.problems):
            return
        row.problems = [*row.problems, problem]
        row.save(update_fields=["problems"])


def row_problems_settle(*, photos: Iterable[Photo]) -> None:
    """These photos are done: what a worker found wrong with them before leaves their rows."""
    done = {(photo.upload_row_id, str(photo.pk)) for photo in photos if photo.upload_row_id}
    with transaction.atomic():
        rows = UploadRow.objects.select_for_update().filter(pk__in={row_id for row_id, _ in done}).exclude(problems=[])
        changed = []
        for row in rows.order_by("pk"):
            left = [each for each in row.problems if (row.pk, each.get(PHOTO_ID)) not in done]
            if len(left) < len(row.problems):
                row.problems = left
                changed.append(row)
        UploadRow.objects.bulk_update(changed, ["problems"])


def _same(one: Problem, other: Problem) -> bool:
    return (one["code"], one.get("photo", "")) == (other["code"], other.get("photo", ""))


def archives_sweep() -> int:
    """Delete archives that are needed no more: the process that was to do so died, or the store was away."""
    kept = Upload.objects.filter(source_is_folder=False, state__in=ARCHIVE_READ).exclude(source="")
    return sum(_drop_archive(upload) for upload in kept[:SWEPT_AT_ONCE])


def uploads_forget(*, now: datetime) -> int:
    """Delete the rows of uploads that finished long ago, some at a time. Returns how many uploads have none any more.

    An upload's own row stays: its photos say where they came from, and it says how many rows there were. Products and
    photos stay, those that are to be recognised and what was found on them too. So may a job outlive its upload.
    """
    due = Upload.objects.filter(finished_at__lt=uploads_kept_since(), forgotten_at=None).order_by("finished_at")
    uploads = list(due.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])
    rows = UploadRow.objects.filter(upload__in=uploads)
    UploadRow.objects.filter(pk__in=rows.order_by().values("pk")[:ROWS_FORGOTTEN_AT_ONCE]).delete()
    empty = Upload.objects.filter(~Exists(rows.filter(upload=OuterRef("pk"))), pk__in=uploads)
    return empty.update(columns=[], forgotten_at=now)


def _drop_archive(upload: Upload) -> bool:
    """The archive is not needed any more; one that cannot be deleted now is looked for by ``archives_sweep``."""
    if upload.source_is_folder or not upload.source:
        return False
    try:
        spool_delete(upload.source)
    except Unavailable as error:
        log.warning("the archive of upload %s stays in the store: %s", upload.pk, error)
        return False
    Upload.objects.filter(pk=upload.pk).update(source="")
    return True
