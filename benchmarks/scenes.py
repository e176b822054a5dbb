"""How well things are found in photos of many, and what the main subject's cut is worth where it is small.

Scenes are composed (recognition/training/scenes.py) from products that the head never learnt from; the shop they are
looked for in stores one clean photo of each. Cut-outs come from the very clean photo that is stored (turned, scaled,
relit, partly covered), or, on shelves, also from the products' other photos, hung up whole. Ordinary photos are those
other photos as they are. Without `--data`, the photos of `sample/` are used, of which nothing was ever trained on.

    python benchmarks/scenes.py [--quick] [--json FILE] [--bundle DIR] [--data DIR ...] [--backgrounds DIR ...]
"""

import argparse
import csv
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from recognition.boxes import letterbox, overlaps, to_photo  # noqa: E402
from recognition.decide import Similarity, decide  # noqa: E402
from recognition.recogniser import Recogniser  # noqa: E402
from recognition.training.scenes import ProductPhotos, Scene, read_backgrounds, read_products  # noqa: E402
from recognition.training.studio import Studio, jpeg_of  # noqa: E402
from recognition.training.subject_choice import met_by  # noqa: E402

SHAPES = ((640, 480), (480, 640), (560, 560))
BATCH = 8
SAME_THING = 0.3  # as in workers/cuts.py

Vectors = NDArray[np.float32]


