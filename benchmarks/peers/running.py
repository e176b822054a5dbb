"""Starts a peer beside a line's broker and photo store, and gives a function that sends it photos.

with running("mosec", line) as send:
    seconds = send(keys)
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from sysconfig import get_path

import httpx

from config.env import ROOT
from tests.broker import free_port
from tests.line import Line

PEERS = ("task_per_photo", "litserve", "mosec", "bentoml")
PACKAGES = {"litserve": "litserve==0.2.19", "mosec": "mosec==0.9.8", "bentoml": "bentoml==1.4.39"}
FOLDER = ROOT / "var" / "benchmark-peers"
AT_ONCE = 32  # requests in flight: enough for full batches, as from a client that uploads in bulk
START_SECONDS = 180

Send = Callable[[list[str]], float]


class Absent(Exception):
    """A peer that cannot be measured here, and why."""


@contextmanager
def running(name: str, line: Line) -> Iterator[Send]:
    """The peer's processes, warmed up. Raises ``Absent``."""
    port = free_port()
    python = sys.executable if name == "task_per_photo" else str(_environment(name) / "bin" / "python")
    cores = os.cpu_count() or 1
    environment = line.environment | {"PEER_PORT": str(port), "PYTHONPATH": str(ROOT), "BENTOML_DO_NOT_TRACK": "1"}
    command = [python, "-m", f"benchmarks.peers.{name}_server"]
    if name == "task_per_photo":
        environment["PEER_THREADS"] = "1"  # a process a core
        app = ["-A", "benchmarks.peers.celery_tasks", "worker", "--concurrency", str(cores)]
        command = [python, "-m", "celery", *app, "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    elif name == "bentoml":
        service = "benchmarks.peers.bentoml_service:Embed"
        command = [python, "-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]
    elif name == "mosec":
        command += ["--address", "127.0.0.1", "--port", str(port), "--timeout", "600000"]
    log = line.folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        send = _task_sender(line) if name == "task_per_photo" else _http_sender(name, port)
        _until_it_answers(name, send, process, log, line)
        yield send
    finally:
        _end(process)


def _end(process: subprocess.Popen) -> None:
    """It and all that it started: LitServe's workers outlive their parent otherwise."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(name: str) -> Path:
    """A virtual environment with this peer, which sees this one's packages too. Made once."""
    place = FOLDER / name
    if (place / "ready").exists():
        return place
    subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
    site = next((place / "lib").glob("python*/site-packages"))
    (site / "vitrine.pth").write_text(get_path("purelib"))
    pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGES[name]]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise Absent(f"pip install {PACKAGES[name]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    (place / "ready").touch()
    return place


def _until_it_answers(name: str, send: Send, process: subprocess.Popen, log: Path, line: Line) -> None:
    photos = line.folder / "photos"
    key = next(path.relative_to(photos) for path in photos.rglob("*") if path.is_file())
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            send([str(key)] * AT_ONCE)
            return
        except httpx.HTTPError:
            time.sleep(0.5)
    raise Absent(f"{name} does not serve: {log.read_text(errors='replace')[-500:]}")


def _task_sender(line: Line) -> Send:
    def send(keys: list[str]) -> float:
        from benchmarks.peers.celery_tasks import DONE, embed_photo  # noqa: PLC0415 - connects to the line's broker

        with line.redis.client() as redis:
            redis.delete(DONE)
            started = time.perf_counter()
            for key in keys:
                embed_photo.delay(key)
            while redis.llen(DONE) < len(keys):
                time.sleep(0.02)
            return time.perf_counter() - started

    return send


def _http_sender(name: str, port: int) -> Send:
    path = "inference" if name == "mosec" else "embed"
    url = f"http://127.0.0.1:{port}/{path}"

    def one(client: httpx.Client, key: str) -> None:
        answer = client.post(url, json={"keys": [key]} if name == "bentoml" else {"key": key})
        answer.raise_for_status()

    def send(keys: list[str]) -> float:
        limits = httpx.Limits(max_connections=AT_ONCE)
        with httpx.Client(timeout=300, limits=limits) as client, ThreadPoolExecutor(AT_ONCE) as pool:
            started = time.perf_counter()
            list(pool.map(one, repeat(client), keys))
            return time.perf_counter() - started

    return send
