"""The messages between the coordinator and the workers, and the names of queues and tasks.

The coordinator sends ``Chunk`` (bulk) and ``Search``; a worker answers with ``ChunkResult`` and ``SearchResult``. The
web sends ``Explain`` and finds the ``Explanation`` in Redis, ``manage.py verify`` an ``Inventory`` and its page there:
nothing is owed, so SQL knows nothing of it.
Frozen, JSON on the wire, each with a version field. Imports nothing of the project, so both sides can import it.
Messages carry a storage key and text, never pixels and never an id that only SQL can resolve.
"""

from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

VERSION: Final = 1

BULK_QUEUE = "vitrine.bulk"
SEARCH_QUEUE = "vitrine.search"
SHADOW_QUEUE = "vitrine.shadow"  # chunks for a bundle that is not live, done when nothing else is
RESULTS_QUEUE = "vitrine.results"
COORDINATOR_QUEUE = "vitrine.coordinator"

RUN_CHUNK = "workers.run_chunk"
RUN_SEARCH = "workers.run_search"
RUN_EXPLAIN = "workers.run_explain"
RUN_INVENTORY = "workers.run_inventory"
STORE_CHUNK_RESULT = "catalog.store_chunk_result"
STORE_SEARCH_RESULT = "catalog.store_search_result"

WORKER_KEY_PREFIX = "vitrine:worker:"  # one Redis key a live worker, holding a WorkerCard, gone seconds after it dies
ASSIGNMENT_KEY = "vitrine:bundles"  # which bundles the workers are to serve, an Assignment; written again and again
METRICS_KEY_PREFIX = (
    "vitrine:metrics:"  # one Redis key a process: its figures in Prometheus' text, gone soon after it is
)
COORDINATOR_KEY = "vitrine:coordinator"  # written at every round of dispatching, gone soon after the coordinator is
EXPLANATION_KEY_PREFIX = "vitrine:explanation:"  # one Redis key an Explanation; the channel of that name announces it
INVENTORY_KEY_PREFIX = "vitrine:inventory:"  # one Redis list an Inventory, holding its one InventoryPage
CHUNK_LIMIT = 32
INVENTORY_LIMIT = 1_000

ChunkPurpose = Literal["index", "recognise", "forget"]
Verdict = Literal["SURE", "REVIEW", "UNKNOWN"]

MESSAGE_INVALID = "message_invalid"  # the fault of a message that a worker cannot read: it is of another release
BYTES_UNREADABLE = "photo_bytes_unreadable"  # of a photo that the storage, though it is there, cannot read
COUNTED_FAULTS = (MESSAGE_INVALID, BYTES_UNREADABLE)  # waiting may help, but not for ever: as a lost lease

# Why a verdict is what it is: the code that a result carries, and what people read instead of it.
REASONS = {
    "clear_match": "The first product is likely enough to be stored without a person's look.",
    "close_runner_up": "A second product is almost as similar: a person should choose.",
    "weak_match": "The first product may be right, but not surely: a person should look.",
    "nothing_like_it": "No product is similar enough to be the one in the photo.",
    "no_candidates": "There is no product to compare with.",
}

Items = Literal["one", "many"]
Region = tuple[float, float, float, float]  # left, top, right, bottom as parts (0..1) of the upright photo


class Message(BaseModel):
    """What every message shares: it is frozen, refuses unknown fields, and says its version."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: Literal[1] = VERSION

    def to_wire(self) -> dict:
        """The JSON-safe form that goes on the queue and into Redis.

        What has its default is left out, so a message that makes no use of a new field can be read by the release
        before, which refuses fields that it does not know. A default must therefore never change.
        """
        return {"version": self.version, **self.model_dump(mode="json", exclude_defaults=True)}


class Part(BaseModel):
    """A piece of a message: frozen, without a version of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProductFacts(Part):
    """The product that a photo shows, as the worker needs it: text and price to fuse, payload to filter and group by.

    ``attributes`` are names with values, a name as often as it has values. ``group`` is what variants of one article
    share.
    """

    product_id: UUID
    title: str
    brand: str = ""
    category: str = ""
    description: str = ""
    price: float | None = None
    currency: str | None = None
    in_stock: bool = True
    attributes: tuple[tuple[str, str], ...] = ()
    group: str = ""


class PhotoWork(Part):
    """One photo of a chunk. ``product`` is set when it is to be indexed, absent when it is to be recognised.

    With a ``region`` only that part counts. ``items`` says what to look for: one product, or as many as there are.
    ``embedded_by`` is the bundle that embedded this very photo and region before, for another product or text: a worker
    that serves it finds the photo's vector in the index, and fuses it anew without opening the photo.
    """

    photo_id: UUID
    key: str
    product: ProductFacts | None = None
    region: Region | None = None
    items: Items = "one"
    embedded_by: str = ""


