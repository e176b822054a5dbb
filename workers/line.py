"""The parts of a worker for one bundle, put together and taken apart: bundle, device lane, index, store.

Comes after the settings and before anything is consumed: ``open_line`` loads and warms everything up, or raises, so
that a worker with a bad bundle or index never takes a message. ``open_beside`` does so for a second bundle, which
shares the device; ``workers.served`` holds both.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redis import Redis

from config.env import Env
from recognition.bundle import Bundle
from recognition.containment import Decoders
from recognition.index import PhotoIndex, open_index
from recognition.photos import PhotoLimits
from recognition.recogniser import Recogniser
from recognition.store import PhotoStore
from workers.batching import Device, DeviceLane
from workers.beside import Beside
from workers.broker import BROKER_AWAY
from workers.clock import seconds_left
from workers.contract import WorkerCard
from workers.metrics import Counts
from workers.watchdog import Watchdog

_HANGING_LEASES = 3  # what takes as long as so many leases has lost its photos long ago: it hangs

logger = logging.getLogger(__name__)

_WAITING_BATCHES = 4  # bulk batches that may wait for the device: enough to keep it busy, bounded in memory


@dataclass(frozen=True)
class Line:
    """Everything a photo passes on its way through this process."""

    name: str
    recogniser: Recogniser
    decoders: Decoders
    index: PhotoIndex
    store: PhotoStore
    limits: PhotoLimits
    lane: DeviceLane  # one for all bundles of this process
    device: Device  # this bundle's way to it
    batch: int  # photos that are sent to the device together
    lease_seconds: float
    watchdog: Watchdog
    redis: Redis
    counts: Counts = field(default_factory=Counts)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def card(self) -> WorkerCard:
        """What the worker says about itself every few seconds."""
        health = self.index.health()
        return WorkerCard(
            name=self.name,
            bundle_version=self.recogniser.bundle.version,
            calibrated=self.recogniser.bundle.calibration.calibrated,
            device=str(self.recogniser.device),
            engine=health.engine,
            points=health.points,
            photos_done=self.counts.photos,
            searches_done=self.counts.searches,
            started_at=self.started_at,
            notes=health.notes,
            index_ok=health.ok,
        )

    def lease_end(self, headers: Mapping[str, Any]) -> float:
        """When the lease of a message that just arrived is over, on this machine's monotonic clock.

        With Redis away, or a message of a release that does not say: a lease from now on.
        """
        try:
            left = seconds_left(self.redis, headers)
        except BROKER_AWAY:
            left = None
        return time.monotonic() + (self.lease_seconds if left is None else left)

    def close(self) -> None:
        """Finish what the device still has, then flush and let go of the index."""
        self.watchdog.close()
        self.lane.close()
        self.index.close()
        self.decoders.close()
        self.redis.close()


def open_line(
    env: Env, folder: Path, on_device_death: Callable[[BaseException], None], on_hang: Callable[[str], None]
) -> Line:
    """Load the bundle in ``folder`` and warm up.

    Raises BundleError, Unavailable or ValueError where this worker must not serve.
    """
    decoders = Decoders(most=env.bulk_threads + env.search_threads)
    recogniser = Recogniser.load(folder, device=env.device, threads=env.torch_threads or None, decoder=decoders)
    recogniser.leave_cores_free()
    recogniser.warm_up()
    bundle = recogniser.bundle
    index = _open_index(env, bundle)
    if not index.health().version:
        index.promote(bundle.version)  # the first worker of an installation: there is nothing to compare with
    batch = env.device_batch if recogniser.batches else 1
    device = DeviceLane(recogniser, batch=batch, room=_WAITING_BATCHES * env.device_batch, on_death=on_device_death)
    device.start()
    limits = PhotoLimits(env.photo_max_bytes, env.photo_max_pixels)
    decoders.warm_up(env.bulk_threads, limits)
    watchdog = Watchdog(_HANGING_LEASES * env.lease_seconds, on_hang)
    watchdog.start()
    return Line(
        name=f"{socket.gethostname()}-{os.getpid()}",
        recogniser=recogniser,
        decoders=decoders,
        index=index,
        store=PhotoStore(env.photos),
        limits=limits,
        lane=device,
        device=device,
        batch=batch,
        lease_seconds=env.lease_seconds,
        watchdog=watchdog,
        redis=Redis.from_url(env.broker, socket_timeout=3, socket_connect_timeout=3),
    )


def open_beside(env: Env, folder: Path, first: Line) -> Line:
    """A second bundle on the same device. Raises as ``open_line``; the first one goes on meanwhile."""
    threads = env.torch_threads or first.recogniser.threads
    recogniser = Recogniser.load(folder, device=env.device, threads=threads, decoder=first.decoders)
    recogniser.leave_cores_free()
    recogniser.warm_up()
    return replace(
        first,
        recogniser=recogniser,
        index=_open_index(env, recogniser.bundle),
        device=Beside(first.lane, recogniser),
    )


def _open_index(env: Env, bundle: Bundle) -> PhotoIndex:
    return open_index(
        env.index,
        version=bundle.version,
        dim=bundle.dim,
        image_weight=bundle.similarity.image,
        api_key=env.index_api_key or None,
    )
