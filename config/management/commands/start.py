"""``manage.py start``: the whole of Vitrine on this machine under one command, until Ctrl-C."""

import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand, CommandError, call_command

from config.stack import Stack, StackError, running_stack


class Command(BaseCommand):
    """Run broker, web, coordinator and worker, and keep them alive."""

    help = "Run Vitrine on this machine: broker (unless REDIS_URL names one), web, coordinator and one worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The port is only a wish: a busy one is replaced by a free one, which is printed."""
        parser.add_argument("--port", type=int, default=8000, help="Where the site listens, on loopback (8000).")

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, start, and stay."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        call_command("migrate", verbosity=0)
        try:
            with running_stack(port=options["port"]) as stack:
                self._stay(stack)
        except StackError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _stay(self, stack: Stack) -> None:
        self.stdout.write(f"Vitrine is on {stack.url} (admin: {stack.url}/admin/). Ctrl-C stops it.")
        while True:
            stack.supervise()
            time.sleep(1)
