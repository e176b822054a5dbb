"""A photo's way through a worker, top to bottom: open, decode, forward, index, decide, outcome.

Comes after ``tasks`` unpacked a chunk and before ``results`` sends the answer; a search goes by ``search``. Decoding
runs in the calling thread while the device works on the photos before. Each step skips what failed in an earlier one,
so one bad photo never takes its neighbours with it; a service that is away gives every photo it concerns a fault of
kind "retry".

What is embedded is a cut: the whole photo, the region that the caller marked, the photo's main subject where that is
small in the frame, or each of the things that were found in a photo of many (docs/decisions/scenes.md).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from recognition.errors import Unavailable
from recognition.index import Filters, IndexQuery
from recognition.proposals import Proposals
from recognition.text import ProductText
from workers.batching import DeviceCall, DeviceItem, ItemVectors
from workers.contract import Chunk, ChunkResult, Fault, PhotoOutcome, PhotoWork
from workers.cuts import Cut, Size, cut_out, main_subject, things, without_doubles
from workers.faults import fault_of
from workers.line import Line
from workers.metrics import stage
from workers.translate import judge, to_point, to_text

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
        marks = {"fingerprint": item.fingerprint, "sketch": item.sketch}
        return done.model_copy(update={**said, **marks, "box": self.cuts[0].box})


def run_chunk(line: Line, chunk: Chunk, until: float) -> ChunkResult:
    """Carry a chunk through all steps. Never raises for an item: each photo gets its own outcome.

    Once its lease is over (``until``, on the monotonic clock) it writes nothing: another worker may have stored newer
    text and prices by then.
    """
    started = time.perf_counter()
    tickets = [Ticket(work) for work in chunk.photos]
    if chunk.purpose == "forget":
        _forget(line, tickets, until)
    else:
        if chunk.purpose == "index":
            _take_known(line, tickets)
        for group in _groups([ticket for ticket in _alive(tickets) if not ticket.cuts], line.batch):
            for ticket in group:
                _open_and_decode(line, ticket)
            _send_to_device(line, group)
        if chunk.purpose == "index":
            _await_vectors(tickets)
            _index(line, str(chunk.merchant_id), tickets, until)
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


def _take_known(line: Line, tickets: Sequence[Ticket]) -> None:
    """Photos whose vector the index holds already: only their product's text, price or filters changed.

    One that the index does not hold after all (it was emptied, or the photo forgotten) goes the whole way.
    """

    def take(some: Sequence[Ticket]) -> None:
        with stage("index"):
            stored = line.index.image_vectors([str(ticket.work.photo_id) for ticket in some])
        for ticket in some:
            image = stored.get(str(ticket.work.photo_id))
            if image is not None:
                item = DeviceItem()
                item.future.set_result(ItemVectors(image=image))
                ticket.cuts = [Cut(item, ticket.work.region)]

    version = line.recogniser.bundle.version
    _together([ticket for ticket in tickets if ticket.work.embedded_by == version and ticket.work.product], take)


def _open_and_decode(line: Line, ticket: Ticket) -> None:
    recogniser, work = line.recogniser, ticket.work
    with _blame([ticket]), stage("decode"):
        data = line.store.read(work.key)
        if ticket.many and recogniser.bundle.subject:
            photo = recogniser.prepare_whole(data, line.limits)
            frame = photo.pixels[None]
            ticket.whole = DeviceCall(lambda: recogniser.propose(frame))
        else:
            photo = recogniser.prepare(data, work.region, line.limits)
            whole = work.product is None and not work.region
            ticket.cuts = [Cut(DeviceItem(pixels=photo.pixels, subject=whole), work.region)]
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


def _index(line: Line, merchant_id: str, tickets: Sequence[Ticket], until: float) -> None:
    def upsert(some: Sequence[Ticket]) -> None:
        images = np.array([ticket.cuts[0].vectors.image for ticket in some])
        call = DeviceCall(lambda: line.recogniser.fuse(images, [_text_of(ticket) for ticket in some]))
        fused = line.device.submit_bulk_call(call).result()
        points = [to_point(merchant_id, *each) for each in zip((t.work for t in some), images, fused, strict=True)]
        _check_lease(until)
        with stage("index"):
            line.index.upsert(points)

    _together(_alive(tickets), upsert)


def _text_of(ticket: Ticket) -> ProductText | None:
    return to_text(ticket.work.product) if ticket.work.product else None


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


def _forget(line: Line, tickets: Sequence[Ticket], until: float) -> None:
    with _blame(tickets), stage("index"):
        _check_lease(until)
        line.index.forget([str(ticket.work.photo_id) for ticket in tickets])


def _check_lease(until: float) -> None:
    if time.monotonic() > until:
        raise Unavailable("lease_lost", "The worker was held up until the photo was leased to another one.")


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
