"""The device lane: the threads that own the device. Decoded photos go in, futures of vectors come out.

Comes after decoding (many threads) and before the index. Waiting searches are served first, several as one batch;
then calls, each alone: an explanation, the proposals of a photo of many, or the words of a chunk; then the next photos
of bulk work, at most one small batch, so that a search never waits for more than that; and when nothing else waits,
background work, a very small batch of it. How small a turn of bulk work is, and how much of the device it keeps where
searches never pause, ``turns`` decides.

A GPU has one thread, which brings batches. On a CPU each core has a thread, which brings one photo: nobody waits until
the others' photos are done, neither the cores for each other nor a search for a batch. The network knows which.

Several bundles may share the device: an item names the network that is to see it, and a batch is of one network.

An error of one item reaches that item's future alone: a batch that fails is run again one by one. Where even a blank
photo fails, the device itself is lost: the threads end, every waiting future fails with ``Unavailable`` and
``on_death`` is called once, so that the process can end and be started anew.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from recognition.errors import Unavailable
from recognition.recogniser import Recogniser
from recognition.text import ProductText
from workers.metrics import batch, stage
from workers.turns import Turns

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]
Answer = TypeVar("Answer")

BACKGROUND_BATCH = 2  # photos: what a search that comes at the worst moment waits for


class DeadlinePassed(Exception):
    """The caller's deadline was over before the device was free; nothing was computed."""


@dataclass(frozen=True, eq=False)
class ItemVectors:
    """What the device made of one item: unit vectors [dim]; None for what the item did not have.

    ``subject`` [5] is the best-placed thing of the photo: its box in parts of the pixels, and its score.
    """

    image: Vector | None = None
    words: Vector | None = None
    subject: Vector | None = None


@dataclass(frozen=True, eq=False)
class DeviceItem:
    """One photo and/or words; each gets a vector of its own. ``subject``: whether the photo's is looked for.

    ``recogniser``: the network that is to see it; None: the lane's own.
    """

    pixels: Pixels | None = None  # uint8 [size, size, 3]
    subject: bool = False
    words: ProductText | None = None
    deadline: datetime | None = None
    recogniser: Recogniser | None = None
    future: "Future[ItemVectors]" = field(default_factory=Future)


@dataclass(frozen=True, eq=False)
class DeviceCall(Generic[Answer]):
    """Other work for the device: one of its threads calls ``run``, in a turn of its own."""

    run: Callable[[], Answer]
    deadline: datetime | None = None
    future: "Future[Answer]" = field(default_factory=Future)


Work: TypeAlias = DeviceItem | DeviceCall


class Device(Protocol):
    """A way to the device: the lane itself, or the lane for another network (``workers.beside``)."""

    def submit_search(self, item: DeviceItem) -> "Future[ItemVectors]":
        """Queue a search."""

    def submit_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """Queue a call."""

    def submit_bulk_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """Queue a call of bulk work."""

    def submit_bulk(self, items: Sequence[DeviceItem]) -> None:
        """Queue photos of bulk work."""


