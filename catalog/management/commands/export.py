"""``manage.py export FILE.zip --merchant SLUG``: a merchant's whole catalogue as a ZIP that ``upload`` reads back."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from catalog.models import Merchant
from catalog.selectors.export import CatalogueExport
from workers.client import Unavailable


class Command(BaseCommand):
    """Write the file beside its place and rename it: a file of that name is always whole."""

    help = "Write a merchant's products and photos to a ZIP that `manage.py upload` and the API take."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, and where to."""
        parser.add_argument("file", type=Path, help="The ZIP to write; one that is there is replaced.")
        parser.add_argument("--merchant", required=True, metavar="SLUG", help="Whose catalogue it is.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it and say what is in it."""
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"There is no merchant {options['merchant']!r}.")
        export, target = CatalogueExport(merchant), options["file"]
        part = target.with_name(f"{target.name}.part")
        try:
            with part.open("wb") as file:
                file.writelines(export.blocks())
            size = part.stat().st_size
            part.replace(target)
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}.") from error
        except Unavailable as error:
            raise CommandError(error.message) from error
        finally:
            part.unlink(missing_ok=True)
        self.stdout.write(f"{export.products} products and {export.photos} photos: {target} ({size / 1e6:.1f} MB)")
        if export.missing:
            self.stderr.write(f"{export.missing} photos are left out: their bytes are gone or damaged.")
