"""A photo's way through a worker, top to bottom: open, decode, forward, index, decide, outcome.

Comes after ``tasks`` unpacked the message and before ``results`` sends the answer. Decoding runs in the calling
thread while the device works on the photos before. Each step skips what failed in an earlier one, so one bad photo
never takes its neighbours with it; a service that is away gives every photo it concerns a fault of kind "retry".
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from recognition.decide import Decision
from recognition.errors import PhotoError, Unavailable
from recognition.index import Filters, IndexQuery
from recognition.photos import DecodedPhoto
from recognition.text import ProductText
from workers.batching import DeadlinePassed, DeviceItem, ItemVectors
from workers.contract import Candidate, Chunk, ChunkResult, Fault, PhotoOutcome, PhotoWork, Search, SearchResult
from workers.faults import fault_of
from workers.line import Line
from workers.metrics import stage
from workers.translate import judge, to_candidate, to_point, to_text

RECOGNISE_LIMIT = 10  # products that a recognised photo is compared with


@dataclass(eq=False)
class Ticket:
    """One photo on its way; each step adds its part, ``fault`` ends it."""

    work: PhotoWork
    fault: Fault | None = None
    size: tuple[int | None, int | None] = (None, None)
    item: DeviceItem = field(default_factory=DeviceItem)
    vectors: ItemVectors = field(default_factory=ItemVectors)
    decision: Decision | None = None
    candidates: tuple[Candidate, ...] = ()

    def outcome(self) -> PhotoOutcome:
        """What goes back to the coordinator."""
        width, height = self.size
        if self.fault:
            return PhotoOutcome(photo_id=self.work.photo_id, fault=self.fault, width=width, height=height)
        return PhotoOutcome(
            photo_id=self.work.photo_id,
            width=width,
            height=height,
            verdict=self.decision.verdict if self.decision else None,
            reason=self.decision.reason if self.decision else "",
            candidates=self.candidates,
        )


def run_chunk(line: Line, chunk: Chunk) -> ChunkResult:
    """Carry a chunk through all steps. Never raises for an item: each photo gets its own outcome."""
    started = time.perf_counter()
    tickets = [Ticket(work) for work in chunk.photos]
    if chunk.purpose == "forget":
        _forget(line, tickets)
    else:
        for group in _groups(tickets, line.batch):
            for ticket in group:
                _open_and_decode(line, ticket)
            _send_to_device(line, group)
        _await_vectors(tickets)
        if chunk.purpose == "index":
            _index(line, str(chunk.merchant_id), tickets)
        else:
            _recognise(line, str(chunk.merchant_id), tickets)
    return ChunkResult(
        chunk_id=chunk.chunk_id,
        worker=line.name,
        bundle_version=line.recogniser.bundle.version,
        calibrated=line.recogniser.bundle.calibration.calibrated,
        purpose=chunk.purpose,
        outcomes=tuple(ticket.outcome() for ticket in tickets),
        seconds=time.perf_counter() - started,
    )


def run_search(line: Line, search: Search) -> SearchResult:
    """Answer one search, unless its deadline passes before the device is free. Never raises."""
    started = time.perf_counter()
    bundle = line.recogniser.bundle
    answer = SearchResult(
        job_id=search.job_id, worker=line.name, bundle_version=bundle.version, calibrated=bundle.calibration.calibrated
    )
    try:
        answer = answer.model_copy(update=_search(line, search))
    except DeadlinePassed:
        answer = answer.model_copy(update={"expired": True})
    except Exception as error:
        answer = answer.model_copy(update={"fault": fault_of(error)})
    return answer.model_copy(update={"seconds": time.perf_counter() - started})


def _search(line: Line, search: Search) -> dict:
    """The fields of the answer: open and decode, forward, nearest, decide."""
    if datetime.now(UTC) > search.deadline:
        raise DeadlinePassed
    photo = None
    if search.key:
        with stage("decode"):
            photo = line.recogniser.prepare(line.store.read(search.key), search.region, line.limits)
    words = ProductText(title=search.words)
    item = DeviceItem(
        pixels=photo.pixels if photo else None,
        words=words if words.has_words() else None,
        deadline=search.deadline,
    )
    if item.pixels is None and item.words is None:
        raise PhotoError("search_empty", "The search has neither a photo nor a word to look for.")
    vectors = line.device.submit_search(item).result()
    query = IndexQuery(
        filters=Filters(merchant_id=str(search.merchant_id), **search.filters.model_dump()),
        image=vectors.image,
        text=vectors.words,
        words=search.words,
        limit=search.limit,
    )
    with stage("index"):
        (hits,) = line.index.nearest([query])
    if photo is None:
        return {"candidates": tuple(to_candidate(hit) for hit in hits)}
    decision, candidates = judge(line.recogniser.bundle, hits)
    return {"candidates": candidates, "verdict": decision.verdict, "reason": decision.reason}


def _open_and_decode(line: Line, ticket: Ticket) -> None:
    with _blame([ticket]), stage("decode"):
        photo: DecodedPhoto = line.recogniser.prepare(line.store.read(ticket.work.key), limits=line.limits)
        ticket.size = (photo.width, photo.height)
        product = ticket.work.product
        ticket.item = DeviceItem(pixels=photo.pixels, text=to_text(product) if product else None)


def _send_to_device(line: Line, group: Sequence[Ticket]) -> None:
    alive = _alive(group)
    with _blame(alive):
        line.device.submit_bulk([ticket.item for ticket in alive])


def _await_vectors(tickets: Sequence[Ticket]) -> None:
    for ticket in _alive(tickets):
        with _blame([ticket]):
            ticket.vectors = ticket.item.future.result()


def _index(line: Line, merchant_id: str, tickets: Sequence[Ticket]) -> None:
    def upsert(some: Sequence[Ticket]) -> None:
        with stage("index"):
            line.index.upsert([to_point(merchant_id, ticket.work, ticket.vectors) for ticket in some])

    _together(_alive(tickets), upsert)


def _recognise(line: Line, merchant_id: str, tickets: Sequence[Ticket]) -> None:
    def nearest(some: Sequence[Ticket]) -> None:
        queries = [
            IndexQuery(
                filters=Filters(merchant_id=merchant_id, exclude_photo_ids=(str(ticket.work.photo_id),)),
                image=ticket.vectors.image,
                limit=RECOGNISE_LIMIT,
            )
            for ticket in some
        ]
        with stage("index"):
            answers = line.index.nearest(queries)
        for ticket, hits in zip(some, answers, strict=True):
            ticket.decision, ticket.candidates = judge(line.recogniser.bundle, hits)

    _together(_alive(tickets), nearest)


def _forget(line: Line, tickets: Sequence[Ticket]) -> None:
    with _blame(tickets), stage("index"):
        line.index.forget([str(ticket.work.photo_id) for ticket in tickets])


def _groups(tickets: Sequence[Ticket], size: int) -> Iterator[list[Ticket]]:
    rest = iter(tickets)
    while group := list(islice(rest, size)):
        yield group


def _alive(tickets: Sequence[Ticket]) -> list[Ticket]:
    return [ticket for ticket in tickets if ticket.fault is None]


def _together(tickets: Sequence[Ticket], call: Callable[[Sequence[Ticket]], None]) -> None:
    """One call for all; where it fails by a bug, one call each, so that only the guilty photo keeps the fault."""
    if not tickets:
        return
    try:
        call(tickets)
    except Unavailable as error:
        _fail(tickets, error)
    except Exception:
        for ticket in tickets:
            with _blame([ticket]):
                call([ticket])


@contextmanager
def _blame(tickets: Sequence[Ticket]) -> Iterator[None]:
    """An error inside becomes the fault of these photos and goes no further."""
    try:
        yield
    except Exception as error:
        _fail(tickets, error)


def _fail(tickets: Sequence[Ticket], error: Exception) -> None:
    fault = fault_of(error)
    for ticket in tickets:
        ticket.fault = fault
