"""What Vitrine answers, typed. Fields that a later version adds are kept and readable; ids are strings.

Read by ``_flows.read``. Names and meaning are those of the OpenAPI document (``/api/docs``); a test compares them.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

Box = tuple[float, float, float, float]  # left, top, right, bottom as parts (0 to 1) of the upright photo


class Model(BaseModel):
    """The base of all."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Page(Model, Generic[T]):
    """A page of a list."""

    next_cursor: str | None
    results: list[T]


class Fault(Model):
    """One single fault of a refused request."""

    field: str
    code: str
    message: str


class Error(Model):
    """Why a photo, a job or an upload failed."""

    code: str
    message: str


class QueuePlace(Model):
    """Where something unfinished stands; 1 is served next."""

    position: int
    eta_seconds: float | None


class ProductBrief(Model):
    """A product inside a hit."""

    id: str
    sku: str
    title: str
    brand: str
    category: str
    price: Decimal | None
    currency: str
    in_stock: bool
    variant_group: str
    attributes: dict[str, Any]


class Product(ProductBrief):
    """A product."""

    description: str
    photo_url: str | None
    photos_total: int
    photos_indexed: int
    created_at: datetime
    updated_at: datetime


class Photo(Model):
    """A photo; it is findable when its ``state`` is ``done``."""

    id: str
    product_id: str | None
    job_id: str | None
    upload_id: str | None
    purpose: str
    state: str
    error: Error | None
    name: str
    position: int
    content_type: str
    bytes: int
    width: int | None
    height: int | None
    bundle_version: str
    url: str
    thumb_url: str
    created_at: datetime
    finished_at: datetime | None


class RowProblem(Model):
    """One problem of a row or a line."""

    code: str
    message: str
    field: str
    photo: str


class BulkLine(Model):
    """What became of one product of a bulk call; ``number`` counts from 1."""

    number: int
    sku: str
    verdict: str
    product_id: str | None
    problems: list[RowProblem]


class Bulk(Model):
    """What a bulk call did."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    results: list[BulkLine] = []


class UploadProgress(Model):
    """How far an upload is."""

    percent: float
    photos_total: int
    photos_pending: int
    photos_dispatched: int
    photos_done: int
    photos_failed: int
    photos_per_second: float | None
    eta_seconds: float | None


class Upload(Model):
    """A bulk upload. Lists leave ``progress`` and ``queue`` out."""

    id: str
    kind: str
    state: str
    name: str
    dry_run: bool
    job_id: str | None
    rows_total: int
    rows_done: int
    rows_created: int
    rows_updated: int
    rows_unchanged: int
    rows_refused: int
    error: Error | None
    created_at: datetime
    finished_at: datetime | None
    progress: UploadProgress | None = None
    queue: QueuePlace | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to come."""
        return self.state in ("done", "failed", "cancelled")


class UploadRow(Model):
    """One row's verdict."""

    number: int
    sku: str
    verdict: str
    problems: list[RowProblem]
    values: dict[str, Any]
    product_id: str | None


class Scores(Model):
    """What each part of the query contributed; ``None``: that part was not in the query."""

    rank: float
    image: float | None
    fused: float | None
    text: float | None


class Variant(Model):
    """Another product of a hit's article; ``found``: it passes the filters and is near, too."""

    id: str
    sku: str
    title: str
    price: Decimal | None
    currency: str
    in_stock: bool
    attributes: dict[str, Any]
    photo_url: str | None
    found: bool


class Hit(Model):
    """A product that was found, and why."""

    product: ProductBrief
    photo_url: str | None
    thumbnail_url: str | None
    match: str
    probability: float | None
    scores: Scores
    why: str
    variants: list[Variant]


class Reading(Model):
    """A word that was also read as another, ``because`` of ``spelling`` or a ``synonym``."""

    word: str
    read_as: str
    because: str


class FacetValue(Model):
    """One value of a facet."""

    value: str
    count: int
    min: Decimal | None
    max: Decimal | None


class Facet(Model):
    """A facet that was asked for, counted over all hits."""

    name: str
    values: list[FacetValue]


class ExamplePhoto(Model):
    """A photo that was an example; ``search_id``: of which earlier search."""

    region: Box | None
    search_id: str | None


class SearchRequest(Model):
    """What was asked for."""

    words: str
    read_as: list[Reading]
    filters: dict[str, Any]
    region: Box | None
    limit: int
    photo_url: str | None
    sort: str
    match: str
    min_probability: float | None
    min_score: float | None
    facets: list[str]
    photo_weight: float | None
    like: list[str]
    unlike: list[str]
    like_photos: list[ExamplePhoto]
    unlike_photos: list[ExamplePhoto]
    group_variants: bool


