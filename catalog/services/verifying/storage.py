"""Checks of the photo store against SQL, in both directions: rows without files, files without rows.

A check of ``services.verify``. Both sides are read one folder at a time (photos lie in 256, by the first signs of their
hash), so memory holds a 256th of them. Files are written before the rows that refer to them are committed: one younger
than ``photo.BYTES_KEPT`` is no orphan yet.
"""

import re
import time
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from catalog.models import ExamplePhoto, Job, LooseBytes, Photo, Upload, UploadState
from catalog.services.photo import BYTES_KEPT
from catalog.services.verifying.findings import BATCH, Batches, Finding
from workers import client
from workers.client import PhotoStore

PHOTO_FOLDER = re.compile(r"[0-9a-f]{2}")
PHOTO_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{64})")
THUMBNAIL_KEY = re.compile(r"thumbs/[0-9a-f]{2}/([0-9a-f]{64})-\w+\.webp")
ARCHIVE_KEY = re.compile(r"uploads/([0-9a-f-]{36})(\.part)?")
PART = re.compile(r"(.+/)?\.[^/]+\.(part|old)")
THUMBNAILS, ARCHIVES = "thumbs", "uploads"
DROP_SECONDS = 2.0  # after an import has committed its end, its archive goes; longer than that takes


def storage_check(count: dict[str, int]) -> Batches:
    """All checks of this module. Adds to ``count`` how many files were looked at. Raises ``Unavailable``."""
    young = timezone.now() - BYTES_KEPT
    count["files"] = 0
    is_used = Photo.objects.exists() or Job.objects.exclude(key="").exists() or ExamplePhoto.objects.exists()
    if not is_used and client.photo_store().is_empty():
        folders: list[str] = []  # a store that nothing was put in yet may well be empty
    else:
        folders = client.photo_store().folders()
    for prefix in (f"{number:02x}" for number in range(256)):
        yield from _photos(prefix, folders, young, count)
    if THUMBNAILS in folders:
        yield from _thumbnails(young, count)
    if ARCHIVES in folders:
        yield from _archives(young, count)


def _photos(prefix: str, folders: list[str], young: datetime, count: dict[str, int]) -> Batches:
    """One folder of photos. Rows are read before files: what is stored for a row is there before the row is."""
    sizes, searched = _referred(prefix)
    files = {file.key: file for file in client.photo_store().files(prefix)} if prefix in folders else {}
    count["files"] += len(files)
    absent = [key for key in (*sizes, *searched) if key not in files]
    yield [Finding("bytes_missing", key) for key in _still_referred(absent)]
    short = [key for key, size in sizes.items() if key in files and files[key].bytes != size]
    yield [Finding("bytes_damaged", key) for key in _still_referred(short)]
    old = [file for file in files.values() if file.modified < young]
    yield [Finding("part_unused", file.key) for file in old if PART.fullmatch(file.key)]
    unknown = {file.key for file in old if PHOTO_KEY.fullmatch(file.key)} - sizes.keys() - searched
    yield [Finding("bytes_unused", key) for key in _unreferred(sorted(unknown))]


def _referred(prefix: str) -> tuple[dict[str, int], set[str]]:
    """The keys that photos (with the bytes they should have) and searches refer to in this folder."""
    photos = Photo.objects.filter(sha256__gte=prefix, sha256__lt=f"{prefix}g").order_by().distinct()
    sizes = dict(photos.values_list("key", "bytes").iterator(chunk_size=BATCH))
    searched: set[str] = set()
    for model in (Job, ExamplePhoto):
        rows = model._default_manager.filter(key__gte=f"{prefix}/", key__lt=f"{prefix}0").order_by().distinct()
        searched.update(rows.values_list("key", flat=True).iterator(chunk_size=BATCH))
    return sizes, searched


def _still_referred(keys: Iterable[str]) -> list[str]:
    """Of these, the ones that a row refers to now: a photo may have been deleted since, and its bytes with it."""
    keys = list(keys)
    photos = Photo.objects.filter(sha256__in=map(_sha256, keys)).values_list("key", flat=True)
    jobs = Job.objects.filter(key__in=keys).values_list("key", flat=True)
    examples = ExamplePhoto.objects.filter(key__in=keys).values_list("key", flat=True)
    known = {*photos, *jobs, *examples} if keys else set()
    return [key for key in dict.fromkeys(keys) if key in known]


def _unreferred(keys: list[str]) -> list[str]:
    """Of these photos, the ones that no row refers to even now, and that nobody has let go: those are swept anyway."""
    found: list[str] = []
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        hashes = {_sha256(key): key for key in some}
        loose = LooseBytes.objects.filter(sha256__in=hashes).values_list("sha256", flat=True)
        known = {*_still_referred(some), *(hashes[sha256] for sha256 in loose)}
        found += [key for key in some if key not in known]
    return found


def _sha256(key: str) -> str:
    return key.rpartition("/")[2]


def _thumbnails(young: datetime, count: dict[str, int]) -> Batches:
    for folder in (f"{THUMBNAILS}/{number:02x}" for number in range(256)):
        files = client.photo_store().files(folder)
        count["files"] += len(files)
        old = [file.key for file in files if file.modified < young]
        yield [Finding("part_unused", key) for key in old if PART.fullmatch(key)]
        shown = {key: PhotoStore.key_for(found[1]) for key in old if (found := THUMBNAIL_KEY.fullmatch(key))}
        unknown = set(_unreferred(sorted(set(shown.values()))))
        yield [Finding("thumbnail_unused", key) for key, photo in sorted(shown.items()) if photo in unknown]


def _archives(young: datetime, count: dict[str, int]) -> Batches:
    """Archives that nobody will read: looked at twice, for an import that has just ended drops its own."""
    files = client.photo_store().files(ARCHIVES)
    count["files"] += len(files)
    unused = {file.key for file in files if _is_unused(file.key, file.modified < young)}
    if unused:
        time.sleep(DROP_SECONDS)
        unused &= {file.key for file in client.photo_store().files(ARCHIVES)}
        yield [Finding("archive_unused", key) for key in sorted(unused)]


def _is_unused(key: str, old: bool) -> bool:
    """One without a row may be on its way in, until it is old; one with a row is needed until it is imported."""
    named = ARCHIVE_KEY.fullmatch(key)
    if named is None:
        return False
    importable = Q(state__in=(UploadState.PENDING, UploadState.IMPORTING))
    states = Upload.objects.filter(pk=UUID(named[1]))
    if named[2] or not states.exists():
        return old
    return not states.filter(importable).exists()
