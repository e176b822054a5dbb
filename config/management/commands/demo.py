"""``manage.py demo``: a merchant's bulk upload, shoppers' searches and a recognition, for real, on this machine.

It starts the whole stack, speaks to it over the public API, and measures itself: the exit code is 1 when fewer than
nine in ten unseen photos find their product first, 130 when it was interrupted before it knew.
"""

import secrets
import sys
import time
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, CommandError, call_command
from django.db.models import QuerySet

from catalog.models import ApiKey, LedgerState, Merchant, Photo, PhotoOrigin, Purpose
from catalog.services.key import api_key_create, api_key_revoke
from config.demo.api import Api
from config.demo.sample import Customer, customers, pack, wordings
from config.demo.show import Found, console, hits_table, items_table, progress, rate
from config.env import load_env
from config.readiness import is_ready, owe_what_the_index_lacks
from config.stack import Stack, StackError, end_on_signals, running_stack

NEEDED = 0.9  # of the unseen photos find their product first, or the demo fails
SHOWN = 12
RECOGNISED = 8
EMBED_SECONDS = 1800.0
INTERRUPTED = 130  # as a shell says it
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
        end_on_signals()
        self.out = console()
        try:
            call_command("migrate", verbosity=0)
            with running_stack(port=options["port"]) as stack:
                good = self._walk(stack)
                if good and (options["stay"] or sys.stdout.isatty()):
                    self._stay(stack)
        except (StackError, TimeoutError, httpx.HTTPError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            with suppress(OSError):  # the terminal may be gone
                self.out.print("Stopped before the end.")
            sys.exit(INTERRUPTED)
        if not good:
            raise CommandError(f"Fewer than {NEEDED:.0%} of the unseen photos found their product first.")

    def _walk(self, stack: Stack) -> bool:
        """The main job from end to end. Returns whether enough was found."""
        merchant, password = seed()
        self._wait(stack)
        api = Api(stack.url, fresh_key(merchant), stack.supervise)
        self._upload(api)
        self._wait_for_photos(stack, merchant)
        found = self._search(api, self._unseen(merchant))
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
            stack.wait_until(lambda: owe_what_the_index_lacks(stack) is not None, "one bundle is served", 60)
        self.out.print(f"[bold]Vitrine is up[/] on {stack.url}\n")

    def _wait_for_photos(self, stack: Stack, merchant: Merchant) -> None:
        """Photos of an earlier run may be owed again, because the bundle changed or the index was deleted."""
        owed = merchant_photos(merchant).filter(state__in=[LedgerState.PENDING, LedgerState.DISPATCHED])
        if count := owed.count():
            with self.out.status(f"Embedding {count} photos of an earlier run again ..."):
                stack.wait_until(lambda: not owed.exists(), "the photos of an earlier run are embedded", EMBED_SECONDS)
            self.out.print(f"  {count} photos of an earlier run were embedded again, for this bundle and index\n")

    def _unseen(self, merchant: Merchant) -> list[Customer]:
        """The customers' photos without those that a reviewer accepted in an earlier run: the index knows these."""
        reviewed = merchant_photos(merchant).filter(origin=PhotoOrigin.REVIEW)
        accepted = set(reviewed.values_list("sha256", flat=True))
        unseen = [each for each in customers() if each.sha256 not in accepted]
        if left_out := len(customers()) - len(unseen):
            self.out.print(f"{left_out} of the customers' photos are references now, by review: they are left out.")
        if not unseen:
            raise CommandError("Every customers' photo is a reference now: nothing is left to measure with.")
        return unseen

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
        with suppress(KeyboardInterrupt):
            while True:
                stack.supervise()
                time.sleep(1)


def merchant_photos(merchant: Merchant) -> QuerySet[Photo]:
    """The photos by which a merchant's products are found, now or soon."""
    return Photo.objects.filter(merchant=merchant, purpose=Purpose.INDEX)


def seed() -> tuple[Merchant, str]:
    """The demo's merchant and its administrator. Running it again changes nothing. Returns (merchant, password)."""
    merchant, _ = Merchant.objects.get_or_create(slug="sample", defaults={"name": "Sample shop", "public_search": True})
    kept = load_env().var / "demo" / "password.txt"
    is_new = not kept.exists()
    password = _new_password(kept) if is_new else kept.read_text()
    user, created = get_user_model().objects.get_or_create(
        username="demo", defaults={"is_staff": True, "is_superuser": True}
    )
    if is_new or created:
        user.set_password(password)
        user.save()
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
