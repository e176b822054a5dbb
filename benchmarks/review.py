"""The review desk: how many decisions a minute it allows, and what five photos of a new product are worth.

Pace: a real Chromium at the desk over the whole line (web, coordinator, worker, Redis, embedded index); each key is
timed from the press to the paint of the next item, once as fast as a person can be (four a second) and once as fast as
the page lets it be. New products: some products are kept out of the catalogue; five photos of each are decided on ("new
product", then the same for the others), and the sixth is recognised. Without ``--data`` the photos are the sample's
renders: of each product the catalogue photo, two of customers, a cut of each of these two, and the third customer's as
the sixth. ``--data`` names a folder with a folder of at least six photos for each product.

    python benchmarks/review.py [--quick] [--data FOLDER] [--json FILE]
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.desk_line import SAMPLE, desk_line, open_desk, people, sample_rows, six_photos, stock, upload  # noqa: E402
from tests.line import Line  # noqa: E402

FRAME_MS = 1000 / 60
PERSON_MS = 250
PHOTOS = 6
CHROMIUM = ["--no-sandbox", "--disable-gpu"]
# From a key to the item that it brings: until the item is in the page, which is what the page waits for, and until it
# is painted. The frame after the stage has changed has been drawn when the message that was posted in it arrives.
TIMER = """() => {
  window.waits = [];
  window.paints = [];
  let pressed = 0;
  document.addEventListener("keydown", (event) => { pressed = event.timeStamp; }, { capture: true });
  const shown = () => document.querySelector("article.item");
  new MutationObserver(() => {
    const since = pressed;
    if (shown()) window.waits.push(performance.now() - since);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { if (shown()) window.paints.push(performance.now() - since); };
      channel.port2.postMessage(0);
    });
  }).observe(document.querySelector("[data-part=stage]"), { childList: true });
}"""
DECIDE = """
from uuid import UUID
from catalog.models import Item, Photo
from catalog.services.review import item_correct, item_new_product
from catalog.services.reviewing.acting import Act
ACT = Act(None, "benchmark")
def decide(sku, names):
    items = {item.photo.name: item for item in Item.objects.filter(photo__name__in=names).select_related("photo")}
    first = item_new_product(item=items[names[0]], act=ACT, values={"sku": sku, "title": "New " + sku})
    for name in names[1:]:
        item_correct(item=items[name], reviewer=None, product=first.product, act=ACT)
def indexed(names):
    return Photo.objects.filter(name__in=names, purpose="index", state="done").count()
def verdicts(names):
    found = {}
    for item in Item.objects.filter(photo__name__in=names).select_related("photo"):
        ids = [UUID(each["product_id"]) for each in item.candidates]
        skus = dict(Product.objects.filter(pk__in=ids).values_list("pk", "sku"))
        found[item.photo.name] = [item.verdict, item.probability, [skus.get(each) for each in ids]]
    return found
