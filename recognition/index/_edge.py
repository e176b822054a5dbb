"""Between our types and Qdrant Edge's: configuration, points, filters, one query, errors.

A photo's image and fused vector lie end to end in one stored vector. A query's are put end to end as well, each as long
as it counts: one scan compares with both, with one of them where the other half is zero (docs/decisions/index.md).
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, cast
from uuid import UUID

import numpy as np
from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FacetRequest,
    FieldCondition,
    Filter,
    Fusion,
    HasIdCondition,
    HasVectorCondition,
    IsEmptyCondition,
    IsNullCondition,
    KeywordIndexParams,
    MatchAny,
    MatchValue,
    Modifier,
    NestedCondition,
    PayloadSchemaType,
    Point,
    Prefetch,
    QuantizationSearchParams,
    Query,
    QueryBatchRequest,
    QueryRequest,
    RangeFloat,
    ScoredPoint,
    SearchParams,
    SparseVector,
    TurboQuantBitSize,
    TurboQuantQuantizationConfig,
    UpdateOperation,
)

from recognition.errors import Unavailable
from recognition.index import _schema
from recognition.index._engine import NOTHING, Ask, Found, Mix, PointId, Ranking
from recognition.index._words import SparseWords, document_words
from recognition.index.types import AttributeFilter, Filters, PhotoPoint

_Condition: TypeAlias = (
    FieldCondition | IsEmptyCondition | IsNullCondition | HasIdCondition | HasVectorCondition | NestedCondition | Filter
)

BOTH = "image+fused"  # the stored vector's name

EXACT_BELOW = 1_000  # matching photos; up to there all are compared exactly, which takes no longer than by codes
OVERSAMPLING = 4.0  # above, so many times the wanted candidates are taken by their codes, then compared exactly

_CODES = TurboQuantQuantizationConfig(bits=TurboQuantBitSize.Bits4)
_DBSF = cast(Fusion, Fusion.Dbsf())  # its stubs say nested class, the engine says subclass
_INDEX_TYPES = {
    "keyword": PayloadSchemaType.Keyword,
    "float": PayloadSchemaType.Float,
    "integer": PayloadSchemaType.Integer,
}


class EdgeEngine:
    """The calls a search makes (``_engine.Engine``) on an open shard. Every photo that passes the filters is looked at:
    as it is where they are few, else by its codes of four bits a value first.

    ``sole``: the merchant whose photos are all that the shard holds, None where it is not known that there is but one.
    """

    def __init__(self, shard: EdgeShard, sole: str | None = None) -> None:
        self._shard, self._sole = shard, sole
        self._ids: dict[PointId, PointId] = {}
        self._exact = SearchParams(exact=True)
        self._by_codes = SearchParams(quantization=QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING))

    def fetch(self, asks: Sequence[Ask]) -> list[Found]:
        answers = self._shard.query_batch(QueryBatchRequest([self._request(ask) for ask in asks]))
        return [Found(self._scores(points)) for points in answers]

    def score(self, asks: Sequence[tuple[Ranking, list[PointId]]]) -> list[dict[PointId, float]]:
        requests = [
            QueryRequest(
                len(points),
                query=_nearest(part),
                filter=Filter(must=[HasIdCondition({self._ids[point] for point in points})]),
                params=self._exact,
            )
            for part, points in asks
        ]
        answers = self._shard.query_batch(QueryBatchRequest(requests))
        return [self._scores(points) for points in answers]

    def payloads(self, ids: Sequence[PointId]) -> dict[PointId, Mapping[str, Any]]:
        named = [self._ids[point] for point in ids]
        records = self._shard.retrieve(named, with_payload=_schema.ANSWERED, with_vector=False)
        # They come in the order asked. A look at an id makes it, and a look at a payload too.
        found = ids if len(records) == len(ids) else self._numbers([record.id for record in records])
        told = ((point, record.payload) for point, record in zip(found, records, strict=True))
        return {point: payload for point, payload in told if payload}

    def _scores(self, points: Sequence[ScoredPoint]) -> dict[PointId, float]:
        return dict(zip(self._numbers([point.id for point in points]), [point.score for point in points], strict=True))

    def _numbers(self, points: Sequence[PointId]) -> list[PointId]:
        """Points go by their UUIDs' numbers: these are hashed in C, UUIDs in Python, a thousand times a search."""
        numbers: list[PointId] = [point.int if isinstance(point, UUID) else point for point in points]
        self._ids.update(zip(numbers, points, strict=True))
        return numbers

    def _request(self, ask: Ask) -> QueryRequest:
        allowed = to_filter(ask.filters, ask.without, sole=self._sole)
        matching = self._shard.count(CountRequest(filter=allowed, exact=False))
        params = self._exact if matching <= EXACT_BELOW else self._by_codes
        if len(ask.parts) == 1:
            return QueryRequest(ask.depth, query=_nearest(ask.parts[0]), filter=allowed, params=params)
        prefetches = [Prefetch(ask.depth, query=_nearest(part), filter=allowed, params=params) for part in ask.parts]
        return QueryRequest(ask.depth, prefetches=prefetches, query=_DBSF)


