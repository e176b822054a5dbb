"""``manage.py start``: the whole of Vitrine on this machine under one command, until Ctrl-C."""

import time
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management import BaseCommand, CommandError, call_command

from config.readiness import owe_what_the_index_lacks
from config.stack import Stack, StackError, end_on_signals, running_stack


class Command(BaseCommand):
    """Run broker, web, coordinator and worker, and keep them alive."""

    help = "Run Vitrine on this machine: broker (unless REDIS_URL names one), web, coordinator and one worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The port is only a wish: a busy one is replaced by a free one, which is printed."""
        parser.add_argument("--port", type=int, default=8000, help="Where the site listens, on loopback (8000).")

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, start, and stay."""
        end_on_signals()
        try:
            call_command("migrate", verbosity=0)
            with running_stack(port=options["port"]) as stack:
                self._stay(stack)
        except StackError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            with suppress(OSError):  # the terminal may be gone
                self.stdout.write("Stopped.")

    def _stay(self, stack: Stack) -> None:
        self.stdout.write(f"Vitrine is on {stack.url} (admin: {stack.url}/admin/). Ctrl-C stops it.")
        owed = None
        while True:
            stack.supervise()
            if owed is None and (owed := owe_what_the_index_lacks(stack)):
                self.stdout.write(f"{owed} photos are embedded again, for this bundle and index.")
            time.sleep(1)
