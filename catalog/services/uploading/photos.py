"""Takes the photos of a batch of rows: read from the upload, inspected, kept under their content hash.

Between ``manifest`` (which names they are) and ``catalogue`` or ``recognition`` (which write their rows). Runs in a few
threads, because reading, inflating and storing wait for different things; no SQL here, so no lock is held meanwhile.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

from catalog.models import Photo
from catalog.services.photo import NAME_LENGTH
from catalog.services.problems import Problem, problem
from catalog.services.uploading.faults import EntryFault
from catalog.services.uploading.names import ARCHIVE_SUFFIXES, NameIndex, suffix_of
from catalog.services.uploading.sources import Source
from config.env import load_env
from workers import client
from workers.client import PhotoError, PhotoFacts

THREADS = 4
REMEMBERED = 1_024  # photos that many rows share, a size chart for example, are read once
REMEMBERED_SECONDS = 600.0  # and again now and then: bytes that nobody stored for an hour may go (photo.bytes_sweep)

_ARCHIVES = (b"PK\3\4", b"PK\5\6", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b")


@dataclass(frozen=True, slots=True)
class Taken:
    """A photo whose bytes can be used; ``key`` is where they lie (or would, in a dry run)."""

    sha256: str
    key: str
    facts: PhotoFacts


Outcome = Taken | Problem


class PhotoTaker:
    """Takes listed photos. ``keep`` is off in a dry run: everything is checked and nothing stored."""

    def __init__(self, source: Source, *, folder: str, keep: bool) -> None:
        self.index = NameIndex(source.entries, folder=folder)
        self._source = source
        self._keep = keep
        self._limit = load_env().photo_max_bytes
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._take)
        self._remembered_since = time.monotonic()

    def take_all(self, wanted: Iterable[tuple[str, bool]], *, tick: Callable[[], None]) -> dict[str, Outcome]:
        """Outcomes by listed name, of ``(listed name, whether its row is good)``; only good rows' bytes are kept.

        ``tick`` is called after each photo. Raises ``Unavailable``.
        """
        if time.monotonic() - self._remembered_since > REMEMBERED_SECONDS:
            self._remembered.cache_clear()
            self._remembered_since = time.monotonic()
        names: dict[str, bool] = {}
        for listed, good in wanted:
            names[listed] = names.get(listed, False) or good
        outcomes: dict[str, Outcome] = {}
        with ThreadPoolExecutor(THREADS, thread_name_prefix="upload") as pool:
            for listed, outcome in zip(names, pool.map(self._one, names.items()), strict=True):
                outcomes[listed] = outcome
                tick()
        return outcomes

    def _one(self, want: tuple[str, bool]) -> Outcome:
        listed, good = want
        try:
            return self._remembered(self.index.find(listed), self._keep and good)
        except (EntryFault, PhotoError) as error:
            return problem(error.code, error.message, field="images", photo=listed)

    def _take(self, position: int, keep: bool) -> Taken:
        entry = self._source.entries[position]
        data = self._source.read(entry, self._limit)
        if data.startswith(_ARCHIVES) or suffix_of(entry.name) in ARCHIVE_SUFFIXES:
            raise nested_archive(entry.name)
        facts = client.inspect_photo(data)
        if keep:
            stored = client.photo_store().write(data)
            return Taken(stored.sha256, stored.key, facts)
        sha256 = hashlib.sha256(data).hexdigest()
        return Taken(sha256, client.photo_store().key_for(sha256), facts)


def nested_archive(name: str) -> EntryFault:
    """The refusal of an archive inside the archive."""
    return EntryFault("nested_archive", f"{name} is an archive inside the upload; unpack it first.")


def photo_row(taken: Taken, *, name: str, **columns: object) -> Photo:
    """An unsaved ledger row for a taken photo."""
    return Photo(
        name=name[-NAME_LENGTH:],
        sha256=taken.sha256,
        key=taken.key,
        content_type=taken.facts.content_type,
        bytes=taken.facts.bytes,
        width=taken.facts.width,
        height=taken.facts.height,
        **columns,
    )
