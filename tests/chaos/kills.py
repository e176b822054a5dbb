"""Kills random processes at random moments of one upload, then proves that every photo is indexed exactly once.

    python -m tests.chaos.kills --photos 2000 --kills 100 --seed 7 [--minutes 30] [--postgres] [--json FILE]

Web, coordinator, worker and broker are killed with SIGKILL, and started again as a supervisor would. The kills are
spread over the upload by how many of its photos are done; the seed decides who and when, and replays a run. On a
machine that is too slow for so many kills, those that did not come within ``--minutes`` are left out, and told.
"""

import argparse
import sys
import threading
import time
from collections import Counter

from tests.chaos.figures import tell
from tests.chaos.rig import END_SECONDS, PARTS, Rig, asked, rig_asked, seeded, send_upload, small_catalogue

BROKER = "broker"
LONGEST_WAIT = 20.0  # seconds until the next kill comes, however little was done


def main() -> int:
    """Run it, print the table; the exit code says whether all held."""
    options = asked(__doc__.splitlines()[0], photos=2_000)
    seed, dice = seeded(options.seed)
    print(f"seed {seed}: {options.kills} kills over one upload of {options.photos} photos", flush=True)
    with rig_asked(options, "kills") as (rig, folder):
        archive = small_catalogue(folder / "photos.zip", 0, options.photos)
        rig.launch(*PARTS)
        rig.wait_for(rig.is_up, "the line is up", END_SECONDS)
        started = time.monotonic()
        stop = started + 60 * options.minutes
        sent = (rig.api, archive, f"kills-{seed}", 60 * options.minutes + END_SECONDS)
        upload = threading.Thread(target=send_upload, args=sent, daemon=True)
        upload.start()
        killed = kill_all_along(rig, options.photos, options.kills, dice, stop)
        settle(rig, options.photos)
        upload.join(60)
        return report(rig, options, killed, time.monotonic() - started, seed)


def kill_all_along(rig: Rig, photos: int, kills: int, dice, stop: float) -> Counter[str]:
    """Kill until all kills are made or the time is over, each at a random moment of its share of the upload."""
    killed: Counter[str] = Counter()
    during = 0
    for number in range(kills):
        victim, moment = dice.choice((*PARTS, BROKER)), dice.random()
        until = min(time.monotonic() + LONGEST_WAIT, stop)
        while rig.done() < photos * (number + moment) / kills and time.monotonic() < until:
            rig.keep_alive()
            time.sleep(0.02)  # hundreds of photos are done in a second
        rig.keep_alive()
        if time.monotonic() > stop:
            print(f"  the time is over after {number} kills", flush=True)
            break
        during += not rig.is_at_rest()
        (rig.redis if victim == BROKER else rig.parts[victim]).kill()
        killed[victim] += 1
        rig.keep_alive()
        if number % 10 == 9:
            print(f"  {number + 1} kills, {rig.photo_states()}", flush=True)
    killed["during the upload"] = during
    return killed


def settle(rig: Rig, photos: int) -> None:
    """Keep everything alive until nothing is owed."""
    until = time.monotonic() + END_SECONDS
    while not (rig.is_at_rest() and sum(rig.photo_states().values()) >= photos and rig.is_up()):
        assert time.monotonic() < until, rig.photo_states()
        rig.keep_alive()
        time.sleep(0.5)


def report(rig: Rig, options: argparse.Namespace, killed: Counter[str], seconds: float, seed: int) -> int:
    """Verify and tell; returns the exit code."""
    photos = options.photos
    seen = rig.verify()
    checked = seen["checked"]
    twice = seen["found"].get("point_twice", {}).get("count", 0) + checked["points"] - checked["photos_done"]
    held = not seen["left"] and not seen["unproven"] and checked["photos_done"] == checked["points"] == photos
    kills = sum(killed[each] for each in (*PARTS, BROKER))
    title = f"{kills} kills over {photos} photos (seed {seed}, {rig.database_name})"
    rows = [(f"kills of {part}", killed[part]) for part in (*PARTS, BROKER)]
    rows += [
        ("kills while photos were owed", killed["during the upload"]),
        ("kills left out, the time was over", options.kills - kills),
        ("photos indexed", checked["photos_done"]),
        ("points in the index", checked["points"]),
        ("photos failed", checked["photos_failed"]),
        ("photos lost", photos - checked["photos"]),
        ("photos there twice", twice),
        ("findings of verify", sum(each["count"] for each in seen["found"].values())),
        ("seconds", round(seconds)),
    ]
    tell("kills", title, rows, held=held, options=options, seed=seed)
    if not held:
        print(seen)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
