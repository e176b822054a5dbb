"""``manage.py bundle``: change the model without a pause. Shadow it, compare, promote, roll back, retire.

The admin's page "Bundles" does the same. Each verb calls one service; a refusal ends with its code.
"""

import json
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from catalog.models import Bundle, BundleState, Comparison
from catalog.selectors.bundle import Report, bundle_in, comparison_report, shadow_failures, shadow_progress
from catalog.services.bundle import bundle_compare, bundle_promote, bundle_retire, bundle_rollback, bundle_shadow
from catalog.services.errors import Refused
from workers.client import Unavailable

LOOK_SECONDS = 1.0
SHOWN = 20


class Command(BaseCommand):
    """Bundles from the command line."""

    help = "Change the model: list, shadow FOLDER, compare, promote VERSION, rollback, retire VERSION."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One verb, and what it needs."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="Every bundle, and how far the one in the shadow is.")
        shadow = verbs.add_parser("shadow", help="Embed every photo with the bundle in FOLDER, beside the live one.")
        shadow.add_argument("folder", type=Path, metavar="FOLDER")
        compare = verbs.add_parser("compare", help="Ask both bundles about photos whose product is known.")
        compare.add_argument("--photos", type=int, default=200, help="How many at most (200).")
        compare.add_argument("--wait", type=float, default=600.0, help="Seconds to wait for the answers (600).")
        compare.add_argument("--json", action="store_true", help="Print the figures as JSON.")
        promote = verbs.add_parser("promote", help="Make the bundle in the shadow the live one.")
        promote.add_argument("version", metavar="VERSION")
        promote.add_argument(
            "--incomplete", action="store_true", help="Even if photos are not embedded by it: they are not found then."
        )
        verbs.add_parser("rollback", help="Make the bundle that was live before live again.")
        retire = verbs.add_parser("retire", help="Take a bundle out of the shadow, and its photos out of the index.")
        retire.add_argument("version", metavar="VERSION")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb; a refusal is one sentence with its code."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except (Refused, Unavailable) as error:
            raise CommandError(f"{error.message} ({error.code})") from None

    def _list(self, options: dict[str, Any]) -> None:
        for bundle in Bundle.objects.order_by("created_at"):
            self.stdout.write(f"{bundle.version:32} {bundle.get_state_display()}")
        if bundle_in(BundleState.SHADOW):
            progress = shadow_progress()
            failed = f", {progress.failed} failed" if progress.failed else ""
            self.stdout.write(f"in the shadow: {progress.done} of {progress.total} photos embedded{failed}")
            for code, count in shadow_failures():
                self.stdout.write(f"  {count} {code}")

    def _shadow(self, options: dict[str, Any]) -> None:
        bundle = bundle_shadow(folder=options["folder"])
        self.stdout.write(f"{bundle.version} is in the shadow: {shadow_progress().missing} photos are to be embedded.")

    def _promote(self, options: dict[str, Any]) -> None:
        incomplete = options["incomplete"]
        left_out = shadow_progress().missing if incomplete else 0
        bundle = bundle_promote(version=options["version"], incomplete=incomplete)
        self.stdout.write(f"{bundle.version} is live{f' without {left_out} photos' if left_out else ''}.")

    def _rollback(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{bundle_rollback().version} is live again.")

    def _retire(self, options: dict[str, Any]) -> None:
        bundle_retire(version=options["version"])
        self.stdout.write(f"{options['version']} is retired.")

    def _compare(self, options: dict[str, Any]) -> None:
        report = self._wait(bundle_compare(photos=options["photos"]), options["wait"])
        if options["json"]:
            self.stdout.write(json.dumps(figures(report), indent=1))
            return
        self.stdout.write(f"{len(report.pairs)} photos answered by {report.comparison}, {report.failed} failed")
        for among, live, shadow in report.recalls:
            self.stdout.write(f"recall@{among}   live {live:.1%}   shadow {shadow:.1%}")
        self.stdout.write(f"decisions that would change: {len(report.changed)}")
        for pair in report.changed[:SHOWN]:
            said = [f"{each.verdict} {each.product.sku if each.product else '–'}" for each in (pair.live, pair.shadow)]
            self.stdout.write(f"  {pair.product.sku}: {said[0]} -> {said[1]}")

    def _wait(self, comparison: Comparison, seconds: float) -> Report:
        until = time.monotonic() + seconds
        while not (report := comparison_report(comparison)).is_finished:
            if time.monotonic() > until:
                raise CommandError(
                    f"Only {len(report.pairs)} of {report.asked} photos are answered after {seconds:g} s."
                )
            time.sleep(LOOK_SECONDS)
        return report


def figures(report: Report) -> dict[str, Any]:
    """A report for machines; recalls from 0 to 1."""
    return {
        "live": report.comparison.live,
        "shadow": report.comparison.shadow,
        "photos": len(report.pairs),
        "failed": report.failed,
        "recall": {str(among): {"live": live, "shadow": shadow} for among, live, shadow in report.recalls},
        "changed": len(report.changed),
        "won": sum(pair.gain > 0 for pair in report.pairs),
        "lost": sum(pair.gain < 0 for pair in report.pairs),
    }
