"""`python -m recognition.training …`: from labelled photos to a bundle, and how good the bundle is."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from recognition.errors import BundleError
from recognition.recogniser import Recogniser
from recognition.training import ablate, evaluation, subject, tune
from recognition.training.cache import open_cache
from recognition.training.data import DataSet, Photo, Role, check_labels, held_out_fold, read_photos
from recognition.training.errors import DataError, Diverged
from recognition.training.export import export
from recognition.training.leaks import without_leaks
from recognition.training.looks import held_out_by_look
from recognition.training.loop import OPTIMISERS, Plan, Run
from recognition.training.recipes import command as recipes
from recognition.training.start import photo_features, start_model, start_preprocessing

# Kept from giving memory back between the steps of training: asking for it again costs more than half of the time.
_ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**29),
}

_DATA_HELP = """a folder of photos (a folder a label), a CSV of photos (path, labels, title, brand, category, price,
split) or of products (sku, images, title, …), or a folder with photos.csv or products.csv; NAME is what the labels are
kept under (default: the folder's name); may be given several times"""


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
    _add_export(commands.add_parser("export", help="choose, calibrate, measure, and write the bundle of a run"))
    evaluation.add_command(commands)
    _add_tune(commands.add_parser("tune", help="search the settings of fit; goes on where a killed search stopped"))
    _add_ablate(commands.add_parser("ablate", help="what words and price are worth, and what bad ones cost"))
    subject.add_command(commands)
    recipes.add_command(commands.add_parser("recipe", help="a whole training of a well-known task"))
    return whole


def add_data(command: argparse.ArgumentParser) -> None:
    """`--data` and what goes with it."""
    command.add_argument("--data", action="append", required=True, metavar="[NAME=]PATH", help=_DATA_HELP)
    command.add_argument(
        "--kinds", action="append", default=[], metavar="NAME", help="photos of one label are not one product there"
    )
    command.add_argument(
        "--whole", action="append", default=[], metavar="NAME", help="hold out whole products there, not views"
    )
    command.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="SPLIT=ROLE",
        help="what a split (val, test) is used for: train, calibrate or report",
    )
    command.add_argument(
        "--fold", metavar="K/N", help="report the K-th of N parts of each label's training photos (cross-validation)"
    )
    command.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")


def data_sets(options: argparse.Namespace) -> list[DataSet]:
    """The data sets of a command line. Raises DataError."""
    sets = []
    for given in options.data:
        name, found, path = given.partition("=")
        place = Path(path if found else given)
        name = name if found else place.stem.replace(".", "_")
        sets.append(DataSet(name, place, kinds=name in options.kinds, whole=name in options.whole))
    unknown = {*options.kinds, *options.whole} - {data.name for data in sets}
    if unknown:
        raise DataError(f"There is no --data named {', '.join(sorted(unknown))}.")
    return sets


def photos_of(options: argparse.Namespace) -> list[Photo]:
    """The photos of a command line, with their roles. Raises DataError."""
    photos = read_photos(data_sets(options), split_roles(options))
    if not options.fold:
        return photos
    try:
        fold, folds = (int(part) for part in options.fold.split("/"))
        if not 1 <= fold <= folds:
            raise ValueError
    except ValueError as error:
        raise DataError(f"--fold {options.fold}: K/N, such as 2/5, is what it wants.") from error
    return held_out_fold(photos, fold, folds)


def split_roles(options: argparse.Namespace) -> dict[str, Role]:
    """What the data's own splits are used for. Raises DataError."""
    roles: dict[str, Role] = {}
    for given in options.role:
        split, _, role = given.partition("=")
        if split not in ("val", "test") or role not in ("train", "calibrate", "report"):
            raise DataError(f"--role {given}: SPLIT is val or test, ROLE is train, calibrate or report.")
        roles[split] = role
    return roles


