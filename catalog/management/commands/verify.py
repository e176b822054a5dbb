"""``manage.py verify``: is every photo indexed exactly once, or failed with its reason? ``--repair`` makes it so.

Exit code 0: proven, or all that was wrong is mended. 1: something is wrong. 2: a part could not be asked.
"""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table

from catalog.services.verify import Verification, verify
from catalog.services.verifying.findings import SENTENCES

WRONG, UNPROVEN = 1, 2


class Command(BaseCommand):
    """Compare SQL, the photo store and the index; say what differs; mend it."""

    help = (
        "Prove that every photo is indexed exactly once or failed with its reason, that every job is finished or "
        "live, that counters are right and that nothing is orphaned in the photo store or the index. May run while "
        "the line does."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do with what is found."""
        parser.add_argument("--repair", action="store_true", help="Owe again what is missing, remove orphans.")
        parser.add_argument("--json", action="store_true", help="One JSON object instead of sentences.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, say, and end with the exit code."""
        try:
            seen = verify(repair=options["repair"])
        except DatabaseError as error:
            raise CommandError(f"The database cannot be asked: {error}", returncode=UNPROVEN) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(seen) | {"left": seen.left}))
        else:
            self.stdout.write(_report(seen))
        if seen.left:
            sys.exit(WRONG)
        if seen.unproven:
            sys.exit(UNPROVEN)


def _report(seen: Verification) -> str:
    lines = ["Looked at " + ", ".join(f"{count} {_words(name)}" for name, count in seen.checked.items()) + "."]
    if any(seen.owed.values()):
        owed = ", ".join(f"{count} {_words(name)}" for name, count in seen.owed.items() if count)
        lines.append(f"Still owed, by a live line: {owed}.")
    if seen.found:
        lines.append(_table(seen))
    lines += [f"Not looked at: {name}. {why}" for name, why in seen.unproven.items()]
    lines.append(_conclusion(seen))
    return "\n".join(lines)


def _table(seen: Verification) -> str:
    table = Table(title_justify="left")
    table.add_column("found", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("mended", justify="right")
    table.add_column("what it means, and for example")
    for code, found in sorted(seen.found.items()):
        example = f"{SENTENCES[code]} {found.examples[0]}"
        table.add_row(code, str(found.count), str(found.mended), example)
    console = Console(width=120, no_color=True)
    with console.capture() as captured:
        console.print(table)
    return captured.get().rstrip()


def _conclusion(seen: Verification) -> str:
    if seen.left:
        return f"WRONG: {seen.left} findings are not mended. --repair mends what can be mended from here."
    if seen.unproven:
        return "NOT PROVEN: a part could not be asked."
    mended = sum(each.mended for each in seen.found.values())
    return f"Mended: {mended} findings." if mended else "Proven: nothing is lost, nothing is there twice."


def _words(name: str) -> str:
    return name.replace("_", " ")
