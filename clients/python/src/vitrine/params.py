"""What calls take, typed: the fields of the request bodies, and the options that every call has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from os import PathLike
from typing import IO, Any, Literal, TypedDict

File = bytes | str | PathLike[str] | IO[bytes]  # its bytes, its path, or an open binary file that can be rewound
Box = tuple[float, float, float, float] | Sequence[float]  # left, top, right, bottom from 0 to 1
Sort = Literal["relevance", "price_asc", "price_desc", "newest"]


class Options(TypedDict, total=False):
    """Of every call. ``timeout``: seconds without an answer, of each try. ``idempotency_key``: yours in place of one
    made for this call, for a call that you may make again after a crash.
    """

    timeout: float
    idempotency_key: str


class Filters(TypedDict, total=False):
    """What a search is narrowed to; prices need a ``currency``."""

    categories: Sequence[str]
    brands: Sequence[str]
    price_min: Decimal | str | None
    price_max: Decimal | str | None
    currency: str | None
    in_stock: bool | None
    attributes: Mapping[str, Any]  # by name a list of values, or {"min": …, "max": …}


class Example(TypedDict, total=False):
    """What results should be like or unlike: one of the first four, and for a photo the ``region`` that counts.
    ``search_id``: the photo of an earlier search.
    """

    product_id: str | None
    photo: File | None
    photo_url: str
    search_id: str | None
    region: Box | None


class SearchParams(TypedDict, total=False):
    """A search by photo, by words, or by both."""

    photo: File | None
    photo_url: str
    words: str
    filters: Filters
    region: Box | None
    limit: int
    sort: Sort
    match: Literal["any", "similar", "same"]
    min_probability: float | None
    min_score: float | None
    facets: Sequence[str]
    photo_weight: float | None
    like: Sequence[str | Example]
    unlike: Sequence[str | Example]
    group_variants: bool


class SearchCall(SearchParams, Options, total=False):
    """A search and the call's options."""


class RecognitionPhoto(TypedDict, total=False):
    """One photo of a recognition with more than its bytes."""

    photo: File | None
    photo_url: str
    name: str
    region: Box | None


class ProductFacts(TypedDict, total=False):
    """What is known about a product; what is left out stays as it is."""

    title: str
    brand: str
    category: str
    description: str
    price: Decimal | str | None
    currency: str
    in_stock: bool
    attributes: Mapping[str, Any] | None
    variant_group: str


class ProductCall(ProductFacts, Options, total=False):
    """A product's facts and the call's options."""


class ProductChange(ProductCall, total=False):
    """A change, perhaps of the sku itself."""

    sku: str


class ProductLine(ProductFacts, total=False):
    """A product of a bulk call, known by its sku."""

    sku: str


class ProductQuery(Options, total=False):
    """What a list of products is narrowed by."""

    q: str
    sku: str
    category: str
    brand: str
    variant_group: str
    currency: str
    in_stock: bool
    price_min: Decimal | str
    price_max: Decimal | str


class Created(Options, total=False):
    """What a list of jobs is narrowed by."""

    state: str
    created_after: datetime | str
    created_before: datetime | str


class KeyParams(TypedDict, total=False):
    """A key: a secret one needs ``scopes`` or a ``preset``, a publishable one its ``origins``."""

    kind: Literal["secret", "publishable"]
    scopes: Sequence[str]
    preset: str
    origins: Sequence[str]
    expires_at: datetime | str | None
    rate_limit: int | None


class KeyCall(KeyParams, Options, total=False):
    """A key and the call's options."""


class KeyChange(Options, total=False):
    """What to change in a key."""

    name: str
    scopes: Sequence[str]
    origins: Sequence[str]
    expires_at: datetime | str | None
    rate_limit: int | None


class EndpointChange(Options, total=False):
    """What to change in a webhook endpoint; ``enabled=False`` pauses it."""

    url: str
    events: Sequence[str]
    description: str
    enabled: bool
