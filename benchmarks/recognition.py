"""The headline of recognition: the main step of the default bundle's recipe with three seeds, and 5 folds of groceries.

    python benchmarks/recognition.py --data DIR [--runs DIR] [--only seeds|folds] [--quick] [--json FILE]

DIR holds the unpacked sets (grocery, clothing, catalogues, renders where tools/catalogue has made some) and the
starting weights (mobilenet_v2_imagenet.safetensors). Seeds train on the training splits and report the validation
photos (296 groceries, 341 garments) and the left-out views of the catalogues; folds train on groceries alone and report
one fifth of each label's training photos, taken in runs by name. All train for six epochs, where the bundle's main step
took sixteen: on groceries alone six tell within a point what ten tell (docs/decisions/training.md), and there are
eight.

Temperatures are fitted on the validation photos, so their calibration error is the cross-fitted one of the card: each
half is judged by the temperature of the other. Unknown photos are the other set's to a classifier (garments to the
groceries' and the other way round), and to a gallery the left-out views once more with their product taken out.

Every training and every evaluation leaves a file under --runs, so a benchmark that was stopped goes on where it was. On
two CPU cores the folds take an hour, and the seeds more. ``--quick`` trains one epoch of one seed and one fold at 96
px: it shows that the road is open, its figures mean nothing.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common

from recognition.training.data import DataSet, Photo, read_photos
from recognition.training.photo_list import as_in_run

SEEDS, FOLDS = (1, 2, 3), 5
RECIPE = ("--size", "224", "--epochs", "6", "--batch", "48", "--average", "0.98")
QUICK = ("--size", "96", "--epochs", "1", "--batch", "16", "--average", "0.9")
SHARES = {"grocery": 0.55, "clothing": 0.17, "catalogues": 0.18, "renders": 0.10}
KINDS, WHOLE = ("clothing",), ("renders",)
LABELLED, SHOPS = ("grocery", "clothing"), ("catalogues", "renders")
TOLD = ("fine_top1", "coarse_top1", "top5", "unknown_rejected_at_5_frr")  # `ece` is the card's
FOUND = ("recall_at_1", "recall_at_5", "map", "ece", "unknown_rejected_at_5_frr")
COLUMNS = ("path", "label", "product", "title", "brand", "category", "price", "currency", "description")


@dataclass(frozen=True)
class Training:
    """One run: its name, the data sets it trains on, and what else its command says."""

    name: str
    sets: tuple[str, ...]
    arguments: tuple[str, ...]


def trainings(only: str | None, sets: tuple[str, ...], *, quick: bool) -> list[Training]:
    """All runs of the benchmark, in order; seeds train on `sets`."""
    seeds = [
        Training(f"seed-{seed}", sets, ("--role", "val=calibrate", "--closed", "grocery", "--seed", str(seed)))
        for seed in SEEDS
    ]
    folds = [
        Training(f"fold-{fold}", ("grocery",), ("--role", "val=calibrate", "--fold", f"{fold}/{FOLDS}"))
        for fold in range(1, FOLDS + 1)
    ]
    if quick:
        seeds, folds = seeds[:1], folds[:1]
    return {"seeds": seeds, "folds": folds, None: seeds + folds}[only]


def train(training: Training, data: Path, runs: Path, *, quick: bool) -> Path:
    """The run's bundle, trained if it is not there yet."""
    bundle = runs / training.name / "bundle"
    if not (bundle / "bundle.json").exists():
        arguments = [*training.arguments, *(QUICK if quick else RECIPE)]
        for name in training.sets:
            arguments += ["--data", f"{name}={data / name}"]
            arguments += ["--share", f"{name}={SHARES[name]}"] if len(training.sets) > 1 else []
        arguments += [word for name in KINDS if name in training.sets for word in ("--kinds", name)]
        arguments += [word for name in WHOLE if name in training.sets for word in ("--whole", name)]
        weights = data / "mobilenet_v2_imagenet.safetensors"
        run("fit", *arguments, "--weights", str(weights), "--out", str(bundle), "--version", training.name)
    return bundle


def evaluate(bundle: Path, name: str, *arguments: str) -> dict:
    """One report of `evaluate`, made if it is not there yet."""
    report = bundle.parent / f"{name}.json"
    if not report.exists():
        run("evaluate", "--bundle", str(bundle), *arguments, "--json", str(report))
    return json.loads(report.read_text(encoding="utf-8"))


def run(*arguments: str) -> None:
    """One command of `recognition.training`; its output is shown."""
    found = os.environ | {"PYTHONPATH": str(common.ROOT)}  # from whatever folder the benchmark is started
    subprocess.run([sys.executable, "-m", "recognition.training", *arguments], check=True, env=found)


