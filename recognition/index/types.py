"""The words of the index: what is stored, what is asked, what is answered, and the interface both engines keep.

Before: ``recogniser`` made the vectors. After: ``decide`` turns the cosines of a hit into probabilities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class PointPayload:
    """What filters and answers need to know of a photo's product; ``price`` is in units of ``currency``.

    ``group`` is what products that are variants of one article share, "" where there are none. ``attributes`` are names
    with values, a name as often as it has values; they can be filtered by, and do not come back with a hit.
    """

    merchant_id: str
    product_id: str
    photo_id: str
    category: str
    brand: str
    price: float | None
    currency: str | None
    in_stock: bool
    group: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class PhotoPoint:
    """One photo to store: ``image`` and ``fused`` are float vectors of shape ``[dim]`` (any length, cosine is used);
    ``words`` is the product's title, brand, category and description as one text."""

    payload: PointPayload
    image: np.ndarray
    fused: np.ndarray
    words: str


@dataclass(frozen=True)
class AttributeFilter:
    """One attribute: any of these values, and a number between these bounds (included), where given.

    A value that is a number, or a text that says one (``"350"``, ``"-0.5"``), is in ranges; of several values one
    that fits is enough.
    """

    name: str
    values: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class StoredPoint:
    """A point as it lies in the index. ``misplaced``: not under the id that its photo has, so the photo is there twice
    or under a name that no upsert will ever replace."""

    point_id: str
    payload: PointPayload
    misplaced: bool


@dataclass(frozen=True)
class Filters:
    """Which photos may answer. ``merchant_id`` always applies; an empty tuple or None leaves the rest open.

    ``categories`` and ``brands`` mean "any of"; each of the ``attributes`` must be met. ``price_min`` and
    ``price_max`` include their bounds, and a product without a price is in no range. Prices are compared as numbers:
    give ``currency`` with a range where a merchant sells in several.
    """

    merchant_id: str
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    currency: str | None = None
    in_stock: bool | None = None
    attributes: tuple[AttributeFilter, ...] = ()
    exclude_photo_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexQuery:
    """A search by photo, words or both: ``image`` is the photo's vector, ``text`` the words' vector in the same
    space (both ``[dim]``), ``words`` the words themselves for BM25; ``limit`` counts products.

    ``grouped``: variants of one article count once, and the answer holds those of them that are near, the best first.

    ``photo_weight`` in [0, 1] weighs the photo against the words where both are given; None: the engine's fusion does.
    """

    filters: Filters
    image: np.ndarray | None = None
    text: np.ndarray | None = None
    words: str = ""
    limit: int = 10
    photo_weight: float | None = None
    grouped: bool = False


@dataclass(frozen=True)
class ProductHit:
    """One product found, by its best photo.

    ``score`` is what it was ranked by; compare it only within one answer:

    - photo without words: ``image_weight * image_score + (1 - image_weight) * fused_score``, in [-1, 1];
    - ``words`` only, without ``text``: BM25; ``text`` without usable ``words``: ``fused_score``;
    - photo and words with a ``photo_weight`` w: ``w`` times the score of the photo alone, and ``1 - w`` times BM25 as a
      part (0..1) of the best BM25 among the candidates;
    - otherwise: the engine's distribution-based fusion (DBSF), a sum of one share of about 0..1 for each ranking.

    ``image_score``: cosine of the query photo with the stored ``image`` vector, None without a query photo.
    ``fused_score``: cosine of the query with the stored ``fused`` vector; the query is the photo's vector, the text's
    vector, or the direction half-way between where both are given; None where neither is.
    ``text_score``: BM25 of the words, 0.0 where none of them occurs, None where the query has no words.
    ``votes``: photos of this product among the nearest ones looked at (6 times ``limit``, at least 60).
    """

    product_id: str
    photo_id: str
    score: float
    image_score: float | None
    fused_score: float | None
    text_score: float | None
    votes: int
    payload: PointPayload


@dataclass(frozen=True)
class IndexHealth:
    """``version`` is the live bundle version ("" where none was promoted yet); ``points`` counts the opened version's
    photos; ``notes`` are sentences for the operator."""

    engine: str
    location: str
    version: str
    points: int
    ok: bool
    notes: tuple[str, ...]


class PhotoIndex(Protocol):
    """The index of one bundle version. Every method may raise ``Unavailable``; writes return once the engine has
    acknowledged them and may be repeated. Safe to use from several threads."""

    def upsert(self, points: Sequence[PhotoPoint]) -> None:
        """Store photos; one with the same photo id is replaced. ValueError on a vector of the wrong shape."""

    def nearest(self, queries: Sequence[IndexQuery]) -> list[list[ProductHit]]:
        """The best products of each query, best first, ties by product id; ValueError on a bad or empty query."""

    def is_behind(self, filters: Filters | None = None) -> bool:
        """Whether photos were written lately that answers may miss, because the engine has not indexed them yet; with
        ``filters``, answers of a search with these."""

    def image_vectors(self, photo_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """The stored ``image`` vectors [dim], unit length, by photo id; ids that are not stored are left out."""

    def forget(self, photo_ids: Sequence[str]) -> None:
        """Remove photos; unknown ids are ignored."""

    def set_payload(self, product_id: str, *, merchant_id: str, **changes: object) -> None:
        """Change category, brand, price, currency, in_stock, group or attributes on all photos of a product."""

    def count(self, filters: Filters | None = None) -> int:
        """Photos that match, exactly; all photos of this version without ``filters``."""

    def photo_ids(self, merchant_id: str) -> Iterator[str]:
        """Every stored photo id of a merchant, in no useful order, read page by page."""

    def points(self, after: str | None, limit: int) -> tuple[list[StoredPoint], str | None]:
        """A page of all stored points, of every merchant, in the order of their ids; and where the next page begins."""

    def stored(self, photo_ids: Sequence[str]) -> list[StoredPoint]:
        """The points of these photos; ids that are not stored are left out."""

    def remove(self, point_ids: Sequence[str]) -> None:
        """Remove points by their own ids; unknown ids are ignored. Whoever knows the photo calls ``forget``."""

    def promote(self, version: str) -> None:
        """Make ``version`` the live one, in one step; ValueError where it has no collection."""

    def drop(self, version: str) -> None:
        """Delete a version with all its photos; ValueError for the live one and the opened one. Unknown: nothing."""

    def versions(self) -> list[str]:
        """Versions that have a collection, sorted."""

    def health(self) -> IndexHealth:
        """State of the engine; never raises for an engine that is away, ``ok`` is False then."""

    def flush(self) -> None:
        """Force acknowledged writes to disk (the server does that by itself)."""

    def close(self) -> None:
        """Flush and let go of the engine; may be called twice."""
