"""Where the files of an upload come from: a ZIP archive, a folder, or a manifest alone; read with hard limits.

Comes after ``spool`` and before ``manifest`` and ``photos``. Bytes come from strangers: entries are counted before
the directory is loaded, sizes in headers are never trusted, and nothing is unpacked to disk. Offsets in headers may
lead before the start of a file (EINVAL): that is the archive's fault, and not a storage that is away and comes back.
"""

import errno
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISLNK
from tempfile import SpooledTemporaryFile
from threading import Lock
from typing import IO, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from catalog.models import Upload
from catalog.services.problems import storable
from catalog.services.uploading.entries import Entry
from catalog.services.uploading.faults import EntryFault, UploadFault
from catalog.services.uploading.names import archived_name, is_junk, is_unsafe, normal_name, suffix_of, unsafe_path
from catalog.services.uploading.zipdirectory import check_directory
from config.env import load_env
from workers import client
from workers.client import PhotoError, Unavailable

MANIFEST_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".jsonl", ".ndjson"})
MANIFEST_LIMIT = 500_000_000  # bytes, unpacked
IN_MEMORY = 1 << 20
BLOCK = 1 << 18
BOMB_RATIO = 100
UNPACKED_RATIO = 10  # photos hardly shrink in a ZIP: an archive that unpacks to ten times its size is no catalogue
UNPACKED_SPARE = 1_000_000_000

_UTF8_FLAG, _ENCRYPTED_FLAG = 0x800, 0x1


class Source(Protocol):
    """The files of an upload. ``entries`` are in the order of their names, without junk.

    ``is_bare``: the upload is nothing but a manifest, the only entry.
    """

    entries: list[Entry]
    is_bare: bool

    def read(self, entry: Entry, limit: int) -> bytes:
        """The bytes, at most ``limit`` plus one. Raises ``EntryFault``, ``Unavailable``. Thread-safe."""

    def copy(self, entry: Entry, limit: int) -> IO[bytes]:
        """The bytes as a seekable temporary file. Raises as ``read``, and entry_too_large."""


@contextmanager
def open_source(upload: Upload) -> Iterator[Source]:
    """Open what was uploaded. Raises ``UploadFault`` when it cannot be read at all, ``Unavailable``."""
    if upload.source_is_folder:
        yield FolderSource(Path(upload.source))
        return
    try:
        file = client.photo_store().open(upload.source)
    except PhotoError as error:
        raise UploadFault("archive_missing", "The uploaded file is no longer stored: upload it again.") from error
    with file:
        if file.read(4)[:2] != b"PK":
            yield BareSource(file, upload.name)
            return
        with _opened_zip(file) as archive:
            is_workbook = "xl/workbook.xml" in archive.namelist()
            yield BareSource(file, "manifest.xlsx") if is_workbook else ZipSource(archive, size=_size(file))


def _size(file: IO[bytes]) -> int:
    return file.seek(0, os.SEEK_END)


@contextmanager
def _opened_zip(file: IO[bytes]) -> Iterator[ZipFile]:
    unreadable = "The file is no readable ZIP archive: it is damaged or was cut off."
    try:
        count = check_directory(file)
        limit = load_env().upload_max_files
        if count > limit:
            raise UploadFault("upload_too_many_files", f"The archive has more than {limit:,} files: send it in parts.")
        archive = ZipFile(file)
    except (BadZipFile, ValueError, NotImplementedError) as error:
        raise UploadFault("archive_unreadable", unreadable) from error
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise UploadFault("archive_unreadable", unreadable) from error
        raise Unavailable("storage_unavailable", f"The stored archive cannot be read: {error}") from error
    with archive:
        yield archive


