"""``manage.py backup FOLDER``: everything that cannot be made again, in one folder. The site stays up."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from config.backup.index import NAME as INDEX
from config.backup.index import index_check, index_write
from config.backup.manifest import BackupError, manifest_write
from config.backup.photos import NAME as PHOTOS
from config.backup.photos import photos_write
from config.backup.sql import NAME as SQL
from config.backup.sql import sql_write
from workers.client import Unavailable

PARTS = {SQL, PHOTOS, INDEX}  # a folder of these alone, without their list, is a backup that was cut off
INCOMPLETE = 2  # the exit code of a backup that is good but for files that could not be read
NAMED_LIMIT = 5


class Command(BaseCommand):
    """Write a backup into a new folder."""

    help = "Back up SQL, photos and the embedded index into a new folder. With the index, the workers must be stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where, and whether with the index."""
        parser.add_argument("folder", type=Path, metavar="FOLDER", help="A folder that is not there yet, or empty.")
        parser.add_argument(
            "--without-index",
            action="store_true",
            help="Leave the index out: photos are embedded anew after a restore.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """SQL first: what it refers to stays stored for an hour at least, whatever is deleted meanwhile."""
        folder: Path = options["folder"]
        try:
            unfinished = self._unfinished(folder)
            if not options["without_index"]:
                index_check()
            folder.mkdir(parents=True, exist_ok=True)
            for path in unfinished:
                path.unlink()
            counts = sql_write(folder)
            written = photos_write(folder)
            if not options["without_index"]:
                index_check()  # a worker that came up meanwhile has changed it
                index_write(folder)
        except (BackupError, Unavailable) as error:
            raise CommandError(f"{error.message} ({error.code})") from None
        except OSError as error:
            raise CommandError(f"The backup could not be written: {error} (backup_not_written)") from None
        files = {"files stored": written.files, "files missing": len(written.missing) + len(written.unreadable)}
        manifest_write(folder, counts | files)
        self.stdout.write(f"{sum(counts.values())} rows and {written.files} files are in {folder}.")
        if written.missing:
            self.stderr.write(f"{len(written.missing)} files that SQL refers to are not in the photo store.")
        if written.unreadable:
            named = ", ".join(written.unreadable[:NAMED_LIMIT])
            said = f"The backup lacks {len(written.unreadable)} files that are stored and cannot be read: {named}"
            raise CommandError(f"{said} (photo_bytes_unreadable)", returncode=INCOMPLETE)

    def _unfinished(self, folder: Path) -> list[Path]:
        """What an earlier try left in the folder, to be written again. Raises ``BackupError("backup_place_taken")``."""
        found = list(folder.iterdir()) if folder.exists() else []
        if {path.name for path in found} - PARTS:
            raise BackupError("backup_place_taken", f"{folder} is not empty.")
        return found
