"""Between our types and the Qdrant client's: collection settings, points, filters, one query, errors."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from qdrant_client import models as m
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from recognition.errors import Unavailable
from recognition.index import _schema
from recognition.index._engine import NOTHING, Ask, Mix, PointId, Ranking
from recognition.index._words import SparseWords, document_words
from recognition.index.types import AttributeFilter, Filters, PhotoPoint

SEGMENT_KB = 400_000  # about 200,000 photos with their two vectors

_RETRY_STATUS = frozenset({401, 403, 408, 429})


def vectors_config(dim: int) -> dict[str, m.VectorParams]:
    """Two cosine vectors."""
    return {name: m.VectorParams(size=dim, distance=m.Distance.COSINE) for name in (_schema.IMAGE, _schema.FUSED)}


def sparse_config() -> dict[str, m.SparseVectorParams]:
    """The words, weighted by inverse document frequency."""
    return {_schema.WORDS: m.SparseVectorParams(modifier=m.Modifier.IDF)}


def hnsw_config() -> m.HnswConfigDiff:
    """One graph a merchant instead of one over all: every query names its merchant."""
    return m.HnswConfigDiff(m=0, payload_m=16)


def optimizers_config() -> m.OptimizersConfigDiff:
    """Segments that are not too large: after a bulk load, searches are slow until the last one has its graph."""
    return m.OptimizersConfigDiff(max_segment_size=SEGMENT_KB)


def payload_index(name: str) -> m.KeywordIndexParams | m.FloatIndexParams | m.IntegerIndexParams:
    """The index of one payload field; only the merchant's takes part in the graph."""
    kind = _schema.PAYLOAD_INDEXES[name]
    tenant = name == _schema.TENANT
    if kind == "keyword":
        return m.KeywordIndexParams(type=m.KeywordIndexType.KEYWORD, is_tenant=tenant or None, enable_hnsw=tenant)
    if kind == "float":
        return m.FloatIndexParams(type=m.FloatIndexType.FLOAT, enable_hnsw=False)
    return m.IntegerIndexParams(type=m.IntegerIndexType.INTEGER, lookup=True, range=False, enable_hnsw=False)


def to_points(points: Sequence[PhotoPoint], image: np.ndarray, fused: np.ndarray) -> list[m.PointStruct]:
    """The client's form of points whose vectors are checked (``_schema.batches``)."""
    return [
        m.PointStruct(
            id=_schema.point_id(point.payload.photo_id),
            vector={_schema.IMAGE: its_image.tolist(), _schema.FUSED: its_fused.tolist(), **_words(point.words)},
            payload=_schema.to_payload(point.payload),
        )
        for point, its_image, its_fused in zip(points, image, fused, strict=True)
    ]


def _words(text: str) -> dict[str, m.SparseVector]:
    words = document_words(text)
    return {} if words is None else {_schema.WORDS: _sparse(words)}


def to_filter(filters: Filters, without: Mapping[str, Sequence[str]] = NOTHING) -> m.Filter:
    """The merchant always, the rest where given. ``without``: fields with values that a point must not have."""
    must: list[m.Condition] = [equals(_schema.TENANT, filters.merchant_id)]
    for key, values in (("category", filters.categories), ("brand", filters.brands)):
        if values:
            must.append(m.FieldCondition(key=key, match=m.MatchAny(any=list(values))))
    if filters.price_min is not None or filters.price_max is not None:
        must.append(m.FieldCondition(key="price", range=m.Range(gte=filters.price_min, lte=filters.price_max)))
    if filters.currency is not None:
        must.append(equals("currency", filters.currency))
    if filters.in_stock is not None:
        must.append(equals("in_stock", int(filters.in_stock)))
    must += [condition for wanted in filters.attributes for condition in _attribute(wanted)]
    must_not: list[m.Condition] = []
    if filters.exclude_photo_ids:
        must_not.append(m.HasIdCondition(has_id=[_schema.point_id(photo_id) for photo_id in filters.exclude_photo_ids]))
    for key, unwanted in without.items():
        must_not.append(m.FieldCondition(key=key, match=m.MatchAny(any=list(unwanted))))
    return m.Filter(must=must, must_not=must_not or None)


