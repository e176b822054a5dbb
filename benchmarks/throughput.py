"""Photos a second through the whole line, over the bare decode+forward loop of the same bundle.

The line: chunks pushed by the client, Redis, a worker process that reads, decodes, embeds and stores in the embedded
index, results counted from the results queue. The bare loop: the same photos read, decoded and embedded one batch
after the other in this process, at its best batch size. Rounds alternate, medians count. Also: how long a search
takes alone, and while chunks wait.

    python benchmarks/throughput.py [--quick] [--json FILE] [--photos DIR]
"""

import argparse
import base64
import io
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import redis  # noqa: E402
import torch  # noqa: E402

from config.env import load_env  # noqa: E402
from recognition.recogniser import Recogniser  # noqa: E402
from recognition.text import ProductText  # noqa: E402
from tests.broker import RedisServer, free_port, start_redis  # noqa: E402
from workers import client  # noqa: E402
from workers.contract import RESULTS_QUEUE, Chunk, PhotoWork, ProductFacts, Search  # noqa: E402

BATCHES = (8, 32)
PRODUCT = {"title": "Blue mug with a handle", "brand": "Vitrine", "category": "mugs", "price": 9.5, "currency": "EUR"}
PACKAGES = ("torch", "torchvision", "celery", "kombu", "redis", "qdrant-edge-py", "pillow", "numpy")


def main() -> None:
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stopped from outside: still stop Redis and the worker
    with tempfile.TemporaryDirectory(prefix="vitrine-benchmark-") as name:
        folder = Path(name)
        with start_redis(free_port(), folder / "redis") as server:
            os.environ |= {
                "REDIS_URL": server.url,
                "VITRINE_VAR": str(folder),
                "VITRINE_PHOTO_STORE": str(folder / "photos"),
                "VITRINE_INDEX_URL": str(folder / "index"),
            }
            keys = store_photos(options.photos, options.distinct)
            worker = start_worker(folder)
            try:
                report = measure(server, worker.pid, keys, options.count, options.rounds)
            finally:
                worker.terminate()
                worker.wait(60)
    write(report, options.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer photos and rounds")
    parser.add_argument("--json", type=Path, help="where the figures go (default: benchmarks/results, dated)")
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs instead of generated ones")
    options = parser.parse_args()
    options.distinct = 64
    options.count, options.rounds = (192, 3) if options.quick else (768, 7)
    return options


def store_photos(folder: Path | None, distinct: int) -> list[str]:
    """Keys of photos in the store: of a folder, or generated ones of a shop photo's size."""
    if folder:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})[: 8 * distinct]
        assert files, f"no JPEG in {folder}"
        return [client.photo_store().write(path.read_bytes()).key for path in files]
    return [client.photo_store().write(generated_photo(seed)).key for seed in range(distinct)]


def generated_photo(seed: int) -> bytes:
    """A JPEG of 1200 × 900 pixels with soft shapes and grain, about 250 KB."""
    dice = np.random.default_rng(seed)
    soft = Image.fromarray(dice.integers(0, 256, (9, 12, 3), np.uint8)).resize((1200, 900), Image.Resampling.BICUBIC)
    grain = dice.normal(0, 8, (900, 1200, 1))
    pixels = (np.asarray(soft, np.float32) + grain).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def start_worker(folder: Path) -> subprocess.Popen:
    log = (folder / "worker.log").open("wb")
    worker = subprocess.Popen([sys.executable, "-m", "workers"], cwd=ROOT, stdout=log, stderr=log)
    while not client.live_workers():
        assert worker.poll() is None, (folder / "worker.log").read_text()
        time.sleep(0.1)
    return worker


def measure(server: RedisServer, worker: int, keys: list[str], count: int, rounds: int) -> dict:
    env = load_env()
    recogniser = Recogniser.load(env.bundle, device=env.device, threads=env.torch_threads or None)
    recogniser.warm_up()
    photos = [keys[at % len(keys)] for at in range(count)]
    contenders: dict[str, Callable[[], float]] = {
        **{f"bare loop, batch {size}": lambda size=size: bare_loop(recogniser, photos, size) for size in BATCHES},
        "whole line": lambda: whole_line(server, photos),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):  # the first round warms everything up and is left out
        for name, run in contenders.items():
            process = worker if name == "whole line" else os.getpid()
            before = cpu_seconds(process)
            speeds[name].append(len(photos) / run())
            costs[name].append(1000 * (cpu_seconds(process) - before) / len(photos))
    medians = {name: statistics.median(values[1:]) for name, values in speeds.items()}
    best = max(value for name, value in medians.items() if name.startswith("bare"))
    cpu = {name: statistics.median(values[1:]) for name, values in costs.items()}
    cheapest = min(value for name, value in cpu.items() if name.startswith("bare"))
    alone = [search(server, photos[at]) for at in range(30)]
    busy = searches_under_load(server, photos)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware(recogniser),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "bundle": recogniser.bundle.version,
        "settings": env.model_dump(include={"bulk_threads", "search_threads", "device_batch", "torch_threads"}),
        "photos": count,
        "rounds": rounds,
        "photos_per_second": medians,
        "rounds_photos_per_second": {name: values[1:] for name, values in speeds.items()},
        "ratio_to_bare_loop": medians["whole line"] / best,
        "cpu_ms_per_photo": cpu,
        "cpu_ratio_to_bare_loop": cheapest / (cpu["whole line"] or 1),  # barely moved by what else runs on the machine
        "ratio_to_bare_loop_by_round": [
            line / max(bare) for line, *bare in zip(speeds["whole line"][1:], *bare_speeds(speeds), strict=True)
        ],
        "search_ms_alone": {"median": 1000 * statistics.median(alone), "max": 1000 * max(alone)},
        "search_ms_while_chunks_wait": {"median": 1000 * statistics.median(busy), "max": 1000 * max(busy)},
    }