class Chunk(Message):
    """At most 32 photos of one merchant with one purpose.

    ``bundle`` is the version to do it with; empty: the worker's own. ``shadow`` chunks are done beside the rest, for a
    bundle that is not live or for a comparison, and their result is told apart by the same field.
    """

    chunk_id: UUID
    merchant_id: UUID
    purpose: ChunkPurpose
    photos: tuple[PhotoWork, ...] = Field(min_length=1, max_length=CHUNK_LIMIT)
    bundle: str = ""
    shadow: bool = False


class AttributeFilter(Part):
    """One attribute that a product must have: any of these values, or a number between these bounds (included)."""

    name: str
    values: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None


class SearchFilters(Part):
    """What a search is narrowed to, evaluated inside the index engine; each of the attributes must be met."""

    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    currency: str | None = None
    in_stock: bool | None = None
    attributes: tuple[AttributeFilter, ...] = ()


class Example(Part):
    """A photo that is no part of the index, to be near to or far from; with a ``region`` only that part counts."""

    key: str
    region: Region | None = None


class Search(Message):
    """A shopper's search: a photo (by its storage key), words, or both. Not run once ``deadline`` has passed.

    ``photo_weight`` weighs the photo against the words. ``like`` and ``unlike`` are photos of the index to be near to
    and far from, ``like_photos`` and ``unlike_photos`` other ones; with any of them nothing is judged: near to a
    mixture means no probability of being the same. ``grouped``: variants of one article count once in ``limit``.
    ``bundle`` is the version to answer with; empty: the worker's own. ``request_id`` is that of the request that asked,
    for the logs.
    """

    job_id: UUID
    merchant_id: UUID
    deadline: datetime
    key: str | None = None
    words: str = ""
    region: Region | None = None
    filters: SearchFilters = SearchFilters()
    limit: int = Field(10, ge=1, le=100)
    photo_weight: float | None = Field(None, ge=0, le=1)
    like: tuple[UUID, ...] = ()
    unlike: tuple[UUID, ...] = ()
    like_photos: tuple[Example, ...] = ()
    unlike_photos: tuple[Example, ...] = ()
    grouped: bool = True
    bundle: str = ""
    request_id: str = ""


class Scores(Part):
    """Why a product came back: what each part of the query contributed. ``None``: the part was not in the query."""

    rank: float  # what the list is ordered by
    image: float | None = None  # cosine of the query photo with the matched photo
    fused: float | None = None  # cosine of the query with the matched photo's fused vector
    text: float | None = None  # keyword score of the query words


class Candidate(Part):
    """A product that a photo or a query may mean."""

    product_id: UUID
    photo_id: UUID  # the stored photo that matched best
    scores: Scores
    probability: float | None = None  # that this is the very product; only for queries with a photo
    match: Literal["same", "similar", "other"] = "other"
    votes: int = 1  # photos of this product among the nearest


class Fault(Part):
    """Why an item failed. ``retry``: a service was away, nothing is wrong with the item itself."""

    code: str
    message: str
    kind: Literal["client", "bug", "retry"]
    trace: str = ""


class FoundItem(Part):
    """One of the things that were found in a photo: where, and which product it may be."""

    box: Region  # close round it, for people
    cut: Region | None = None  # the square round it that was compared; None: the box itself
    verdict: Verdict
    reason: str
    candidates: tuple[Candidate, ...] = ()
    fingerprint: str = ""  # of the pixels compared, see recognition.fingerprint
    sketch: str = ""  # of their vector


class PhotoOutcome(Part):
    """What became of one photo of a chunk: either ``fault`` is set, or it is done.

    A photo recognised as one thing has a verdict, and ``box`` where only a part of it was looked at. One that was
    searched for many has ``items`` instead, the surest first; none at all is an answer too.
    """

    photo_id: UUID
    fault: Fault | None = None
    width: int | None = None
    height: int | None = None
    verdict: Verdict | None = None  # only when recognised
    reason: str = ""
    candidates: tuple[Candidate, ...] = ()
    box: Region | None = None
    items: tuple[FoundItem, ...] | None = None
    fingerprint: str = ""
    sketch: str = ""


class ChunkResult(Message):
    """One message a chunk, one outcome a photo."""

    chunk_id: UUID
    worker: str
    bundle_version: str
    calibrated: bool
    purpose: ChunkPurpose
    outcomes: tuple[PhotoOutcome, ...]
    seconds: float
    shadow: bool = False


