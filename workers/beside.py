"""The device lane for the network of another bundle: the same device and thread, and turns of their own.

Between ``pipeline`` and ``batching`` where a worker serves two bundles at once: the live one, and one in its shadow.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace

from recognition.recogniser import Recogniser
from workers.batching import Answer, DeviceCall, DeviceItem, DeviceLane, ItemVectors, Work


class Beside:
    """The lane for the network of another bundle: the same device, the same turns."""

    def __init__(self, lane: DeviceLane, recogniser: Recogniser) -> None:
        self._lane = lane
        self._recogniser = recogniser

    def submit_search(self, item: DeviceItem) -> "Future[ItemVectors]":
        """As the lane does."""
        return self._lane.submit_search(self._named(item))

    def submit_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """As the lane does; a call knows its network itself."""
        return self._lane.submit_call(call)

    def submit_bulk_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """As the lane does."""
        return self._lane.submit_bulk_call(call)

    def submit_bulk(self, items: Sequence[DeviceItem]) -> None:
        """As the lane does."""
        self._lane.submit_bulk([self._named(item) for item in items])

    def _named(self, item: DeviceItem) -> DeviceItem:
        """The same item, with the same future, for this network."""
        return replace(item, recogniser=self._recogniser)


class Background(Beside):
    """The lane for work that must not be felt: its bulk work waits for everything else, and ``rest`` comes after it.

    It waits here until the device has done it, so that the caller decodes no further photo while ``rest`` lasts.
    """

    def __init__(self, lane: DeviceLane, recogniser: Recogniser, rest: Callable[[], None]) -> None:
        super().__init__(lane, recogniser)
        self._rest = rest

    def submit_bulk_call(self, call: DeviceCall[Answer]) -> "Future[Answer]":
        """Queue a call behind everything else, and rest once it is done."""
        self._done([call])
        return call.future

    def submit_bulk(self, items: Sequence[DeviceItem]) -> None:
        """Queue photos behind everything else, and rest once they are done."""
        self._done([self._named(item) for item in items])

    def _done(self, work: Sequence[Work]) -> None:
        self._lane.submit_background(work)
        wait([each.future for each in work])
        self._rest()