def bare_speeds(speeds: dict[str, list[float]]) -> list[list[float]]:
    return [values[1:] for name, values in speeds.items() if name.startswith("bare")]


def bare_loop(recogniser: Recogniser, photos: list[str], size: int) -> float:
    """Seconds to read, decode and embed all photos, one batch after the other."""
    store, text = client.photo_store(), ProductText(**PRODUCT)
    started = time.perf_counter()
    for at in range(0, len(photos), size):
        batch = [recogniser.prepare(store.read(key)).pixels for key in photos[at : at + size]]
        recogniser.forward(np.stack(batch), [text] * len(batch))
    return time.perf_counter() - started


def whole_line(server: RedisServer, photos: list[str]) -> float:
    """Seconds from the first chunk sent to the last result read."""
    started = time.perf_counter()
    sent = send_chunks(photos)
    with server.client() as queue:
        for _ in range(sent):
            answer = read(queue)
            assert not any(outcome["fault"] for outcome in answer["outcomes"]), answer
    return time.perf_counter() - started


def send_chunks(photos: list[str]) -> int:
    """One merchant's photos in chunks of 32, each photo a product of its own; how many chunks."""
    size, merchant = load_env().chunk_size, uuid4()
    chunks = [photos[at : at + size] for at in range(0, len(photos), size)]
    for keys in chunks:
        works = tuple(
            PhotoWork(
                photo_id=uuid4(),
                key=key,
                product=ProductFacts(product_id=uuid4(), **PRODUCT),
            )
            for key in keys
        )
        client.send_chunk(Chunk(chunk_id=uuid4(), merchant_id=merchant, purpose="index", photos=works))
    return len(chunks)


def search(server: RedisServer, key: str) -> float:
    """Seconds from sending a search by photo to having its answer; results of chunks on the way are dropped."""
    started = time.perf_counter()
    job = Search(job_id=uuid4(), merchant_id=uuid4(), deadline=datetime.now(UTC) + timedelta(seconds=60), key=key)
    client.send_search(job)
    with server.client() as queue:
        while read(queue).get("job_id") != str(job.job_id):
            pass
    return time.perf_counter() - started


def searches_under_load(server: RedisServer, photos: list[str]) -> list[float]:
    """Searches one after the other while at least one chunk waits in Redis; then everything is emptied."""
    sent, seconds = send_chunks(photos), []
    while client.queue_lengths()["vitrine.bulk"]:
        seconds.append(search(server, photos[len(seconds) % len(photos)]))
    assert seconds, f"{sent} chunks were gone before the first search"
    with server.client() as queue:
        while queue.brpop([RESULTS_QUEUE], timeout=3):
            pass
    return seconds


def read(queue: redis.Redis) -> dict:
    """The next result as plain JSON."""
    found = queue.brpop([RESULTS_QUEUE], timeout=120)
    assert found, "no result within two minutes"
    args, *_ = json.loads(base64.b64decode(json.loads(found[1])["body"]))
    return args[0]


def cpu_seconds(process: int) -> float:
    """Processor time that a process has used so far, all threads, user and system (Linux; elsewhere 0)."""
    path = Path(f"/proc/{process}/stat")
    if not path.exists():
        return 0.0
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def hardware(recogniser: Recogniser) -> dict:
    cpu = [line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name")]
    gpu = torch.cuda.get_device_name(recogniser.device) if recogniser.device.type == "cuda" else ""
    return {
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "device": str(recogniser.device),
        "gpu": gpu,
        "dtype": str(recogniser.dtype),
        "load_before": os.getloadavg()[0],
    }


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def write(report: dict, path: Path | None) -> None:
    path = path or ROOT / "benchmarks" / "results" / f"throughput-{report['when'][:10]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    for name, value in report["photos_per_second"].items():
        print(f"{name:24s} {value:8.1f} photos/s")
    print(f"{'ratio to bare loop':24s} {report['ratio_to_bare_loop']:8.2f}")
    print(f"{'the same in CPU time':24s} {report['cpu_ratio_to_bare_loop']:8.2f}")
    for name in ("search_ms_alone", "search_ms_while_chunks_wait"):
        print(f"{name:28s} median {report[name]['median']:7.1f}   max {report[name]['max']:7.1f}")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
