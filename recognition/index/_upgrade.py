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

from recognition.index import _edge, _schema

PAGE = 500  # photos on their way at once
FLUSH_PAGES = 100  # so often is the log of the new shard cut short

log = logging.getLogger(__name__)


def settle(place: Path) -> None:
    """Before a shard is opened: if a process was killed between the two renamings, the old shard gets its name back;
    if after them, the old one goes."""
    aside = _hidden(place, "old")
    if aside.exists():
        if place.exists():
            shutil.rmtree(aside)
        else:
            aside.rename(place)


def made_anew(place: Path, dim: int) -> bool:
    """Give the shard today's form. False, with nothing done, where it has not the earlier one with vectors of ``dim``.

    Meanwhile the folder holds both, and what goes wrong, a full disk too, leaves the old one as it is.
    """
    old = _open_apart(place, dim)
    if old is None:
        return False
    fresh, aside = _hidden(place, "new"), _hidden(place, "old")
    shutil.rmtree(fresh, ignore_errors=True)  # of a process that was killed
    with closing(old):
        photos = old.info().points_count
        log.warning("the index in %s is of an earlier release: its %d photos are written anew", place, photos)
        _edge.create_shard(fresh, dim)
        with closing(EdgeShard.load(str(fresh), _edge.config(dim))) as shard:
            for number, records in enumerate(_pages(old), 1):
                shard.update(UpdateOperation.upsert_points([_joined(record) for record in records]))
                if number % FLUSH_PAGES == 0:
                    shard.flush()
                    log.info("%d of %d photos are written anew", number * PAGE, photos)
            shard.flush()
    place.rename(aside)
    fresh.rename(place)
    settle(place)
    return True


def _hidden(place: Path, what: str) -> Path:
    return place.with_name(f".{what}-{place.name}")


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


def _joined(record: Record) -> Point:
    """The same point with its vectors end to end; both have unit length, as the engine kept them for cosines."""
    stored = cast(dict[str, Any], record.vector)
    both = stored.pop(_schema.IMAGE) + stored.pop(_schema.FUSED)
    return Point(record.id, {_edge.BOTH: both, **stored}, record.payload)
