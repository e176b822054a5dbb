"""The headline of recognition: the long step of the default bundle's recipe with three seeds, and 5 folds of groceries.

    python -m benchmarks.recognition --data DIR [--runs DIR] [--only seeds|folds] [--quick] [--json FILE]

DIR holds the unpacked sets (grocery, clothing, catalogues, renders) and the starting weights
(mobilenet_v2_imagenet.safetensors). Seeds train on the training splits and report the validation photos (296 groceries,
341 garments) and the left-out views of the catalogues; folds train on groceries alone and report one fifth of each
label's training photos, taken in runs by name. Every training and every evaluation leaves a file under --runs, so a
benchmark that was stopped goes on where it was; a whole one takes most of a day on two CPU cores. ``--quick`` trains
one epoch of one seed and one fold at 96 px: it shows that the road is open, its figures mean nothing.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

SEEDS, FOLDS = (1, 2, 3), 5
RECIPE = ("--size", "224", "--epochs", "16", "--batch", "48", "--average", "0.995")
QUICK = ("--size", "96", "--epochs", "1", "--batch", "16", "--average", "0.9")
SHARES = {"grocery": 0.55, "clothing": 0.17, "catalogues": 0.18, "renders": 0.10}
KEYS = ("fine_top1", "coarse_top1", "top5", "ece", "recall_at_1", "recall_at_5", "map", "unknown_rejected_at_5_frr")


@dataclass(frozen=True)
class Training:
    """One run: its name, the data sets it trains on, and what else its command says."""

    name: str
    sets: tuple[str, ...]
    arguments: tuple[str, ...]


def trainings(only: str | None, *, quick: bool) -> list[Training]:
    """All runs of the benchmark, in order."""
    seeds = [
        Training(f"seed-{seed}", tuple(SHARES), ("--role", "val=calibrate", "--closed", "grocery", "--seed", str(seed)))
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
        arguments += ["--kinds", "clothing"] if "clothing" in training.sets else []
        arguments += ["--whole", "renders"] if "renders" in training.sets else []
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
    subprocess.run([sys.executable, "-m", "recognition.training", *arguments], check=True)


def figures_of(training: Training, data: Path, runs: Path, *, quick: bool) -> dict[str, dict]:
    """By photo set: what `evaluate` says of the photos that this run held out; `card` is what export measured."""
    bundle = train(training, data, runs, quick=quick)
    found = {"card": json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["metrics"]}
    if training.name.startswith("seed"):
        for name in ("grocery", "clothing"):
            found[f"{name} validation"] = evaluate(bundle, name, "--data", f"{name}={data / name}", "--split", "val")
    return found


def spread(values: list[float]) -> dict[str, float]:
    """Mean and sample standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 4), "deviation": round(deviation, 4), "runs": len(values)}


def summary(found: dict[str, dict[str, dict]]) -> dict[str, dict]:
    """Over the seeds: each key of `evaluate` by photo set. Over the folds: label accuracies of the held-out fifth."""
    lines: dict[str, dict] = {}
    seeds = [sets for name, sets in found.items() if name.startswith("seed")]
    for photo_set in ("grocery validation", "clothing validation"):
        reports = [sets[photo_set] for sets in seeds]
        lines[photo_set] = {
            key: spread([report[key] for report in reports])
            for key in KEYS
            if reports and all(report.get(key) is not None for report in reports)
        }
    folds = [sets["card"]["labels"]["grocery"]["report"] for name, sets in found.items() if name.startswith("fold")]
    if folds:
        lines["grocery, left-out fifths"] = {key: spread([fold[key] for fold in folds]) for key in ("fine", "coarse")}
    views = [sets["card"]["retrieval"]["catalogues"] for sets in seeds]
    if views:
        lines["catalogues, left-out views"] = {
            key: spread([view[key] for view in views]) for key in ("recall@1", "recall@5")
        }
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("var/recognition"))
    parser.add_argument("--only", choices=("seeds", "folds"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results") / f"recognition-{date.today()}.json")
    options = parser.parse_args()
    found = {}
    for training in trainings(options.only, quick=options.quick):
        found[training.name] = figures_of(training, options.data, options.runs, quick=options.quick)
        report = {"made_at": datetime.now(UTC).isoformat(timespec="seconds"), "summary": summary(found)}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(report["summary"], indent=1))


if __name__ == "__main__":
    main()
