"""A photo's way through a worker, top to bottom: open, decode, forward, index, decide, outcome.

Comes after ``tasks`` unpacked the message and before ``results`` sends the answer. Decoding runs in the calling
thread while the device works on the photos before. Each step skips what failed in an earlier one, so one bad photo
never takes its neighbours with it; a service that is away gives every photo it concerns a fault of kind "retry".

What is embedded is a cut: the whole photo, the region that the caller marked, the photo's main subject where that is
small in the frame, or each of the things that were found in a photo of many (docs/decisions/scenes.md).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import numpy as np

from recognition.errors import PhotoError, Unavailable
from recognition.index import Filters, IndexQuery
from recognition.proposals import Proposals
from recognition.text import ProductText
from workers.batching import DeadlinePassed, DeviceCall, DeviceItem, ItemVectors
from workers.contract import Chunk, ChunkResult, Fault, PhotoOutcome, PhotoWork, Search, SearchResult
from workers.cuts import Cut, Size, cut_out, main_subject, things, without_doubles
from workers.examples import Examples
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
    size: Size | None = None  # width and height of the upright photo in pixels
    whole: DeviceCall[list[Proposals]] | None = None  # of a photo that is searched for many items
    cuts: list[Cut] = field(default_factory=list)

    @property
    def many(self) -> bool:
        """Whether as many items are wanted as there are."""
        return self.work.items == "many"

    def outcome(self) -> PhotoOutcome:
        """What goes back to the coordinator."""
        width, height = self.size or (None, None)
        done = PhotoOutcome(photo_id=self.work.photo_id, fault=self.fault, width=width, height=height)
        found = [cut.outcome(cut.decision) for cut in self.cuts if cut.decision]
        if self.fault or not (found or self.many):
            return done
        if self.many:
            return done.model_copy(update={"items": tuple(found)})
        (item,) = found
        said = {"verdict": item.verdict, "reason": item.reason, "candidates": item.candidates}
        return done.model_copy(update={**said, "box": self.cuts[0].box})


def run_chunk(line: Line, chunk: Chunk) -> ChunkResult:
    """Carry a chunk through all steps. Never raises for an item: each photo gets its own outcome."""
    started = time.perf_counter()
    tickets = [Ticket(work) for work in chunk.photos]
    if chunk.purpose == "forget":
        _forget(line, tickets)
    else:
        if chunk.purpose == "index":
            _fuse_known(line, tickets)
        for group in _groups([ticket for ticket in _alive(tickets) if not ticket.cuts], line.batch):
            for ticket in group:
                _open_and_decode(line, ticket)
            _send_to_device(line, group)
        if chunk.purpose == "index":
            _await_vectors(tickets)
            _index(line, str(chunk.merchant_id), tickets)
        else:
            for ticket in _alive(tickets):
                _cut_closer(line, ticket)
            _await_vectors(tickets)
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
    photo, data, box = None, b"", search.region
    if search.key:
        with stage("decode"):
            data = line.store.read(search.key)
            photo = line.recogniser.prepare(data, search.region, line.limits)
    words = ProductText(title=search.words)
    item = DeviceItem(
        pixels=photo.pixels if photo else None,
        words=words if words.has_words() else None,
        deadline=search.deadline,
    )
    examples = Examples.of(line, search)
    if item.pixels is None and item.words is None and not examples.like:
        raise PhotoError("search_empty", "The search has neither a photo nor a word to look for.")
    vectors = ItemVectors() if item.pixels is None and item.words is None else line.device.submit_search(item).result()
    if photo and box is None and (box := main_subject(line, vectors, (photo.width, photo.height))):
        with stage("decode"):
            closer = line.recogniser.prepare(data, box, line.limits)
        item = DeviceItem(pixels=closer.pixels, words=item.words, deadline=search.deadline)
        vectors = line.device.submit_search(item).result()
    query = IndexQuery(
        filters=Filters(merchant_id=str(search.merchant_id), **search.filters.model_dump()),
        image=examples.mixed(vectors.image),
        text=vectors.words,
        words=search.words,
        limit=search.limit,
        photo_weight=search.photo_weight,
    )
    with stage("index"):
        (hits,) = line.index.nearest([query])
    found = {"box": box, "degraded": line.index.is_behind()}
    if photo is None or search.like or search.unlike:
        return found | {"candidates": tuple(to_candidate(hit) for hit in hits)}
    decision, candidates = judge(line.recogniser.bundle, hits)
    return found | {"candidates": candidates, "verdict": decision.verdict, "reason": decision.reason}


def _fuse_known(line: Line, tickets: Sequence[Ticket]) -> None:
    """Photos whose vector the index holds already: only their product's text, price or filters changed.

    One that the index does not hold after all (it was emptied, or the photo forgotten) goes the whole way.
    """

    def fuse(some: Sequence[Ticket]) -> None:
        with stage("index"):
            stored = line.index.image_vectors([str(ticket.work.photo_id) for ticket in some])
        held = [(ticket, stored[str(ticket.work.photo_id)]) for ticket in some if str(ticket.work.photo_id) in stored]
        if not held:
            return
        images, texts = np.stack([image for _, image in held]), [_text_of(ticket) for ticket, _ in held]
        call = DeviceCall(lambda: line.recogniser.fuse(images, texts))
        line.device.submit_bulk_call(call)
        for (ticket, image), fused in zip(held, call.future.result(), strict=True):
            item = DeviceItem()
            item.future.set_result(ItemVectors(image=image, fused=fused))
            ticket.cuts = [Cut(item, ticket.work.region)]

    version = line.recogniser.bundle.version
    _together([ticket for ticket in tickets if ticket.work.embedded_by == version and ticket.work.product], fuse)


def _text_of(ticket: Ticket) -> ProductText:
    return to_text(ticket.work.product) if ticket.work.product else ProductText()


def _open_and_decode(line: Line, ticket: Ticket) -> None:
    recogniser, work = line.recogniser, ticket.work
    with _blame([ticket]), stage("decode"):
        data = line.store.read(work.key)
        if ticket.many and recogniser.bundle.subject:
            photo = recogniser.prepare_whole(data, line.limits)
            whole = photo.pixels[None]
            ticket.whole = DeviceCall(lambda: recogniser.propose(whole))
        else:
            photo = recogniser.prepare(data, work.region, line.limits)
            text = to_text(work.product) if work.product else None
            ticket.cuts = [Cut(DeviceItem(pixels=photo.pixels, text=text), work.region)]
        ticket.size = (photo.width, photo.height)


def _send_to_device(line: Line, group: Sequence[Ticket]) -> None:
    alive = _alive(group)
    with _blame(alive):
        for ticket in alive:
            if ticket.whole:
                line.device.submit_bulk_call(ticket.whole)
        line.device.submit_bulk([cut.item for ticket in alive for cut in ticket.cuts])


def _cut_closer(line: Line, ticket: Ticket) -> None:
    """Send what is to be looked at more closely: each thing of many, or a main subject that is small in the frame."""
    with _blame([ticket]):
        cuts = _closer(line, ticket)
        if cuts is not None:
            ticket.cuts = cuts
            line.device.submit_bulk([cut.item for cut in cuts])


def _closer(line: Line, ticket: Ticket) -> list[Cut] | None:
    """The cuts to take in place of what was sent first; None: that is what counts."""
    whole, ticket.whole = ticket.whole, None  # its pixels are needed no longer
    if whole:
        found = things(line, whole.future.result()[0], ticket.size, ticket.work.region)
        return cut_out(line, ticket.work.key, found)
    if ticket.many or ticket.work.region:
        return None
    box = main_subject(line, ticket.cuts[0].vectors, ticket.size)
    return cut_out(line, ticket.work.key, [(box, box)]) if box else None


def _await_vectors(tickets: Sequence[Ticket]) -> None:
    for ticket in _alive(tickets):
        with _blame([ticket]):
            wait([cut.item.future for cut in ticket.cuts])
            for cut in ticket.cuts:
                cut.item.future.result()


def _index(line: Line, merchant_id: str, tickets: Sequence[Ticket]) -> None:
    def upsert(some: Sequence[Ticket]) -> None:
        with stage("index"):
            line.index.upsert([to_point(merchant_id, ticket.work, ticket.cuts[0].vectors) for ticket in some])

    _together(_alive(tickets), upsert)


def _recognise(line: Line, merchant_id: str, tickets: Sequence[Ticket]) -> None:
    def nearest(some: Sequence[Ticket]) -> None:
        cuts = [(ticket, cut) for ticket in some for cut in ticket.cuts]
        queries = [
            IndexQuery(
                filters=Filters(merchant_id=merchant_id, exclude_photo_ids=(str(ticket.work.photo_id),)),
                image=cut.vectors.image,
                limit=RECOGNISE_LIMIT,
            )
            for ticket, cut in cuts
        ]
        with stage("index"):
            answers = line.index.nearest(queries) if queries else []
        for (_, cut), hits in zip(cuts, answers, strict=True):
            cut.decision, cut.candidates = judge(line.recogniser.bundle, hits)

    _together(_alive(tickets), nearest)
    for ticket in _alive(tickets):
        if ticket.many:
            ticket.cuts = without_doubles(ticket.cuts)


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
