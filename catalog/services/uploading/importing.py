"""The import itself: one pass over an upload, a batch at a time, which any process can take up where another died.

Comes after ``services.upload`` committed the upload and woke the coordinator; the dispatcher follows behind, taking
photos while later rows are still read. Each batch first reads and stores its photos, then writes everything that it
changes, its verdicts and its place in the manifest in one transaction.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import Upload, UploadState
from catalog.services.uploading.batch import Importer, counted
from catalog.services.uploading.catalogue import CatalogueImport
from catalog.services.uploading.faults import LeaseLost, UploadFault
from catalog.services.uploading.lease import Lease
from catalog.services.uploading.manifest import Row, find_manifest
from catalog.services.uploading.recognition import RecognitionImport
from catalog.services.uploading.sources import Source, open_source
from catalog.services.webhooks.events import event_upload_finished
from config.env import load_env
from workers.client import Unavailable

log = logging.getLogger(__name__)

BATCH_ROWS = 200
BATCH_PHOTOS = 400
WRITE_TRIES = 3  # the API may create the very sku that a batch creates; judged anew, it is an update


def import_rows(upload_id: UUID, *, on_batch: Callable[[], None]) -> bool:
    """Import an upload, or the rest of it. Returns whether this call finished it, well or badly.

    ``on_batch`` is called after each committed batch.

    A storage that is away leaves the upload to the next round of the reconciler; a bug of ours is raised after the
    lease is given back, and fails the upload once ``max_attempts`` runs in a row got no row further.
    """
    try:
        lease = Lease(upload_id)
        upload = Upload.objects.select_related("job").get(pk=upload_id)
        return _run(upload, lease, on_batch)
    except LeaseLost:
        log.info("upload %s is imported elsewhere, or was cancelled", upload_id)
        return False


def _run(upload: Upload, lease: Lease, on_batch: Callable[[], None]) -> bool:
    tries = load_env().max_attempts
    try:
        if upload.attempts > tries:
            raise UploadFault("import_failed", f"The import stopped {tries} times at the same place. It is our fault.")
        with open_source(upload) as source, _importer(upload, source, lease) as importer:
            _import_all(upload, importer, lease, on_batch)
    except UploadFault as fault:
        _finish(upload, lease, UploadState.FAILED, error_code=fault.code, error_message=fault.message[:500])
    except Unavailable as error:
        log.warning("upload %s waits: %s", upload.pk, error)
        lease.release(wait=timedelta(seconds=load_env().reconcile_seconds), attempts=0)
        return False
    except LeaseLost:
        raise
    except Exception:
        lease.release()
        raise
    else:
        _finish(upload, lease, UploadState.DONE if upload.dry_run else UploadState.PROCESSING)
    return True


def _importer(upload: Upload, source: Source, lease: Lease) -> AbstractContextManager[Importer]:
    manifest = source.entries[0] if source.is_bare else find_manifest(source.entries)
    if manifest:
        return closing(CatalogueImport(upload, source, manifest))
    return nullcontext(RecognitionImport(upload, source, lease))


def _import_all(upload: Upload, importer: Importer, lease: Lease, on_batch: Callable[[], None]) -> None:
    lease.write(kind=importer.kind, columns=importer.columns, note=importer.note, rows_total=importer.rows_total)
    for rows in _batches(islice(importer.rows(), upload.rows_done, None)):
        _import_batch(importer, rows, lease)
        on_batch()


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    photos = 0
    for row in rows:
        batch.append(row)
        photos += len(row.images or ())
        if len(batch) >= BATCH_ROWS or photos >= BATCH_PHOTOS:
            yield batch
            batch, photos = [], 0
    if batch:
        yield batch


def _import_batch(importer: Importer, rows: list[Row], lease: Lease) -> None:
    importer.check(rows)
    wanted = [(listed, not row.refused) for row in rows for listed in row.images or ()]
    taken = importer.taker.take_all(wanted, tick=lease.renew_if_due) if importer.taker else {}
    for left in reversed(range(WRITE_TRIES)):
        try:
            with transaction.atomic():
                report = importer.write(rows, taken)
                lease.write(attempts=0, **counted(report))
            return
        except IntegrityError:
            if not left:
                raise


def _finish(upload: Upload, lease: Lease, state: UploadState, **columns: Any) -> None:
    finished_at = None if state == UploadState.PROCESSING else timezone.now()
    with transaction.atomic():
        lease.release(state=state, finished_at=finished_at, **columns)
        if finished_at:
            event_upload_finished(upload_id=upload.pk)