def _add_fit(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle's folder")
    command.add_argument("--run", type=Path, metavar="DIR", help="checkpoints and curves (default: BUNDLE.run)")
    command.add_argument("--version", help="name of the bundle (default: the folder's name)")
    command.add_argument(
        "--hold-out",
        choices=("name", "look"),
        default="name",
        help="look: of each label, report a group of photos that look unlike the others (stricter, see looks.py)",
    )
    add_plan(command)
    command.set_defaults(run_command=_fit)


def add_plan(command: argparse.ArgumentParser) -> None:
    """The settings of a training run."""
    command.add_argument(
        "--weights", default="bundles/default", help='starting weights: a bundle, a file, or "DEFAULT" to download them'
    )
    command.add_argument("--arch", default=Plan.arch, help="any torchvision classification network")
    command.add_argument("--size", type=int, default=Plan.size, help="side of the training photos in pixels")
    command.add_argument("--epochs", type=int, default=Plan.epochs)
    command.add_argument("--batch", type=int, default=Plan.batch)
    command.add_argument("--optimiser", choices=OPTIMISERS, default=Plan.optimiser)
    command.add_argument("--rate", type=float, default=Plan.rate, help="learning rate of what is new")
    command.add_argument("--backbone-rate", type=float, default=Plan.backbone_rate)
    command.add_argument("--decay", type=float, default=Plan.decay, help="weight decay")
    command.add_argument("--dropout", type=float, default=Plan.dropout)
    command.add_argument("--mix", type=float, default=Plan.mix, help="chance of mixup or CutMix in a batch")
    command.add_argument(
        "--no-mirror", dest="mirror", action="store_false", help="never mirror photos: left and right differ"
    )
    command.add_argument("--average", type=float, default=Plan.average, help="what the moving average keeps a step")
    command.add_argument("--patience", type=int, default=Plan.patience, help="stop after so many epochs without gain")
    command.add_argument("--bfloat16", action="store_true", help="mixed precision (measure first: it can be slower)")
    command.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    command.add_argument("--seed", type=int, default=Plan.seed)
    command.add_argument(
        "--closed",
        action="append",
        default=[],
        metavar="NAME",
        help="no photo of another data set shows what these labels name: all of them teach what is unknown",
    )
    command.add_argument(
        "--share", action="append", default=[], metavar="NAME=PART", help="part of a batch that a data set gets"
    )


def plan_of(options: argparse.Namespace) -> Plan:
    """The settings of a command line. Raises DataError."""
    try:
        shares = {name: float(part) for name, _, part in (given.partition("=") for given in options.share)}
    except ValueError as error:
        raise DataError("--share is given as NAME=PART, such as grocery=0.5.") from error
    names = set(Plan.__dataclass_fields__) - {"shares", "dim", "closed"}
    settings = {name: getattr(options, name) for name in names}
    return Plan(**settings, shares=shares, closed=tuple(options.closed))


def _fit(options: argparse.Namespace, console: Console) -> None:
    photos = photos_of(options)
    check_labels(photos)
    plan = plan_of(options)
    folder = options.run or options.out.with_name(f"{options.out.name}.run")
    cache = open_cache(photos, folder / "cache", cache_side(plan.size))
    if options.hold_out == "look":
        backbone = start_model(plan.arch, plan.dim, plan.weights).image.backbone
        look = start_preprocessing(plan.arch, plan.weights, plan.size)
        photos = held_out_by_look(photos, photo_features(backbone, cache, range(len(photos)), look), "report")
    photos = _without_leaks(photos, console)
    run = Run(plan, photos, cache, folder)
    trained = sum(photo.role == "train" for photo in photos)
    console.print(f"{trained} of {len(photos)} photos to train on; {run.epoch} of {plan.epochs} epochs are done")
    run.fit(console)
    _write(folder, photos, options, None, console)


def _without_leaks(photos: list[Photo], console: Console) -> list[Photo]:
    kept, copies = without_leaks(photos)
    for copy in copies:
        line = f"not trained on: {copy.second} {'is' if copy.kind == 'same bytes' else 'looks like'} {copy.first}"
        console.print(line, highlight=False, soft_wrap=True)
    return kept


def cache_side(size: int) -> int:
    """Side of the cached photos for a training size: somewhat more, so that a crop is seldom blown up."""
    return 32 * round(size * 1.3 / 32)


def _add_export(command: argparse.ArgumentParser) -> None:
    add_data(command)
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
    _write(options.run, _without_leaks(photos_of(options), console), options, options.calibrated_like, console)


def _write(run: Path, photos: list[Photo], options: argparse.Namespace, sibling: Path | None, console: Console) -> None:
    bundle = export(run, photos, options.out, options.version or options.out.name, sibling, console)
    console.print_json(json.dumps(bundle.metrics))


def _add_tune(command: argparse.ArgumentParser) -> None:
    add_data(command)
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="trials, best run and best.json")
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
    photos = _without_leaks(photos_of(options), console)
    check_labels(photos)
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


def fit_command(options: argparse.Namespace, plan: Plan) -> str:
    """The command line that trains with this plan on the data of these options."""
    words = ["python", "-m", "recognition.training", "fit", "--out", "BUNDLE"]
    for name in ("data", "kinds", "whole", "role", "share", "closed"):
        words += [word for given in getattr(options, name) for word in (f"--{name}", given)]
    words += ["--fold", options.fold] if options.fold else []
    usual = Plan(weights="bundles/default", device=plan.device)
    for name in sorted(set(Plan.__dataclass_fields__) - {"shares", "closed", "dim", "bfloat16", "mirror"}):
        if getattr(plan, name) != getattr(usual, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(plan, name))]
    words += ["--bfloat16"] if plan.bfloat16 else []
    return shlex.join(words if plan.mirror else [*words, "--no-mirror"])


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
