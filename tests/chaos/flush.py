"""Flushes Redis in the middle of an upload and of searches, then proves that all of it ends.

    python -m tests.chaos.flush --photos 1000 --searches 50 --seed 7 [--minutes 30] [--postgres] [--json FILE]

Every photo ends indexed, every search done or expired. Flushes and searches are spread over the upload by how many of
its photos are done, and on a machine that is too slow for that over ``--minutes``.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.chaos.figures import tell
from tests.chaos.rig import END_SECONDS, PARTS, SMALL, Rig, asked, rig_asked, seeded, send_upload, small_catalogue
from tests.drawing import jpeg

FLUSHES = 3
ENDED = ("done", "expired")


def main() -> int:
    """Run it, print the table; the exit code says whether all held."""
    options = asked(__doc__.splitlines()[0], photos=1_000)
    seed, dice = seeded(options.seed)
    print(f"seed {seed}: {options.photos} photos, {options.searches} searches, {FLUSHES} flushes", flush=True)
    with rig_asked(options, "flush", VITRINE_SEARCH_DEADLINE_SECONDS="10") as (rig, folder):
        archive = small_catalogue(folder / "photos.zip", 0, options.photos)
        rig.launch(*PARTS)
        rig.wait_for(rig.is_up, "the line is up", END_SECONDS)
        started = time.monotonic()
        send_upload(rig.api, archive, f"flush-{seed}")
        share = Share(rig, options.photos, 60 * options.minutes)
        with ThreadPoolExecutor(1) as pool:
            flushed = pool.submit(flush, rig, share, dice)
            ends = search_all(rig, share, options.searches)
            flushed.result()
        until = time.monotonic() + END_SECONDS
        while not rig.is_at_rest() and time.monotonic() < until:
            time.sleep(0.5)
        return report(rig, options, ends, time.monotonic() - started, seed)


class Share:
    """How far the upload is, for who has something to do at its middle."""

    def __init__(self, rig: Rig, photos: int, seconds: float) -> None:
        self._rig, self._photos, self._seconds = rig, photos, seconds
        self._started = time.monotonic()

    def wait_for(self, share: float) -> None:
        """Until this share of the photos is done; or of the time is over, so that a slow machine comes to an end."""
        while time.monotonic() < self._started + share * self._seconds and self._rig.done() < share * self._photos:
            time.sleep(0.1)


def flush(rig: Rig, share: Share, dice) -> None:
    """Forget everything in Redis at random moments of the upload."""
    marks = sorted(dice.uniform(0.1, 0.9) for _ in range(FLUSHES))
    for mark in marks:
        share.wait_for(mark)
        with rig.redis.client() as redis:
            redis.flushall()
        print(f"  flushed with {rig.photo_states()}", flush=True)


def search_all(rig: Rig, share: Share, searches: int) -> list[str]:
    """Search all along the upload, several at once; how each of them ended."""

    def search(number: int) -> str:
        share.wait_for(number / searches * 0.9)
        photo = ("photo.jpg", jpeg(number, SMALL), "image/jpeg")
        made = rig.api.post("search-jobs", files={"photo": photo})
        if made.status_code != httpx.codes.ACCEPTED:
            return f"refused {made.status_code}"
        until = time.monotonic() + 60
        while time.monotonic() < until:
            state = rig.api.get(made.headers["Location"], headers={"Prefer": "wait=10"}).json()["state"]
            if state not in {"pending", "dispatched"}:
                return state
            time.sleep(0.2)
        return "without end"

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(search, range(searches)))


def report(rig: Rig, options: argparse.Namespace, ends: list[str], seconds: float, seed: int) -> int:
    """Verify and tell; returns the exit code."""
    seen = rig.verify()
    checked = seen["checked"]
    counts = {end: ends.count(end) for end in sorted({*ENDED, *ends})}
    held = not seen["left"] and not seen["unproven"] and set(ends) <= set(ENDED)
    held &= checked["photos_done"] == checked["points"] == options.photos
    title = f"Redis flushed {FLUSHES} times (seed {seed}, {rig.database_name})"
    rows = [
        ("photos indexed", checked["photos_done"]),
        ("points in the index", checked["points"]),
        ("photos lost", options.photos - checked["photos"]),
        *((f"searches {end}", count) for end, count in counts.items()),
        ("jobs without an end", seen["owed"]["jobs"]),
        ("findings of verify", sum(each["count"] for each in seen["found"].values())),
        ("seconds", round(seconds)),
    ]
    tell("flush", title, rows, held=held, options=options, seed=seed)
    if not held:
        print(seen)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
