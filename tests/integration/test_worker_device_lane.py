"""The device lane's promises, with a device of our own that can be slow, picky or broken. Real threads."""

import queue
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from recognition.errors import Unavailable
from recognition.recogniser import Looks
from recognition.text import ProductText
from workers.batching import DeadlinePassed, DeviceCall, DeviceItem, DeviceLane
from workers.beside import Background, Beside

SIZE = 2


class Device:
    """Counts batches; a photo of value 13 cannot be computed; `broken` fails everything; waits while `gate` is shut."""

    bundle = SimpleNamespace(preprocessing=SimpleNamespace(size=SIZE))
    lanes = 1

    def __init__(self):
        self.batches = []
        self.broken = False
        self.busy = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def look(self, pixels, *, subject):
        values = [int(photo[0, 0, 0]) for photo in pixels]
        self.batches.append(values)
        self.busy.set()
        assert self.gate.wait(10)
        if self.broken:
            raise RuntimeError("device-side assert")
        if 13 in values:
            raise ValueError("13 cannot be computed")
        image = np.array([[value, 0] for value in values], np.float32)
        return Looks(image, np.full((len(values), 5), subject, np.float32))

    def forward_text(self, texts):
        return np.array([[len(text.title), 1] for text in texts], np.float32)


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def deaths():
    return []


@pytest.fixture
def lane(device, deaths):
    lane = DeviceLane(device, batch=4, room=8, on_death=deaths.append)
    lane.start()
    yield lane
    device.gate.set()
    lane.close()


def photo(value, **rest):
    return DeviceItem(pixels=np.full((SIZE, SIZE, 3), value, np.uint8), **rest)


def occupied(device, lane):
    """Shut the gate while the device has a first photo in hand."""
    device.gate.clear()
    first = photo(0)
    lane.submit_bulk([first])
    assert device.busy.wait(10)
    device.batches.clear()
    return first


def test_every_photo_gets_its_own_vectors(lane, device):
    items = [photo(value) for value in range(6)]
    lane.submit_bulk(items)
    vectors = [item.future.result(10) for item in items]
    assert [(v.image[0], v.words) for v in vectors] == [(value, None) for value in range(6)]


def test_a_subject_is_looked_for_where_somebody_reads_it(lane, device):
    plain, asked = photo(1), photo(2, subject=True)
    lane.submit_bulk([plain])
    assert plain.future.result(10).subject[4] == 0
    lane.submit_bulk([asked])
    assert asked.future.result(10).subject[4] == 1


def test_waiting_searches_go_first_as_one_batch_then_bulk_in_small_batches(lane, device):
    occupied(device, lane)
    bulk = [photo(value) for value in range(20, 26)]
    lane.submit_bulk(bulk)
    searches = [photo(1), photo(2, words=ProductText(title="mug")), DeviceItem(words=ProductText(title="vase"))]
    futures = [lane.submit_search(item) for item in searches]
    device.gate.set()
    vectors = [future.result(10) for future in futures]
    assert [v.image is not None for v in vectors] == [True, True, False]
    assert [v.words is not None and v.words[0] for v in vectors] == [False, 3, 4]
    [item.future.result(10) for item in bulk]
    assert device.batches == [[1, 2], [20, 21, 22, 23], [24, 25]]


def test_background_work_comes_last_and_few_at_once(lane, device):
    occupied(device, lane)
    background = [photo(value) for value in range(40, 43)]
    lane.submit_background(background)
    bulk = [photo(value) for value in range(20, 22)]
    lane.submit_bulk(bulk)
    search = lane.submit_search(photo(1))
    device.gate.set()
    [item.future.result(10) for item in (*bulk, *background)]
    assert search.done()
    assert device.batches == [[1], [20, 21], [40, 41], [42]]


def test_photos_for_two_networks_are_never_in_one_batch(lane, device):
    occupied(device, lane)
    other = Device()
    beside = Beside(lane, other)
    items = [photo(1), photo(2), photo(3)]
    futures = [lane.submit_search(items[0]), beside.submit_search(items[1]), beside.submit_search(items[2])]
    device.gate.set()
    assert [future.result(10).image[0] for future in futures] == [1, 2, 3]
    assert (device.batches, other.batches) == ([[1]], [[2, 3]])


def test_who_works_in_the_background_rests_after_every_step(lane, device):
    rests = []
    background = Background(lane, device, lambda: rests.append(len(device.batches)))
    first, second = photo(1), photo(2)
    background.submit_bulk([first])
    background.submit_bulk([second])
    assert rests == [1, 2]
    call = DeviceCall(lambda: "answered")
    assert background.submit_bulk_call(call).result(10) == "answered"
    assert len(rests) == 3


