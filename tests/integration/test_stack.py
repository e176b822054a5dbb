"""The one-command start as an operator meets it: closed terminals, kills, busy ports, a new bundle, a lost password."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from catalog.models import Merchant, Photo, PhotoOrigin, Product
from config import stack as stack_module
from config.demo.sample import customers
from config.env import ROOT, load_env
from config.management.commands import demo
from config.stack import STOP_SECONDS, Child, port_is_free
from tests.broker import free_port
from tests.databases import empty_database, execute
from tests.worker import bundle_folder, wait_until

PATIENCE = 5 * STOP_SECONDS  # each process may need that long to end
OLD_PHOTO = """
from django.core.management import call_command
from catalog.models import *
call_command("migrate", verbosity=0)
shop = Merchant.objects.create(slug="shop", name="Shop")
mug = Product.objects.create(merchant=shop, sku="MUG-1", title="Mug")
Photo.objects.create(merchant=shop, product=mug, sha256="0" * 64, key="00/00/0", state="done", bundle_version="older")
"""


def heed_interrupts():
    """As from a terminal: what a script puts into the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Command:
    """``manage.py start`` or ``demo`` in a folder of its own, in a session of its own."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.environment = {
            **os.environ,
            "VITRINE_VAR": str(folder),
            "VITRINE_BUNDLE": str(bundle_folder()),
            "VITRINE_TORCH_THREADS": "1",
            "REDIS_URL": "",
            "DATABASE_URL": empty_database(),
            **settings,
        }
        self.broker_file = folder / "broker.url"
        self.process = None

    def manage(self, *arguments):
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, name):
        """Start the command and wait until its last child, the worker, has been started."""
        log = self.folder / "logs" / "worker.log"
        log.unlink(missing_ok=True)
        with (self.folder / f"{name}.out").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", name, "--port", str(free_port())],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=heed_interrupts,
            )
        wait_until(lambda: log.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.folder / f"{name}.out").read_text()

    def alive(self):
        """Every process that runs over this folder, grandchildren too; not Redis, which overwrites its environment."""
        wanted = f"VITRINE_VAR={self.folder}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def clean(self):
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)
        if self.process:
            self.process.wait()


@pytest.fixture
def command(tmp_path):
    made = Command(tmp_path)
    yield made
    made.clean()


def photo_state(command):
    url = command.environment["DATABASE_URL"]
    (row,) = execute(url, command.folder, "SELECT state, bundle_version FROM catalog_photo")
    return row


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only Linux tells children of their parent's end")
def test_a_start_over_another_bundle_and_its_sudden_death(command):
    command.manage("shell", "--no-imports", "-c", OLD_PHOTO)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        command.environment["VITRINE_BROKER_PORT"] = str(busy.getsockname()[1])
        command.begin("start")
        url, pid = command.broker_file.read_text().split()
        assert int(pid) == command.process.pid
        assert url != f"redis://127.0.0.1:{busy.getsockname()[1]}/0"
        wait_until(lambda: photo_state(command) != ("done", "older"))
        told = "from config.env import load_env; print(load_env().broker)"
        seen = subprocess.run([sys.executable, "-c", told], cwd=ROOT, env=command.environment, capture_output=True)
        assert seen.stdout.decode().strip() == url
        wait_until(lambda: len(command.alive()) >= 5)  # start, web, coordinator, its beat, worker
        broker_port = int(url.rsplit(":", 1)[1].split("/")[0])
        assert not port_is_free(broker_port)
        command.process.kill()
        command.process.wait()
        wait_until(lambda: not command.alive() and port_is_free(broker_port))
    assert command.broker_file.exists(), "left behind, and harmless: tests/unit/test_env.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_closed_terminal_ends_everything(command):
    command.begin("start")
    command.process.send_signal(signal.SIGHUP)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):  # an impatient operator
        time.sleep(0.1)
        command.process.send_signal(number)
    assert command.process.wait(PATIENCE) == 0
    assert command.alive() == {}
    assert not command.broker_file.exists()


def test_an_interrupted_demo_did_not_succeed(command):
    command.begin("demo")
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(PATIENCE) == 130
    assert "Stopped before the end." in (command.folder / "demo.out").read_text()


def test_a_process_that_settled_is_forgiven_its_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(stack_module, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(stack_module, "SETTLED_SECONDS", 0.3)
    child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "sleeper.log")
    stack = stack_module.Stack.__new__(stack_module.Stack)
    stack.children, stack.environment = [child], dict(os.environ)
    child.start(stack.environment)
    child.starts = 4
    stack.supervise()
    assert child.starts == 4
    time.sleep(0.4)
    stack.supervise()
    assert child.starts == 0
    stack.stop()
    assert child.exit_code == -signal.SIGTERM


def test_the_printed_password_works_after_its_file_was_lost(db):
    _, first = demo.seed()
    kept = load_env().var / "demo" / "password.txt"
    assert demo.seed()[1] == first
    kept.unlink()
    _, second = demo.seed()
    assert second != first
    assert get_user_model().objects.get(username="demo").check_password(second)
    kept.unlink()


def test_photos_that_a_review_made_references_are_left_out_of_the_rate(db, capsys):
    merchant = Merchant.objects.create(slug="sample", name="Sample shop")
    product = Product.objects.create(merchant=merchant, sku="MUG-1", title="Mug")
    accepted = customers()[3]
    Photo.objects.create(merchant=merchant, product=product, sha256=accepted.sha256, key="k", origin=PhotoOrigin.REVIEW)
    command = demo.Command()
    command.out = demo.console()
    unseen = command._unseen(merchant)
    assert accepted not in unseen
    assert len(unseen) == len(customers()) - 1
    assert re.match("1 of the customers' photos are references now", capsys.readouterr().out)
