"""What a worker tells about itself: Prometheus counters, and the card that proves it is alive.

Beside the flow: tasks and the device lane count here. Both lie in Redis, where the web finds them for its ``/metrics``;
an operator's Prometheus may also ask a worker itself, on ``VITRINE_METRICS_PORT`` (0: off).
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram, generate_latest
from redis import Redis

from workers.broker import BROKER_AWAY
from workers.contract import METRICS_KEY_PREFIX, WORKER_KEY_PREFIX, WorkerCard

logger = logging.getLogger(__name__)

CARD_SECONDS = 15  # a worker that is silent this long is gone
BEAT_SECONDS = 5

_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30)
_PHOTOS = Counter("vitrine_worker_photos_total", "Photos answered, by purpose and fault.", ["purpose", "fault"])
_SEARCHES = Counter("vitrine_worker_searches_total", "Searches answered, by outcome.", ["outcome"])
_STAGES = Histogram("vitrine_worker_stage_seconds", "Seconds of one call, by stage.", ["stage"], buckets=_BUCKETS)
_BATCHES = Histogram(
    "vitrine_worker_batch_photos", "Photos that the device saw at once.", buckets=(1, 2, 4, 8, 16, 32, 64)
)
_SEARCH_SECONDS = Histogram("vitrine_worker_search_seconds", "Seconds of one search here.", buckets=_BUCKETS)


class Counts:
    """How much this process has done since it started; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.photos = 0
        self.searches = 0

    def photo(self, purpose: str, fault: str) -> None:
        """One photo was answered; ``fault`` is empty where it is done."""
        _PHOTOS.labels(purpose, fault).inc()
        with self._lock:
            self.photos += 1

    def search(self, outcome: str, seconds: float) -> None:
        """One search was answered: done, expired, or a kind of fault."""
        _SEARCHES.labels(outcome).inc()
        _SEARCH_SECONDS.observe(seconds)
        with self._lock:
            self.searches += 1


def batch(photos: int) -> None:
    """The device saw so many photos at once."""
    _BATCHES.observe(photos)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Measure one call of a stage: decode, forward, index."""
    started = time.perf_counter()
    try:
        yield
    finally:
        _STAGES.labels(name).observe(time.perf_counter() - started)


class Heartbeat:
    """A thread that writes the worker's card every few seconds; where Redis is away it goes on trying."""

    def __init__(self, redis_url: str, name: str, card: Callable[[], WorkerCard]) -> None:
        self._redis = Redis.from_url(redis_url, socket_timeout=3, socket_connect_timeout=3)
        self._key = WORKER_KEY_PREFIX + name
        self._figures = METRICS_KEY_PREFIX + name
        self._card = card
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Write the first card soon, then one every few seconds."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and take the card away."""
        self._stop.set()
        self._thread.join()
        try:
            self._redis.delete(self._key, self._figures)
        except BROKER_AWAY:
            logger.info("Redis is away: the card %s stays until it expires", self._key)
        self._redis.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                card = json.dumps(self._card().to_wire())
                slow = int(time.monotonic() - started)  # an index that is away answers late: so will the next card
                self._redis.set(self._key, card, ex=CARD_SECONDS + slow)
                self._redis.set(self._figures, generate_latest(), ex=CARD_SECONDS + slow)
            except BROKER_AWAY as error:
                logger.warning("no heartbeat, Redis is away: %s", error)
            except Exception:
                logger.exception("no heartbeat: the card cannot be written")
            self._stop.wait(BEAT_SECONDS)
