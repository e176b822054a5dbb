"""What a shopper feels while every photo is embedded anew: searches beside a shadow re-embed, over searches alone.

A real worker serves the live bundle and one in the shadow (the same weights under another name). Rounds alternate: one
search after the other with nothing else to do, then the same while the shadow queue is never empty. The goal: the 99th
percentile beside the shadow stays within three times that of the idle worker.

    python benchmarks/shadow.py [--quick] [--json FILE] [--photos DIR]
"""

import json
import os
import shutil
import tempfile
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import common
from charts import bars
from redis import Redis

from config.env import load_env
from tests.broker import RedisServer, free_port, start_redis
from tests.worker import WorkerProcess, read_result
from workers import client
from workers.contract import SHADOW_QUEUE, Assignment, Chunk, PhotoWork, ProductFacts, Search, SearchResult

DISTINCT = 32
CHUNK = 16  # as catalog.services.shadow sends
GOAL = 3.0
PRODUCT = {"title": "Blue mug with a handle", "brand": "Vitrine", "category": "mugs", "price": 9.5, "currency": "EUR"}
PAUSE = 0.05  # between searches: a shopper, not a flood


def main() -> None:
    options = parse()
    figures = common.report(options.quick)
    cores = str(os.cpu_count())
    with tempfile.TemporaryDirectory(prefix="vitrine-benchmark-") as name:
        folder = Path(name)
        with start_redis(free_port(), folder / "redis") as server:
            os.environ |= {
                "REDIS_URL": server.url,
                "VITRINE_VAR": str(folder),
                "VITRINE_PHOTO_STORE": str(folder / "photos"),
                "VITRINE_INDEX_URL": str(folder / "index"),
            }
            files = common.photo_files(options.photos, DISTINCT)
            keys = [client.photo_store().write(file.read_bytes()).key for file in files]
            with WorkerProcess(folder, server.url, VITRINE_TORCH_THREADS="0", OMP_NUM_THREADS=cores):
                figures |= measure(server, folder, keys, options)
    told = figures["search_ms"]
    values = {f"{name}, {key}": told[name][key] for name in told for key in ("p50", "p99")}
    common.write("shadow", figures, options.json, {"searches": bars("A search by photo, worker alone", values, "ms")})
    print(f"p99 beside the shadow over idle: {figures['p99_over_idle']:.2f} (goal {GOAL}); {told}")


def parse() -> Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs instead of the sample catalogue's")
    options = parser.parse_args()
    options.rounds, options.searches = (3, 60) if options.quick else (8, 150)
    return options


def measure(server: RedisServer, folder: Path, keys: list[str], options: Namespace) -> dict[str, Any]:
    live = client.live_workers()[0].bundle_version
    shadow = other_bundle(folder / "other", f"{live}-again")
    client.publish_bundle(load_env().bundle)
    client.publish_bundle(folder / "other")
    client.write_assignment(Assignment(live=live, shadow=shadow))
    while not client.live_workers()[0].serves(shadow):
        time.sleep(0.5)
    with server.client() as queue:
        for _ in range(10):
            search(queue, keys[0])
        seconds: dict[str, list[float]] = {"idle": [], "shadow": []}
        photos = spent = 0.0
        for _ in range(options.rounds):
            seconds["idle"] += searches(queue, keys, options.searches)
            with shadow_work(server, keys, shadow) as done:
                started = time.perf_counter()
                seconds["shadow"] += searches(queue, keys, options.searches, done)
                spent += time.perf_counter() - started
            photos += sum(done)
    told = {name: common.percentiles(of) for name, of in seconds.items()}
    ratio = told["shadow"]["p99"] / told["idle"]["p99"]
    return {
        "p99_over_idle": round(ratio, 2),
        "goal": GOAL,
        "reached": ratio <= GOAL,
        "search_ms": told,
        "shadow_share": load_env().shadow_share,
        "shadow_photos_per_second_beside_searches": round(photos / spent, 1),
    }


def other_bundle(place: Path, version: str) -> str:
    """The same bundle under another name."""
    shutil.copytree(load_env().bundle, place)
    facts = json.loads((place / "bundle.json").read_text())
    (place / "bundle.json").write_text(json.dumps(facts | {"version": version}))
    return version


def searches(queue: Redis, keys: list[str], count: int, done: list[int] | None = None) -> list[float]:
    taken = []
    for at in range(count):
        taken.append(search(queue, keys[at % len(keys)], done))
        time.sleep(PAUSE)
    return taken


def search(queue: Redis, key: str, done: list[int] | None = None) -> float:
    """Seconds from sending a search by photo to having its answer; photos of shadow chunks on the way are counted."""
    job = Search(job_id=uuid4(), merchant_id=uuid4(), deadline=datetime.now(UTC) + timedelta(seconds=60), key=key)
    started = time.perf_counter()
    client.send_search(job)
    while True:
        answer = read_result(queue)
        if not isinstance(answer, SearchResult):
            if done is not None:
                done.append(len(answer.outcomes))
        elif answer.job_id == job.job_id:
            return time.perf_counter() - started


@contextmanager
def shadow_work(server: RedisServer, keys: list[str], version: str) -> Iterator[list[int]]:
    """Keep the shadow queue filled while the block runs."""
    stop, done = threading.Event(), list[int]()

    def fill() -> None:
        with server.client() as redis:
            while not stop.is_set():
                if redis.llen(SHADOW_QUEUE) < 2:
                    client.send_shadow_chunk(shadow_chunk(keys, version))
                stop.wait(0.1)
            redis.delete(SHADOW_QUEUE)

    filler = threading.Thread(target=fill)
    filler.start()
    time.sleep(1)  # until the worker has begun
    try:
        yield done
    finally:
        stop.set()
        filler.join()
        time.sleep(8)  # until the worker has finished what it holds


def shadow_chunk(keys: list[str], version: str) -> Chunk:
    works = tuple(
        PhotoWork(photo_id=uuid4(), key=keys[at], product=ProductFacts(product_id=uuid4(), **PRODUCT))
        for at in range(CHUNK)
    )
    return Chunk(chunk_id=uuid4(), merchant_id=uuid4(), purpose="index", photos=works, bundle=version, shadow=True)


if __name__ == "__main__":
    main()
