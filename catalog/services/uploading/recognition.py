"""Photos without a manifest: a row and an owed photo each, all of them one recognition job.

Comes after ``sources`` found no manifest; the dispatcher takes the photos as they are written.
"""

from collections.abc import Iterator, Mapping, Sequence

from catalog.models import Job, JobKind, Photo, Purpose, RowVerdict, Upload, UploadKind, UploadRow
from catalog.services.uploading.batch import upload_row
from catalog.services.uploading.faults import UploadFault
from catalog.services.uploading.lease import Lease
from catalog.services.uploading.manifest import Row
from catalog.services.uploading.photos import Outcome, PhotoTaker, Taken, photo_row
from catalog.services.uploading.sources import Source

COLUMN = "photo"


class RecognitionImport:
    """See ``batch.Importer``."""

    kind = UploadKind.RECOGNITION
    columns = [COLUMN]
    note = "No manifest was found: every photo is to be recognised."

    def __init__(self, upload: Upload, source: Source, lease: Lease) -> None:
        if not source.entries:
            raise UploadFault("archive_empty", "There is no file in the upload.")
        self._upload = upload
        self._names = [entry.name for entry in source.entries]
        self._lease = lease
        self.rows_total = len(self._names)
        self.taker: PhotoTaker | None = PhotoTaker(source, folder="", keep=not upload.dry_run)

    def rows(self) -> Iterator[Row]:
        """One row a file, counted from 1."""
        return (Row(number, {COLUMN: name}, images=[name]) for number, name in enumerate(self._names, start=1))

    def check(self, rows: Sequence[Row]) -> None:
        """No photo makes another wrong."""

    def write(self, rows: Sequence[Row], taken: Mapping[str, Outcome]) -> list[UploadRow]:
        """See ``Importer.write``."""
        report = UploadRow.objects.bulk_create([self._report(row, taken[row.cells[COLUMN]]) for row in rows])
        if not self._upload.dry_run:
            Photo.objects.bulk_create(self._photos(report, taken))
        return report

    def _report(self, row: Row, outcome: Outcome) -> UploadRow:
        if isinstance(outcome, Taken):
            return upload_row(self._upload, row, verdict=RowVerdict.CREATED)
        return upload_row(self._upload, row, problems=[{**outcome, "field": COLUMN}], verdict=RowVerdict.REFUSED)

    def _photos(self, report: Sequence[UploadRow], taken: Mapping[str, Outcome]) -> Iterator[Photo]:
        job = self._job()
        for row in report:
            name = row.values[COLUMN]
            if isinstance(outcome := taken[name], Taken):
                yield photo_row(
                    outcome,
                    name=name,
                    merchant_id=self._upload.merchant_id,
                    job=job,
                    upload=self._upload,
                    upload_row=row,
                    purpose=Purpose.RECOGNISE,
                    position=row.number - 1,
                )

    def _job(self) -> Job:
        """The upload's job, made with its first batch."""
        if self._upload.job is None:
            self._upload.job = Job.objects.create(merchant_id=self._upload.merchant_id, kind=JobKind.RECOGNITION)
            self._lease.write(job=self._upload.job)
        return self._upload.job
