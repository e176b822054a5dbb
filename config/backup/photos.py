"""The bytes that SQL refers to, as one tar file: photos, archives of uploads that are not read yet, bundles.

Keys are content hashes (of bundles and archives: names), so what was stored between the first row and the last byte
harms nothing, and every photo is checked against its own name on the way back. Thumbnails are made anew. Archives may
be as large as a disk: they are streamed. A file that cannot be read costs the backup that file and no other.
"""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import UUID

from catalog.models import Bundle, ExamplePhoto, Job, LooseBytes, Photo, Upload, UploadState
from catalog.services.errors import Refused
from catalog.services.uploading.spool import spool_write
from config.backup.manifest import BackupError
from workers.client import BUNDLE_FILES, PhotoError, Unavailable, bundle_key, photo_store

NAME = "photos.tar"
SHA256_LENGTH = 64
ARCHIVES = "uploads/"


@dataclass
class Written:
    """How many files are in the backup, and the keys that SQL believes in of those that are not.

    ``missing``: nothing is stored under the key; ``unreadable``: something is, and cannot be read.
    """

    files: int = 0
    missing: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def photos_write(folder: Path) -> Written:
    """Write all bytes, one file after the other. Raises ``Unavailable`` where the storage is away as a whole."""
    written = Written()
    with (folder / NAME).open("wb") as out, tarfile.open(fileobj=out, mode="w") as packed:
        for key in keys_used():
            before = packed.offset
            try:
                with photo_store().open(key) as file:
                    _pack(packed, key, file)
                written.files += 1
            except PhotoError:
                written.missing.append(key)
            except Unavailable:
                photo_store().check(used=True)
                written.unreadable.append(key)
                out.truncate(out.seek(before))  # what was begun of it
                packed.offset = before
    return written


def _pack(packed: tarfile.TarFile, key: str, file: IO[bytes]) -> None:
    entry = tarfile.TarInfo(key)
    entry.size = file.seek(0, os.SEEK_END)
    file.seek(0)
    packed.addfile(entry, file)


def keys_used() -> Iterator[str]:
    """Every storage key that a row names; a key may come twice where two tables name it."""
    photos, loose = Photo.objects.all(), LooseBytes.objects.all()
    for rows in (photos, Job.objects.exclude(key=""), ExamplePhoto.objects.all(), loose):
        yield from rows.order_by("key").values_list("key", flat=True).distinct().iterator()
    unread = Upload.objects.filter(state__in=(UploadState.PENDING, UploadState.IMPORTING), source_is_folder=False)
    yield from unread.exclude(source="").values_list("source", flat=True).iterator()
    for version in Bundle.objects.values_list("version", flat=True):
        yield from (bundle_key(version, name) for name in BUNDLE_FILES)


def photos_read(folder: Path) -> int:
    """Write all bytes of a backup into the photo store. Returns how many.

    Raises ``Unavailable``, and ``BackupError``: backup_damaged for a photo that is not what its name says,
    upload_too_large for an archive that this installation does not take.
    """
    store, number = photo_store(), 0
    with tarfile.open(folder / NAME, "r") as packed:
        for entry in packed:
            file = packed.extractfile(entry)
            assert file is not None
            if entry.name.startswith(ARCHIVES):
                _spool(UUID(entry.name.removeprefix(ARCHIVES)), file)
            else:
                store.put(entry.name, _checked(entry.name, file.read()))
            number += 1
    return number


def _spool(upload_id: UUID, file: IO[bytes]) -> None:
    try:
        spool_write(upload_id, file)
    except Refused as error:  # this installation takes smaller uploads than the one that was backed up
        raise BackupError(error.code, f"The archive of the upload {upload_id}: {error.message}") from error


def _checked(key: str, data: bytes) -> bytes:
    name = key.rpartition("/")[2]
    if len(name) == SHA256_LENGTH and hashlib.sha256(data).hexdigest() != name:
        raise BackupError("backup_damaged", f"The photo {key} in the backup is damaged.")
    return data
