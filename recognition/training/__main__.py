"""`python -m recognition.training fit | export | evaluate`: from labelled photos to a bundle, and how good it is."""

import argparse
import json
import sys
from pathlib import Path

import torch
from rich.console import Console

from recognition.errors import BundleError
from recognition.recogniser import Recogniser
from recognition.training.cache import open_cache
from recognition.training.data import DataError, Sources, read_photos
from recognition.training.evaluate import evaluate
from recognition.training.export import export
from recognition.training.loop import Plan, Run

_SOURCES = {
    "grocery": "the Grocery Store Dataset (photos.csv, products.csv)",
    "clothing": "a labelled set of clothes (photos.csv)",
    "catalogues": "a folder of shops, each with a products.csv",
    "renders": "a products.csv whose first photo of each product is the clean one",
    "unseen": "the same form; nothing of it is trained on, it calibrates and is reported",
    "photos": "your own photos: a folder a product, named as the product",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2: the data or the bundle are wrong, and a sentence says how)."""
    options = _parser().parse_args(arguments)
    console = Console()
    torch.set_num_threads(options.threads)
    try:
        options.run_command(options, console)
    except (DataError, BundleError) as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recognition.training", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_fit(commands.add_parser("fit", help="train; goes on where a killed run of the same settings stopped"))
    _add_export(commands.add_parser("export", help="choose, calibrate, measure, and write the bundle of a run"))
    _add_evaluate(commands.add_parser("evaluate", help="measure a bundle on the reported photos"))
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    for name, meaning in _SOURCES.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=meaning)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")


def _add_fit(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN_DIR", help="checkpoints and curves go here")
    parser.add_argument("--weights", required=True, help='starting weights: a file, or "DEFAULT" to download them')
    parser.add_argument("--arch", default=Plan.arch, help="any torchvision classification network")
    parser.add_argument("--size", type=int, default=Plan.size, help="side of the training photos in pixels")
    parser.add_argument("--epochs", type=int, default=Plan.epochs)
    parser.add_argument("--batch", type=int, default=Plan.batch)
    parser.add_argument("--bfloat16", action="store_true", help="mixed precision (measure first: it can be slower)")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.set_defaults(run_command=_fit)


def _fit(options: argparse.Namespace, console: Console) -> None:
    photos = read_photos(_sources(options))
    cache = open_cache(photos, options.out / "cache")
    plan = Plan(
        weights=options.weights,
        arch=options.arch,
        size=options.size,
        epochs=options.epochs,
        batch=options.batch,
        bfloat16=options.bfloat16,
        seed=options.seed,
    )
    run = Run(plan, photos, cache, options.out)
    trained = sum(photo.role == "train" for photo in photos)
    console.print(f"{trained} of {len(photos)} photos to train on; {run.epoch} of {plan.epochs} epochs are done")
    run.fit(console)


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--run", type=Path, required=True, metavar="RUN_DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the bundle's folder, replaced whole")
    parser.add_argument("--version", required=True, help="name of the bundle, such as 2026-11-23-mnv2-a")
    parser.set_defaults(run_command=_export)


def _export(options: argparse.Namespace, console: Console) -> None:
    names = [f"--{name} {name.upper()}" for name in _SOURCES if getattr(options, name)]
    command = f"python -m recognition.training export --run RUN --out OUT --version {options.version} {' '.join(names)}"
    bundle = export(options.run, read_photos(_sources(options)), options.out, options.version, command, console)
    console.print_json(json.dumps(bundle.metrics))


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    parser.set_defaults(run_command=_evaluate)


def _evaluate(options: argparse.Namespace, console: Console) -> None:
    metrics = evaluate(Recogniser.load(options.bundle), read_photos(_sources(options)))
    console.print_json(json.dumps(metrics))
    if options.json:
        options.json.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")


def _sources(options: argparse.Namespace) -> Sources:
    return Sources(**{name: getattr(options, name) for name in _SOURCES})


if __name__ == "__main__":
    sys.exit(main())
