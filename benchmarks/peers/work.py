"""The work that every peer does for a photo: read it from the store, decode it, run the bundle, give the vector.

The same code, bundle, precision and threads as a worker of ours has; the peers only bring their own way of serving.
"""

import os
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from config.env import load_env
from recognition.recogniser import Recogniser
from recognition.store import PhotoStore

PORT = int(os.environ.get("PEER_PORT", "0"))
BATCH = int(os.environ.get("PEER_BATCH", "8"))
WAIT_MS = 10  # the longest that a photo waits for others to make a batch


@cache
def recogniser() -> Recogniser:
    """The bundle, loaded once in each process."""
    loaded = Recogniser.load(load_env().bundle, threads=int(os.environ.get("PEER_THREADS", "0")) or None)
    loaded.leave_cores_free()
    loaded.warm_up()
    return loaded


@cache
def store() -> PhotoStore:
    """Where the photos lie."""
    return PhotoStore(load_env().photos)


def decode(key: str) -> NDArray[np.uint8]:
    """A photo's pixels."""
    return recogniser().prepare(store().read(key)).pixels


def embed(pixels: Sequence[NDArray[np.uint8]]) -> list[list[float]]:
    """Vectors of a batch."""
    return recogniser().look(np.stack(pixels), subject=False).image.tolist()
