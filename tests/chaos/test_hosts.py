"""Web, coordinator, two workers, Redis, PostgreSQL and the index, each on a host of its own; and all cables pulled.

The merchant has a host of his own, too, and sends his photos to the web while its cable is out.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import psycopg
import pytest

from config.broker import broker_command
from config.stack import COMMANDS
from tests.chaos.hosts import hosts_refused, running_hosts
from tests.chaos.postgres import PostgresServer, programs
from tests.chaos.rig import MERCHANT, QUICK, SMALL_NETWORK, small_catalogue
from tests.line import PATIENCE_SECONDS, ROOT, Process
from tests.worker import untrained_bundle, wait_until

REFUSED = hosts_refused() or ("" if programs() else "there is no PostgreSQL: hosts cannot share a SQLite file")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(REFUSED), reason=REFUSED)]
PHOTOS = 300
REDIS_PORT, INDEX_PORT, WEB_PORT = 6379, 6333, 8000
PARTS = {"web": "web", "coordinator": "coordinator", "worker1": "worker", "worker2": "worker"}
AWAY = {"worker1": 6, "worker2": 6, "coordinator": 3, "web": 2, "redis": 2, "sql": 2, "index": 2}  # seconds; leases: 5
SEND = """
import sys
from pathlib import Path
import httpx
from tests.chaos.rig import send_upload
url, token, archive = sys.argv[1:]
with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10) as api:
    print("sending")
    print("accepted", send_upload(api, Path(archive), "hosts", 180))
"""


@pytest.fixture
def hosts():
    with running_hosts("merchant", "redis", "sql", "index", *PARTS) as made:
        yield made


@pytest.fixture
def sql(hosts):
    server = PostgresServer(hosts.address("sql"), hosts.on("sql"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def start(hosts, sql, tmp_path):
    """Call it with a host and the arguments of Python: the process runs there."""
    environment = {
        **os.environ,
        **QUICK,
        "VITRINE_VAR": str(tmp_path),
        "VITRINE_BUNDLE": str(untrained_bundle(tmp_path / "bundle", *SMALL_NETWORK)),
        "VITRINE_INDEX_URL": f"http://{hosts.address('index')}:{INDEX_PORT}",
        "REDIS_URL": f"redis://{hosts.address('redis')}:{REDIS_PORT}/0",
        "DATABASE_URL": sql.url,
        "VITRINE_ALLOWED_HOSTS": hosts.address("web"),
        "PYTHONUNBUFFERED": "1",
    }
    processes = []

    def start_on(host: str, *command: str) -> Process:
        processes.append(Process(host, [*hosts.on(host), *command], environment, tmp_path))
        return processes[-1]

    def run_on(host: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [*hosts.on(host), sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    start_on.run = run_on
    yield start_on
    for process in processes:
        if process.is_running:
            process.kill()


@contextmanager
def cut(hosts, host, seconds):
    """The host's cable is out while the block runs, and so long after it."""
    hosts.cut(host)
    yield
    time.sleep(seconds)
    hosts.join(host)


def test_two_workers_share_one_queue_and_every_cable_is_pulled(hosts, sql, start, tmp_path):
    redis = broker_command(port=REDIS_PORT, folder=tmp_path)
    redis[redis.index("--bind") + 1] = hosts.address("redis")
    start("redis", *redis, "--protected-mode", "no")
    start("index", sys.executable, "-m", "tests.qdrant", hosts.address("index"), str(INDEX_PORT))
    made = start.run("coordinator", "shell", "--no-imports", "-c", MERCHANT)
    assert made.returncode == 0, made.stderr
    logs = {host: start(host, sys.executable, *COMMANDS[part][1:]) for host, part in PARTS.items()}
    celery = [logs[host] for host in ("worker1", "worker2", "coordinator")]
    wait_until(lambda: all(" ready." in process.words() for process in celery), PATIENCE_SECONDS)
    archive = small_catalogue(tmp_path / "photos.zip", 0, PHOTOS)
    wait_until(lambda: "startup complete" in logs["web"].words(), PATIENCE_SECONDS)
    with cut(hosts, "web", 3):
        site, token = f"http://{hosts.address('web')}:{WEB_PORT}/api/v1/", made.stdout.split()[-1]
        sending = start("merchant", sys.executable, "-c", SEND, site, token, str(archive))
        wait_until(lambda: "sending" in sending.words(), PATIENCE_SECONDS)
    wait_until(lambda: "accepted" in sending.words(), PATIENCE_SECONDS)

    with psycopg.connect(sql.local_url, autocommit=True) as connection:

        def states():
            return dict(connection.execute("SELECT state, count(*) FROM catalog_photo GROUP BY state").fetchall())

        wait_until(lambda: states().get("done"), PATIENCE_SECONDS)
        for host, seconds in AWAY.items():
            with cut(hosts, host, seconds):
                pass
        wait_until(lambda: states() == {"done": PHOTOS}, PATIENCE_SECONDS)
        ended = "SELECT state FROM catalog_upload"
        wait_until(lambda: connection.execute(ended).fetchone() == ("done",), PATIENCE_SECONDS)
    assert all("chunk=" in logs[host].words() for host in ("worker1", "worker2"))

    said = start.run("web", "verify", "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    seen = json.loads(said.stdout)
    assert (seen["found"], seen["unproven"], seen["checked"]["points"]) == ({}, {}, PHOTOS)