class ZipSource:
    """A ZIP archive. Reading is shared between threads by ``zipfile``'s own lock."""

    is_bare = False

    def __init__(self, archive: ZipFile, *, size: int, spare: int | None = None) -> None:
        self._archive = archive
        self._unpacked_left = size * UNPACKED_RATIO + (UNPACKED_SPARE if spare is None else spare)
        self._lock = Lock()
        found = (_zip_entry(info) for info in archive.infolist() if not info.orig_filename.endswith(("/", "\\")))
        self.entries = sorted((entry for entry in found if not is_junk(entry.name)), key=lambda entry: entry.name)

    def read(self, entry: Entry, limit: int) -> bytes:
        """See ``Source.read``."""
        data = b"".join(self._blocks(entry, limit + 1))
        info = _info(entry)
        if len(data) > limit and len(data) > BOMB_RATIO * info.compress_size:
            raise EntryFault("entry_zip_bomb", f"{entry.name} unpacks to more than {BOMB_RATIO} times its size.")
        return data

    def copy(self, entry: Entry, limit: int) -> IO[bytes]:
        """See ``Source.copy``."""
        return _spooled(self._blocks(entry, limit + 1), entry, limit)

    def _blocks(self, entry: Entry, limit: int) -> Iterator[bytes]:
        """At most ``limit`` unpacked bytes; how many the headers promise does not matter."""
        entry.check()
        damaged = f"{entry.name} is damaged inside the archive."
        try:
            with self._archive.open(_info(entry)) as stream:
                while limit > 0 and (block := stream.read(min(limit, BLOCK))):
                    limit -= len(block)
                    self._count(len(block))
                    yield block
        except (BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise EntryFault("entry_damaged", damaged) from error
        except (NotImplementedError, RuntimeError) as error:
            raise EntryFault("entry_unsupported", f"{entry.name} is packed in a way that is not supported.") from error
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise EntryFault("entry_damaged", damaged) from error
            raise Unavailable("storage_unavailable", f"The stored archive cannot be read: {error}") from error

    def _count(self, size: int) -> None:
        with self._lock:
            self._unpacked_left -= size
            if self._unpacked_left < 0:
                sentence = "The archive unpacks to far more than its own size; files from here on are not read."
                raise EntryFault("archive_unpacks_too_large", sentence)


def _info(entry: Entry) -> ZipInfo:
    assert isinstance(entry.handle, ZipInfo)
    return entry.handle


def _zip_entry(info: ZipInfo) -> Entry:
    raw = archived_name(info.orig_filename, is_utf8=bool(info.flag_bits & _UTF8_FLAG))
    name = normal_name(raw)
    if is_unsafe(name):
        return Entry(storable(name), info, unsafe_path(name))
    if S_ISLNK(info.external_attr >> 16):
        return Entry(name, info, EntryFault("entry_is_a_link", f"{name} is a link, not a file; it is not followed."))
    if info.flag_bits & _ENCRYPTED_FLAG:
        return Entry(name, info, EntryFault("entry_encrypted", f"{name} is protected by a password."))
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # other methods may claim gigabytes of memory
        sentence = f"{name} is packed in a way that is not supported: use a plain ZIP."
        return Entry(name, info, EntryFault("entry_unsupported", sentence))
    return Entry(name, info)


class FolderSource:
    """A folder on this machine. Links are listed but never followed."""

    is_bare = False

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UploadFault("folder_missing", f"There is no folder {root} on the machine that imports.")
        self._root = root
        self.entries = sorted(self._found(), key=lambda entry: entry.name)
        self._refuse_alike()

    def read(self, entry: Entry, limit: int) -> bytes:
        """See ``Source.read``."""
        return b"".join(self._blocks(entry, limit + 1))

    def copy(self, entry: Entry, limit: int) -> IO[bytes]:
        """See ``Source.copy``."""
        return _spooled(self._blocks(entry, limit + 1), entry, limit)

    def _refuse_alike(self) -> None:
        """Names that are not UTF-8 may look the same once they can be shown: neither photo is taken for the other."""
        count = Counter(entry.name for entry in self.entries)
        for entry in self.entries:
            if count[entry.name] > 1:
                entry.fault = EntryFault("photo_name_ambiguous", f"Several files are called {entry.name}: rename them.")

    def _found(self) -> Iterator[Entry]:
        limit = load_env().upload_max_files
        count = 0
        for folder, _, files in os.walk(self._root):
            for file in files:
                path = Path(folder, file)
                name = storable(normal_name(path.relative_to(self._root).as_posix()))
                if is_junk(name):
                    continue
                count += 1
                if count > limit:
                    raise UploadFault("upload_too_many_files", f"The folder has more than {limit:,} files.")
                link = EntryFault("entry_is_a_link", f"{name} is a link, not a file; it is not followed.")
                yield Entry(name, path, link if path.is_symlink() else None)

    def _blocks(self, entry: Entry, limit: int) -> Iterator[bytes]:
        entry.check()
        assert isinstance(entry.handle, Path)
        try:
            with entry.handle.open("rb") as file:
                while limit > 0 and (block := file.read(min(limit, BLOCK))):
                    limit -= len(block)
                    yield block
        except OSError as error:
            raise EntryFault("entry_unreadable", f"{entry.name} cannot be read: {error.strerror}.") from error


class BareSource:
    """A manifest without photos: it updates products only."""

    is_bare = True

    def __init__(self, file: IO[bytes], name: str) -> None:
        if suffix_of(name) not in MANIFEST_SUFFIXES:
            sentence = "The file is neither a ZIP archive nor a manifest (CSV, XLSX, JSON lines)."
            raise UploadFault("archive_unreadable", sentence)
        self._file = file
        self.entries = [Entry(name, None)]

    def read(self, entry: Entry, limit: int) -> bytes:
        """There is nothing to read beside the manifest."""
        raise EntryFault("photo_missing_in_archive", f"There is no file {entry.name} in the upload.")

    def copy(self, entry: Entry, limit: int) -> IO[bytes]:
        """See ``Source.copy``."""
        self._file.seek(0)
        return _spooled(iter(lambda: self._file.read(BLOCK), b""), entry, limit)


def _spooled(blocks: Iterator[bytes], entry: Entry, limit: int) -> IO[bytes]:
    """A seekable copy, in memory while it is small and on disk after that. The caller closes it."""
    copy = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - handed to the caller
    size = 0
    try:
        for block in blocks:
            size += len(block)
            if size > limit:
                raise EntryFault("entry_too_large", f"{entry.name} is larger than {limit / 1e6:g} MB.")
            copy.write(block)
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy
