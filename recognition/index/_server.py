"""The server engine: a Qdrant server or cluster through its client, one collection a bundle version, a real alias.

The client's in-memory mode runs through the same class for the contract tests; it ignores search parameters and
payload indexes, and warns about them, so neither is sent to it.
"""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from recognition.errors import Unavailable
from recognition.index import _client, _schema
from recognition.index._apart import Apart
from recognition.index._engine import Ask, Found, PointId, Ranking
from recognition.index._query import search
from recognition.index.types import Filters, IndexHealth, IndexQuery, PhotoPoint, ProductHit, StoredPoint

TIMEOUT_SECONDS = 10
EXACT_BELOW = 50_000  # matching points; up to there, what the graph does not know is searched exactly
COUNT_SECONDS = 60.0  # how long an estimate of a filter's matches is believed
BEHIND_SECONDS = 5.0  # and a look at what the server has still to index
BEHIND_PHOTOS = 20_000  # not indexed yet: from there on, searches leave them out and writes slow down
PAUSE_SECONDS = 0.1  # before a write while the server is behind

_memory_clients: WeakValueDictionary[str, QdrantClient] = WeakValueDictionary()
_memory_lock = threading.RLock()  # the in-memory mode is not thread-safe


class ServerIndex:
    """``PhotoIndex`` over one collection of a Qdrant server; the client is thread-safe."""

    def __init__(self, url: str, version: str, dim: int, image_weight: float, *, api_key: str | None = None) -> None:
        self._location, self._version, self._dim, self._image_weight = url, version, dim, image_weight
        self._collection = _schema.collection_name(version)
        self._in_memory = url.startswith("memory://")
        self._counts: dict[Filters, tuple[float, int]] = {}
        self._behind = (-BEHIND_SECONDS, False)
        self._client = _memory_client(url) if self._in_memory else _http_client(url, api_key)
        with self._engine() as client:
            self._ensure_collection(client)

    def upsert(self, points: Sequence[PhotoPoint]) -> None:
        for some, image, fused in _schema.batches(points, self._dim):
            if self._server_is_behind():
                time.sleep(PAUSE_SECONDS)
            with self._engine() as client:
                client.upsert(self._collection, _client.to_points(some, image, fused), wait=True)

    def nearest(self, queries: Sequence[IndexQuery]) -> list[list[ProductHit]]:
        return search(Apart(self), queries, dim=self._dim, image_weight=self._image_weight)

    def fetch(self, asks: Sequence[Ask]) -> list[Found]:
        """Candidates of a search (``_engine.Engine``)."""
        behind = self._server_is_behind()
        params = [self._params(self._is_selective(ask.filters, behind=behind), behind=behind) for ask in asks]
        requests = [_client.candidates_request(ask, its) for ask, its in zip(asks, params, strict=True)]
        with self._engine() as client:
            answers = client.query_batch_points(self._collection, requests)
        return [Found({point.id: point.score for point in answer.points}) for answer in answers]

    def score(self, asks: Sequence[tuple[Ranking, list[PointId]]]) -> list[dict[PointId, float]]:
        """Exact scores of a search's candidates (``_engine.Engine``)."""
        requests = [_client.score_request(part, ids, self._params(exact=True)) for part, ids in asks]
        with self._engine() as client:
            answers = client.query_batch_points(self._collection, requests)
        return [{point.id: point.score for point in answer.points} for answer in answers]

    def payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        """What a search's best photos tell of their products (``_engine.Engine``)."""
        with self._engine() as client:
            records = client.retrieve(self._collection, ids, with_payload=_schema.ANSWERED, with_vectors=False)
        return {record.id: record.payload for record in records if record.payload}

    def is_behind(self, filters: Filters | None = None) -> bool:
        """What a selective filter leaves is compared photo by photo, whether it has its graph or not: nothing is
        missed."""
        behind = self._server_is_behind()
        return behind and not (filters and self._is_selective(filters, behind=behind))

    def image_vectors(self, photo_ids: Sequence[str]) -> dict[str, np.ndarray]:
        if not photo_ids:
            return {}
        ids = [_schema.point_id(photo_id) for photo_id in photo_ids]
        with self._engine() as client:
            records = client.retrieve(self._collection, ids, with_payload=["photo_id"], with_vectors=[_schema.IMAGE])
        return _schema.image_vectors(
            (record.payload, record.vector[_schema.IMAGE]) for record in records if isinstance(record.vector, dict)
        )

    def forget(self, photo_ids: Sequence[str]) -> None:
        self.remove([_schema.point_id(photo_id) for photo_id in photo_ids])

    def set_payload(self, product_id: str, *, merchant_id: str, **changes: object) -> None:
        changed = _schema.checked_changes(changes)
        if changed:
            of_product = m.Filter(
                must=[_client.equals("merchant_id", merchant_id), _client.equals("product_id", product_id)]
            )
            with self._engine() as client:
                client.set_payload(self._collection, changed, points=of_product, wait=True)

    def count(self, filters: Filters | None = None) -> int:
        with self._engine() as client:
            wanted = _client.to_filter(filters) if filters else None
            return client.count(self._collection, count_filter=wanted, exact=True).count

    def photo_ids(self, merchant_id: str) -> Iterator[str]:
        of_merchant, offset = _client.to_filter(Filters(merchant_id)), None
        while True:
            with self._engine() as client:
                records, offset = client.scroll(
                    self._collection,
                    scroll_filter=of_merchant,
                    limit=_schema.SCROLL_PAGE,
                    offset=offset,
                    with_payload=["photo_id"],
                )
            yield from (record.payload["photo_id"] for record in records if record.payload)
            if offset is None:
                return

    def points(self, after: str | None, limit: int) -> tuple[list[StoredPoint], str | None]:
        with self._engine() as client:
            records, following = client.scroll(self._collection, limit=limit, offset=after, with_payload=True)
        page = _schema.stored_points((record.id, record.payload) for record in records)
        return page, None if following is None else str(following)

    def stored(self, photo_ids: Sequence[str]) -> list[StoredPoint]:
        if not photo_ids:
            return []
        ids = [_schema.point_id(photo_id) for photo_id in photo_ids]
        with self._engine() as client:
            records = client.retrieve(self._collection, ids, with_payload=True, with_vectors=False)
        return _schema.stored_points((record.id, record.payload) for record in records)

    def remove(self, point_ids: Sequence[str]) -> None:
        if point_ids:
            gone = m.PointIdsList(points=list(point_ids))
            with self._engine() as client:
                client.delete(self._collection, gone, wait=True)

    def promote(self, version: str) -> None:
        if version not in self.versions():
            raise ValueError(f"version {version!r} has no collection at {self._location}")
        steps: list[m.DeleteAliasOperation | m.CreateAliasOperation] = []
        if self._live_version():
            steps.append(m.DeleteAliasOperation(delete_alias=m.DeleteAlias(alias_name=_schema.ALIAS)))
        alias = m.CreateAlias(collection_name=_schema.collection_name(version), alias_name=_schema.ALIAS)
        with self._engine() as client:
            client.update_collection_aliases([*steps, m.CreateAliasOperation(create_alias=alias)])

    def drop(self, version: str) -> None:
        _schema.check_droppable(version, opened=self._version, live=self._live_version())
        if version in self.versions():
            with self._engine() as client:
                client.delete_collection(_schema.collection_name(version))

    def versions(self) -> list[str]:
        with self._engine() as client:
            names = [collection.name for collection in client.get_collections().collections]
        return sorted(version for name in names if (version := _schema.version_of(name)))

    def health(self) -> IndexHealth:
        engine = "memory" if self._in_memory else "server"
        try:
            points, live = self.count(), self._live_version()
        except Unavailable as error:
            return IndexHealth(engine, self._location, "", 0, ok=False, notes=(error.message,))
        notes = _schema.live_notes(self._version, live)
        if self._behind[1]:
            notes = (*notes, "The server is behind with indexing: searches leave the newest photos out for now.")
        return IndexHealth(engine, self._location, live, points, ok=True, notes=notes)

    def flush(self) -> None:
        """Nothing to do: a server keeps its own log and flushes it."""

    def close(self) -> None:
        if not self._in_memory:
            self._client.close()

    def _ensure_collection(self, client: QdrantClient) -> None:
        """The collection and then its payload indexes, before any point; both steps may run twice."""
        if not client.collection_exists(self._collection):
            try:
                client.create_collection(
                    self._collection,
                    vectors_config=_client.vectors_config(self._dim),
                    sparse_vectors_config=_client.sparse_config(),
                    hnsw_config=_client.hnsw_config(),
                    optimizers_config=_client.optimizers_config(),
                )
            except UnexpectedResponse as error:
                if error.status_code != 409:  # another worker was faster
                    raise
        info = client.get_collection(self._collection)
        stored = info.config.params.vectors
        if not isinstance(stored, dict) or any(stored[name].size != self._dim for name in stored):
            raise ValueError(f"{self._collection} at {self._location} has vectors of another length than {self._dim}")
        if not self._in_memory:
            for name in _schema.PAYLOAD_INDEXES.keys() - info.payload_schema.keys():
                client.create_payload_index(self._collection, name, _client.payload_index(name), wait=True)

    def _live_version(self) -> str:
        with self._engine() as client:
            aliases = client.get_aliases().aliases
        names = [alias.collection_name for alias in aliases if alias.alias_name == _schema.ALIAS]
        return (_schema.version_of(names[0]) or "") if names else ""

    def _params(self, exact: bool, *, behind: bool = False) -> m.SearchParams | None:
        if self._in_memory:
            return None
        return m.SearchParams(exact=exact, indexed_only=behind and not exact)

    def _server_is_behind(self) -> bool:
        """During a bulk load the server searches what has no graph yet photo by photo: a well-known benchmark saw
        780 ms in place of 4. Then only what is indexed is searched, and the answer is marked. What was seen last counts
        where the server does not say: it may still answer a search."""
        looked, behind = self._behind
        if not self._in_memory and time.monotonic() - looked >= BEHIND_SECONDS:
            with contextlib.suppress(Unavailable), self._engine() as client:
                behind = _client.photos_behind(client.get_collection(self._collection)) > BEHIND_PHOTOS
            self._behind = (time.monotonic(), behind)
        return behind

    def _is_selective(self, filters: Filters, *, behind: bool) -> bool:
        """Whether few enough photos pass to compare each, where the graph could miss some. A merchant has a graph of
        his own, but a further filter that few photos pass cuts it to pieces; and while the server is behind, perhaps
        with another merchant's photos, his own may have none yet. How many pass is the engine's estimate, remembered
        for a minute."""
        filters, now = replace(filters, exclude_photo_ids=()), time.monotonic()
        if self._in_memory or (filters == Filters(filters.merchant_id) and not behind):
            return False
        asked, matches = self._counts.get(filters, (now - COUNT_SECONDS, 0))
        if now - asked >= COUNT_SECONDS:
            with self._engine() as client:
                estimate = client.count(self._collection, count_filter=_client.to_filter(filters), exact=False)
            if len(self._counts) > 10_000:
                self._counts.clear()
            matches = estimate.count
            self._counts[filters] = (now, matches)
        return matches <= EXACT_BELOW

    @contextlib.contextmanager
    def _engine(self) -> Iterator[QdrantClient]:
        with _memory_lock if self._in_memory else contextlib.nullcontext(), _client.translated(self._location):
            yield self._client


def _http_client(url: str, api_key: str | None) -> QdrantClient:
    return QdrantClient(url=url, api_key=api_key or None, timeout=TIMEOUT_SECONDS, check_compatibility=False)


def _memory_client(url: str) -> QdrantClient:
    name = url.removeprefix("memory://")
    if not name:
        return QdrantClient(":memory:")
    with _memory_lock:
        client = _memory_clients.get(name)
        if client is None:
            client = _memory_clients[name] = QdrantClient(":memory:")
        return client