def figures_of(training: Training, data: Path, runs: Path, *, quick: bool) -> dict[str, dict]:
    """By photo set: what `evaluate` says of the photos that this run held out; `card` is what export measured."""
    bundle = train(training, data, runs, quick=quick)
    found = {"card": json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["metrics"]}
    if not training.name.startswith("seed"):
        return found
    for name in LABELLED:  # the other set's photos are asked beside it: none of them shows one of its labels
        others = [other for other in LABELLED if other != name]
        sets = [word for each in (name, *others) for word in ("--data", f"{each}={data / each}")]
        found[f"{name} validation"] = evaluate(bundle, f"{name}-labels", *sets, "--labels", name, "--split", "val")
    photos = photos_of_run(training, data, bundle.with_name("bundle.run"))
    for name in training.sets:
        if name not in SHOPS:
            continue
        asked, shop = (bundle.parent / f"{name}-{part}.csv" for part in ("asked", "stored"))
        write_table(asked, (photo for photo in photos if photo.source == name and photo.role == "report"))
        write_table(shop, (photo for photo in photos if photo.source == name and photo.stored))
        found[f"{name}, left out"] = evaluate(
            bundle, f"{name}-gallery", "--data", f"{name}={asked}", "--gallery", str(shop)
        )
    return found


def photos_of_run(training: Training, data: Path, run: Path) -> list[Photo]:
    """The photos of a run with the roles that it gave them: of copies of held-out ones nothing is stored."""
    sets = [DataSet(name, data / name, kinds=name in KINDS, whole=name in WHOLE) for name in training.sets]
    return as_in_run(read_photos(sets, {"val": "calibrate"}), run)


def write_table(path: Path, photos: Iterable[Photo]) -> None:
    """The photos as a table that `evaluate` reads; a product is its own label."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for photo in photos:
            text = photo.text
            price = "" if text.price is None else text.price
            named = (photo.path.resolve(), photo.product, photo.product)
            rows.writerow((*named, text.title, text.brand, text.category, price, text.currency, text.description))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 4), "deviation": round(deviation, 4), "runs": len(values)}


def summary(found: dict[str, dict[str, dict]]) -> dict[str, dict]:
    """Over the seeds: what `evaluate` says by photo set. Over the folds: the card's figures of the held-out fifth."""
    lines: dict[str, dict] = {}
    seeds = [sets for name, sets in found.items() if name.startswith("seed")]
    if seeds:
        for name in LABELLED:
            lines[f"{name} validation"] = spreads([sets[f"{name} validation"] for sets in seeds], TOLD)
            errors = [sets["card"]["labels"][name]["calibrate"]["calibration_error"] for sets in seeds]
            lines[f"{name} validation"]["ece"] = spread(errors)
        for name in (f"{name}, left out" for name in SHOPS):
            if name in seeds[0]:
                lines[name] = spreads([sets[name] for sets in seeds], FOUND)
    folds = [sets["card"]["labels"]["grocery"]["report"] for name, sets in found.items() if name.startswith("fold")]
    if folds:
        lines["grocery, left-out fifths"] = spreads(folds, ("fine", "coarse", "calibration_error"))
    return lines


def spreads(reports: Sequence[dict], keys: Sequence[str]) -> dict[str, dict]:
    """The spread of each figure that all reports have."""
    return {
        key: spread([report[key] for report in reports])
        for key in keys
        if all(report.get(key) is not None for report in reports)
    }


def demanded(lines: dict[str, dict]) -> dict[str, Any]:
    """The means that are asked for (common.DEMANDED); None: not measured."""

    def mean(photo_set: str, key: str) -> float | None:
        return lines.get(photo_set, {}).get(key, {}).get("mean")

    grocery, catalogues, folds = "grocery validation", "catalogues, left out", "grocery, left-out fifths"
    return {
        "grocery_fine_top1": mean(grocery, "fine_top1"),
        "grocery_coarse_top1": mean(grocery, "coarse_top1"),
        "grocery_ece": mean(grocery, "ece"),
        "grocery_unknown_rejected_at_5_frr": mean(grocery, "unknown_rejected_at_5_frr"),
        "grocery_folds_fine": mean(folds, "fine"),
        "grocery_folds_coarse": mean(folds, "coarse"),
        "clothing_fine_top1": mean("clothing validation", "fine_top1"),
        "catalogues_recall_at_1": mean(catalogues, "recall_at_1"),
        "catalogues_recall_at_5": mean(catalogues, "recall_at_5"),
        "catalogues_map": mean(catalogues, "map"),
        "catalogues_unknown_rejected_at_5_frr": mean(catalogues, "unknown_rejected_at_5_frr"),
    }


def main() -> None:
    options = parse()
    sets = tuple(name for name in SHARES if name not in WHOLE or (options.data / name).exists())
    figures, found = common.report(options.quick) | {"seeds_train_on": sets}, {}
    for training in trainings(options.only, sets, quick=options.quick):
        found[training.name] = figures_of(training, options.data, options.runs, quick=options.quick)
        lines = summary(found)
        common.write("recognition", {**figures, "summary": lines, **demanded(lines)}, options.json)
        print(json.dumps(lines, indent=1))


def parse() -> Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("var/recognition"))
    parser.add_argument("--only", choices=("seeds", "folds"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