class DeviceLane:
    """Four queues in front of one device, and the threads that serve it: as many as the network has lanes.

    ``batch``: most photos at once on each; ``room``: bulk photos that may wait, and as many calls of bulk work.
    """

    def __init__(
        self, recogniser: Recogniser, *, batch: int, room: int, on_death: Callable[[BaseException], None]
    ) -> None:
        self._recogniser = recogniser
        self._batch = batch
        self._room = max(room, batch)
        self._on_death = on_death
        self._searches: deque[DeviceItem] = deque()
        self._calls: deque[DeviceCall] = deque()
        self._bulk: deque[DeviceItem] = deque()
        self._background: deque[Work] = deque()
        self._turns = Turns(batch)
        self._changed = threading.Condition()
        self._closed = False
        self._death: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"device-{number}", daemon=True)
            for number in range(recogniser.lanes)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Finish what waits, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def submit_search(self, item: DeviceItem) -> "Future[ItemVectors]":
        """Queue a search before all bulk work. Raises Unavailable("device_lost")."""
        with self._changed:
            self._check()
            self._searches.append(item)
            self._changed.notify_all()
        return item.future

    def submit_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """Queue a call after the searches that wait and before bulk work. Raises Unavailable("device_lost")."""
        with self._changed:
            self._check()
            self._calls.append(call)
            self._changed.notify_all()
        return call.future

    def submit_bulk_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """Queue a call of bulk work as ``submit_call`` does; waits while too many are queued."""
        with self._changed:
            self._wait_for_room(self._calls)
            return self.submit_call(call)

    def submit_bulk(self, items: Sequence[DeviceItem]) -> None:
        """Queue photos of bulk work; waits while the queue is full. Raises Unavailable("device_lost")."""
        with self._changed:
            self._wait_for_room(self._bulk)
            self._check()
            self._bulk.extend(items)
            self._changed.notify_all()

    def submit_background(self, work: Sequence[Work]) -> None:
        """Queue what is done when nothing else waits. Raises Unavailable("device_lost")."""
        with self._changed:
            self._check()
            self._background.extend(work)
            self._changed.notify_all()

    def _wait_for_room(self, queue: deque[Any]) -> None:
        self._changed.wait_for(lambda: len(queue) < self._room or self._closed or self._death)

    def _check(self) -> None:
        if self._death or self._closed:
            raise Unavailable("device_lost", f"The device is no longer served: {self._death or 'the worker ends'}")

    def _run(self) -> None:
        items: list[Work] = []
        try:
            while True:
                queue, items = self._take()
                if not items:
                    return
                started = time.perf_counter()
                self._serve(items)
                self._account(queue, time.perf_counter() - started, len(items))
        except BaseException as error:
            self._die(error, items)

    def _take(self) -> tuple[deque[Any], list[Work]]:
        """The items of the next turn, and their queue; no items where nothing is left to do. A turn is of one network,
        and a call is a turn of its own."""
        with self._changed:
            self._changed.wait_for(lambda: any(self._queues()) or self._closed or self._death)
            queue, items = self._next(), list[Work]()
            while queue and len(items) < self._most(queue) and _go_together(items, queue[0]):
                items.append(queue.popleft())
            if queue is self._calls or queue is self._bulk:
                self._turns.begun()
            self._changed.notify_all()
            return queue, items

    def _next(self) -> deque[Any]:
        """The queue whose turn it is: bulk work's where it is owed a turn, else the first that holds anything."""
        rest = self._calls or self._bulk
        if rest and self._turns.bulk_is_due:
            return rest
        return next((queue for queue in self._queues() if queue), self._background)

    def _most(self, queue: deque[Any]) -> int:
        """How many photos may share a turn."""
        if queue is self._bulk:
            return self._turns.bulk_photos
        return min(self._batch, BACKGROUND_BATCH) if queue is self._background else self._batch

    def _account(self, queue: deque[Any], seconds: float, count: int) -> None:
        with self._changed:
            if queue is self._searches:
                self._turns.searched(seconds, bulk_waits=bool(self._calls or self._bulk))
            elif queue is not self._background:
                self._turns.worked(seconds, photos=count if queue is self._bulk else 0)

    def _queues(self) -> tuple[deque[Any], ...]:
        return self._searches, self._calls, self._bulk, self._background

    def _serve(self, items: list[Work]) -> None:
        now = datetime.now(UTC)
        due = []
        for item in items:
            if item.deadline and item.deadline < now:
                item.future.set_exception(DeadlinePassed())
            else:
                due.append(item)
        if not due:
            return
        answers = self._answer(due)
        if all(isinstance(answer, Exception) for answer in answers):
            self._probe()
        for item, answer in zip(due, answers, strict=True):
            if isinstance(answer, Exception):
                item.future.set_exception(answer)
            else:
                item.future.set_result(answer)

    def _answer(self, items: list[Work]) -> list[Any]:
        """Vectors or an error for each item; one that cannot be computed does not spoil the others."""
        try:
            calls = [item.run() for item in items if isinstance(item, DeviceCall)]
            return calls or _vectors(self._recogniser, [item for item in items if isinstance(item, DeviceItem)])
        except Exception as error:
            if len(items) == 1:
                return [error]
        return [answer for item in items for answer in self._answer([item])]

    def _probe(self) -> None:
        """A device that cannot even run a blank photo is lost; the error ends the threads."""
        size = self._recogniser.bundle.preprocessing.size
        self._recogniser.look(np.zeros((1, size, size, 3), np.uint8), subject=False)

    def _die(self, error: BaseException, items: Sequence[Work]) -> None:
        """Tell everybody who waits, and once whoever has to end the process; other threads end at their next turn."""
        with self._changed:
            first = self._death is None
            self._death = self._death or error
            waiting = [*items, *(work for queue in self._queues() for work in queue)]
            for queue in self._queues():
                queue.clear()
            self._changed.notify_all()
        for item in waiting:
            if not item.future.done():
                item.future.set_exception(Unavailable("device_lost", f"The device is lost: {error}"))
        if first:
            self._on_death(error)


def _go_together(items: Sequence[Work], following: Work) -> bool:
    """Whether the next in the queue may share the turn of these."""
    if not items:
        return True
    first = items[0]
    if isinstance(first, DeviceCall) or isinstance(following, DeviceCall):
        return False
    return first.recogniser is following.recogniser


def _vectors(own: Recogniser, items: list[DeviceItem]) -> list[ItemVectors]:
    recogniser = items[0].recogniser or own  # a turn is of one network
    with stage("forward"):
        photos = [item for item in items if item.pixels is not None]
        worded = [item for item in items if item.words is not None]
        image = subject = words = iter(())
        if photos:
            batch(len(photos))
            pixels = np.stack([item.pixels for item in photos if item.pixels is not None])
            looks = recogniser.look(pixels, subject=any(item.subject for item in photos))
            image, subject = iter(looks.image), iter(looks.subject)
        if worded:
            words = iter(recogniser.forward_text([item.words for item in worded if item.words is not None]))
        return [
            ItemVectors(
                image=next(image) if item.pixels is not None else None,
                words=next(words) if item.words is not None else None,
                subject=next(subject) if item.pixels is not None else None,
            )
            for item in items
        ]
