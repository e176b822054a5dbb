"""``manage.py prepare``: what must be done once before a release starts: migrations and static files."""

from typing import Any

from django.core.management import BaseCommand, call_command


class Command(BaseCommand):
    """Bring the database and the static files to this release. Running it again does no harm."""

    help = "Apply migrations and collect static files."

    def handle(self, *args: Any, **options: Any) -> None:
        """Both, in this order; a failing migration stops before anything is served."""
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        call_command("collectstatic", interactive=False, verbosity=0)
