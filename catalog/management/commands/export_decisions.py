"""``manage.py export_decisions TARGET --merchant SLUG``: what reviewers decided, for spreadsheets, tools and training.

With ``--photos`` the target is a folder: decisions as JSON lines and as COCO, and the photos that both name, which
``python -m recognition.training fit --from-reviews FOLDER`` trains on.
"""

from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from shutil import copyfileobj
from typing import Any

from django.core.management import BaseCommand, CommandError

from catalog.models import Merchant
from catalog.selectors.decision_files import FILES, DecisionFile, coco_blocks, json_blocks
from catalog.selectors.decisions import decided_by_photo
from catalog.selectors.export import name_by_hash
from workers import client
from workers.client import PhotoError, Unavailable

NAME = "decisions"


class Command(BaseCommand):
    """Write each file beside its place and rename it: a file of that name is always whole."""

    help = "Write what reviewers decided as CSV, JSON lines or COCO; with --photos a folder to train on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, where to, and whether with photos."""
        kinds = ", ".join(f".{kind}" for kind in FILES)
        parser.add_argument("target", type=Path, help=f"The file, whose name says its form: {kinds}.")
        parser.add_argument("--merchant", required=True, metavar="SLUG", help="Whose decisions they are.")
        parser.add_argument(
            "--photos", action="store_true", help="TARGET is a folder: JSON lines, COCO, and the photos that they name."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and say what is in it."""
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"There is no merchant {options['merchant']!r}.")
        target: Path = options["target"]
        try:
            if options["photos"]:
                self._folder(merchant, target)
            else:
                _write(target, _kind_of(target).blocks(merchant))
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
        except Unavailable as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"Written: {target}")

    def _folder(self, merchant: Merchant, folder: Path) -> None:
        """Photos first: a list that is there names only what lies beside it, or what it marks as no longer stored."""
        (folder / "photos").mkdir(parents=True, exist_ok=True)
        copied, gone = 0, set[str]()
        for same in decided_by_photo(merchant=merchant):
            photo = same[0].item.photo
            if photo is None or (place := folder / (name := name_by_hash(photo))).exists():
                continue
            try:
                _copy(photo.key, place)
                copied += 1
            except PhotoError:
                gone.add(name)
        _write(folder / f"{NAME}.jsonl", json_blocks(merchant, gone))
        _write(folder / f"{NAME}.coco.json", coco_blocks(merchant))
        self.stdout.write(f"{copied} photos copied.")
        if gone:
            self.stderr.write(f"{len(gone)} photos are left out: their bytes are no longer stored.")


def _kind_of(target: Path) -> DecisionFile:
    for kind, file in FILES.items():
        if target.name.endswith(f".{kind}"):
            return file
    raise CommandError(f"{target.name} says no form: end it with {', '.join(f'.{kind}' for kind in FILES)}.")


def _write(target: Path, blocks: Iterable[bytes]) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(blocks)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copy(key: str, place: Path) -> None:
    part = place.with_name(f"{place.name}.part")
    try:
        with client.photo_store().open(key) as stored, part.open("wb") as file:
            copyfileobj(stored, file)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