def test_bulk_gets_its_turns_where_searches_never_pause(lane, device):
    running = True

    def again(_):
        if running:
            lane.submit_search(photo(1)).add_done_callback(again)

    occupied(device, lane)
    for _ in range(2):
        again(None)
    bulk = [photo(value) for value in range(20, 26)]
    lane.submit_bulk(bulk)
    device.gate.set()
    [item.future.result(10) for item in bulk]
    running = False
    assert [value for batch in device.batches for value in batch if value >= 20] == list(range(20, 26))
    assert {1 in batch and max(batch) >= 20 for batch in device.batches} == {False}


def test_calls_have_turns_of_their_own_between_searches_and_bulk(lane, device):
    occupied(device, lane)
    turns = device.batches
    calls = [DeviceCall(lambda name=name: turns.append(name) or name) for name in ("first", "second")]
    late = DeviceCall(lambda: turns.append("late"), deadline=datetime.now(UTC) - timedelta(seconds=1))
    bulk = photo(20)
    lane.submit_bulk([bulk])
    futures = [lane.submit_call(call) for call in calls]
    lane.submit_call(late)
    search = lane.submit_search(photo(1))
    device.gate.set()
    assert [future.result(10) for future in futures] == ["first", "second"]
    with pytest.raises(DeadlinePassed):
        late.future.result(10)
    search.result(10)
    bulk.future.result(10)
    assert turns == [[1], "first", "second", [20]]


def test_a_call_that_fails_fails_alone(lane, device, deaths):
    def fail():
        raise KeyError("no such map")

    with pytest.raises(KeyError, match="no such map"):
        lane.submit_call(DeviceCall(fail)).result(10)
    assert lane.submit_search(photo(5)).result(10).image[0] == 5
    assert deaths == []


def test_one_bad_photo_fails_alone(lane, device):
    items = [photo(value) for value in (11, 12, 13, 14)]
    lane.submit_bulk(items)
    with pytest.raises(ValueError, match="13 cannot be computed"):
        items[2].future.result(10)
    assert [items[at].future.result(10).image[0] for at in (0, 1, 3)] == [11, 12, 14]


def test_a_bad_photo_alone_does_not_end_the_lane(lane, device, deaths):
    bad, good = photo(13), photo(5)
    lane.submit_bulk([bad])
    assert isinstance(bad.future.exception(10), ValueError)
    lane.submit_bulk([good])
    assert good.future.result(10).image[0] == 5
    assert deaths == []


def test_a_search_past_its_deadline_never_reaches_the_device(lane, device):
    occupied(device, lane)
    late = lane.submit_search(photo(7, deadline=datetime.now(UTC) - timedelta(seconds=1)))
    due = lane.submit_search(photo(8, deadline=datetime.now(UTC) + timedelta(seconds=60)))
    device.gate.set()
    assert isinstance(late.exception(10), DeadlinePassed)
    assert due.result(10).image[0] == 8
    assert device.batches == [[8]]


def test_a_lost_device_fails_everybody_with_unavailable_and_says_so(lane, device, deaths):
    first = occupied(device, lane)
    waiting = [photo(1), photo(2)]
    lane.submit_bulk(waiting)
    search = lane.submit_search(photo(3))
    device.broken = True
    device.gate.set()
    for future in (first.future, search, *(item.future for item in waiting)):
        error = future.exception(10)
        assert isinstance(error, Unavailable)
        assert error.code == "device_lost"
    lane.close()
    assert [str(error) for error in deaths] == ["device-side assert"]
    for submit in (lane.submit_search, lambda item: lane.submit_bulk([item])):
        with pytest.raises(Unavailable):
            submit(photo(4))


def test_bulk_waits_while_the_queue_is_full(lane, device):
    occupied(device, lane)
    lane.submit_bulk([photo(1) for _ in range(8)])
    more = photo(2)
    blocked = threading.Thread(target=lane.submit_bulk, args=([more],))
    blocked.start()
    blocked.join(0.2)
    assert blocked.is_alive()
    assert lane.submit_search(photo(3)) is not None, "a search is never held back by bulk"
    device.gate.set()
    blocked.join(10)
    assert more.future.result(10).image[0] == 2


def test_calls_of_bulk_work_wait_while_too_many_are_queued(lane, device):
    occupied(device, lane)
    waiting = [lane.submit_bulk_call(DeviceCall(lambda number=number: number)) for number in range(8)]
    more = DeviceCall(lambda: "more")
    blocked = threading.Thread(target=lane.submit_bulk_call, args=(more,))
    blocked.start()
    blocked.join(0.2)
    assert blocked.is_alive()
    asked = lane.submit_call(DeviceCall(lambda: "why"))  # a person who asks is never held back by bulk
    device.gate.set()
    blocked.join(10)
    assert [future.result(10) for future in (*waiting, asked, more.future)] == [*range(8), "why", "more"]


def test_calls_of_bulk_work_end_with_the_device(lane, device):
    first, errors = occupied(device, lane), []
    waiting = [lane.submit_bulk_call(DeviceCall(int)) for _ in range(8)]

    def one_more():
        try:
            lane.submit_bulk_call(DeviceCall(int))
        except Unavailable as error:
            errors.append(error.code)

    blocked = threading.Thread(target=one_more)
    blocked.start()
    device.broken = True
    device.gate.set()
    blocked.join(10)
    assert errors == ["device_lost"]
    assert {future.exception(10).code for future in (first.future, *waiting)} == {"device_lost"}


