"""The options that several commands of `python -m recognition.training` share: data and settings; for __main__.py."""

import argparse
import shlex
import sys
from pathlib import Path

import torch
from rich.console import Console

from recognition.training.calibrate import SURE_PRECISION, Sure
from recognition.training.data import DataSet, Photo, Role, held_out_fold, read_photos
from recognition.training.errors import DataError
from recognition.training.leaks import without_leaks
from recognition.training.photo_list import PHOTOS
from recognition.training.plan import OPTIMISERS, PRECISIONS, Plan
from recognition.training.reviews import Reviews, read_reviews

_DATA_HELP = """a folder of photos (a folder a label), a CSV of photos (path, labels, title, brand, category, price,
split) or of products (sku, images, title, …), or a folder with photos.csv or products.csv; NAME is what the labels are
kept under (default: the folder's name); may be given several times"""
_REVIEWS_HELP = """decisions of reviewers, as `manage.py export_decisions FOLDER --photos` wrote them (the folder, or
the decisions.jsonl in it); may be given several times, and beside --data"""


def add_data(command: argparse.ArgumentParser) -> None:
    """`--data` and what goes with it."""
    command.add_argument("--data", action="append", default=[], metavar="[NAME=]PATH", help=_DATA_HELP)
    command.add_argument("--from-reviews", action="append", default=[], metavar="[NAME=]PATH", help=_REVIEWS_HELP)
    command.add_argument(
        "--review-label",
        choices=("product", "category"),
        default="product",
        help="what decisions name: the product, with its category above it, or the category alone",
    )
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


def add_finished(parser: argparse.ArgumentParser) -> None:
    """A finished bundle, and where another with the same vectors is written."""
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle; it is left as it is")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new bundle, replaced whole")
    parser.add_argument(
        "--version", help="name of the bundle (default: it keeps its name, as its vectors are the same)"
    )
    parser.add_argument(
        "--mirrored-views",
        action=argparse.BooleanOptionalAction,
        help="whether labels are judged by a photo and its mirror image (default: as the bundle does)",
    )


def add_licences(command: argparse.ArgumentParser) -> None:
    """`--licence`, of commands that write a card."""
    command.add_argument(
        "--licence",
        action="append",
        default=[],
        metavar="NAME=TEXT",
        help="where a data set comes from and its licence, for the card; nothing is said of it otherwise",
    )


def add_sure(command: argparse.ArgumentParser) -> None:
    """What SURE is to mean, of commands that calibrate."""
    command.add_argument(
        "--sure-precision",
        type=float,
        default=SURE_PRECISION,
        metavar="SHARE",
        help=f"SURE is what surely is right so often, at 95 %% confidence (default: {SURE_PRECISION})",
    )
    command.add_argument(
        "--own-shop",
        action="store_true",
        help="the photos are of the one shop that the bundle will serve: its categories get thresholds of their own",
    )


def sure_of(options: argparse.Namespace) -> Sure:
    """What SURE is to mean. Raises DataError."""
    if not 0 < options.sure_precision < 1:
        raise DataError(
            f"--sure-precision {options.sure_precision}: a share between 0 and 1 is what it wants, such as 0.95."
        )
    return Sure(options.sure_precision, options.own_shop)


def licences_of(options: argparse.Namespace) -> dict[str, str]:
    """What the card says of the data sets' licences. Raises DataError."""
    names = {_named(given)[0] for given in (*options.data, *options.from_reviews)}
    told = {}
    for given in options.licence:
        name, _, text = given.partition("=")
        if name not in names or not text.strip() or "\n" in text:
            raise DataError(f"--licence {given}: NAME=TEXT is what it wants, NAME that of a data set.")
        told[name] = text.strip()
    return told


def data_sets(options: argparse.Namespace) -> list[DataSet]:
    """The data sets of a command line. Raises DataError."""
    sets = []
    for given in options.data:
        name, place = _named(given)
        sets.append(DataSet(name, place, kinds=name in options.kinds, whole=name in options.whole))
    unknown = {*options.kinds, *options.whole} - {data.name for data in sets}
    if unknown:
        raise DataError(f"There is no --data named {', '.join(sorted(unknown))}.")
    return sets


