"""From a result being stored to its event arriving at a client: the distribution, over a real web process.

Stored: the moment its transaction is committed, before anybody is told. Arrived: the moment the client has read the
whole event. In between lie Redis, the web process's look at SQL, the shape of the answer and the loopback. Results of
both kinds are stored: answers to searches (the event is the whole job with ten hits) and chunks of a recognition (the
event is one item), while so many clients follow and wait. SQLite, one web process, both on this machine.

    python benchmarks/events.py [--quick] [--json FILE]
"""

import argparse
import queue
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import common
import httpx

GOAL_MS = 200.0


def main() -> None:
    options = parse()
    figures = common.report(options.quick) | {"what": "milliseconds from commit to arrival", "goal_ms": GOAL_MS}
    with common.vitrine("web") as line:
        figures |= measure(line.url, options.rounds, options.clients)
    write(figures, options)


def parse() -> argparse.Namespace:
    options = common.parser(__doc__).parse_args()
    options.rounds, options.clients = (40, (1, 10)) if options.quick else (200, (1, 10, 50))
    return options


def measure(url: str, rounds: int, clients: tuple[int, ...]) -> dict:
    shop = Stage(url)
    told: dict = {"searches": {}, "items": {}}
    for count in clients:
        told["searches"][f"{count} clients"] = distribution(shop.searches(rounds, count))
        told["items"][f"{count} clients"] = distribution(shop.items(rounds, count))
    return told


class Stage:
    """A merchant with products, results as workers would send them, and clients that follow."""

    def __init__(self, url: str) -> None:
        from tests.api_support import Shop  # noqa: PLC0415

        self.url = url
        self.shop = Shop("benchmark")
        self.products = [self.shop.product(f"P-{number}") for number in range(10)]
        self.photos = [self.shop.photo(product) for product in self.products]

    def searches(self, rounds: int, clients: int) -> list[float]:
        """Each round: one more search is stored, its client reads the hits; the others go on waiting."""
        from catalog.services.result import search_result_store  # noqa: PLC0415
        from tests.api_support import candidate, search_result  # noqa: PLC0415

        found = [candidate(product, photo) for product, photo in zip(self.products, self.photos, strict=True)]
        waiting = [self.shop.search() for _ in range(clients)]
        followers = {job.pk: self.follow(f"search-jobs/{job.pk}", "job.finished") for job in waiting}
        times = []
        for _ in range(rounds):
            job = waiting.pop(0)
            store = partial(search_result_store, result=search_result(job, *found))
            times.append(committed_to_arrival(store, followers.pop(job.pk)))
            waiting.append(self.shop.search())
            followers[waiting[-1].pk] = self.follow(f"search-jobs/{waiting[-1].pk}", "job.finished")
        self.end(waiting)
        return times

    def items(self, rounds: int, clients: int) -> list[float]:
        """Each round: one more photo of a recognition is stored; all clients follow that job, one is measured."""
        from catalog.services.result import chunk_result_store  # noqa: PLC0415

        job = self.shop.recognition((1, 2, 3))
        followers = [self.follow(f"recognition-jobs/{job.pk}", "item.found") for _ in range(clients)]
        times = []
        for _ in range(rounds):
            store = partial(chunk_result_store, result=self.chunk(job))
            times.append(committed_to_arrival(store, followers[0]))
        self.end([job])
        return times

    def chunk(self, job: object) -> object:
        """A worker's result for one more photo of this job."""
        from catalog.models import Purpose  # noqa: PLC0415
        from tests.api_support import candidate  # noqa: PLC0415
        from workers.contract import ChunkResult, PhotoOutcome  # noqa: PLC0415

        photo = self.shop.photo(purpose=Purpose.RECOGNISE, job=job, state="dispatched")
        photo.chunk_id = uuid.uuid4()
        photo.save()
        found = (candidate(self.products[0], self.photos[0]),)
        outcome = PhotoOutcome(photo_id=photo.pk, verdict="REVIEW", reason="close", candidates=found)
        return ChunkResult(
            chunk_id=photo.chunk_id,
            purpose="recognise",
            worker="w1",
            bundle_version="b1",
            calibrated=True,
            outcomes=(outcome,),
            seconds=0.1,
        )

    def follow(self, path: str, name: str) -> queue.Queue:
        """A client that follows: the queue gets the time at which each event of this name was read whole."""
        arrived: queue.Queue = queue.Queue()
        ready = threading.Event()
        threading.Thread(target=self._follow, args=(path, name, arrived, ready), daemon=True).start()
        ready.wait(60)
        return arrived

    def _follow(self, path: str, name: str, arrived: queue.Queue, ready: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {self.shop.token}"}
        # At the end the site goes while some still follow.
        with (
            suppress(httpx.TransportError),
            httpx.stream("GET", f"{self.url}/api/v1/{path}/events", headers=headers, timeout=600) as response,
        ):
            told = ""
            for line in response.iter_lines():
                told = line.removeprefix("event: ") if line.startswith("event: ") else told
                if not line and told == name:
                    arrived.put(time.perf_counter())
                if not line and told:
                    ready.set()
                    told = ""

    def end(self, jobs: list) -> None:
        """Let the remaining clients go."""
        from catalog.services.job import job_cancel  # noqa: PLC0415

        for job in jobs:
            job_cancel(job=job)


def committed_to_arrival(store: Callable[[], object], arrived: queue.Queue) -> float:
    """Seconds from the commit of what ``store`` stores to the event; results come at odd moments, five a second."""
    from django.db import transaction  # noqa: PLC0415

    time.sleep(random.uniform(0.1, 0.3))
    stored: list[float] = []
    with transaction.atomic():
        transaction.on_commit(lambda: stored.append(time.perf_counter()))  # runs before the announcement
        store()
    return arrived.get(timeout=60) - stored[0]


def distribution(seconds: list[float]) -> dict[str, float]:
    """Percentiles in milliseconds, and the share within the goal."""
    ms = sorted(1000 * each for each in seconds)
    at = statistics.quantiles(ms, n=100, method="inclusive")
    found = {"p50": at[49], "p90": at[89], "p95": at[94], "p99": at[98], "max": ms[-1]}
    within = sum(each <= GOAL_MS for each in ms) / len(ms)
    return {"n": len(ms), **{name: round(value, 1) for name, value in found.items()}, "within_goal": round(within, 4)}


def write(figures: dict, options: argparse.Namespace) -> None:
    print(f"{'milliseconds':28s} {'p50':>7s} {'p90':>7s} {'p95':>7s} {'p99':>7s} {'max':>7s}   within {GOAL_MS:.0f} ms")
    for kind in ("searches", "items"):
        for clients, told in figures[kind].items():
            shown = " ".join(f"{told[name]:7.1f}" for name in ("p50", "p90", "p95", "p99", "max"))
            print(f"{kind + ', ' + clients:28s} {shown}   {told['within_goal']:.1%} of {told['n']}")
    common.write("events", figures, options.json)


if __name__ == "__main__":
    main()
