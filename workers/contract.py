"""The messages between the coordinator and the workers, and the names of queues and tasks.

The coordinator sends ``Chunk`` (bulk) and ``Search``; a worker answers with ``ChunkResult`` and ``SearchResult``. The
web sends ``Explain`` and finds the ``Explanation`` in Redis: nothing is owed, so SQL knows nothing of it.
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
RESULTS_QUEUE = "vitrine.results"
COORDINATOR_QUEUE = "vitrine.coordinator"

RUN_CHUNK = "workers.run_chunk"
RUN_SEARCH = "workers.run_search"
RUN_EXPLAIN = "workers.run_explain"
STORE_CHUNK_RESULT = "catalog.store_chunk_result"
STORE_SEARCH_RESULT = "catalog.store_search_result"

WORKER_KEY_PREFIX = "vitrine:worker:"  # one Redis key a live worker, holding a WorkerCard, gone seconds after it dies
COORDINATOR_KEY = "vitrine:coordinator"  # written at every round of dispatching, gone soon after the coordinator is
EXPLANATION_KEY_PREFIX = "vitrine:explanation:"  # one Redis key an Explanation; the channel of that name announces it
CHUNK_LIMIT = 32

ChunkPurpose = Literal["index", "recognise", "forget"]
Verdict = Literal["SURE", "REVIEW", "UNKNOWN"]

MESSAGE_INVALID = "message_invalid"  # the fault of a message that a worker cannot read: it is of another release

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
    """The product that a photo shows, as the worker needs it: text and price to fuse, payload to filter by."""

    product_id: UUID
    title: str
    brand: str = ""
    category: str = ""
    description: str = ""
    price: float | None = None
    currency: str | None = None
    in_stock: bool = True


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
    """At most 32 photos of one merchant with one purpose."""

    chunk_id: UUID
    merchant_id: UUID
    purpose: ChunkPurpose
    photos: tuple[PhotoWork, ...] = Field(min_length=1, max_length=CHUNK_LIMIT)


class SearchFilters(Part):
    """What a search is narrowed to, evaluated inside the index engine."""

    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    currency: str | None = None
    in_stock: bool | None = None


class Search(Message):
    """A shopper's search: a photo (by its storage key), words, or both. Not run once ``deadline`` has passed.

    ``photo_weight`` weighs the photo against the words. ``like`` and ``unlike`` are stored photos to be near to and far
    from; with any of them nothing is judged: near to a mixture means no probability of being the same.
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


class ChunkResult(Message):
    """One message a chunk, one outcome a photo."""

    chunk_id: UUID
    worker: str
    bundle_version: str
    calibrated: bool
    purpose: ChunkPurpose
    outcomes: tuple[PhotoOutcome, ...]
    seconds: float


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


class WorkerCard(Message):
    """What a live worker says about itself every few seconds."""

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
