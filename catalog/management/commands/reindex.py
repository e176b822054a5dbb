"""``manage.py reindex``: owe indexed photos to the workers again, after a new bundle, a move to another index or (with
``--keep-vectors``) a release whose index knows more about products; with ``--items`` the photos that wait for review.

The ledger does the rest: photos are embedded anew in chunks, fairly between merchants, while searches go on.
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from catalog.models import Merchant
from catalog.selectors.bundle import live_version
from catalog.services.items import photos_recognise_again
from catalog.services.photo import photos_refresh, photos_reindex
from workers import client
from workers.client import Unavailable


class Command(BaseCommand):
    """Owe photos again: those that another bundle embedded, or all."""

    help = "Embed photos again: those that the live bundle has not embedded, or all of them (a new, empty index)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which photos."""
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--all", action="store_true", help="Every indexed photo, whatever embedded it.")
        which.add_argument(
            "--keep-vectors",
            action="store_true",
            help="Every indexed photo, without looking at it: what the index says about its product is written anew.",
        )
        which.add_argument("--items", action="store_true", help="Recognise again what waits for review, instead.")
        parser.add_argument("--merchant", metavar="SLUG", help="Only this merchant's.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the ledger and say how many photos are owed."""
        merchant = None
        if options["merchant"]:
            merchant = Merchant.objects.filter(slug=options["merchant"]).first()
            if merchant is None:
                raise CommandError(f"There is no merchant {options['merchant']!r}.")
        if options["items"]:
            self.stdout.write(f"{photos_recognise_again(merchant=merchant)} photos are to be recognised again.")
            return
        if options["keep_vectors"]:
            self.stdout.write(f"{photos_refresh(merchant=merchant)} photos are to be stored again with their vectors.")
            return
        owed = photos_reindex(merchant=merchant, done_by_other_than=None if options["all"] else live_bundle())
        self.stdout.write(f"{owed} photos are to be embedded again.")


def live_bundle() -> str:
    """The bundle that is live: as an operator promoted it, or as every live worker serves it."""
    if live := live_version():
        return live
    try:
        versions = {card.bundle_version for card in client.live_workers()}
    except Unavailable as error:
        raise CommandError(error.message) from None
    if len(versions) != 1:
        found = ", ".join(sorted(versions)) or "none is alive"
        raise CommandError(f"The live workers must serve one bundle ({found}). Start them first, or use --all.")
    return versions.pop()
