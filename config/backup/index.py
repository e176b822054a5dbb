"""The embedded index as it lies on disk. Only while no worker has it open: one process owns it.

An index server has snapshots of its own; without them, and without this file, every photo is embedded anew.
"""

import tarfile
from pathlib import Path

from config.backup.manifest import BackupError
from config.env import load_env
from workers.client import live_workers

NAME = "index.tar"


def index_check() -> None:
    """Raises ``BackupError``: ``index_on_server``, ``index_in_use``; ``Unavailable`` where that cannot be known."""
    if load_env().index_url.startswith(("http://", "https://")):
        said = "The index is on a server: use its own snapshots, or --without-index and embed the photos anew."
        raise BackupError("index_on_server", said)
    if live_workers():
        said = "A worker has the index open: stop it (photos and searches wait), or use --without-index."
        raise BackupError("index_in_use", said)


def index_write(folder: Path) -> None:
    """Pack the index's folder."""
    place = _place()
    with tarfile.open(folder / NAME, "w") as packed:
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            packed.add(path, arcname=path.name)


def index_is_empty() -> bool:
    """Whether no photo was ever indexed here."""
    place = _place()
    return not place.is_dir() or not any(place.iterdir())


def index_read(folder: Path) -> bool:
    """Unpack the index; False where the backup was made without it."""
    if not (folder / NAME).exists():
        return False
    place = _place()
    place.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / NAME, "r") as packed:
        packed.extractall(place, filter="data")
    return True


def _place() -> Path:
    return Path(load_env().index.removeprefix("edge://"))
