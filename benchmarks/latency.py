"""How long a search takes from POST to result: idle, and while a bulk upload keeps the worker busy.

A search is one POST with `Prefer: wait` by a photo, answered when the result is there: site, queue, worker, index, SQL.
Each sends bytes that were never stored, as a shopper does, so that storing them counts. The bare figure is the same
photo decoded, embedded and asked for in an index of the same photos in this process, one after the other. Searches come
one at a time, as often idle as under load; a few products' worth of bulk work is owed anew whenever it runs out, so
that the load never ends before the searches do.

    python benchmarks/latency.py [--quick] [--json FILE] [--photos DIR]
"""

import secrets
import tempfile
import threading
import time
from argparse import Namespace
from pathlib import Path

import common
import httpx
from charts import bars
from throughput import done_photos, upload

from config.env import load_env
from recognition.index import Filters, IndexQuery, PhotoPoint, PointPayload, open_index
from recognition.recogniser import Recogniser
from tests.line import Line


def main() -> None:
    options = parse()
    figures = common.report(options.quick)
    with common.vitrine("web", "coordinator", "worker") as line:
        files = common.photo_files(options.photos, options.count)
        figures["photo_source"] = common.photo_source(options.photos, files)
        upload(files, options.count)
        photos = [path.read_bytes() for path in files[:200]]
        bare_times = bare(photos, options)
        client = Shopper(line)
        client.searches(photos, 20)
        idle = client.searches(photos, options.searches)
        with Load(options.count) as load:
            busy = client.searches(photos, options.searches)
        figures |= {"bulk_photos_per_second_meanwhile": load.photos_per_second}
    told = {name: common.percentiles(times) for name, times in (("bare", bare_times), ("idle", idle), ("bulk", busy))}
    figures = {
        "p50_idle_over_bare": told["idle"]["p50"] / told["bare"]["p50"],
        "p99_bulk_over_idle": told["bulk"]["p99"] / told["idle"]["p99"],
        "milliseconds": told,
        **figures,
    }
    values = {f"{name}, {key}": told[name][key] for name in told for key in ("p50", "p99")}
    common.write("latency", figures, options.json, {"searches": bars("A search by photo", values, "ms")})
    for name, value in told.items():
        print(f"{name:6s} {value}")
    print(f"idle over bare {figures['p50_idle_over_bare']:.2f}, bulk over idle {figures['p99_bulk_over_idle']:.2f}")


def parse() -> Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs instead of the sample catalogue's")
    options = parser.parse_args()
    options.count, options.searches = (96, 40) if options.quick else (2000, 1000)
    return options


def bare(photos: list[bytes], options: Namespace) -> list[float]:
    """Seconds of decode, forward and query of each photo, in this process and with nothing in between."""
    recogniser = Recogniser.load(load_env().bundle)
    recogniser.leave_cores_free()
    recogniser.warm_up()
    filters = Filters("bench")
    with tempfile.TemporaryDirectory(prefix="vitrine-bare-") as folder:
        index = open_index(folder, version="bare", image_weight=recogniser.bundle.similarity.image)
        for number in range(options.count):
            found = recogniser.forward(recogniser.prepare(photos[number % len(photos)]).pixels[None], [None])
            payload = PointPayload("bench", f"p{number}", f"photo{number}", "mugs", "Vitrine", 9.5, "EUR", True)
            index.upsert([PhotoPoint(payload, found.image[0], found.fused[0], "blue mug with a handle")])
        times = []
        for number in range(options.searches):
            started = time.perf_counter()
            pixels = recogniser.prepare(photos[number % len(photos)]).pixels
            vector = recogniser.forward(pixels[None], [None]).image[0]
            index.nearest([IndexQuery(filters, image=vector)])
            times.append(time.perf_counter() - started)
        index.close()
    return times


def never_sent(photo: bytes) -> bytes:
    """The same picture in other bytes (a comment of JPEG's): a shopper's photo is never in the store already."""
    comment = secrets.token_bytes(16)
    return photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + photo[2:]


class Shopper:
    """Somebody who searches by photo, over HTTP, with a key of the shop."""

    def __init__(self, line: Line) -> None:
        from catalog.models import KeyKind, Merchant  # noqa: PLC0415 - Django is set up by now
        from catalog.services.key import api_key_create  # noqa: PLC0415

        merchant = Merchant.objects.get(slug="bench")
        _, token = api_key_create(merchant=merchant, name="shopper", kind=KeyKind.SECRET)
        headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=30"}
        self._client = httpx.Client(base_url=line.url, headers=headers, timeout=60)

    def searches(self, photos: list[bytes], count: int) -> list[float]:
        """Seconds of each search, one after the other."""
        times = []
        for number in range(count):
            photo = never_sent(photos[number % len(photos)])
            started = time.perf_counter()
            answer = self._client.post("/api/v1/search-jobs", files={"photo": ("a.jpg", photo)})
            times.append(time.perf_counter() - started)
            assert answer.json()["state"] == "done", answer.text
        return times


class Load:
    """Bulk work that never runs out while the block lasts: photos that are done are owed anew."""

    def __init__(self, count: int) -> None:
        self._count, self._done, self._ends = count, 0, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.photos_per_second = 0.0

    def __enter__(self) -> "Load":
        self._owe_done()
        self._started = time.perf_counter()
        self._thread.start()
        time.sleep(2)
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self.photos_per_second = (self._done + done_photos()) / (time.perf_counter() - self._started)

    def _run(self) -> None:
        while not self._ends.wait(0.5):
            if done_photos() > self._count / 2:
                self._done += self._owe_done()

    def _owe_done(self) -> int:
        from django.utils import timezone  # noqa: PLC0415

        from catalog.models import LedgerState, Photo  # noqa: PLC0415
        from catalog.services.enqueue import dispatch_soon  # noqa: PLC0415

        done = Photo.objects.filter(state=LedgerState.DONE)
        owed = done.update(
            state=LedgerState.PENDING, queued_at=timezone.now(), bundle_version="", chunk_id=None, finished_at=None
        )
        dispatch_soon()
        return owed


if __name__ == "__main__":
    main()
