"""A manifest with its photos: judges rows against the catalogue and writes them a batch at a time.

Comes after ``manifest`` and ``photos``; the dispatcher takes what is owed. The rules are those of ``services.product``
and ``services.photo``, with a handful of statements a batch instead of a handful a row.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO

from django.db.models import Min

from catalog.models import Upload, UploadKind, UploadRow
from catalog.services.problems import problem
from catalog.services.uploading.batch import upload_row
from catalog.services.uploading.changes import Changes
from catalog.services.uploading.entries import Entry
from catalog.services.uploading.faults import EntryFault, UploadFault
from catalog.services.uploading.lines import LINE_SUFFIXES, LinesManifest
from catalog.services.uploading.manifest import Manifest, Row
from catalog.services.uploading.names import ARCHIVE_SUFFIXES, PHOTO_SUFFIXES, NameIndex, suffix_of
from catalog.services.uploading.photos import Outcome, PhotoTaker, nested_archive
from catalog.services.uploading.sources import MANIFEST_LIMIT, Source

NAMED_LIMIT = 3


class CatalogueImport:
    """See ``batch.Importer``. Close it: it holds a copy of the manifest."""

    kind = UploadKind.CATALOGUE

    def __init__(self, upload: Upload, source: Source, entry: Entry) -> None:
        self._upload = upload
        self._file = _copied(source, entry)
        try:
            self._manifest = _manifest(self._file, entry)
            folder = entry.name.rpartition("/")[0]
            self.taker = None if source.is_bare else PhotoTaker(source, folder=folder, keep=not upload.dry_run)
            self._survey(source, entry)
        except BaseException:
            self._file.close()
            raise
        self.columns = list(self._manifest.columns)
        if self._leftovers and self._manifest.images_column not in self.columns:
            self.columns.append(self._manifest.images_column)

    def close(self) -> None:
        """Let the manifest's copy go."""
        self._file.close()

    def _survey(self, source: Source, manifest: Entry) -> None:
        """One pass before anything is written: how many rows there are, and which files nobody lists."""
        used = bytearray(len(source.entries))
        count = self._last_number = 0
        for row in self._manifest.rows():
            count += 1
            self._last_number = row.number
            if self.taker:
                _mark_used(self.taker.index, row, used)
        if not count:
            raise UploadFault("manifest_empty", "The manifest has a header but no rows.")
        unused = [e for place, e in enumerate(source.entries) if not used[place] and e is not manifest]
        told = [(entry, leftover_fault(entry)) for entry in unused]
        self._leftovers = [(entry.name, fault) for entry, fault in told if fault]
        self.rows_total = count + len(self._leftovers)
        self.note = _note(manifest, self._manifest, [entry.name for entry, fault in told if not fault])

    def rows(self) -> Iterator[Row]:
        """The manifest's rows, then a refused row for each photo that none of them lists."""
        for row in self._manifest.rows():
            if self.taker is None:
                row.images = None
            yield row
        column = self._manifest.images_column
        for number, (name, fault) in enumerate(self._leftovers, start=self._last_number + 1):
            found = problem(fault.code, fault.message, field="images", photo=name)
            yield Row(number, {column: name}, problems=[found], refused=True)

    def check(self, rows: Sequence[Row]) -> None:
        """Refuse the second row with a sku, whether the first is in this batch, an earlier one, or refused itself."""
        skus = {row.sku for row in rows if row.sku}
        earlier = UploadRow.objects.filter(upload=self._upload, sku__in=skus, number__lt=rows[0].number)
        first = dict(earlier.values_list("sku").annotate(Min("number")))
        for row in rows:
            if row.sku and first.setdefault(row.sku, row.number) != row.number:
                sentence = f"Row {first[row.sku]} has the same sku; only one row for each sku is taken."
                row.problems.insert(0, problem("sku_duplicate", sentence, field="sku"))
                row.refused = True

    def write(self, rows: Sequence[Row], taken: Mapping[str, Outcome]) -> list[UploadRow]:
        """See ``Importer.write``."""
        changes = Changes(self._upload.merchant_id, rows, upload=self._upload)
        report = []
        for row in rows:
            judged = changes.judge(row, taken)
            product = None if self._upload.dry_run else judged.product
            report.append(
                upload_row(self._upload, row, problems=judged.problems, verdict=judged.verdict, product=product)
            )
        if not self._upload.dry_run:
            changes.write_products()
        UploadRow.objects.bulk_create(report)
        if not self._upload.dry_run:
            changes.write_photos({row.number: row for row in report})
        return report


def _manifest(file: IO[bytes], entry: Entry) -> Manifest | LinesManifest:
    return LinesManifest(file) if suffix_of(entry.name) in LINE_SUFFIXES else Manifest(file)


def _mark_used(index: NameIndex, row: Row, used: bytearray) -> None:
    for listed in row.images or ():
        with suppress(EntryFault):  # told when the row is judged
            used[index.find(listed)] = True


def leftover_fault(entry: Entry) -> EntryFault | None:
    """Why a file that no row lists is reported; ``None`` for files that are no photos."""
    if entry.fault:
        return entry.fault
    if suffix_of(entry.name) in ARCHIVE_SUFFIXES:
        return nested_archive(entry.name)
    if suffix_of(entry.name) in PHOTO_SUFFIXES:
        return EntryFault("photo_not_in_manifest", f"No row of the manifest lists {entry.name}; it was not used.")
    return None


def _copied(source: Source, entry: Entry) -> IO[bytes]:
    try:
        return source.copy(entry, MANIFEST_LIMIT)
    except EntryFault as error:
        code = "manifest_too_large" if error.code == "entry_too_large" else "manifest_unreadable"
        raise UploadFault(code, f"The manifest cannot be read. {error.message}") from error


def _note(entry: Entry, manifest: Manifest | LinesManifest, unused: Sequence[str]) -> str:
    note = f"Manifest {entry.name[-100:]}: {manifest.note}."
    if unused:
        shown = ", ".join(name[-60:] for name in unused[:NAMED_LIMIT])
        more = f" and {len(unused) - NAMED_LIMIT} more" if len(unused) > NAMED_LIMIT else ""
        note += f" Not used, because they are no photos: {shown}{more}."
    return note[:500]
