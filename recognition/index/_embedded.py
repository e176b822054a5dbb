"""The embedded engine: Qdrant Edge in this process, one shard folder a bundle version, no server to run.

A folder holds ``photos-<version>/`` for each version, the file ``photos``, which names the live one, and ``.lock``. The
shard belongs to one process and does not survive a fork: open it after the fork, close it before the end.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from qdrant_edge import CountRequest, EdgeShard, Filter, ScrollRequest, UpdateOperation

from recognition.errors import Unavailable
from recognition.index import _edge, _schema, _upgrade
from recognition.index._engine import PointId
from recognition.index._query import search
from recognition.index.types import Filters, IndexHealth, IndexQuery, PhotoPoint, ProductHit, StoredPoint

OUTGROWN_POINTS = 100_000
FLUSH_SECONDS = 3.0
FLUSH_SHARE = 0.01  # of the time: a flush holds the lock and the interpreter, half a second at 100,000 photos
FLUSH_AT_LATEST = 60.0  # however long the last one took
# A bulk batch lets go of the lock between groups, so that a shopper's search waits for one group and not for all of
# it; without the pause the batch's thread takes the lock back before another wakes.
QUERIES_AT_ONCE = 4
YIELD_SECONDS = 1e-6

log = logging.getLogger(__name__)


class EmbeddedIndex:
    """``PhotoIndex`` over one Qdrant Edge shard. All calls go through one lock: the engine computes one at a time
    anyway. Never optimises: that would block the process for minutes, and a scan finds whatever was stored."""

    def __init__(
        self, folder: Path, version: str, dim: int, image_weight: float, *, flush_seconds: float = FLUSH_SECONDS
    ) -> None:
        self._folder, self._version, self._dim, self._image_weight = folder, version, dim, image_weight
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._unflushed = False
        self._flush_took = 0.0  # seconds, the last time
        self._flush_error = ""
        self._shard: EdgeShard | None = _open_shard(folder, version, dim)
        # All whose photos may be in the shard: nobody else writes to it. To check that each photo is of the one
        # merchant there is takes as long as to compare it. None: more than one, or not known.
        with _edge.translated(folder):
            self._merchants: set[str] | None = _edge.merchants_of(self._shard)
        self._closing = threading.Event()
        self._flusher = threading.Thread(
            target=self._flush_regularly, args=(flush_seconds,), name=f"index-flush-{version}", daemon=True
        )
        self._flusher.start()

    def upsert(self, points: Sequence[PhotoPoint]) -> None:
        for some, image, fused in _schema.batches(points, self._dim):
            stored = UpdateOperation.upsert_points(_edge.to_points(some, image, fused))
            with self._engine():
                if self._merchants is not None:
                    self._merchants |= {point.payload.merchant_id for point in some}  # before one can be found
                self._update(stored)

    def nearest(self, queries: Sequence[IndexQuery]) -> list[list[ProductHit]]:
        hits: list[list[ProductHit]] = []
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            if start:
                time.sleep(YIELD_SECONDS)
            some = queries[start : start + QUERIES_AT_ONCE]
            with self._engine() as shard:
                engine = _edge.EdgeEngine(shard, self._sole_merchant())
                hits += search(engine, some, dim=self._dim, image_weight=self._image_weight)
        return hits

    def is_behind(self, filters: Filters | None = None) -> bool:
        return False  # every photo is looked at, from its first moment on

    def image_vectors(self, photo_ids: Sequence[str]) -> dict[str, np.ndarray]:
        ids: list[PointId] = [UUID(_schema.point_id(photo_id)) for photo_id in photo_ids]
        with self._engine() as shard:
            records = shard.retrieve(ids, with_payload=["photo_id"], with_vector=[_edge.BOTH]) if ids else []
        return _schema.image_vectors((record.payload, _edge.image_of(record.vector)) for record in records)

    def forget(self, photo_ids: Sequence[str]) -> None:
        self.remove([_schema.point_id(photo_id) for photo_id in photo_ids])

    def set_payload(self, product_id: str, *, merchant_id: str, **changes: object) -> None:
        changed = _schema.checked_changes(changes)
        if changed:
            of_product = Filter(must=[_edge.equals("merchant_id", merchant_id), _edge.equals("product_id", product_id)])
            self._update(UpdateOperation.set_payload_by_filter(of_product, changed))

    def count(self, filters: Filters | None = None) -> int:
        with self._engine() as shard:
            return shard.count(CountRequest(filter=_edge.to_filter(filters) if filters else None))

    def photo_ids(self, merchant_id: str) -> Iterator[str]:
        of_merchant, offset = _edge.to_filter(Filters(merchant_id)), None
        while True:
            request = ScrollRequest(
                offset=offset, limit=_schema.SCROLL_PAGE, filter=of_merchant, with_payload=["photo_id"]
            )
            with self._engine() as shard:
                records, offset = shard.scroll(request)
            yield from (record.payload["photo_id"] for record in records if record.payload)
            if offset is None:
                return

    def points(self, after: str | None, limit: int) -> tuple[list[StoredPoint], str | None]:
        request = ScrollRequest(offset=UUID(after) if after else None, limit=limit, with_payload=True)
        with self._engine() as shard:
            records, following = shard.scroll(request)
        page = _schema.stored_points((record.id, record.payload) for record in records)
        return page, None if following is None else str(following)

    def stored(self, photo_ids: Sequence[str]) -> list[StoredPoint]:
        ids: list[PointId] = [UUID(_schema.point_id(photo_id)) for photo_id in photo_ids]
        with self._engine() as shard:
            records = shard.retrieve(ids, with_payload=True, with_vector=False) if ids else []
        return _schema.stored_points((record.id, record.payload) for record in records)

    def remove(self, point_ids: Sequence[str]) -> None:
        if point_ids:
            self._update(UpdateOperation.delete_points(list(point_ids)))

    def promote(self, version: str) -> None:
        if version not in self.versions():
            raise ValueError(f"version {version!r} has no collection in {self._folder}")
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=f".{_schema.ALIAS}-")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(version)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(self._folder / _schema.ALIAS)

    def drop(self, version: str) -> None:
        _schema.check_droppable(version, opened=self._version, live=self._live_version())
        place = self._folder / _schema.collection_name(version)
        left_over = (_upgrade.hidden(place, what) for what in ("old", "new"))
        if there := [each for each in (*left_over, place) if each.exists()]:
            gone = Path(tempfile.mkdtemp(dir=self._folder, prefix=".gone-"))
            for each in there:
                each.rename(gone / each.name)  # whole or not at all, whatever kills us
            shutil.rmtree(gone, ignore_errors=True)

    def versions(self) -> list[str]:
        folders = (path.name for path in self._folder.iterdir() if path.is_dir())
        return sorted(version for name in folders if (version := _schema.version_of(name)))

    def health(self) -> IndexHealth:
        try:
            points, problem = self.count(), self._flush_error
        except Unavailable as error:
            points, problem = 0, error.message
        live = self._live_version()
        notes = [problem] if problem else []
        notes += _schema.live_notes(self._version, live)
        if points > OUTGROWN_POINTS:
            notes.append(
                f"{points:,} photos have outgrown the embedded index (made for {OUTGROWN_POINTS:,}): searches get "
                "slower with every photo. Set VITRINE_INDEX_URL to a Qdrant server, then run: manage.py reindex --all."
            )
        return IndexHealth("embedded", str(self._folder), live, points, not problem, tuple(notes))

    def flush(self) -> None:
        with self._engine() as shard:
            started = time.monotonic()
            shard.flush()
            self._flush_took = time.monotonic() - started
            self._unflushed = False

    def close(self) -> None:
        self._closing.set()
        if self._flusher.is_alive() and self._flusher is not threading.current_thread():
            self._flusher.join()
        with self._lock:
            if self._shard is not None and self._pid == os.getpid():
                try:
                    with _edge.translated(self._folder):
                        self._shard.flush()
                finally:
                    self._shard.close()
            self._shard = None

    def _update(self, operation: UpdateOperation) -> None:
        with self._engine() as shard:
            self._unflushed = True
            shard.update(operation)

    def _sole_merchant(self) -> str | None:
        return next(iter(self._merchants)) if self._merchants and len(self._merchants) == 1 else None

    @contextlib.contextmanager
    def _engine(self) -> Iterator[EdgeShard]:
        if self._pid != os.getpid():
            raise RuntimeError("the embedded index does not survive a fork: open it in the process that uses it")
        with self._lock, _edge.translated(self._folder):
            if self._shard is None:
                raise Unavailable("index_unavailable", f"The index in {self._folder} was closed.")
            yield self._shard

    def _flush_regularly(self, seconds: float) -> None:
        """An acknowledged write is in the log already, whatever ends this process; flushing keeps the log short and
        makes it safe against a power cut. The longer it takes, the longer searches have their peace before the next.
        A failure (disk full) is told by ``health`` and tried again."""
        while not self._closing.wait(max(seconds, min(self._flush_took / FLUSH_SHARE, FLUSH_AT_LATEST))):
            if not self._unflushed:
                continue
            try:
                self.flush()
                self._flush_error = ""
            except Unavailable as error:
                self._flush_error = error.message
                log.warning("flushing the index failed: %s", error.message)

    def _live_version(self) -> str:
        try:
            return (self._folder / _schema.ALIAS).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""


def _open_shard(folder: Path, version: str, dim: int) -> EdgeShard:
    """The version's shard, made first where it is missing: in a hidden folder that gets its name when it is complete,
    so that a crash half-way leaves no half shard behind. One of an earlier release is made anew."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / _schema.collection_name(version)
    with _alone(folder), _edge.translated(folder):
        _upgrade.settle(place)
        if not place.exists():
            fresh = _upgrade.hidden(place, "new")
            _edge.create_shard(fresh, dim)
            fresh.rename(place)
        try:
            return _edge.load_shard(place, dim)
        except Exception as error:
            if not _edge.is_incompatible(error):
                raise
            if not _upgrade.made_anew(place, dim):
                raise ValueError(f"The index in {folder} was not made for vectors of {dim}: {error}") from error
        return _edge.load_shard(place, dim)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of all who open a shard of the folder one at a time: whoever waits finds it made, or taken."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a child forked meanwhile has the file open too, and with it the lock
