"""`python -m recognition.training evaluate`: how good a bundle is on any labelled photos, in a terminal, file and page.

The order of one evaluation: questions.py (what is asked, what is right), seen.py (the model), guesses.py (its
answers), findings.py (the figures), page.py (plots and mistakes). What training measures of its own held-out photos,
for the bundle's card, is evaluate.py.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recognition.bundle import LabelSet
from recognition.recogniser import Recogniser
from recognition.training.errors import DataError
from recognition.training.findings import KEYS, Findings, counted, find
from recognition.training.guesses import Found, Guess, ask_each_other, ask_gallery, guess_labels
from recognition.training.page import write_page
from recognition.training.questions import SPLITS, Asked, choose_label_sets, read_gallery, read_questions
from recognition.training.seen import see

_LISTED = 10  # unreadable photos named in the terminal; the file names all


def add_command(commands: Any) -> None:  # argparse gives its subparsers no public type
    """Add `evaluate` to the commands of `python -m recognition.training`."""
    command = commands.add_parser("evaluate", help="measure a bundle on labelled photos: figures, mistakes, a page")
    command.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="[NAME=]PATH",
        help="a folder of photos (a folder a label, splits on top or not), a CSV of photos or of products; "
        "may be given several times; photos whose label the bundle or the gallery does not have are unknown",
    )
    command.add_argument("--split", choices=SPLITS, help="default: test where the data has it, else val, else all")
    command.add_argument(
        "--labels", metavar="NAME", help="the bundle's label set (default: the one that fits the data)"
    )
    command.add_argument(
        "--gallery",
        type=Path,
        metavar="PATH",
        help="what the shop stores, a CSV or a folder; photos are searched in it",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="the report, with one entry a photo")
    command.add_argument("--page", type=Path, metavar="FILE", help="plots and mistakes (default: beside the report)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    command.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    command.set_defaults(run_command=_run)


def measure(
    recogniser: Recogniser,
    asked: Asked,
    console: Console,
    *,
    gallery: Path | None = None,
    labels: str | None = None,
) -> Findings:
    """The report of a bundle on these photos. Raises DataError where nothing can be measured."""
    bundle = recogniser.bundle
    chosen = choose_label_sets(asked, bundle.labels, labels)
    stored = read_gallery(gallery, asked) if gallery else []
    rows = [question.row for question in asked.questions]
    seen = see(recogniser, rows, console, classify=bool(chosen), cut=bool(stored))
    questions = [asked.questions[place] for place in seen.places]
    guesses = guess_labels(questions, chosen, bundle.labels, seen.odds) if chosen else None
    unreadable = list(seen.unreadable)
    found: list[Found]
    if stored:
        photos = [photo.row for photo in stored]
        shop = see(recogniser, photos, console, texts=[row.text for row in photos])
        unreadable += shop.unreadable
        found = ask_gallery(bundle, questions, seen, [stored[place] for place in shop.places], shop)
    else:
        found = ask_each_other(questions, seen.image)
    _check_measurable(asked, bundle.labels, guesses, found, bool(stored))
    findings = find(questions, guesses, found, gallery=bool(stored))
    return findings | {
        "bundle": bundle.version,
        "label_set": ", ".join(dict.fromkeys(chosen.values())) or None,
        "coarse_of": {
            fine: known.coarse[parent]
            for known in (bundle.labels[name] for name in chosen.values())
            for fine, parent in zip(known.fine, known.parents, strict=False)  # no parents where nothing is coarse
        },
        "splits": asked.splits,
        "stored_photos": len(stored) or None,
        "stored_products": len({photo.product for photo in stored}) or None,
        "unreadable": unreadable,
        "notes": asked.notes,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _run(options: argparse.Namespace, console: Console) -> None:
    recogniser = Recogniser.load(options.bundle, device=options.device, threads=options.threads)
    asked = read_questions([_named(given) for given in options.data], options.split)
    findings = measure(recogniser, asked, console, gallery=options.gallery, labels=options.labels)
    _print(findings, console)
    page = options.page or (options.json.with_suffix(".html") if options.json else None)
    if options.json:
        _save(options.json, json.dumps(findings, indent=1, ensure_ascii=False) + "\n")
        console.print(f"report: {options.json}", highlight=False, soft_wrap=True)
    if page:
        _save(page, write_page(findings))
        console.print(f"page: {page}", highlight=False, soft_wrap=True)


def _named(given: str) -> tuple[str, Path]:
    """NAME=PATH, or a path: it is named as the folder, or the file without its ending (a photos.csv as its folder)."""
    name, found, path = given.partition("=")
    if found and not Path(given).exists():
        return name, Path(path)
    place = Path(given).resolve()
    return (place.parent.name if place.stem in ("photos", "products") else place.stem.replace(".", "_")), Path(given)


def _check_measurable(
    asked: Asked, sets: Mapping[str, LabelSet], guesses: Sequence[Guess] | None, found: Sequence[Found], gallery: bool
) -> None:
    """Raises DataError where no figure can be given; notes where only few can."""
    if guesses is not None or gallery:
        return
    known = f"its label sets are {', '.join(sets)}" if sets else "it has no label sets"
    reason = f"No label of {', '.join(asked.splits)} is known to the bundle ({known})"
    if all(one.precision is None for one in found):
        raise DataError(f"Nothing can be measured: {reason}, and no two photos show the same thing.")
    asked.notes.append(f"{reason}: only how well photos of one thing find each other is measured.")


def _print(findings: Findings, console: Console) -> None:
    table = Table(title=f"{findings['bundle']} on {', '.join(findings['by_data'])}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("of", style="dim")
    for key in KEYS:
        value = findings[key]
        table.add_row(key, "–" if value is None else f"{value:.4f}", counted(findings, key))
    console.print(table)
    for note in findings["notes"]:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", highlight=False, soft_wrap=True)
    faults = findings["unreadable"]
    for fault in faults[:_LISTED]:
        console.print(f"[red]left out:[/red] {escape(fault)}", highlight=False, soft_wrap=True)
    if len(faults) > _LISTED:
        console.print(f"[red]left out:[/red] and {len(faults) - _LISTED} more", highlight=False)


def _save(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error