class Job(Model):
    """What searches and recognitions have in common."""

    id: str
    state: str
    error: Error | None
    created_at: datetime
    finished_at: datetime | None
    queue: QueuePlace | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more is to come."""
        return self.state not in ("pending", "dispatched")


class SearchJob(Job):
    """A search. Lists leave the hits out."""

    request: SearchRequest
    box: Box | None
    verdict: str
    reason: str
    calibrated: bool
    degraded: bool = False
    bundle_version: str
    seconds: float | None
    deadline: datetime | None
    found: int = 0
    facets: list[Facet] = []
    hits: list[Hit] = []


class ItemPhoto(Model):
    """The photo that an item was seen in."""

    id: str
    name: str
    width: int | None
    height: int | None
    url: str


class Item(Model):
    """One recognised thing."""

    id: str
    job_id: str | None
    photo: ItemPhoto | None
    box: Box | None
    state: str
    verdict: str
    reason: str
    calibrated: bool
    probability: float | None
    bundle_version: str
    product: ProductBrief | None
    candidates: list[Hit]
    created_at: datetime
    decided_at: datetime | None


class Claims(Model):
    """The items that a key has now; nobody else is given them or decides on them until then."""

    claimed_until: datetime
    items: list[Item]


class RecognitionRequest(Model):
    """What was asked for."""

    items: str = "one"


class RecognitionProgress(Model):
    """How far a recognition is, in photos and items."""

    total: int
    finished: int
    states: dict[str, int]
    verdicts: dict[str, int]
    eta_seconds: float | None


class FailedPhoto(Model):
    """A photo that could not be recognised."""

    id: str
    name: str
    error: Error


class RecognitionJob(Job):
    """A recognition. ``items`` is its first page: ``recognition_jobs.items`` has all. Lists leave the rest out."""

    request: RecognitionRequest
    progress: RecognitionProgress | None = None
    failed_photos: list[FailedPhoto] = []
    items: Page[Item] | None = None


class Event(Model, Generic[T]):
    """One event of a stream: ``name`` says what ``data`` is."""

    id: str
    name: str
    data: T


class HeatMap(Model):
    """Where the network looked: a grid, row by row, over ``box``."""

    rows: int
    columns: int
    values: list[float]
    box: Box


class SeenPhoto(Model):
    """One of the two photos that were compared."""

    photo_id: str | None
    photo_url: str
    overlay_url: str | None
    heat_map: HeatMap | None


class ScorePart(Model):
    """What photo, words or price gave to ``fused``."""

    share: float
    cosine: float
    contribution: float


class Similarity(Model):
    """The similarity and its split."""

    image: float | None
    fused: float
    parts: dict[str, ScorePart]


class Explanation(Model):
    """Why a product was found."""

    product: ProductBrief
    verdict: str
    reason: str
    probability: float | None
    match: str
    why: str
    sentence: str
    similarity: Similarity
    query: SeenPhoto | None
    matched: SeenPhoto
    no_heat_map: str
    bundle_version: str


class Synonyms(Model):
    """Words that mean the same."""

    id: str
    words: list[str]
    created_at: datetime


class WebhookEndpoint(Model):
    """Where events are sent. ``secret`` is there once, in the answer that made it."""

    id: str
    url: str
    description: str
    events: list[str]
    enabled: bool
    disabled_reason: str
    disabled_at: datetime | None
    failing_since: datetime | None
    old_secret_until: datetime | None
    created_at: datetime
    secret: str | None = None


class WebhookAttempt(Model):
    """One try."""

    number: int
    at: datetime
    seconds: float | None
    status: int | None
    error_code: str
    error_message: str
    response: str


class WebhookDelivery(Model):
    """One event owed to one endpoint. Lists leave ``payload`` and ``log`` out."""

    id: str
    endpoint_id: str
    event_id: str
    type: str
    state: str
    attempts: int
    status: int | None
    error_code: str
    next_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None
    payload: dict[str, Any] | None = None
    log: list[WebhookAttempt] = []


class WebhookEvent(Model):
    """What arrived at your endpoint. Keep the ``id`` and do nothing for one that you know."""

    id: str = ""
    type: str
    timestamp: datetime
    data: dict[str, Any]


class Key(Model):
    """An API key. ``secret`` is there once, in the answer that made it."""

    id: str
    name: str
    kind: str
    scopes: list[str]
    origins: list[str]
    rate_limit: int | None
    hint: str
    state: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    replaced_by_id: str | None
    replaces_id: str | None
    secret: str | None = None
