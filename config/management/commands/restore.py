"""``manage.py restore FOLDER``: a backup into an empty installation, whole or not at all as far as SQL goes."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, call_command

from catalog.services.photo import photos_reindex
from config.backup.index import index_is_empty, index_read
from config.backup.manifest import BackupError, manifest_read
from config.backup.photos import photos_read
from config.backup.sql import sql_is_empty, sql_read
from workers.client import Unavailable, photo_store


class Command(BaseCommand):
    """Check a backup, then bring it back."""

    help = "Restore a backup into an empty installation: a new database, photo store and index. Stop everything first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """From where."""
        parser.add_argument("folder", type=Path, metavar="FOLDER")

    def handle(self, *args: Any, **options: Any) -> None:
        """Bytes before rows: a restore that was cut off has no rows yet, and is repeated from an empty place."""
        folder: Path = options["folder"]
        try:
            call_command("migrate", verbosity=0)
            manifest = manifest_read(folder)
            self._refuse_used_place()
            files = photos_read(folder)
            has_index = index_read(folder)
            counts = sql_read(folder)
        except (BackupError, Unavailable) as error:
            raise CommandError(f"{error.message} ({error.code})") from None
        self.stdout.write(f"{sum(counts.values())} rows and {files} files of {manifest.made_at} are back.")
        if not has_index:
            self.stdout.write(f"{photos_reindex()} photos are to be embedded again: the backup has no index.")

    def _refuse_used_place(self) -> None:
        taken = [
            name
            for name, is_empty in (
                ("the database", sql_is_empty()),
                ("the photo store", photo_store().is_empty()),
                ("the index", index_is_empty()),
            )
            if not is_empty
        ]
        if taken:
            raise BackupError("restore_place_taken", f"Not empty: {', '.join(taken)}. Nothing was changed.")
