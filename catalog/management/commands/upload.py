"""``manage.py upload FILE_OR_FOLDER --merchant SLUG``: a bulk upload from the terminal, with its progress and its end.

The same way as through the API and the admin. Where no coordinator takes the import, this process does it itself.
"""

import sys
import time
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.text import slugify

from catalog.management.progress import Display, display, summary
from catalog.models import Merchant, Upload, UploadKind, UploadState
from catalog.selectors.upload import upload_bad_rows_csv, upload_problem_counts, upload_progress
from catalog.services.errors import Refused
from catalog.services.upload import upload_create, upload_create_from_folder, upload_import, uploads_owed
from workers import client
from workers.client import Unavailable

POLL_SECONDS = 0.3
COORDINATOR_SECONDS = 3.0  # a coordinator that is alive takes an upload in far less
WORKER_SECONDS = 10.0  # a worker that is alive shows itself in less
STALLED_SECONDS = 120.0

ALL_FINE, SOME_PROBLEMS, FAILED = 0, 1, 2


@dataclass(frozen=True)
class Wait:
    """How waiting for the workers ended: why it was given up (or nothing), and the exit code that this deserves."""

    words: str = ""
    code: int = ALL_FINE


class Command(BaseCommand):
    """Exit code 0: all fine; 1: rows refused, photos failed or stuck; 2: the upload failed."""

    help = "Upload photos in bulk: a ZIP or folder with a CSV/XLSX manifest, photos alone, or a manifest alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """See ``BaseCommand``."""
        parser.add_argument("source", type=Path, help="A ZIP, a folder, or a CSV/XLSX manifest.")
        parser.add_argument("--merchant", required=True, metavar="SLUG", help="Whose catalogue it is.")
        parser.add_argument("--create-merchant", action="store_true", help="Create the merchant if there is none.")
        parser.add_argument("--dry-run", action="store_true", help="Check every row and photo, change nothing.")
        parser.add_argument("--no-wait", action="store_true", help="Hand the upload over and return.")
        parser.add_argument("--bad-rows", type=Path, metavar="FILE", help="Write rows with problems there, as CSV.")

    def handle(self, *args: Any, **options: Any) -> None:
        """See ``BaseCommand``."""
        merchant = self._merchant(options["merchant"], create=options["create_merchant"])
        upload = self._create(merchant, options["source"], dry_run=options["dry_run"])
        self.stdout.write(f"Upload {upload.pk} of {upload.name} for {merchant.slug}")
        if options["no_wait"]:
            return
        with display(self.stdout) as shown:
            _await_import(upload, shown)
            wait = _await_photos(upload, shown)
        code = self._report(upload, wait, options["bad_rows"])
        if code:
            sys.exit(code)

    def _merchant(self, slug: str, *, create: bool) -> Merchant:
        merchant = Merchant.objects.filter(slug=slug).first()
        if merchant is None and not create:
            raise CommandError(f"There is no merchant {slug!r}. Create it with --create-merchant.", returncode=FAILED)
        if merchant is None and slugify(slug) != slug:
            raise CommandError(f"{slug!r} is no slug: use small letters, digits and hyphens.", returncode=FAILED)
        return merchant or Merchant.objects.create(slug=slug, name=slug.replace("-", " ").title())

    def _create(self, merchant: Merchant, source: Path, *, dry_run: bool) -> Upload:
        options: dict[str, Any] = {"merchant": merchant, "dry_run": dry_run, "created_by": "manage.py upload"}
        try:
            if source.is_dir():
                return upload_create_from_folder(path=source, **options)
            with source.open("rb") as stream:
                return upload_create(name=source.name, stream=stream, **options)
        except OSError as error:
            raise CommandError(f"{source} cannot be read: {error.strerror}.", returncode=FAILED) from error
        except (Refused, Unavailable) as error:
            raise CommandError(error.message, returncode=FAILED) from error

    def _report(self, upload: Upload, wait: Wait, bad_rows: Path | None) -> int:
        progress = upload_progress(upload)
        problems = upload_problem_counts(upload)
        self.stdout.write(summary(upload, progress, problems))
        for line in filter(None, (upload.note, wait.words)):
            self.stdout.write(line)
        if upload.state in (UploadState.FAILED, UploadState.CANCELLED):
            words, code = upload.error_message or "The upload was cancelled.", upload.error_code or "cancelled"
            self.stderr.write(f"{words} [{code}]")
            return FAILED
        if problems and bad_rows:
            with bad_rows.open("w", encoding="utf-8", newline="") as file:
                file.writelines(upload_bad_rows_csv(upload))
            self.stdout.write(f"The rows with problems are in {bad_rows}: correct them and upload that file again.")
        elif problems and upload.kind == UploadKind.CATALOGUE:
            self.stdout.write("Add --bad-rows FILE to get the rows with problems as CSV.")
        return SOME_PROBLEMS if problems or progress.photos_failed else wait.code


def _await_import(upload: Upload, shown: Display) -> None:
    """Until the rows are read: by the coordinator, or by this process where nobody else does it."""

    def look() -> None:
        upload.refresh_from_db()
        shown.show(upload_progress(upload))

    free_since = time.monotonic()
    while upload.state in (UploadState.PENDING, UploadState.IMPORTING):
        if not uploads_owed().filter(pk=upload.pk).exists():
            free_since = time.monotonic()
        elif time.monotonic() - free_since > COORDINATOR_SECONDS:
            upload_import(upload_id=upload.pk, on_batch=look)
        else:
            time.sleep(POLL_SECONDS)
        look()


def _await_photos(upload: Upload, shown: Display) -> Wait:
    """Until the workers have done every photo, or nothing can be expected of them."""
    moved_at = alive_at = time.monotonic()
    last = -1
    while upload.state == UploadState.PROCESSING:
        progress = upload_progress(upload)
        shown.show(progress)
        now = time.monotonic()
        waiting = progress.photos_pending + progress.photos_dispatched
        if waiting != last:
            last, moved_at = waiting, now
        alive_at = now if _workers() else alive_at
        if now - alive_at > WORKER_SECONDS:
            return Wait(f"No worker is alive: {waiting} photos wait in the ledger and are done as soon as one starts.")
        if now - moved_at > STALLED_SECONDS:
            words = f"Nothing moved for {STALLED_SECONDS:g} s: is a coordinator running? {waiting} photos wait."
            return Wait(words, SOME_PROBLEMS)
        time.sleep(POLL_SECONDS)
        upload.refresh_from_db()
    shown.show(upload_progress(upload))
    return Wait()


def _workers() -> int:
    try:
        return len(client.live_workers())
    except Unavailable:
        return 0
