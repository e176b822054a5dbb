"""The way of one search through a worker: open and decode, forward, mix in the examples, nearest, decide.

Comes after ``tasks`` unpacked the message and before ``results`` sends the answer. All photos of a search, its own and
those of its examples, reach the device together, where waiting searches are served first.
"""

import time
from datetime import UTC, datetime

from recognition.errors import PhotoError
from recognition.index import IndexQuery
from recognition.text import ProductText
from workers.batching import DeadlinePassed, DeviceItem, ItemVectors, Vector
from workers.contract import Example, Region, Search, SearchResult
from workers.cuts import Size, main_subject
from workers.examples import Examples
from workers.faults import fault_of
from workers.line import Line
from workers.metrics import stage
from workers.translate import judge, to_candidate, to_filters


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


class Look:
    """A photo on its way through the device, words beside it or alone; ``box`` is the part that is looked at.

    A photo without a region is looked at whole first, and then closer where its main subject is small in the frame.
    Raises PhotoError, Unavailable.
    """

    def __init__(
        self,
        line: Line,
        deadline: datetime,
        *,
        key: str | None = None,
        region: Region | None = None,
        words: ProductText | None = None,
    ) -> None:
        self.box = region
        self._line, self._deadline, self._words = line, deadline, words
        self._data = line.store.read(key) if key else None
        self._size: Size | None = None
        self._item: DeviceItem | None = None
        if self._data is not None or words:
            self._send()

    def come_closer(self) -> None:
        """Wait for the first look, and send the main subject where that is what counts."""
        if self._size and self.box is None and (box := main_subject(self._line, self.vectors, self._size)):
            self.box = box
            self._send()

    @property
    def vectors(self) -> ItemVectors:
        """What the device made of it; waits for it, and raises what went wrong."""
        return self._item.future.result() if self._item else ItemVectors()

    def _send(self) -> None:
        pixels = None
        if self._data is not None:
            with stage("decode"):
                photo = self._line.recogniser.prepare(self._data, self.box, self._line.limits)
            pixels, self._size = photo.pixels, (photo.width, photo.height)
        whole = pixels is not None and self.box is None
        self._item = DeviceItem(pixels=pixels, subject=whole, words=self._words, deadline=self._deadline)
        self._line.device.submit_search(self._item)


def _search(line: Line, search: Search) -> dict:
    """The fields of the answer."""
    if datetime.now(UTC) > search.deadline:
        raise DeadlinePassed
    words = ProductText(title=search.words)
    asked = Look(
        line, search.deadline, key=search.key, region=search.region, words=words if words.has_words() else None
    )
    like, unlike = (_looks(line, search, some) for some in (search.like_photos, search.unlike_photos))
    for look in (asked, *like, *unlike):
        look.come_closer()
    vectors, examples = asked.vectors, Examples.of(line, search, _images(like), _images(unlike))
    if vectors.image is None and vectors.words is None and not examples.like:
        raise PhotoError("search_empty", "The search has neither a photo nor a word to look for.")
    query = IndexQuery(
        filters=to_filters(search.merchant_id, search.filters),
        image=examples.mixed(vectors.image),
        text=vectors.words,
        words=search.words,
        limit=search.limit,
        photo_weight=search.photo_weight,
        grouped=search.grouped,
    )
    with stage("index"):
        (hits,) = line.index.nearest([query])
    found = {"box": asked.box, "degraded": line.index.is_behind(query.filters)}
    mixed = search.like or search.unlike or search.like_photos or search.unlike_photos
    if vectors.image is None or mixed:
        return found | {"candidates": tuple(to_candidate(hit) for hit in hits)}
    decision, candidates = judge(line.recogniser.bundle, hits)
    return found | {"candidates": candidates, "verdict": decision.verdict, "reason": decision.reason}


def _looks(line: Line, search: Search, examples: tuple[Example, ...]) -> list[Look]:
    return [Look(line, search.deadline, key=each.key, region=each.region) for each in examples]


def _images(looks: list[Look]) -> list[Vector]:
    return [vectors.image for vectors in (look.vectors for look in looks) if vectors.image is not None]