def test_closing_finishes_what_waits(lane, device):
    occupied(device, lane)
    items = [photo(value) for value in range(1, 7)]
    lane.submit_bulk(items)
    closing = threading.Thread(target=lane.close)
    closing.start()
    device.gate.set()
    closing.join(10)
    assert [item.future.result(0).image[0] for item in items] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(Unavailable):
        lane.submit_bulk([photo(1)])


class Cores(Device):
    """A device of two lanes, each of which sees one photo: `in_hand` tells which, `finish` lets them go on."""

    lanes = 2

    def __init__(self):
        super().__init__()
        self.in_hand = queue.SimpleQueue()
        self.finished = {value: threading.Event() for value in range(30)}

    def finish(self, *values):
        for value in values:
            self.finished[value].set()

    def look(self, pixels, *, subject):
        value = int(pixels[0, 0, 0, 0])
        self.in_hand.put(value)
        assert self.finished[value].wait(10)
        return super().look(pixels, subject=subject)


@pytest.fixture
def cores():
    return Cores()


@pytest.fixture
def lanes(cores, deaths):
    lanes = DeviceLane(cores, batch=1, room=8, on_death=deaths.append)
    lanes.start()
    yield lanes
    cores.finish(*cores.finished)
    lanes.close()


def both_occupied(cores, lanes):
    """Both lanes have a photo of bulk work in hand."""
    first = [photo(20), photo(21)]
    lanes.submit_bulk(first)
    assert {cores.in_hand.get(timeout=60) for _ in first} == {20, 21}
    return first


def test_a_search_waits_for_one_photo_of_bulk_work_at_most(lanes, cores):
    both_occupied(cores, lanes)
    lanes.submit_bulk([photo(22), photo(23)])
    search = lanes.submit_search(photo(1))
    cores.finish(21)
    assert cores.in_hand.get(timeout=60) == 1
    cores.finish(1)
    assert search.result(10).image[0] == 1
    assert cores.in_hand.get(timeout=60) == 22
    cores.finish(20, 22)
    assert cores.in_hand.get(timeout=60) == 23
    cores.finish(23)
    lanes.close()
    assert sorted(cores.batches) == [[1], [20], [21], [22], [23]]


def test_waiting_searches_are_shared_out_among_the_lanes(lanes, cores):
    both_occupied(cores, lanes)
    searches = [lanes.submit_search(photo(value)) for value in (1, 2)]
    cores.finish(20, 21)
    assert {cores.in_hand.get(timeout=60) for _ in searches} == {1, 2}
    cores.finish(1, 2)
    assert [search.result(10).image[0] for search in searches] == [1, 2]


def test_a_call_does_not_hold_up_the_other_lanes(lanes, cores):
    held = threading.Event()
    call = lanes.submit_call(DeviceCall(lambda: held.wait(10)))
    searches = [lanes.submit_search(photo(value)) for value in (1, 2)]
    cores.finish(1, 2)
    assert [search.result(10).image[0] for search in searches] == [1, 2]
    assert not call.done()
    held.set()
    assert call.result(10) is True


def test_the_death_of_a_lane_is_noticed_once_and_by_all(lanes, cores, deaths):
    first = both_occupied(cores, lanes)
    search, waiting = lanes.submit_search(photo(1)), photo(22)
    lanes.submit_bulk([waiting])
    cores.broken = True
    cores.finish(*cores.finished)
    for future in (*(item.future for item in first), search, waiting.future):
        assert future.exception(10).code == "device_lost"
    lanes.close()
    assert [str(error) for error in deaths] == ["device-side assert"]
    with pytest.raises(Unavailable):
        lanes.submit_search(photo(4))


def test_a_lane_whose_photo_is_under_way_finishes_it_when_another_dies(lanes, cores, deaths):
    class Lost(BaseException):
        """What no item can be blamed for."""

    def lose():
        raise Lost

    bulk = photo(20)
    lanes.submit_bulk([bulk])
    assert cores.in_hand.get(timeout=60) == 20
    lost = lanes.submit_call(DeviceCall(lose))
    assert lost.exception(10).code == "device_lost"
    cores.finish(20)
    assert bulk.future.result(10).image[0] == 20
    lanes.close()
    assert [type(error) for error in deaths] == [Lost]


def test_closing_finishes_what_waits_on_all_lanes(lanes, cores):
    items = [*both_occupied(cores, lanes), *(photo(value) for value in range(1, 6))]
    lanes.submit_bulk(items[2:])
    closing = threading.Thread(target=lanes.close)
    closing.start()
    cores.finish(*cores.finished)
    closing.join(10)
    assert not closing.is_alive()
    assert [item.future.result(0).image[0] for item in items] == [20, 21, 1, 2, 3, 4, 5]