def config(dim: int) -> EdgeConfig:
    """Image and fused vector of ``dim`` each as one, with its codes, and the sparse words, weighted by inverse document
    frequency. Both halves are stored at unit length, so that the product of vectors is a sum of cosines.

    One thread searches: a shard that is never optimised is one segment, and the pool that divides segments among its
    threads only wakes them, to spin while they wait.
    """
    return EdgeConfig(
        vectors={BOTH: EdgeVectorParams(2 * dim, Distance.Dot, quantization_config=_CODES)},
        sparse_vectors={_schema.WORDS: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        max_search_threads=1,
    )


def create_shard(folder: Path, dim: int) -> None:
    """An empty shard with its payload indexes, closed again."""
    shard = EdgeShard.create(str(folder), config(dim))
    _index_payload(shard)
    shard.flush()
    shard.close()


def load_shard(folder: Path, dim: int) -> EdgeShard:
    """A shard that is there; payload indexes that it has not yet, because another release made it, are made now."""
    shard = EdgeShard.load(str(folder), config(dim))
    _index_payload(shard)
    return shard


def merchants_of(shard: EdgeShard) -> set[str] | None:
    """The merchants whose photos the shard holds; None for more than one, or with points that are nobody's."""
    hits = shard.facet(FacetRequest(_schema.TENANT, limit=2, exact=True)).hits
    if len(hits) > 1 or sum(hit.count for hit in hits) != shard.info().points_count:
        return None
    return {str(hit.value) for hit in hits}


def _index_payload(shard: EdgeShard) -> None:
    for name in _schema.PAYLOAD_INDEXES.keys() - shard.info().payload_schema.keys():
        kind = _INDEX_TYPES[_schema.PAYLOAD_INDEXES[name]]
        schema = KeywordIndexParams(is_tenant=True) if name == _schema.TENANT else kind
        shard.update(UpdateOperation.create_field_index(name, schema))


def to_points(points: Sequence[PhotoPoint], image: np.ndarray, fused: np.ndarray) -> list[Point]:
    """The engine's form of points whose vectors are checked (``_schema.batches``)."""
    both = np.hstack([_units(image), _units(fused)]).tolist()
    return [
        Point(
            _schema.point_id(point.payload.photo_id),
            {BOTH: its_both, **_words(point.words)},
            _schema.to_payload(point.payload),
        )
        for point, its_both in zip(points, both, strict=True)
    ]


def _units(vectors: np.ndarray) -> np.ndarray:
    """At unit length; a vector of zeros stays."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))  # numpy's norm takes ten times as long
    return vectors / np.where(lengths == 0.0, 1.0, lengths)[:, None]


def image_of(vectors: Any) -> list[float]:
    """The image vector of a retrieved point, at unit length."""
    both = vectors[BOTH]
    return both[: len(both) // 2]


@lru_cache(maxsize=256)  # the photos of a product come one after the other, with the same words
def _words(text: str) -> Mapping[str, SparseVector]:
    words = document_words(text)
    return {} if words is None else {_schema.WORDS: _sparse(words)}


def equals(key: str, value: str | int) -> FieldCondition:
    """The payload field holds exactly this value."""
    return FieldCondition(key, match=MatchValue(value))


def to_filter(
    filters: Filters, without: Mapping[str, Sequence[str]] = NOTHING, *, sole: str | None = None
) -> Filter | None:
    """The merchant, unless all photos are his (``sole``), and the rest where given. ``without``: fields with values
    that a point must not have. None where every photo passes."""
    must: list[_Condition] = [] if filters.merchant_id == sole else [equals(_schema.TENANT, filters.merchant_id)]
    for key, values in (("category", filters.categories), ("brand", filters.brands)):
        if values:
            must.append(_one_of(key, values))
    if filters.price_min is not None or filters.price_max is not None:
        must.append(FieldCondition("price", range=RangeFloat(gte=filters.price_min, lte=filters.price_max)))
    if filters.currency is not None:
        must.append(equals("currency", filters.currency))
    if filters.in_stock is not None:
        must.append(equals("in_stock", int(filters.in_stock)))
    must += [condition for wanted in filters.attributes for condition in _attribute(wanted)]
    must_not: list[_Condition] = []
    if filters.exclude_photo_ids:
        must_not.append(HasIdCondition({_schema.point_id(photo_id) for photo_id in filters.exclude_photo_ids}))
    for key, unwanted in without.items():
        must_not.append(_one_of(key, unwanted))
    return Filter(must=must, must_not=must_not) if must or must_not else None


def _one_of(key: str, values: Sequence[str]) -> FieldCondition:
    """For one value a set takes a quarter longer to look through."""
    return equals(key, values[0]) if len(values) == 1 else FieldCondition(key, match=MatchAny(list(values)))


def _attribute(wanted: AttributeFilter) -> Iterator[_Condition]:
    if wanted.values:
        yield _one_of("attributes", [_schema.term(wanted.name, value) for value in wanted.values])
    if wanted.min is not None or wanted.max is not None:
        between = FieldCondition("value", range=RangeFloat(gte=wanted.min, lte=wanted.max))
        yield NestedCondition("numbers", Filter(must=[equals("name", wanted.name), between]))


def is_incompatible(error: Exception) -> bool:
    """Whether the engine says that a shard was made for other vectors than it is opened for."""
    return "incompatible" in str(error)


@contextlib.contextmanager
def translated(folder: Path) -> Iterator[None]:
    """The engine raises bare ``Exception`` for everything: what means "cannot be used now" becomes ``Unavailable``."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if type(error) is not Exception or "runtime error" not in text:
            raise
        if "WAL" in text and "WouldBlock" in text:
            message = f"Another process has the index in {folder} open; it belongs to one process at a time."
            raise Unavailable("index_locked", message) from error
        raise Unavailable("index_unavailable", f"The index in {folder} cannot be used now: {text}") from error


def _nearest(part: Ranking) -> Query:
    if isinstance(part, Mix):
        image, fused = part.weight * part.image.dense, (1.0 - part.weight) * part.fused.dense
    elif isinstance(part.vector, SparseWords):
        return Query.Nearest(_sparse(part.vector), part.using)
    else:
        nothing = np.zeros_like(part.vector)
        image, fused = (part.vector, nothing) if part.using == _schema.IMAGE else (nothing, part.vector)
    return Query.Nearest(np.concatenate([image, fused]).tolist(), BOTH)


def _sparse(words: SparseWords) -> SparseVector:
    return SparseVector(list(words.indices), list(words.values))
