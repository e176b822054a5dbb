"""``manage.py apikey``: make an API key on the command line; the token is printed once and never again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError

from catalog.models import KeyKind, Merchant
from catalog.services.errors import Refused
from catalog.services.key import PRESETS, api_key_create


class Command(BaseCommand):
    """Make a key and print its token alone, so that a script can take it."""

    help = "Make an API key for a merchant and print its token."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, and what it may."""
        parser.add_argument("--merchant", required=True, metavar="SLUG")
        parser.add_argument("--name", default="command line", help="What it is for.")
        parser.add_argument("--preset", choices=PRESETS, default="full", help="What a secret key may do.")
        parser.add_argument("--publishable", action="store_true", help="A key that may only search, for a shop's page.")
        parser.add_argument(
            "--origin", action="append", default=[], help="A page that may use it: https://shop.example, or *."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the token."""
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"There is no merchant {options['merchant']!r}.")
        kind = KeyKind.PUBLISHABLE if options["publishable"] else KeyKind.SECRET
        try:
            _, token = api_key_create(
                merchant=merchant,
                name=options["name"],
                kind=kind,
                scopes=PRESETS[options["preset"]],
                origins=options["origin"],
            )
        except Refused as error:
            raise CommandError(error.message) from error
        self.stdout.write(token)
