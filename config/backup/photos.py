"""The bytes that SQL refers to, as one tar file: photos, archives of uploads that are not read yet, bundles.

Keys are content hashes (of bundles and archives: names), so what was stored between the first row and the last byte
harms nothing, and every photo is checked against its own name on the way back. Thumbnails are made anew.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from catalog.models import UNFINISHED, Bundle, Job, LooseBytes, Photo, Upload
from config.backup.manifest import BackupError
from workers.client import BUNDLE_FILES, PhotoError, bundle_key, photo_store

NAME = "photos.tar"
SHA256_LENGTH = 64


def photos_write(folder: Path) -> tuple[int, int]:
    """Write all bytes, one file after the other. Returns how many, and how many SQL believes in that are not there."""
    store, written, missing = photo_store(), 0, 0
    with tarfile.open(folder / NAME, "w") as packed:
        for key in keys_used():
            try:
                data = store.read(key)
            except PhotoError:
                missing += 1
                continue
            entry = tarfile.TarInfo(key)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
            written += 1
    return written, missing


def keys_used() -> Iterator[str]:
    """Every storage key that a row names; a key may come twice where two tables name it."""
    for rows in (Photo.objects.all(), Job.objects.exclude(key=""), LooseBytes.objects.all()):
        yield from rows.order_by("key").values_list("key", flat=True).distinct().iterator()
    unread = Upload.objects.filter(state__in=UNFINISHED, source_is_folder=False)
    yield from unread.values_list("source", flat=True).iterator()
    for version in Bundle.objects.values_list("version", flat=True):
        yield from (bundle_key(version, name) for name in BUNDLE_FILES)


def photos_read(folder: Path) -> int:
    """Write all bytes of a backup into the photo store. Returns how many.

    Raises ``BackupError("backup_damaged")`` for a photo that is not what its name says.
    """
    store, number = photo_store(), 0
    with tarfile.open(folder / NAME, "r") as packed:
        for entry in packed:
            file = packed.extractfile(entry)
            data = file.read() if file else b""
            name = entry.name.rpartition("/")[2]
            if len(name) == SHA256_LENGTH and hashlib.sha256(data).hexdigest() != name:
                raise BackupError("backup_damaged", f"The photo {entry.name} in the backup is damaged.")
            store.put(entry.name, data)
            number += 1
    return number
