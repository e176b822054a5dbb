"""``manage.py backup FOLDER``: everything that cannot be made again, in one folder. The site stays up."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from config.backup.index import index_check, index_write
from config.backup.manifest import BackupError, manifest_write
from config.backup.photos import photos_write
from config.backup.sql import sql_write
from workers.client import Unavailable


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
            if folder.exists() and any(folder.iterdir()):
                raise BackupError("backup_place_taken", f"{folder} is not empty.")
            if not options["without_index"]:
                index_check()
            folder.mkdir(parents=True, exist_ok=True)
            counts = sql_write(folder)
            written, missing = photos_write(folder)
            if not options["without_index"]:
                index_check()  # a worker that came up meanwhile has changed it
                index_write(folder)
        except (BackupError, Unavailable) as error:
            raise CommandError(f"{error.message} ({error.code})") from None
        except OSError as error:
            raise CommandError(f"The backup could not be written: {error} (backup_not_written)") from None
        manifest_write(folder, counts | {"files stored": written, "files missing": missing})
        rows = sum(counts.values())
        self.stdout.write(f"{rows} rows and {written} files are in {folder}.")
        if missing:
            self.stderr.write(f"{missing} files that SQL refers to are not in the photo store.")