class Shop:
    """What the shop stores: a vector for the clean photo of each product. It answers as the index would."""

    def __init__(self, recogniser: Recogniser, products: Sequence[ProductPhotos]) -> None:
        self.recogniser = recogniser
        self.names = [product.name for product in products]
        self._stored = embed(recogniser, [recogniser.prepare(p.photos[0].read_bytes()).pixels for p in products])

    def nearest(self, vectors: Vectors) -> list[tuple[str, str, float]]:
        """Of each photo vector [N, dim] the best product, the verdict and the probability."""
        bundle, answers = self.recogniser.bundle, []
        for row in vectors @ self._stored.T:
            order = np.argsort(-row)[:10]
            seen = [Similarity(self.names[at], float(row[at]), 1) for at in order]
            decision = decide(seen, bundle.calibration, bundle.thresholds)
            answers.append((self.names[order[0]], decision.verdict, decision.probabilities[0]))
        return answers

    def finds(self, vectors: Vectors, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether the best product of each is the right one."""
        return np.array([found == name for (found, _, _), name in zip(self.nearest(vectors), names, strict=True)])

    def likeness(self, vectors: Vectors) -> Vectors:
        """Similarity of each photo with each stored one: [N, products]."""
        return vectors @ self._stored.T


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    recogniser = Recogniser.load(options.bundle, device="cpu")
    products = [product for folder in options.data for product in read_products(folder) if product.held_out]
    if not products:
        products = sample()
    backgrounds = read_backgrounds(options.backgrounds) or sample_rooms(products)
    shop = Shop(recogniser, products)
    studio = Studio(products, backgrounds, seed=2026)
    started = time.perf_counter()
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "bundle": recogniser.bundle.version,
        "has_head": recogniser.bundle.subject is not None,
        "photos": "held out" if options.data else "sample",
        "products": len(products),
        "hardware": {"cores": os.cpu_count(), "threads": options.threads, "machine": platform.machine()},
        "versions": {name: version(name) for name in ("torch", "numpy", "pillow")},
        "subject": subjects(shop, studio, options.scenes),
        "ordinary": ordinary(shop, products, options.scenes),
        "many": {layout: many(shop, studio, layout, options.scenes // 2) for layout in ("room", "shelf", "empty")},
    }
    report["seconds"] = round(time.perf_counter() - started, 1)
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer scenes")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "default")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folders with a products.csv")
    parser.add_argument("--backgrounds", type=Path, action="append", default=[], help="folders of photos")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    options.scenes = 60 if options.quick else 300
    return options


def sample() -> list[ProductPhotos]:
    """The products of the sample catalogue with the photos that buyers took of them."""
    folder = ROOT / "sample"
    taken: dict[str, list[Path]] = {}
    with (folder / "customer.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            taken.setdefault(row["sku"], []).append(folder / "customer" / row["photo"])
    clean = [product for product in read_products(folder) if product.photos]
    return [
        ProductPhotos(product.name, (product.photos[0], *taken[product.name.rpartition("/")[2]]), held_out=True)
        for product in clean
    ]


def sample_rooms(products: Sequence[ProductPhotos]) -> list[Path]:
    """Something to put behind things where no other photos are at hand: buyers' photos, out of focus or cut."""
    return [product.photos[-1] for product in products if len(product.photos) > 1][::2]


def embed(recogniser: Recogniser, pixels: Sequence[NDArray[np.uint8]]) -> Vectors:
    batches = [np.stack(pixels[at : at + BATCH]) for at in range(0, len(pixels), BATCH)]
    return np.concatenate([recogniser.forward(batch, [None] * len(batch)).image for batch in batches])


def subjects(shop: Shop, studio: Studio, count: int) -> dict:
    """Photos of one small thing, by how large it is: found by the whole photo, by the cut, by what is served."""
    scenes = [studio.scene(number, "subject", SHAPES[2]) for number in range(count)]
    scenes = [scene for scene in scenes if scene.products]
    sizes = np.array([np.prod(scene.boxes[0, 2:] - scene.boxes[0, :2]) for scene in scenes])
    asked = [(jpeg_of(scene.image), scene.products[0]) for scene in scenes]
    figures = ask(shop, asked)
    groups = {"all": sizes <= 1, "under 10 %": sizes < 0.1, "10 to 25 %": (sizes >= 0.1) & (sizes < 0.25)}
    return {name: mean_of(figures, chosen) for name, chosen in groups.items() if chosen.any()}


def ordinary(shop: Shop, products: Sequence[ProductPhotos], count: int) -> dict:
    """The products' other photos as they are, by the folder of their shop: what must not become worse."""
    asked = [(photo.read_bytes(), product.name) for product in products for photo in product.photos[1:]][:count]
    return mean_of(ask(shop, asked), np.ones(len(asked), bool)) if asked else {}


def ask(shop: Shop, asked: Sequence[tuple[bytes, str]]) -> dict[str, NDArray]:
    """For each photo: is the product found by the whole, by the cut, by the better likeness of both, as served?"""
    recogniser, names = shop.recogniser, [name for _, name in asked]
    photos = [recogniser.prepare(data) for data, _ in asked]
    seen = [recogniser.forward(photo.pixels[None], [None]) for photo in photos]
    whole = np.concatenate([each.image for each in seen])
    figures = {"whole photo": shop.finds(whole, names)}
    if recogniser.bundle.subject is None:
        return figures
    squares = [recogniser.cut_round(each.subject[0], p.width, p.height) for each, p in zip(seen, photos, strict=True)]
    pairs = zip(asked, squares, strict=True)
    cut = embed(recogniser, [recogniser.prepare(data, square).pixels for (data, _), square in pairs])
    served = np.array([
        recogniser.main_subject(each.subject[0], p.width, p.height) is not None
        for each, p in zip(seen, photos, strict=True)
    ])  # fmt: skip
    figures["main subject, always cut"] = shop.finds(cut, names)
    figures["as served: cut where small"] = np.where(
        served, figures["main subject, always cut"], figures["whole photo"]
    )
    joined = np.maximum(shop.likeness(cut), shop.likeness(whole))
    best = np.array([shop.names[at] for at in joined.argmax(1)]) == np.array(names)
    figures["joined: better of both where small"] = np.where(served, best, figures["whole photo"])
    figures["share cut"] = served
    return figures


def mean_of(figures: dict[str, NDArray], chosen: NDArray[np.bool_]) -> dict:
    return {"photos": int(chosen.sum()), **{name: round(float(row[chosen].mean()), 4) for name, row in figures.items()}}


def many(shop: Shop, studio: Studio, layout: str, count: int) -> dict:
    """Photos of many things: which of them are found, which are named rightly, and what else is put out."""
    recogniser = shop.recogniser
    if recogniser.bundle.subject is None:
        return {}
    there = met = right = false = false_known = sure = sure_right = 0
    for number in range(count):
        scene = studio.scene(number, layout, SHAPES[number % len(SHAPES)])
        boxes, answers = items(shop, scene)
        hits = met_by(boxes, scene.boxes)
        there += len(scene.products)
        for place, (name, verdict, _) in zip(hits, answers, strict=True):
            if place is None:
                false += 1
                false_known += verdict != "UNKNOWN"
                continue
            met += 1
            good = scene.products[place] == name
            right += good
            sure += verdict == "SURE"
            sure_right += good and verdict == "SURE"
    return {
        "scenes": count,
        "things": there,
        "found at an overlap of a half": share(met, there),
        "right product first, of all things": share(right, there),
        "right product first, of those found": share(right, met),
        "false items a scene": round(false / count, 3),
        "false items a scene, without UNKNOWN": round(false_known / count, 3),
        "SURE, and right": [share(sure, met), share(sure_right, sure)],
    }


def items(shop: Shop, scene: Scene) -> tuple[NDArray[np.float32], list[tuple[str, str, float]]]:
    """What a worker would answer: boxes, and the best product of each, without doubles, the likeliest first."""
    recogniser, data = shop.recogniser, jpeg_of(scene.image)
    width, height = scene.image.size
    (found,) = recogniser.propose(recogniser.prepare_whole(data).pixels[None])
    things = recogniser.things(found, width, height)
    if not things:
        return np.zeros((0, 4), np.float32), []
    cuts = recogniser.prepare_regions(data, [square for _, square in things])
    answers = shop.nearest(embed(recogniser, cuts))
    boxes = to_photo(found.boxes, letterbox(width, height))
    order = without_doubles(boxes, answers)
    return boxes[order], [answers[at] for at in order]


def without_doubles(boxes: NDArray[np.float32], answers: Sequence[tuple[str, str, float]]) -> list[int]:
    """As `workers.cuts.without_doubles`, on plain arrays."""
    from_best = sorted(range(len(answers)), key=lambda at: -answers[at][2])
    kept: list[int] = []
    for at in from_best:
        same = [other for other in kept if answers[other][0] == answers[at][0]]
        if not (overlaps(boxes[at : at + 1], boxes[same]) > SAME_THING).any():
            kept.append(at)
    return kept


def share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    main()