class SearchResult(Message):
    """The answer to a ``Search``: candidates in order, or a fault."""

    job_id: UUID
    worker: str
    bundle_version: str
    calibrated: bool
    candidates: tuple[Candidate, ...] = ()
    verdict: Verdict | None = None  # only when the query had a photo
    reason: str = ""
    box: Region | None = None  # the part of the photo that was searched with; None: all of it, or no photo
    degraded: bool = False  # the index has a backlog: what was stored in the last minutes may be missing
    fault: Fault | None = None
    expired: bool = False  # the deadline had passed before the device was free; it was not run
    seconds: float = 0.0
    request_id: str = ""


class Explain(Message):
    """Why is this query similar to this photo of a product? Takes the way of a search; answered by an ``Explanation``.

    ``token`` is derived from all that the answer depends on, so equal questions share their answer.
    """

    token: str = Field(pattern=r"^[0-9a-f]{64}$")
    merchant_id: UUID
    deadline: datetime
    key: str | None = None  # of the query's photo
    region: Region | None = None  # the part of it that was compared
    words: str = ""
    matched_key: str
    matched_region: Region | None = None
    product: ProductFacts


class HeatGrid(Part):
    """Where the network looked: ``values`` (0..1) row by row, over the rectangle ``box`` of the upright photo."""

    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    values: tuple[float, ...]
    box: Region


class ScorePart(Part):
    """What one part of the matched photo's fused vector gave: its share by the gate (0..1), its cosine with the query,
    and what it added to the fused similarity."""

    share: float
    cosine: float
    contribution: float


class ScoreSplit(Part):
    """The fused similarity as the sum of three contributions."""

    image: ScorePart
    words: ScorePart
    price: ScorePart


class Explanation(Message):
    """The answer to an ``Explain``: the split and the heat maps, or a fault."""

    token: str
    worker: str
    bundle_version: str
    image: float | None = None  # cosine of the two photos; None for a query without one
    fused: float | None = None  # cosine of the query with the matched photo's fused vector; None only beside a fault
    split: ScoreSplit | None = None
    query_map: HeatGrid | None = None
    matched_map: HeatGrid | None = None
    no_map: Literal["", "no_photo", "no_feature_map"] = ""  # why there are no heat maps
    fault: Fault | None = None
    expired: bool = False  # the deadline had passed before the device was free; it was not run
    seconds: float = 0.0


class Inventory(Message):
    """What does the index hold? Takes the way of a search; answered by an ``InventoryPage``.

    Asks for the points of ``photo_ids``, or, without any, for a page of all points from ``after`` on. The points in
    ``remove`` are removed before: those under ids that no photo has, which no chunk can name.
    """

    token: UUID
    deadline: datetime
    photo_ids: tuple[UUID, ...] = Field((), max_length=INVENTORY_LIMIT)
    after: str = ""
    limit: int = Field(INVENTORY_LIMIT, ge=1, le=INVENTORY_LIMIT)
    remove: tuple[str, ...] = Field((), max_length=INVENTORY_LIMIT)


class HeldPoint(Part):
    """A point as the index holds it: whose it is, and what searches filter by.

    ``misplaced``: it does not lie under the id that its photo has.
    """

    point_id: str
    photo_id: UUID
    merchant_id: UUID
    product_id: UUID
    category: str = ""
    brand: str = ""
    price: float | None = None
    currency: str | None = None
    in_stock: bool = True
    group: str = ""
    misplaced: bool = False


class InventoryPage(Message):
    """The answer to an ``Inventory``, or a fault. ``following`` begins the next page; empty: there is none."""

    token: UUID
    worker: str
    bundle_version: str
    points: tuple[HeldPoint, ...] = ()
    following: str = ""
    fault: Fault | None = None


class Assignment(Message):
    """Which bundles the workers are to serve, by version: searches name one of them.

    ``shadow`` is embedded beside the live one, or was live before and is kept up to date. What the index holds of a
    ``retired`` one is deleted.
    """

    live: str
    shadow: str = ""
    retired: tuple[str, ...] = ()


class WorkerCard(Message):
    """What a live worker says about itself every few seconds.

    ``bundles``: every version that it can answer with, where there are several; ``bundle_faults``: why it cannot serve
    one that it should.
    """

    name: str
    bundle_version: str
    calibrated: bool
    device: str
    engine: str
    points: int
    photos_done: int
    searches_done: int
    started_at: datetime
    notes: tuple[str, ...] = ()  # for the operator, for example that the embedded index is outgrown
    bundles: tuple[str, ...] = ()
    bundle_faults: dict[str, str] = {}
    index_ok: bool = True

    def serves(self, version: str) -> bool:
        """Whether it can answer with this bundle."""
        return version == self.bundle_version or version in self.bundles
