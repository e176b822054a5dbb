"""The bytes of photos, kept under their content hash; written by the web side, read by workers.

One class over fsspec, so that a folder, S3 and (in tests) memory behave alike. A key is derived from the SHA-256 of
the bytes: writing twice is writing once, and nothing stored ever changes. No torch here: the web process imports it.
"""

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, cast
from uuid import uuid4

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from recognition.errors import PhotoError, Unavailable

# What keeps one file from being read, in a folder that is there: a bad sector, lost rights, a folder in its place.
_FILE_FAULTS = {errno.EIO, errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP}
# The network libraries below s3fs raise their own errors, which are no OSError, when the service is away.
_NETWORK_PACKAGES = {"botocore", "aiobotocore", "aiohttp"}
# Tries multiply: botocore's for what was refused, timed out or answered 5xx, s3fs' around them for what broke off in
# the middle. With their own numbers (5 times 5, 15 s each) a server that hangs holds a caller for six minutes. These
# give up after a second where nobody listens, 7 s where nothing answers, 40 s where a server hangs.
_S3_CONFIG = {"connect_timeout": 3, "read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 2}}
_S3_TRIES = 2


def _open_files(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a store and the path of its root, as ``fsspec.url_to_fs``, with bounds for S3."""
    if not url.startswith("s3:"):
        return fsspec.url_to_fs(url)
    files, root = fsspec.url_to_fs(url, config_kwargs=_S3_CONFIG)
    files.retries = _S3_TRIES
    return files, root


@dataclass(frozen=True)
class StoredBytes:
    """Where bytes lie: storage key, hex SHA-256, and their number."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class StoredFile:
    """A file as it lies in the store, whatever wrote it: its key, size and age."""

    key: str
    bytes: int
    modified: datetime


class PhotoStore:
    """Photos by key. `url`: a folder path, "file://…", "s3://bucket/prefix" or "memory://prefix".

    Every method raises Unavailable("storage_unavailable") when the storage is away, and
    PhotoError("photo_key_invalid") for a key that leaves the root.
    """

    def __init__(self, url: str) -> None:
        self._files, root = _open_files(url)
        self._root = root.rstrip("/")

    @property
    def place(self) -> tuple[AbstractFileSystem, str]:
        """The file system and the path of the root in it, for who streams into the store by himself."""
        return self._files, self._root

    @staticmethod
    def key_for(sha256: str) -> str:
        """The key of bytes with this hex SHA-256: two levels of folders, so that none grows huge."""
        return f"{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def write(self, data: bytes) -> StoredBytes:
        """Keep bytes under their hash, atomically; bytes that are there already become young again (`delete_older`).

        What lies there with another length was damaged: it is written anew, so that sending a photo again heals it.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        stored = StoredBytes(self.key_for(sha256), sha256, len(data))
        path = self._path(stored.key)
        with _storage_errors(stored.key, self._is_there):
            if not self._touch(path, len(data)):
                self._write_new(path, data)
        return stored

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes that are no photo of their own (a thumbnail) under a key of the caller's, atomically."""
        path = self._path(key)
        with _storage_errors(key, self._is_there):
            self._write_new(path, data)

    def read(self, key: str) -> bytes:
        """All bytes of a photo. Raises PhotoError("photo_missing") where there are none, and
        Unavailable("photo_bytes_unreadable") where they cannot be read though the storage is there."""
        path = self._path(key)
        with self._read_errors(key):
            return self._files.cat_file(path)

    def open(self, key: str) -> IO[bytes]:
        """A binary file object to stream from; errors as in `read`, from it as well."""
        path = self._path(key)
        with self._read_errors(key):
            return cast(IO[bytes], _Opened(self._files.open(path, "rb"), partial(self._read_errors, key)))

    def exists(self, key: str) -> bool:
        """Whether bytes are kept under this key."""
        path = self._path(key)
        with _storage_errors(key, self._is_there):
            return self._files.isfile(path)

    def delete(self, key: str) -> None:
        """Forget a photo's bytes; a key that is not there counts as deleted."""
        path = self._path(key)
        with _storage_errors(key, self._is_there):
            if self._files.isfile(path):
                self._files.rm_file(path)

    def delete_older(self, key: str, *, than: datetime) -> bool:
        """Forget bytes that nobody wrote since; returns whether they are gone now, or were before.

        In a folder old ones are moved aside and their age is read again, so a `write` at the same moment either made
        them young before, and they are moved back, or finds none and stores them anew. An object store offers no
        such move: there, a write in the milliseconds between the question and the deletion loses.
        """
        path = self._path(key)
        with _storage_errors(key, self._is_there):
            if not self._is_there():
                raise FileNotFoundError(self._root)
            if isinstance(self._files, LocalFileSystem):
                return _delete_local(Path(path), than.timestamp())
            if self._files.isfile(path):
                if self._files.modified(path) >= than:
                    return False
                self._files.rm_file(path)
            return True

    def folders(self) -> list[str]:
        """The names of the folders at the top, sorted: photos lie in 256 of them, by the first two signs of a hash."""
        with _storage_errors("", self._is_there):
            if not self._is_there():
                raise FileNotFoundError(self._root)
            found = self._files.ls(self._root, detail=True)
        return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "directory")

    def files(self, folder: str) -> list[StoredFile]:
        """Everything that lies in a folder at the top and beneath it; nothing where it is not there."""
        path = self._path(folder)
        with _storage_errors(folder, self._is_there):
            self._files.invalidate_cache(path)  # object stores remember what they listed before
            found = self._files.find(path, detail=True)
        return [
            StoredFile(name.removeprefix(f"{self._root}/"), entry["size"], _modified(entry))
            for name, entry in found.items()
        ]

    def is_empty(self) -> bool:
        """Whether nothing lies in the store."""
        with _storage_errors("", lambda: True):
            return not (self._files.exists(self._root) and self._files.ls(self._root, detail=False))

    def check(self, *, used: bool) -> None:
        """Raises Unavailable where the storage is away; ``used``: bytes lie in it, so an empty folder is no storage."""
        with _storage_errors("", self._is_there):
            if used and not self._is_there():
                raise FileNotFoundError(self._root)
            self._files.exists(f"{self._root}/vitrine")  # whether it is there or not, the storage has answered

    @contextmanager
    def _read_errors(self, key: str) -> Iterator[None]:
        with _storage_errors(key, self._is_there), _unreadable(key, self._is_there):
            yield

    def _touch(self, path: str, size: int) -> bool:
        """Make bytes young; False where they are not there. Writing an object again is how an object is touched."""
        if not isinstance(self._files, LocalFileSystem):
            return False
        try:
            found = Path(path).stat()
            if stat.S_ISREG(found.st_mode) and found.st_size != size:
                return False
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _is_there(self) -> bool:
        """Whether the root holds anything: a folder that is missing or empty is a volume that was not mounted."""
        if not isinstance(self._files, LocalFileSystem):
            return True
        root = Path(self._root)
        return root.is_dir() and any(root.iterdir())

    def _path(self, key: str) -> str:
        parts = key.split("/")
        if not key or "\\" in key or "\0" in key or PurePosixPath(key).is_absolute() or {"", ".", ".."} & set(parts):
            raise PhotoError("photo_key_invalid", "The photo's storage key is not valid.")
        return f"{self._root}/{key}"

    def _write_new(self, path: str, data: bytes) -> None:
        if isinstance(self._files, LocalFileSystem):
            _write_local(Path(path), data)
        else:  # one PUT: object stores show an object whole or not at all
            self._files.pipe_file(path, data)


class _Opened(RawIOBase):
    """A file that says what is wrong while it is read in the store's own words, whichever library reads it.

    To go before its start (EINVAL, or ValueError) is the fault of who reads, and left as it is.
    """

    def __init__(self, file: IO[bytes], errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._file = file
        self._errors = errors

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def read(self, size: int | None = -1, /) -> bytes:
        with self._errors():
            return self._file.read(-1 if size is None else size)

    def readall(self) -> bytes:
        return self.read()

    def seek(self, place: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


def is_storage_away(error: Exception) -> bool:
    """Whether an error of a file system, or of the network libraries below it, says that the storage is away."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _NETWORK_PACKAGES


def _modified(entry: dict) -> datetime:
    """When a file was written last, as the kinds of storage say it: a folder, S3, memory."""
    stamp = entry.get("mtime") or entry.get("LastModified") or entry["created"]
    return stamp if isinstance(stamp, datetime) else datetime.fromtimestamp(stamp, UTC)


def _delete_local(path: Path, than: float) -> bool:
    aside = path.with_name(f".{path.name}.{uuid4().hex}.old")
    try:
        if path.stat().st_mtime >= than:
            return False
        path.rename(aside)
    except FileNotFoundError:
        return True
    if aside.stat().st_mtime < than:
        aside.unlink()
        return True
    aside.replace(path)
    return False


def _write_local(path: Path, data: bytes) -> None:
    """Write beside the target and rename: a reader, or a crash, never sees half a photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def _unreadable(key: str, is_there: Callable[[], bool]) -> Iterator[None]:
    """Tells a file that cannot be read from a storage that is away: waiting may help the one, but not for ever."""
    try:
        yield
    except OSError as error:
        if error.errno in _FILE_FAULTS and is_there():
            raise Unavailable("photo_bytes_unreadable", f"The photo {key} cannot be read: {error}") from error
        raise


@contextmanager
def _storage_errors(key: str, is_there: Callable[[], bool]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if not is_there():
            raise Unavailable("storage_unavailable", "The photo storage is away: its folder is empty.") from error
        raise PhotoError("photo_missing", f"The photo {key} is no longer stored.") from error
    except Unavailable:
        raise
    except Exception as error:
        if is_storage_away(error):
            raise Unavailable("storage_unavailable", f"The photo storage is away: {error}") from error
        raise
