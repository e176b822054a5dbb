"""A line that things are done to: its processes are killed, stopped and started again, and afterwards it is verified.

No fixtures here. ``tests/chaos/test_*.py`` do short things to it in every run of the tests; ``kills`` and ``flush``
do the long ones by hand (``make chaos``). Over SQLite, or over the PostgreSQL that ``database`` names
(docs/decisions/verify.md says which fault runs on which).
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from redis.exceptions import RedisError

from tests.chaos.postgres import PostgresServer
from tests.drawing import catalogue_zip, jpeg
from tests.line import Line, Process
from tests.worker import untrained_bundle
from workers.contract import WORKER_KEY_PREFIX

# Short leases, so that what was lost is found within seconds; nothing else differs from production.
QUICK = {
    "VITRINE_LEASE_SECONDS": "5",
    "VITRINE_CHUNK_SIZE": "8",
    "VITRINE_RECONCILE_SECONDS": "1",
    "VITRINE_DISPATCH_SECONDS": "1",
    "VITRINE_TORCH_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
PARTS = ("web", "coordinator", "worker")
ACCEPTED_SECONDS = 90.0
END_SECONDS = 600.0  # a long run that needs more for its start, or for its end, has failed
SMALL_NETWORK = ("shufflenet_v2_x0_5", 64)  # the cheapest of torchvision: an eightieth of the work of the default one
SMALL = 96  # pixels: what is tested is the line, not the network


class Rig(Line):
    """A line with a keeper, as systemd or compose is one: what has ended is started again."""

    def __init__(self, folder: Path, settings: dict[str, str], database: str = "") -> None:
        super().__init__(folder, {**QUICK, **settings, "DATABASE_URL": database})
        self.parts: dict[str, Process] = {}
        self.api: httpx.Client

    @property
    def database_name(self) -> str:
        """For the title of what is printed."""
        return "PostgreSQL" if self.database_url else "SQLite"

    def launch(self, *names: str) -> None:
        """Start parts of the line, or start them again."""
        for name in names:
            self.parts[name] = self.start(name)

    def keep_alive(self) -> list[str]:
        """Start again whatever has ended, the broker included. Returns what had ended."""
        ended = [name for name, process in self.parts.items() if not process.is_running]
        for name in ended:
            self.parts[name].kill()  # what it left behind, such as the beat of a coordinator
        if not self.redis.is_running:
            self.redis.start()
        self.launch(*ended)
        return ended

    def keep_until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for it with the keeper at work: a coordinator that lost Redis, or found it full, may end after that."""
        self.wait_for(lambda: not self.keep_alive() and condition(), what)

    def is_up(self) -> bool:
        """Whether all three parts work. Asked a few times a second at most: starting needs the processor.

        The worker must be this one: the card of one that was killed stays for some seconds.
        """
        time.sleep(0.3)
        with suppress(httpx.HTTPError, RedisError), self.redis.client() as redis:
            ready = httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
            return ready and any(redis.scan_iter(match=f"{WORKER_KEY_PREFIX}*-{self.parts['worker'].pid}"))
        return False

    def photos(self) -> int:
        """Photos in the ledger."""
        return sum(self.photo_states().values())

    def done(self) -> int:
        """Photos that are done."""
        return self.photo_states().get("done", 0)

    def is_at_rest(self) -> bool:
        """Whether nothing is owed any more."""
        owed = "state IN ('pending', 'dispatched', 'importing', 'processing')"
        counts = (self.rows(f"SELECT count(*) FROM catalog_{table} WHERE {owed}") for table in TABLES)
        return not any(count for ((count,),) in counts)

    def make_merchant(self) -> httpx.Client:
        """The merchant ``shop``, and a client with a key of his."""
        token = self.manage("shell", "--no-imports", "-c", MERCHANT).stdout.split()[-1]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=30)

    def verify(self, *options: str, exit_code: int | None = None) -> dict[str, Any]:
        """What ``manage.py verify`` says, as it says it to programs."""
        done = self.manage("verify", "--json", *options, check=False)
        assert done.stdout.startswith("{"), done.stdout + done.stderr
        assert exit_code in {None, done.returncode}, done.stdout
        return json.loads(done.stdout.splitlines()[-1])

    def assert_clean(self, *, photos: int, failed: int = 0) -> None:
        """Every photo is indexed exactly once or failed with its reason, all is finished, nothing is left over."""
        self.keep_until(self.is_at_rest, "nothing is owed any more")
        self.wait_for(self.is_up, "the line is up")
        seen = self.verify()
        assert (seen["found"], seen["unproven"]) == ({}, {}), seen
        assert not any(seen["owed"].values()), seen
        counted = (seen["checked"]["photos_done"], seen["checked"]["photos_failed"], seen["checked"]["points"])
        ((searched,),) = self.rows("SELECT count(*) FROM catalog_photo WHERE purpose = 'recognise'")
        assert counted == (photos - failed, failed, photos - failed - searched), seen


