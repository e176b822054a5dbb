"""`python -m recognition.training …`: from labelled photos to a bundle, and how good the bundle is."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from recognition.errors import BundleError
from recognition.recogniser import Recogniser
from recognition.training import ablate, evaluation, fuse, recalibrate, soup, subject, teach, tune
from recognition.training.cache import open_cache
from recognition.training.data import Photo, check_trainable
from recognition.training.errors import DataError, Diverged
from recognition.training.export import export
from recognition.training.looks import held_out_by_look
from recognition.training.loop import Run
from recognition.training.options import (
    add_data,
    add_licences,
    add_plan,
    add_sure,
    fit_command,
    licences_of,
    photos_of,
    plan_of,
    sure_of,
    without_copies,
)
from recognition.training.plan import cache_side
from recognition.training.recipes import command as recipes
from recognition.training.start import photo_features, start_model, start_preprocessing

# Kept from giving memory back between the steps of training: asking for it again costs more than half of the time.
_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**29),
}

_RUN_HELP = """photos used, checkpoints, curves, and the photos decoded: 4 bytes a pixel, 5.2 GB for 20,000 photos at
--size 192 (default: BUNDLE.run)"""
_TUNE_HELP = "trials, best run, best.json, and the photos decoded: as much as fit keeps, for each size that is tried"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (2: the data or the bundle are wrong, 3: the training diverged)."""
    options = parser().parse_args(arguments)
    console = Console()
    torch.set_num_threads(options.threads)
    try:
        options.run_command(options, console)
    except (DataError, BundleError, Diverged) as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        return 3 if isinstance(error, Diverged) else 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="python -m recognition.training", description=__doc__)
    commands = whole.add_subparsers(required=True)
    _add_fit(commands.add_parser("fit", help="train and write a bundle; goes on where a killed run stopped"))
    _add_export(
        commands.add_parser(
            "export",
            help="choose, calibrate, measure, and write the bundle of a run",
            epilog="What each photo is used for is what the run's folder says: --kinds, --whole, --role and --fold "
            "need not be given again.",
        )
    )
    recalibrate.add_command(commands)
    evaluation.add_command(commands)
    _add_tune(commands.add_parser("tune", help="search the settings of fit; goes on where a killed search stopped"))
    _add_ablate(commands.add_parser("ablate", help="what words and price are worth, and what bad ones cost"))
    soup.add_command(commands)
    fuse.add_command(commands)
    teach.add_command(commands)
    subject.add_command(commands)
    recipes.add_command(commands.add_parser("recipe", help="a whole training of a well-known task"))
    return whole


def _add_fit(command: argparse.ArgumentParser) -> None:
    add_data(command)
    add_licences(command)
    add_sure(command)
    command.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle's folder")
    command.add_argument("--run", type=Path, metavar="DIR", help=_RUN_HELP)
    command.add_argument("--version", help="name of the bundle (default: the folder's name)")
    command.add_argument(
        "--hold-out",
        choices=("name", "look"),
        default="name",
        help="look: of each label, report a group of photos that look unlike the others (stricter, see looks.py)",
    )
    add_plan(command)
    command.set_defaults(run_command=_fit)


def _fit(options: argparse.Namespace, console: Console) -> None:
    photos = photos_of(options)
    check_trainable(photos)
    plan = plan_of(options)
    licences_of(options), sure_of(options)  # before the hours of training, not after
    folder = options.run or options.out.with_name(f"{options.out.name}.run")
    cache = open_cache(photos, folder / "cache", cache_side(plan.size))
    if options.hold_out == "look":
        backbone = start_model(plan.arch, plan.dim, plan.weights).image.backbone
        look = start_preprocessing(plan.arch, plan.weights, plan.size)
        photos = held_out_by_look(photos, photo_features(backbone, cache, range(len(photos)), look), "report")
    photos = without_copies(photos, console, "not trained on")
    check_trainable(photos)
    run = Run(plan, photos, cache, folder)
    trained = sum(photo.role == "train" for photo in photos)
    console.print(f"{trained} of {len(photos)} photos to train on; {run.epoch} of {plan.epochs} epochs are done")
    run.fit(console)
    _write(folder, photos, options, None, console)


def _add_export(command: argparse.ArgumentParser) -> None:
    add_data(command)
    add_licences(command)
    add_sure(command)
    command.add_argument("--run", type=Path, required=True, metavar="DIR")
    command.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="replaced whole")
    command.add_argument("--version", help="name of the bundle, such as 2026-11-23-mnv2-a")
    command.add_argument(
        "--calibrated-like",
        type=Path,
        metavar="BUNDLE",
        help="take choices, probabilities and figures from the bundle of a run that held photos out which this run "
        "was trained on",
    )
    command.set_defaults(run_command=_export)


def _export(options: argparse.Namespace, console: Console) -> None:
    _write(options.run, photos_of(options), options, options.calibrated_like, console)


def _write(run: Path, photos: list[Photo], options: argparse.Namespace, sibling: Path | None, console: Console) -> None:
    version, licences = options.version or options.out.name, licences_of(options)
    bundle = export(run, photos, options.out, version, sibling, console, licences=licences, sure=sure_of(options))
    console.print_json(json.dumps(bundle.metrics))


def _add_tune(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help=_TUNE_HELP)
    command.add_argument("--trials", type=int, default=20, help="in all, those of a search that is taken up included")
    command.add_argument(
        "--search",
        action="append",
        choices=tune.SETTINGS,
        metavar="NAME",
        help=f"a setting to search, of {', '.join(tune.SETTINGS)} (default: all but size)",
    )
    add_plan(command)
    command.set_defaults(run_command=_tune)


def _tune(options: argparse.Namespace, console: Console) -> None:
    photos = without_copies(photos_of(options), console, "not trained on")
    check_trainable(photos)
    plan = plan_of(options)
    search = tune.Search(
        plan,
        photos,
        lambda size: open_cache(photos, options.out / "cache", cache_side(size)),
        options.out,
        options.search or tune.SEARCHED,
    )
    if search.done:
        console.print(f"{search.done} of {options.trials} trials are done")
    best = search.run(options.trials, console)
    console.print(f"best of {best.trials} trials: number {best.trial}, {best.score:.1%} held out. To train with it:")
    console.print(fit_command(options, best.plan), highlight=False, soft_wrap=True)


def _add_ablate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    add_data(command)
    command.add_argument("--chinese", type=Path, metavar="FILE", help="a CSV with product, title, category in Chinese")
    command.add_argument("--json", type=Path, metavar="FILE", help="the figures")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    command.set_defaults(run_command=_ablate)


def _ablate(options: argparse.Namespace, console: Console) -> None:
    chinese = ablate.read_titles(options.chinese) if options.chinese else None
    recogniser = Recogniser.load(options.bundle, device=options.device, threads=options.threads)
    figures = ablate.ablate(recogniser, photos_of(options), chinese)
    ablate.show(figures, console)
    if options.json:
        facts = {"bundle": recogniser.bundle.version, "recall": figures, "verdicts": ablate.losses(figures)}
        options.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _keep_memory() -> None:
    """Start again with an allocator that keeps its memory; its settings are read when a process begins."""
    if sys.platform == "linux" and not set(_ALLOCATOR) <= set(os.environ):
        command = [sys.executable, "-m", "recognition.training", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | _ALLOCATOR)  # noqa: S606  (this very program)


if __name__ == "__main__":
    _keep_memory()
    sys.exit(main())
