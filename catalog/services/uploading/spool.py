"""Streams an uploaded file into the photo store, under ``uploads/<id>``, so that whichever machine imports can read it.

The first step of an upload's way, before its row is committed. The photo store writes whole photos only; an archive
is streamed through the same file system in blocks, and appears under its name only when it is complete.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Protocol
from uuid import UUID

from catalog.services.errors import Refused
from config.env import load_env
from workers import client
from workers.client import Unavailable

BLOCK = 1 << 20


class Readable(Protocol):
    """A file, a request's body, or Django's uploaded file."""

    def read(self, size: int = ..., /) -> bytes:
        """The next bytes; none at the end."""


def spool_write(upload_id: UUID, stream: Readable) -> str:
    """Store the stream and return its key. Flat memory.

    Raises ``Refused``: upload_empty, upload_too_large (413); ``Unavailable("storage_unavailable")``. Then nothing is
    kept.
    """
    key = f"uploads/{upload_id}"
    files, root = client.photo_store().place
    path = f"{root}/{key}"
    try:
        with _storage_errors():
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            with files.open(f"{path}.part", "wb") as target:
                size = _copy(stream, target)
            if files.size(f"{path}.part") != size:
                raise OSError("the stored file is shorter than what was sent")
            files.mv(f"{path}.part", path)
    except BaseException:
        client.photo_store().delete(f"{key}.part")
        raise
    return key


def spool_delete(key: str) -> None:
    """The archive is needed no more."""
    client.photo_store().delete(key)


def _copy(stream: Readable, target: IO[bytes]) -> int:
    limit = load_env().upload_max_bytes
    size = 0
    while block := stream.read(BLOCK):
        size += len(block)
        if size > limit:
            sentence = f"The file is larger than {limit / 1e9:g} GB: send it in parts."
            raise Refused("upload_too_large", sentence, status=413)
        target.write(block)
    if not size:
        raise Refused("upload_empty", "The file is empty.")
    return size


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (Refused, Unavailable):
        raise
    except Exception as error:
        if not client.is_storage_away(error):
            raise
        raise Unavailable("storage_unavailable", f"The photo storage is away: {error}") from error
