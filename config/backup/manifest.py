"""The list of what is in a backup: written last, read first. A folder without one is no backup.

Comes round ``sql``, ``photos`` and ``index``, each of which fills one file.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

FORMAT = 1  # raised when an older Vitrine could not read it
NAME = "backup.json"


class BackupError(Exception):
    """A backup that must not be written or read; ``code`` is stable, ``message`` a sentence for the operator."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Manifest:
    """What is in a backup. ``files``: SHA-256 of each; ``counts``: rows of each table, photos, and what was missing."""

    format: int
    made_at: str
    migrations: list[str]
    files: dict[str, str]
    counts: dict[str, int]


def manifest_write(folder: Path, counts: dict[str, int]) -> Manifest:
    """Close a backup: from now on it is one."""
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.name != NAME}
    manifest = Manifest(FORMAT, datetime.now(UTC).isoformat(timespec="seconds"), _migrations(), files, counts)
    part = folder / f".{NAME}"
    part.write_text(json.dumps(asdict(manifest), indent=1) + "\n")
    part.replace(folder / NAME)
    return manifest


def manifest_read(folder: Path) -> Manifest:
    """Check a backup from end to end before anything is changed.

    Raises ``BackupError``: ``backup_incomplete``, ``backup_of_another_release``, ``backup_damaged``.
    """
    try:
        manifest = Manifest(**json.loads((folder / NAME).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupError("backup_incomplete", f"{folder} holds no complete backup: {error}") from error
    if manifest.format != FORMAT or manifest.migrations != _migrations():
        said = "This backup is of another release: restore it with that release, then upgrade."
        raise BackupError("backup_of_another_release", said)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file() or _sha256(path) != expected:
            raise BackupError("backup_damaged", f"{path} is missing or damaged: nothing was restored.")
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _migrations() -> list[str]:
    """The migrations that this database has seen."""
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())
