"""Between our types and Qdrant Edge's: configuration, points, filters, one query, errors."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
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
    SearchParams,
    SparseVector,
    TurboQuantBitSize,
    TurboQuantQuantizationConfig,
    UpdateOperation,
)

from recognition.errors import Unavailable
from recognition.index import _schema
from recognition.index._query import NOTHING, Ask, Found, Part, PointId
from recognition.index._words import SparseWords, document_words
from recognition.index.types import AttributeFilter, Filters, PhotoPoint

_Condition: TypeAlias = (
    FieldCondition | IsEmptyCondition | IsNullCondition | HasIdCondition | HasVectorCondition | NestedCondition | Filter
)

EXACT_BELOW = 5_000  # matching photos; up to there every one is compared exactly, which takes less than a millisecond
OVERSAMPLING = 4.0  # above, so many times the wanted candidates are taken by their codes, then compared exactly

_CODES = TurboQuantQuantizationConfig(bits=TurboQuantBitSize.Bits4)
_DBSF = cast(Fusion, Fusion.Dbsf())  # its stubs say nested class, the engine says subclass
_INDEX_TYPES = {
    "keyword": PayloadSchemaType.Keyword,
    "float": PayloadSchemaType.Float,
    "integer": PayloadSchemaType.Integer,
}


class EdgeEngine:
    """The calls a search makes (``_query.Engine``) on an open shard. Every photo that passes the filters is looked at:
    as it is where they are few, else by its codes of four bits a value first."""

    def __init__(self, shard: EdgeShard) -> None:
        self._shard = shard
        self._exact = SearchParams(exact=True)
        self._by_codes = SearchParams(quantization=QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING))

    def fetch(self, asks: Sequence[Ask]) -> list[list[Found]]:
        answers = self._shard.query_batch(QueryBatchRequest([self._request(ask) for ask in asks]))
        return [[Found(point.id, point.score, point.payload or {}) for point in points] for points in answers]

    def score(self, asks: Sequence[tuple[Part, list[PointId]]]) -> list[dict[PointId, float]]:
        requests = [
            QueryRequest(
                len(ids), query=_nearest(part), filter=Filter(must=[HasIdCondition(set(ids))]), params=self._exact
            )
            for part, ids in asks
        ]
        answers = self._shard.query_batch(QueryBatchRequest(requests))
        return [{point.id: point.score for point in points} for points in answers]

    def _request(self, ask: Ask) -> QueryRequest:
        allowed = to_filter(ask.filters, ask.without)
        matching = self._shard.count(CountRequest(filter=allowed, exact=False))
        params = self._exact if matching <= EXACT_BELOW else self._by_codes
        if len(ask.parts) == 1:
            return QueryRequest(
                ask.limit,
                query=_nearest(ask.parts[0]),
                filter=allowed,
                params=params,
                with_payload=_schema.ANSWERED,
            )
        prefetches = [Prefetch(ask.depth, query=_nearest(part), filter=allowed, params=params) for part in ask.parts]
        return QueryRequest(ask.limit, prefetches=prefetches, query=_DBSF, with_payload=_schema.ANSWERED)


def config(dim: int) -> EdgeConfig:
    """Two cosine vectors, each with its codes, and the sparse words, weighted by inverse document frequency.

    A shard that was made without codes opens all the same, and is searched without them until it is made anew.
    """
    dense = EdgeVectorParams(dim, Distance.Cosine, quantization_config=_CODES)
    return EdgeConfig(
        vectors={_schema.IMAGE: dense, _schema.FUSED: dense},
        sparse_vectors={_schema.WORDS: EdgeSparseVectorParams(modifier=Modifier.Idf)},
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


def _index_payload(shard: EdgeShard) -> None:
    for name in _schema.PAYLOAD_INDEXES.keys() - shard.info().payload_schema.keys():
        kind = _INDEX_TYPES[_schema.PAYLOAD_INDEXES[name]]
        schema = KeywordIndexParams(is_tenant=True) if name == _schema.TENANT else kind
        shard.update(UpdateOperation.create_field_index(name, schema))


def to_point(point: PhotoPoint, dim: int) -> Point:
    """ValueError on vectors of the wrong shape."""
    vectors = {
        _schema.IMAGE: _schema.checked_vector(point.image, dim, "image").tolist(),
        _schema.FUSED: _schema.checked_vector(point.fused, dim, "fused").tolist(),
    }
    words = document_words(point.words)
    if words is not None:
        vectors[_schema.WORDS] = _sparse(words)
    return Point(_schema.point_id(point.payload.photo_id), vectors, _schema.to_payload(point.payload))


def equals(key: str, value: str | int) -> FieldCondition:
    """The payload field holds exactly this value."""
    return FieldCondition(key, match=MatchValue(value))


def to_filter(filters: Filters, without: Mapping[str, Sequence[str]] = NOTHING) -> Filter:
    """The merchant always, the rest where given. ``without``: fields with values that a point must not have."""
    must: list[_Condition] = [equals(_schema.TENANT, filters.merchant_id)]
    for key, values in (("category", filters.categories), ("brand", filters.brands)):
        if values:
            must.append(FieldCondition(key, match=MatchAny(list(values))))
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
        must_not.append(FieldCondition(key, match=MatchAny(list(unwanted))))
    return Filter(must=must, must_not=must_not)


def _attribute(wanted: AttributeFilter) -> Iterator[_Condition]:
    if wanted.values:
        yield FieldCondition(
            "attributes", match=MatchAny([_schema.term(wanted.name, value) for value in wanted.values])
        )
    if wanted.min is not None or wanted.max is not None:
        between = FieldCondition("value", range=RangeFloat(gte=wanted.min, lte=wanted.max))
        yield NestedCondition("numbers", Filter(must=[equals("name", wanted.name), between]))


@contextlib.contextmanager
def translated(folder: Path) -> Iterator[None]:
    """The engine raises bare ``Exception`` for everything: what means "cannot be used now" becomes ``Unavailable``, a
    shard made for other vectors ValueError."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if type(error) is not Exception or "runtime error" not in text:
            raise
        if "incompatible" in text:
            raise ValueError(f"The index in {folder} was made for other vectors: {text}") from error
        if "WAL" in text and "WouldBlock" in text:
            message = f"Another process has the index in {folder} open; it belongs to one process at a time."
            raise Unavailable("index_locked", message) from error
        raise Unavailable("index_unavailable", f"The index in {folder} cannot be used now: {text}") from error


def _nearest(part: Part) -> Query:
    vector = _sparse(part.vector) if isinstance(part.vector, SparseWords) else part.vector
    return Query.Nearest(vector, part.using)


def _sparse(words: SparseWords) -> SparseVector:
    return SparseVector(list(words.indices), list(words.values))
