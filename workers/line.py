"""The parts of a worker, put together once at start and taken apart at the end: bundle, device lane, index, store.

Comes after the settings and before anything is consumed: ``open_line`` loads and warms everything up, or raises, so
that a worker with a bad bundle or index never takes a message.
"""

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from config.env import Env
from recognition.index import PhotoIndex, open_index
from recognition.photos import PhotoLimits
from recognition.recogniser import Recogniser
from recognition.store import PhotoStore
from workers.batching import DeviceLane
from workers.contract import WorkerCard
from workers.metrics import Counts

logger = logging.getLogger(__name__)

_WAITING_BATCHES = 4  # bulk batches that may wait for the device: enough to keep it busy, bounded in memory


@dataclass(frozen=True)
class Line:
    """Everything a photo passes on its way through this process."""

    name: str
    recogniser: Recogniser
    index: PhotoIndex
    store: PhotoStore
    limits: PhotoLimits
    device: DeviceLane
    batch: int
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
        )

    def close(self) -> None:
        """Finish what the device still has, then flush and let go of the index."""
        self.device.close()
        self.index.close()


def open_line(env: Env, on_device_death: Callable[[BaseException], None]) -> Line:
    """Load and warm up. Raises BundleError, Unavailable or ValueError where this worker must not serve."""
    recogniser = Recogniser.load(env.bundle, device=env.device, threads=env.torch_threads or None)
    recogniser.leave_cores_free()
    recogniser.warm_up()
    bundle = recogniser.bundle
    index = open_index(
        env.index,
        version=bundle.version,
        dim=bundle.dim,
        image_weight=bundle.similarity.image,
        api_key=env.index_api_key or None,
    )
    if not index.health().version:
        index.promote(bundle.version)  # the first worker of an installation: there is nothing to compare with
    device = DeviceLane(
        recogniser, batch=env.device_batch, room=_WAITING_BATCHES * env.device_batch, on_death=on_device_death
    )
    device.start()
    return Line(
        name=f"{socket.gethostname()}-{os.getpid()}",
        recogniser=recogniser,
        index=index,
        store=PhotoStore(env.photos),
        limits=PhotoLimits(env.photo_max_bytes, env.photo_max_pixels),
        device=device,
        batch=env.device_batch,
    )
