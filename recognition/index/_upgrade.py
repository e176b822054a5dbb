"""An embedded shard of an earlier release, which kept a photo's two vectors apart, is made anew as it is opened.

From the vectors that it holds: no photo is looked at again. A kill at any moment loses nothing, for the new shard gets
the old one's name when it is complete; until then the old one has it, or for a moment ``.old-<name>``.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    Modifier,
    Point,
    Record,
    ScrollRequest,
    UpdateOperation,
)

from recognition.errors import Unavailable
from recognition.index import _edge, _schema

PAGE = 500  # photos on their way at once
FLUSH_PAGES = 20  # so often is the log of the new shard cut short
ROOM = 1.5  # free on the disk, in parts of what the old shard takes: as much again, and the log

log = logging.getLogger(__name__)


def settle(place: Path) -> None:
    """Before a shard is opened: what a process left that was killed over it. Half a shard goes. The old one gets its
    name back, if that was between the two renamings; it goes, if that was after them."""
    shutil.rmtree(hidden(place, "new"), ignore_errors=True)
    aside = hidden(place, "old")
    if aside.exists():
        if place.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(place)


def made_anew(place: Path, dim: int) -> bool:
    """Give the shard today's form. False, with nothing done, where it has not the earlier one with vectors of ``dim``.

    Meanwhile the folder holds both; what goes wrong leaves the old one as it is. Raises Unavailable where the disk has
    no room for both: the engine would not say so, for writing to mapped memory without room kills the process.
    """
    old = _open_apart(place, dim)
    if old is None:
        return False
    fresh, aside = hidden(place, "new"), hidden(place, "old")
    with closing(old):
        _check_room(place)
        try:
            _write_anew(old, fresh, dim)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    place.rename(aside)
    fresh.rename(place)
    shutil.rmtree(aside, ignore_errors=True)
    return True


def hidden(place: Path, what: str) -> Path:
    """Where a shard lies that is not (``new``), or no more (``old``), the one of its name."""
    return place.with_name(f".{what}-{place.name}")


def _check_room(place: Path) -> None:
    taken = sum(path.lstat().st_blocks * 512 for path in place.rglob("*"))
    free = shutil.disk_usage(place.parent).free
    if free < ROOM * taken:
        wanted, there = (f"{amount / 1e6:,.0f} MB" for amount in (ROOM * taken, free))
        message = f"The index in {place} is of an earlier release. To write it anew takes {wanted}; {there} are free."
        raise Unavailable("index_unavailable", message)


def _write_anew(old: EdgeShard, fresh: Path, dim: int) -> None:
    photos = old.info().points_count
    log.warning("an index of an earlier release: its %d photos are written anew, to %s", photos, fresh)
    _edge.create_shard(fresh, dim)
    with closing(EdgeShard.load(str(fresh), _edge.config(dim))) as shard:
        for number, records in enumerate(_pages(old), 1):
            points = [point for record in records if (point := _joined(record))]
            shard.update(UpdateOperation.upsert_points(points))
            if number % FLUSH_PAGES == 0:
                shard.flush()
                log.info("%d of %d photos are written anew", number * PAGE, photos)
        shard.flush()


def _open_apart(place: Path, dim: int) -> EdgeShard | None:
    dense = EdgeVectorParams(dim, Distance.Cosine)
    words = EdgeSparseVectorParams(modifier=Modifier.Idf)
    vectors = {_schema.IMAGE: dense, _schema.FUSED: dense}
    try:
        return EdgeShard.load(str(place), EdgeConfig(vectors=vectors, sparse_vectors={_schema.WORDS: words}))
    except Exception as error:
        if _edge.is_incompatible(error):
            return None
        raise


def _pages(shard: EdgeShard) -> Iterator[list[Record]]:
    offset = None
    while True:
        records, offset = shard.scroll(ScrollRequest(offset=offset, limit=PAGE, with_payload=True, with_vector=True))
        yield records
        if offset is None:
            return


def _joined(record: Record) -> Point | None:
    """The same point with its vectors end to end: the engine stored them at unit length. None for a point that lacks
    one: no release wrote such, and no search finds it."""
    stored = cast(dict[str, Any], record.vector)
    if not stored.keys() >= {_schema.IMAGE, _schema.FUSED}:
        log.warning("point %s has not both vectors and is left out", record.id)
        return None
    both = stored.pop(_schema.IMAGE) + stored.pop(_schema.FUSED)
    return Point(record.id, {_edge.BOTH: both, **stored}, record.payload)