MERCHANT = """
from django.core.management import call_command
from catalog.models import Merchant
call_command("migrate", verbosity=0)
Merchant.objects.create(slug="shop", name="Shop")
call_command("apikey", merchant="shop")
"""
TABLES = ("photo", "job", "upload")


@contextmanager
def running_rig(folder: Path, *, database: str = "", **settings: str) -> Iterator[Rig]:
    """A broker, a database and a merchant (``api``); the test launches the rest. Everything is gone afterwards."""
    bundle = settings.get("VITRINE_BUNDLE") or str(untrained_bundle(folder / "bundle", *SMALL_NETWORK))
    rig = Rig(folder, {**settings, "VITRINE_BUNDLE": bundle}, database)
    with rig.redis:
        try:
            with rig.make_merchant() as rig.api:
                yield rig
        finally:
            for process in rig.processes:
                if process.is_running:
                    process.kill()


def small_catalogue(path: Path, first: int, count: int) -> Path:
    """An archive of ``count`` small photos, one a product, none of which another archive has."""
    photos = {f"c{number}.jpg": jpeg(number, SMALL) for number in range(first, first + count)}
    rows = [f"C-{name[1:-4]},Thing {name},Brand,Kind,9.50,EUR,,{name}" for name in photos]
    return catalogue_zip(path, 0, extra=photos, rows=rows)


def send_upload(api: httpx.Client, archive: Path, key: str, seconds: float = ACCEPTED_SECONDS) -> str:
    """Upload as a careful client does: with an idempotency key, and again until the site says that it has it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(httpx.TransportError):
            made = api.post(
                "uploads",
                files={"file": (archive.name, archive.read_bytes(), "application/zip")},
                headers={"Idempotency-Key": key},
            )
            if made.status_code == 202:
                return made.json()["id"]
            assert made.status_code in {409, 503}, made.text  # the first try is still under way, or a part is away
        time.sleep(0.3)
    raise TimeoutError(f"{archive.name} was not accepted")


def asked(description: str, *, photos: int) -> argparse.Namespace:
    """What was asked on the command line: the same for kills and flushes, so that ``CHAOS`` of ``make`` suits both."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--photos", type=int, default=photos)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float, default=30.0, help="How long things are broken at the most.")
    parser.add_argument("--postgres", action="store_true", help="The ledger lies in a throw-away PostgreSQL.")
    parser.add_argument("--json", type=Path, help="Write what came out into this file, beside what others wrote there.")
    parser.add_argument("--keep", type=Path, help="A folder for the data and logs, which stays; else a temporary one.")
    return parser.parse_args()


@contextmanager
def rig_asked(options: argparse.Namespace, name: str, **settings: str) -> Iterator[tuple[Rig, Path]]:
    """A line on the database that was asked for, and a folder for the photos to send."""
    server = PostgresServer() if options.postgres else None
    try:
        if server:
            server.start()
        with tempfile.TemporaryDirectory(prefix=f"vitrine-{name}-") as folder:
            place, database = options.keep or Path(folder) / "var", server.url if server else ""
            with running_rig(place, database=database, **settings) as rig:
                yield rig, Path(folder)
    finally:
        if server:
            server.remove()


def seeded(seed: int | None) -> tuple[int, random.Random]:
    """A seed (a new one unless one is given, to be printed) and the dice it makes."""
    chosen = seed if seed is not None else random.SystemRandom().randrange(1_000_000)
    return chosen, random.Random(chosen)
