"""A worker for integration tests: a real process, a client connected to its Redis, drawn photos. No fixtures here.

with start_redis(free_port(), folder / "redis") as redis, WorkerProcess(folder, redis.url, VITRINE_BUNDLE=…):
    with client_of(redis.url, folder / "photos") as client:
        client.send_chunk(…)
"""

import base64
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
import redis
from PIL import Image, ImageDraw

from config.env import ROOT, load_env
from workers import client
from workers.contract import (
    BULK_QUEUE,
    RESULTS_QUEUE,
    STORE_CHUNK_RESULT,
    STORE_SEARCH_RESULT,
    WORKER_KEY_PREFIX,
    Chunk,
    ChunkResult,
    SearchResult,
)

# In a process of its own: torch warns while it loads, and here warnings are errors.
_UNTRAINED = """
import sys, torch
from pathlib import Path
from recognition.bundle import Bundle, Preprocessing, save_bundle
from recognition.fusion import ProductEncoder
torch.manual_seed(0)
_, folder, arch, size = sys.argv
tensors = ProductEncoder(arch, 256).state_dict().items()
floats = {name: tensor.numpy() for name, tensor in tensors if tensor.is_floating_point()}
save_bundle(Bundle("untrained", arch, preprocessing=Preprocessing(int(size))), floats, "", Path(folder))
"""


class WorkerProcess:
    """A real worker (`python -m workers`) in a process of its own; everything it is told comes from `settings`."""

    command = (sys.executable, "-m", "workers")

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        self.log = folder / "worker.log"
        self.environment = os.environ | {
            "REDIS_URL": redis_url,
            "VITRINE_VAR": str(folder),
            "VITRINE_TORCH_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            **settings,
        }
        self.process: subprocess.Popen | None = None

    def start(self, wait: float = 120) -> "WorkerProcess":
        """Start it and wait until its card lies in Redis, or until it has ended."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        with redis.Redis.from_url(self.environment["REDIS_URL"]) as client:
            wait_until(lambda: self.process.poll() is not None or client.exists(self.card_key()), wait)
        return self

    def card_key(self) -> str:
        """The Redis key under which this worker says that it lives."""
        return f"{WORKER_KEY_PREFIX}{socket.gethostname()}-{self.process.pid}"

    def output(self) -> str:
        """All that it wrote so far."""
        return self.log.read_text()

    def stop(self, wait: float = 90) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(wait)

    def __enter__(self) -> "WorkerProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def wait_until(true: Callable[[], object], seconds: float = 240) -> None:
    """Wait for a condition, or fail."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not so within {seconds} seconds"
        time.sleep(0.02)


@contextmanager
def client_of(redis_url: str, photos: Path) -> Iterator[ModuleType]:
    """`workers.client` connected to this Redis and this photo store, whatever the environment said before."""
    cached = (load_env, client._producer, client._redis, client.photo_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis_url)
        patch.setenv("VITRINE_PHOTO_STORE", str(photos))
        for function in cached:
            function.cache_clear()
        try:
            yield client
        finally:
            client._producer().pool.force_close_all()
            client._producer().close()
            client._redis().close()
    for function in cached:
        function.cache_clear()


def read_result(server: redis.Redis, seconds: float = 90) -> ChunkResult | SearchResult:
    """The next message of the results queue, in the order in which the workers sent them."""
    found = server.brpop([RESULTS_QUEUE], timeout=seconds)
    assert found, f"no result within {seconds} seconds"
    message = json.loads(found[1])
    args, *_ = json.loads(base64.b64decode(message["body"]))
    kind = {STORE_CHUNK_RESULT: ChunkResult, STORE_SEARCH_RESULT: SearchResult}[message["headers"]["task"]]
    return kind.model_validate(args[0])


def read_chunk(server: redis.Redis, seconds: float = 30, queue: str = BULK_QUEUE) -> Chunk:
    """The next chunk that waits for a worker."""
    found = server.brpop([queue], timeout=seconds)
    assert found, f"no chunk within {seconds} seconds"
    args, *_ = json.loads(base64.b64decode(json.loads(found[1])["body"]))
    return Chunk.model_validate(args[0])


def draw_photo(seed: int, size: int = 320) -> bytes:
    """A JPEG that looks like no other seed's: stripes, discs and boxes in colours of its own."""
    dice = random.Random(seed)
    colour = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(4)]
    photo = Image.new("RGB", (size, size * 3 // 4), colour[0])
    pen = ImageDraw.Draw(photo)
    for at in range(0, size, dice.choice((16, 32, 64))):
        pen.line([(at, 0), (dice.randrange(size), size)], fill=colour[1], width=dice.randrange(2, 12))
    for shape in (pen.ellipse, pen.rectangle, pen.ellipse):
        left, top = dice.randrange(size // 2), dice.randrange(size // 2)
        shape((left, top, left + dice.randrange(40, size // 2), top + dice.randrange(40, size // 2)), fill=colour[2])
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def bundle_folder() -> Path:
    """The repository's bundle, or the one that VITRINE_TEST_BUNDLE names (a new one, before it ships); where none was
    exported yet, an untrained one."""
    folder = Path(os.environ.get("VITRINE_TEST_BUNDLE", ROOT / "bundles" / "default"))
    if not (folder / "bundle.json").exists():
        folder = untrained_bundle(Path(tempfile.mkdtemp(prefix="vitrine-bundle-")) / "bundle")
    return folder


def untrained_bundle(folder: Path, arch: str = "mobilenet_v2", size: int = 192) -> Path:
    """A bundle that was never trained, for photos of ``size`` pixels: vectors that mean nothing, made for real."""
    subprocess.run([sys.executable, "-c", _UNTRAINED, folder, arch, str(size)], cwd=ROOT, check=True)
    return folder
