"""``manage.py demo``: a merchant's bulk upload, shoppers' searches and a recognition, for real, on this machine.

It starts the whole stack, speaks to it over the public API only, and measures itself: the exit code is 1 when fewer
than nine in ten unseen photos find their product first.
"""

import secrets
import signal
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import httpx
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, call_command

from catalog.models import ApiKey, Merchant
from catalog.services.key import api_key_create, api_key_revoke
from config.demo.api import Api
from config.demo.sample import Customer, customers, pack, wordings
from config.demo.show import Found, console, hits_table, items_table, progress, rate
from config.env import load_env
from config.stack import Stack, StackError, running_stack

NEEDED = 0.9  # of the unseen photos find their product first, or the demo fails
SHOWN = 12
RECOGNISED = 8
KEY_NAME = "demo"


class Command(BaseCommand):
    """Upload the sample catalogue, search and recognise unseen photos, print what was found."""

    help = "Upload the sample catalogue through the real line, search it with unseen photos, print the hit rate."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The port is only a wish: a busy one is replaced by a free one, which is printed."""
        parser.add_argument("--port", type=int, default=8000, help="Where the site listens, on loopback (8000).")
        parser.add_argument("--stay", action="store_true", help="Keep the site up, also without a terminal.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, walk the road, judge, stay where a person looks on."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.out = console()
        call_command("migrate", verbosity=0)
        try:
            with running_stack(port=options["port"]) as stack:
                good = self._walk(stack)
                if good and (options["stay"] or sys.stdout.isatty()):
                    self._stay(stack)
        except (StackError, httpx.HTTPError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self.out.print("Stopped.")
            return
        if not good:
            raise CommandError(f"Fewer than {NEEDED:.0%} of the unseen photos found their product first.")

    def _walk(self, stack: Stack) -> bool:
        """The main job from end to end. Returns whether enough was found."""
        merchant, password = seed()
        self._wait(stack)
        api = Api(stack.url, fresh_key(merchant))
        self._upload(api)
        found = self._search(api, customers())
        worded = [Found(each.words, each.sku, api.search(words=each.words)) for each in wordings(5)]
        self.out.print(hits_table(worded, "Searched by words"))
        self._recognise(api, customers()[:: max(1, len(customers()) // RECOGNISED)][:RECOGNISED])
        first, five = rate(found, 1), rate(found, 5)
        self.out.print(
            f"\n[bold]{len(found)} photos that were never indexed: {first:.1%} find their product first, "
            f"{five:.1%} among the first five; by words {rate(worded, 1):.0%} first.[/]"
        )
        answer = found[0].job
        scores = "calibrated on held-out photos" if answer["calibrated"] else "not calibrated"
        self.out.print(f"Bundle {answer['bundle_version']}; its probabilities are {scores}.")
        self._addresses(stack, password)
        return first >= NEEDED

    def _wait(self, stack: Stack) -> None:
        with self.out.status("Starting broker, site, coordinator and worker ..."):
            stack.wait_until(lambda: is_ready(stack.url), "site, coordinator and worker are ready", 120)
        self.out.print(f"[bold]Vitrine is up[/] on {stack.url}\n")

    def _upload(self, api: Api) -> None:
        archive = pack(load_env().var / "demo")
        self.out.print(f"[bold]Bulk upload[/] of {archive.name} ({archive.stat().st_size / 1e6:.1f} MB)")
        state: dict[str, Any] = {}
        with progress(self.out) as bars:
            rows, photos = bars.add_task("rows read", total=None), bars.add_task("photos embedded", total=None)
            for state in api.upload(archive):
                bars.update(rows, completed=state["rows_done"], total=state["rows_total"])
                counts = state["progress"]
                bars.update(photos, completed=counts["photos_done"], total=counts["photos_total"])
        if state["state"] != "done" or state["rows_refused"] or state["progress"]["photos_failed"]:
            raise CommandError(f"The upload ended as {state['state']}: {state['error'] or api.problems(state['id'])}")
        self.out.print(
            f"  {state['rows_created']} products created, {state['rows_updated']} updated, "
            f"{state['rows_unchanged']} unchanged\n"
        )

    def _search(self, api: Api, unseen: list[Customer]) -> list[Found]:
        found = []
        self.out.print(f"[bold]Search[/] with {len(unseen)} customers' photos that were never indexed")
        with progress(self.out) as bars:
            task = bars.add_task("photos searched", total=len(unseen))
            for each in unseen:
                found.append(Found(each.photo.name, each.sku, api.search(photo=each.photo)))
                bars.advance(task)
        self.out.print()
        self.out.print(hits_table(found[:: max(1, len(found) // SHOWN)][:SHOWN], f"{SHOWN} of them, spread evenly"))
        missed = [each for each in found if not each.is_first]
        if missed:
            self.out.print(hits_table(missed, f"All {len(missed)} that did not find their product first"))
        return found

    def _recognise(self, api: Api, some: list[Customer]) -> None:
        items = api.recognise([each.photo for each in some])["items"]["results"]
        self.out.print(items_table(items, {each.photo.name: each.sku for each in some}))

    def _addresses(self, stack: Stack, password: str) -> None:
        self.out.print(f"\n  Search page  {stack.url}/")
        self.out.print(f"  Admin        {stack.url}/admin/   log in as demo / {password}")
        self.out.print(f"  API          {stack.url}/api/docs")

    def _stay(self, stack: Stack) -> None:
        self.out.print("\nThe site stays up. Ctrl-C stops it; `make start` brings it back with all its data.")
        while True:
            stack.supervise()
            time.sleep(1)


def is_ready(url: str) -> bool:
    """Whether the site says that everything behind it is there."""
    try:
        return httpx.get(f"{url}/health/ready", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def seed() -> tuple[Merchant, str]:
    """The demo's merchant and its administrator. Running it again changes nothing. Returns (merchant, password)."""
    merchant, _ = Merchant.objects.get_or_create(slug="sample", defaults={"name": "Sample shop", "public_search": True})
    kept = load_env().var / "demo" / "password.txt"
    password = kept.read_text() if kept.exists() else _new_password(kept)
    users = get_user_model().objects
    if not users.filter(username="demo").exists():
        users.create_superuser("demo", password=password)
    return merchant, password


def _new_password(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(secrets.token_urlsafe(9))
    return path.read_text()


def fresh_key(merchant: Merchant) -> str:
    """A secret key for this run; the last run's is revoked."""
    for key in ApiKey.objects.filter(merchant=merchant, name=KEY_NAME, revoked_at=None):
        api_key_revoke(key=key)
    return api_key_create(merchant=merchant, name=KEY_NAME)[1]