def equals(key: str, value: str | int) -> m.FieldCondition:
    """The payload field holds exactly this value."""
    return m.FieldCondition(key=key, match=m.MatchValue(value=value))


def _attribute(wanted: AttributeFilter) -> Iterator[m.Condition]:
    if wanted.values:
        terms = [_schema.term(wanted.name, value) for value in wanted.values]
        yield m.FieldCondition(key="attributes", match=m.MatchAny(any=terms))
    if wanted.min is not None or wanted.max is not None:
        between = m.FieldCondition(key="value", range=m.Range(gte=wanted.min, lte=wanted.max))
        nested = m.Nested(key="numbers", filter=m.Filter(must=[equals("name", wanted.name), between]))
        yield m.NestedCondition(nested=nested)


def photos_behind(info: m.CollectionInfo) -> int:
    """About how many photos wait for their graph; 0 where the optimiser has nothing to do. A photo counts as indexed by
    three vectors: its words at once, the other two when their segment has its graph."""
    if info.status == m.CollectionStatus.GREEN:
        return 0
    return max(0, (3 * (info.points_count or 0) - (info.indexed_vectors_count or 0)) // 2)


def candidates_request(ask: Ask, params: m.SearchParams | None) -> m.QueryRequest:
    """One query for one ask: a nearest search, or one prefetch a part with DBSF over them."""
    allowed = to_filter(ask.filters, ask.without)
    if len(ask.parts) == 1:
        part = ask.parts[0]
        return m.QueryRequest(
            query=_vector(part), using=part.using, filter=allowed, params=params, limit=ask.depth, with_payload=False
        )
    prefetches = [
        m.Prefetch(query=_vector(part), using=part.using, filter=allowed, params=params, limit=ask.depth)
        for part in ask.parts
    ]
    fused = m.FusionQuery(fusion=m.Fusion.DBSF)
    return m.QueryRequest(prefetch=prefetches, query=fused, limit=ask.depth, with_payload=False)


def score_request(part: Ranking, ids: list[PointId], params: m.SearchParams | None) -> m.QueryRequest:
    """The exact scores of these points for one part."""
    named = m.Filter(must=[m.HasIdCondition(has_id=list(ids))])
    return m.QueryRequest(query=_vector(part), using=part.using, filter=named, params=params, limit=len(ids))


@contextlib.contextmanager
def translated(location: str) -> Iterator[None]:
    """What means "away" becomes ``Unavailable``: no connection, a time-out, 5xx, too many requests, a key refused."""
    try:
        yield
    except ResponseHandlingException as error:
        raise Unavailable("index_unavailable", f"The index at {location} cannot be reached: {error}") from error
    except ResourceExhaustedResponse as error:
        raise Unavailable("index_unavailable", f"The index at {location} is overloaded: {error}") from error
    except UnexpectedResponse as error:
        if error.status_code is not None and error.status_code < 500 and error.status_code not in _RETRY_STATUS:
            raise
        hint = " Check VITRINE_INDEX_API_KEY." if error.status_code in {401, 403} else ""
        message = f"The index at {location} answered {error.status_code} {error.reason_phrase}.{hint}"
        raise Unavailable("index_unavailable", message) from error


def _vector(part: Ranking) -> list[float] | m.SparseVector:
    if isinstance(part, Mix):
        raise TypeError("a server keeps both vectors apart: ask it for each (``_apart``)")
    return _sparse(part.vector) if isinstance(part.vector, SparseWords) else part.vector.tolist()


def _sparse(words: SparseWords) -> m.SparseVector:
    return m.SparseVector(indices=list(words.indices), values=list(words.values))