"""


def main() -> None:
    options = parse()
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "load_before": os.getloadavg()[0],
        "data": str(options.data.name) if options.data else "sample renders",
    }
    with tempfile.TemporaryDirectory(prefix="vitrine-benchmark-") as name, desk_line(Path(name)) as (line, do):
        do(DECIDE)
        report["new_products"] = new_products(line, do, options)
        report["pace"] = pace(line, do, 60 if options.quick else 200)
    report["load_after"] = os.getloadavg()[0]
    write(report, options.json)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer items and products")
    parser.add_argument("--data", type=Path, help="a folder with a folder of photos for each product")
    parser.add_argument("--json", type=Path, help="where the figures go (default: benchmarks/results, dated)")
    options = parser.parse_args()
    options.products = 6 if options.quick else 24
    return options


# Five photos of a new product ----------------------------------------------------------------------------------------


def new_products(line: Line, do: Callable[[str], Any], options: argparse.Namespace) -> dict[str, Any]:
    """How often the sixth photo finds its product, and how soon a decided photo is in the index."""
    known = [row["sku"] for row in sample_rows()]
    chosen = photos_of(options.data) if options.data else {sku: six_photos(sku) for sku in known}
    step = max(1, len(chosen) // options.products)
    chosen = dict(list(chosen.items())[::step][: options.products])
    stock(line, do, "fresh", [sku for sku in known if sku not in chosen])
    before = {name: data for photos in chosen.values() for name, data in photos[: PHOTOS - 1]}
    upload(line, do, "fresh", before)
    seconds = [
        decided_to_indexed(line, do, sku, [name for name, _ in photos[: PHOTOS - 1]]) for sku, photos in chosen.items()
    ]
    sixth = {photos[-1][0]: (sku, photos[-1][1]) for sku, photos in chosen.items()}
    upload(line, do, "fresh", {name: data for name, (_, data) in sixth.items()})
    found = do(f"answer = verdicts({list(sixth)!r})")
    return {"products": len(chosen), **counted(sixth, found), "decided_to_indexed_s": spread(seconds)}


def decided_to_indexed(line: Line, do: Callable[[str], Any], sku: str, names: Sequence[str]) -> float:
    """Seconds from the last of five decisions to all five being searchable."""
    do(f"decide({sku!r}, {list(names)!r})")
    started = time.perf_counter()
    line.wait_for(lambda: do(f"answer = indexed({list(names)!r})") == len(names), f"{sku} is indexed", 120)
    return time.perf_counter() - started


def counted(sixth: Mapping[str, tuple[str, bytes]], found: Mapping[str, list]) -> dict[str, Any]:
    """Right first, right among five, and the verdicts."""
    first = [found[name][2][:1] == [sku] for name, (sku, _) in sixth.items()]
    five = [sku in found[name][2][:5] for name, (sku, _) in sixth.items()]
    verdicts = [found[name][0] for name in sixth]
    return {
        "right_first": sum(first) / len(first),
        "right_among_five": sum(five) / len(five),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in ("SURE", "REVIEW", "UNKNOWN")},
        "missed": [sku for (sku, _), is_right in zip(sixth.values(), first, strict=True) if not is_right],
    }


def photos_of(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Six photos of each folder that has so many; names are made unique."""
    found = {}
    for each in sorted(path for path in folder.rglob("*") if path.is_dir()):
        files = sorted(file for file in each.iterdir() if file.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
        if len(files) >= PHOTOS:
            chosen = files[:: max(1, len(files) // PHOTOS)][:PHOTOS]
            sku = f"NEW-{each.name}"
            found[sku] = [(f"{sku}-{number}{file.suffix}", file.read_bytes()) for number, file in enumerate(chosen)]
    return found


# Decisions a minute --------------------------------------------------------------------------------------------------


def pace(line: Line, do: Callable[[str], Any], items: int) -> dict[str, Any]:
    """From key to paint, by a person's fingers and by a machine's."""
    skus = [row["sku"] for row in sample_rows()]
    stock(line, do, "pace", skus)
    photos = sorted((SAMPLE / "customer").glob("*.jpg"))[:items]
    upload(line, do, "pace", {photo.name: photo.read_bytes() for photo in photos})
    people(do, "pace", "reviewer")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        page = open_desk(browser, line, "reviewer")
        page.wait_for_timeout(2000)
        page.evaluate(TIMER)
        person = keys(page, items // 2, PERSON_MS)
        machine = keys(page, items // 2 - 1, 0)
        browser.close()
    return {"four_keys_a_second": person, "as_fast_as_it_goes": machine}


def keys(page: Page, count: int, pause_ms: int) -> dict[str, Any]:
    """Press a key for each item; a key is pressed only when an item is shown, and the wait for one counts."""
    page.evaluate("() => { window.waits = []; window.paints = []; }")
    started = time.perf_counter()
    for number in range(count):
        page.locator("article.item").wait_for()
        page.keyboard.press("u" if number % 3 == 2 else "Space")
        page.wait_for_function("count => window.paints.length >= count", arg=number + 1)
        page.wait_for_timeout(pause_ms)
    minutes = (time.perf_counter() - started) / 60
    page.wait_for_function(
        "() => document.querySelector('[data-part=saved]').dataset.state === 'saved'", timeout=120_000
    )
    behind = time.perf_counter() - started - minutes * 60
    waits, paints = page.evaluate("[window.waits, window.paints]")
    return {
        "decisions_a_minute": round(count / minutes),
        "key_to_item_ms": spread(waits),
        "item_within_a_frame": round(sum(each <= FRAME_MS for each in waits) / len(waits), 3),
        "key_to_paint_ms": spread(paints),
        "last_saved_after_s": round(behind, 1),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """A distribution."""
    at = statistics.quantiles(values, n=100, method="inclusive")
    found = {"p50": at[49], "p95": at[94], "p99": at[98], "max": max(values)}
    return {"n": len(values), **{name: round(value, 2) for name, value in found.items()}}


def write(report: dict[str, Any], path: Path | None) -> None:
    path = path or ROOT / "benchmarks" / "results" / f"review-{report['when'][:10]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    new = report["new_products"]
    print(f"{new['products']} new products, five photos each; the sixth finds its product")
    print(f"first {new['right_first']:.1%}, among five {new['right_among_five']:.1%}; verdicts {new['verdicts']}")
    print(f"decided to searchable, seconds: {new['decided_to_indexed_s']}")
    for name, told in report["pace"].items():
        print(f"{name}: {told['decisions_a_minute']} decisions a minute")
        print(f"  items in the page within a frame: {told['item_within_a_frame']:.1%}")
        print(f"  key to item, ms: {told['key_to_item_ms']}")
        print(f"  key to paint, ms: {told['key_to_paint_ms']}")
    print(f"load {report['load_before']:.1f} to {report['load_after']:.1f}; written to {path}")


if __name__ == "__main__":
    main()