def photos_of(options: argparse.Namespace) -> list[Photo]:
    """The photos of a command line, with their roles; says what decisions it left out. Raises DataError."""
    if not options.data and not options.from_reviews:
        raise DataError("Name what to read: --data PATH, --from-reviews PATH, or both.")
    photos = [*read_photos(data_sets(options), split_roles(options)), *_decided(options)]
    if not options.fold:
        return photos
    try:
        fold, folds = (int(part) for part in options.fold.split("/"))
        if not 1 <= fold <= folds:
            raise ValueError
    except ValueError as error:
        raise DataError(f"--fold {options.fold}: K/N, such as 2/5, is what it wants.") from error
    return held_out_fold(photos, fold, folds)


def _decided(options: argparse.Namespace) -> list[Photo]:
    """The photos of decisions. Where the run of the bundle that is begun with lies beside it, its roles are kept."""
    run = Path(f"{getattr(options, 'weights', None) or getattr(options, 'bundle', '')}.run")
    before = run if (run / PHOTOS).is_file() else None
    taken = {data.name for data in data_sets(options)}
    photos: list[Photo] = []
    for given in options.from_reviews:
        name, place = _named(given)
        if name in taken:
            raise DataError(f"Two data sets have the name {name}. Name them: --from-reviews NAME=PATH.")
        taken.add(name)
        found, told = read_reviews(Reviews(name, place, options.review_label), before)
        print(told, file=sys.stderr)
        photos += found
    return photos


def _named(given: str) -> tuple[str, Path]:
    """[NAME=]PATH; the name of a folder or file is the default."""
    name, found, path = given.partition("=")
    place = Path(path if found else given)
    return (name if found else place.stem.replace(".", "_")), place


def split_roles(options: argparse.Namespace) -> dict[str, Role]:
    """What the data's own splits are used for. Raises DataError."""
    roles: dict[str, Role] = {}
    for given in options.role:
        split, _, role = given.partition("=")
        if split not in ("val", "test") or role not in ("train", "calibrate", "report"):
            raise DataError(f"--role {given}: SPLIT is val or test, ROLE is train, calibrate or report.")
        roles[split] = role
    return roles


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
    command.add_argument(
        "--backbone-rate",
        type=float,
        default=Plan.backbone_rate,
        help="learning rate of the photo's network; 0 leaves it as it is",
    )
    command.add_argument("--decay", type=float, default=Plan.decay, help="weight decay")
    command.add_argument("--dropout", type=float, default=Plan.dropout)
    command.add_argument("--mix", type=float, default=Plan.mix, help="chance of mixup or CutMix in a batch")
    command.add_argument(
        "--no-mirror", dest="mirror", action="store_false", help="never mirror photos: left and right differ"
    )
    command.add_argument("--average", type=float, default=Plan.average, help="what the moving average keeps a step")
    command.add_argument("--patience", type=int, default=Plan.patience, help="stop after so many epochs without gain")
    command.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=Plan.precision,
        help="auto: bfloat16 where this network is faster in it (default); a run that is taken up keeps its own",
    )
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


def fit_command(options: argparse.Namespace, plan: Plan) -> str:
    """The command line that trains with this plan on the data of these options."""
    words = ["python", "-m", "recognition.training", "fit", "--out", "BUNDLE"]
    words += [word for given in options.from_reviews for word in ("--from-reviews", given)]
    words += ["--review-label", options.review_label] if options.review_label != "product" else []
    for name in ("data", "kinds", "whole", "role", "share", "closed"):
        words += [word for given in getattr(options, name) for word in (f"--{name}", given)]
    words += ["--fold", options.fold] if options.fold else []
    usual = Plan(weights="bundles/default", device=plan.device)
    for name in sorted(set(Plan.__dataclass_fields__) - {"shares", "closed", "dim", "mirror"}):
        if getattr(plan, name) != getattr(usual, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(plan, name))]
    return shlex.join(words if plan.mirror else [*words, "--no-mirror"])


def without_copies(photos: list[Photo], console: Console, told: str = "left out") -> list[Photo]:
    """The photos, none in two roles (leaks.py); says what is not used, and of what it is a copy."""
    kept, copies = without_leaks(photos)
    for copy in copies:
        line = f"{told}: {copy.second} {'is' if copy.kind == 'same bytes' else 'looks like'} {copy.first}"
        console.print(line, highlight=False, soft_wrap=True)
    return kept
