"""Photos a second through the whole line, over the bare decode+forward loop of the same bundle, and over peers.

The whole line: photos owed in SQL, leased and sent by the coordinator, read, decoded, embedded and indexed by a worker,
their results stored in SQL; from the first to the last. The bare loop: the same photos read, decoded and embedded one
batch after the other in this process, at its best batch size. Peers do the reading, decoding and embedding alone: one
Celery task a photo, and LitServe, mosec and BentoML with dynamic batching, in an environment made by pip for this
benchmark (var/benchmark-peers); one that cannot be installed or does not answer is named with the reason. Rounds
alternate, medians count.

    python benchmarks/throughput.py [--quick] [--json FILE] [--photos DIR]

2,000 photos are uploaded: those of DIR, over and over where it holds fewer; without it the sample catalogue's renders.
The file of figures names the folder as `photo_source`.
"""

import statistics
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from shutil import copy
from typing import Any

import common
import numpy as np
from charts import bars
from peers.running import PEERS, Absent, running

from config.env import load_env
from recognition.recogniser import Recogniser
from recognition.text import ProductText

BATCHES = (1, 8, 32)
TEXT = ProductText(title="Blue mug with a handle", brand="Vitrine", category="mugs", price=9.5, currency="EUR")


def main() -> None:
    options = parse()
    figures = common.report(options.quick)
    with common.vitrine("coordinator", "worker") as line, ExitStack() as stack:
        files = common.photo_files(options.photos, options.count)
        figures["photo_source"] = common.photo_source(options.photos, files)
        upload_seconds = upload(files, options.count)
        recogniser = Recogniser.load(load_env().bundle)
        recogniser.leave_cores_free()
        recogniser.warm_up()
        keys = stored_keys()
        ways: dict[str, Callable[[], float]] = {
            "whole line": lambda: whole_line(len(keys)),
            **{f"bare loop, batch {size}": bare(recogniser, keys, size) for size in BATCHES},
        }
        absent = {}
        for name in options.peers:
            try:
                ways[name] = partial(stack.enter_context(running(name, line)), keys)
            except Absent as reason:
                absent[name] = str(reason)
                print(f"{name}: absent, {reason}")
        worker = next(process for process in line.processes if process.log.name == "worker.log")
        speeds = alternate(ways, len(keys), options.rounds, worker.pid)
    write(options, figures, speeds, absent, len(keys), len(keys) / upload_seconds)


def parse() -> Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs instead of the sample catalogue's")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="which peers; none: none")
    options = parser.parse_args()
    options.count, options.rounds = (320, 2) if options.quick else (2000, 5)
    return options


def upload(files: list[Path], count: int) -> float:
    """Seconds of a bulk upload from the folder to the last photo in the index; each row is a product of its own."""
    from catalog.models import Merchant  # noqa: PLC0415 - Django is set up by now
    from catalog.services.upload import upload_create_from_folder  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="vitrine-photos-") as name:
        rows = ["sku,title,brand,category,price,currency,images"]
        for number in range(count):
            photo = f"{number % len(files)}.jpg"
            if number < len(files):
                copy(files[number], Path(name, photo))
            rows.append(f'SKU-{number},"{TEXT.title}",{TEXT.brand},{TEXT.category},9.50,EUR,{photo}')
        Path(name, "manifest.csv").write_text("\n".join(rows))
        started = time.perf_counter()
        upload_create_from_folder(merchant=Merchant.objects.create(slug="bench", name="Bench"), path=Path(name))
        common.wait(lambda: done_photos() == count)
        return time.perf_counter() - started


def done_photos() -> int:
    from catalog.models import LedgerState, Photo  # noqa: PLC0415

    failed = Photo.objects.filter(state=LedgerState.FAILED).values_list("error_code", "error_message").first()
    assert failed is None, failed
    return Photo.objects.filter(state=LedgerState.DONE).count()


def stored_keys() -> list[str]:
    from catalog.models import Photo  # noqa: PLC0415

    return list(Photo.objects.values_list("key", flat=True))


def whole_line(count: int) -> float:
    """Seconds from owing every photo anew to having the last result in SQL."""
    from django.utils import timezone  # noqa: PLC0415

    from catalog.models import LedgerState, Photo  # noqa: PLC0415
    from catalog.services.enqueue import dispatch_soon  # noqa: PLC0415

    started = time.perf_counter()
    now = timezone.now()
    Photo.objects.update(state=LedgerState.PENDING, queued_at=now, bundle_version="", chunk_id=None, finished_at=None)
    dispatch_soon()
    common.wait(lambda: done_photos() == count, every=0.1)  # looking costs a core that is measured
    return time.perf_counter() - started


def bare(recogniser: Recogniser, keys: list[str], size: int) -> Callable[[], float]:
    """The loop that knows no queue: read, decode, embed, batch after batch."""
    from workers import client  # noqa: PLC0415 - reads the environment, which is set by now

    def loop() -> float:
        started = time.perf_counter()
        for at in range(0, len(keys), size):
            pixels = [recogniser.prepare(client.photo_store().read(key)).pixels for key in keys[at : at + size]]
            recogniser.forward(np.stack(pixels), [TEXT] * len(pixels))
        return time.perf_counter() - started

    return loop


def alternate(
    ways: dict[str, Callable[[], float]], count: int, rounds: int, worker: int
) -> list[tuple[str, float, float]]:
    """Each way in turn, `rounds` times after a first that is left out: (name, photos a second, CPU ms a photo)."""
    told = []
    for number in range(rounds + 1):
        for name, run in ways.items():
            cpu = common.cpu_seconds(worker) if name == "whole line" else time.process_time()
            seconds = run()
            cpu = (common.cpu_seconds(worker) if name == "whole line" else time.process_time()) - cpu
            print(f"{name:24s} round {number}: {count / seconds:8.1f} photos/s", flush=True)
            if number:
                told.append((name, count / seconds, 1000 * cpu / count))
    return told


def write(
    options: Namespace,
    figures: dict[str, Any],
    told: list[tuple[str, float, float]],
    absent: dict[str, str],
    count: int,
    upload_speed: float,
) -> None:
    speeds: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for name, speed, busy in told:
        speeds.setdefault(name, []).append(speed)
        cpu.setdefault(name, []).append(busy)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    line, best = medians["whole line"], max(speed for name, speed in medians.items() if name.startswith("bare"))
    peers = {name: line / medians[name] for name in PEERS if name in medians and name != "task_per_photo"}
    figures |= {
        "ratio_to_bare_loop": line / best,
        "ratio_to_task_per_photo": line / medians["task_per_photo"] if "task_per_photo" in medians else None,
        "peers": peers,
        "peers_absent": absent,
        "photos": count,
        "photos_per_second": {**medians, "bulk upload with its import": upload_speed},
        "rounds_photos_per_second": speeds,
        "cpu_ms_per_photo": {  # of the worker, and of this process; those of peers lie in processes of their own
            name: statistics.median(values)
            for name, values in cpu.items()
            if name == "whole line" or name.startswith("bare")
        },
    }
    plot = bars(f"Photos a second, {count} photos", dict(sorted(medians.items(), key=lambda each: -each[1])))
    common.write("throughput", figures, options.json, {"speeds": plot})
    for name, value in figures["photos_per_second"].items():
        print(f"{name:32s} {value:8.1f} photos/s")
    print(f"ratio to the bare loop {line / best:.2f}; to peers {peers}")


if __name__ == "__main__":
    main()
