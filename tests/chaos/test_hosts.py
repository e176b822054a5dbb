"""Web, coordinator, two workers, Redis, PostgreSQL and the index, each on a host of its own; and the cables pulled."""

import json
import os
import subprocess
import sys
import time

import psycopg
import pytest

from config.broker import broker_command
from config.stack import COMMANDS
from tests.chaos.hosts import hosts_refused, running_hosts
from tests.chaos.postgres import PostgresServer, programs
from tests.chaos.rig import QUICK, SMALL_NETWORK, small_catalogue
from tests.line import PATIENCE_SECONDS, ROOT, Process
from tests.worker import untrained_bundle, wait_until

REFUSED = hosts_refused() or ("" if programs() else "there is no PostgreSQL: hosts cannot share a SQLite file")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(REFUSED), reason=REFUSED)]
PHOTOS = 300
REDIS_PORT, INDEX_PORT = 6379, 6333
PARTS = {"web": "web", "coordinator": "coordinator", "worker1": "worker", "worker2": "worker"}


@pytest.fixture
def hosts():
    with running_hosts("redis", "sql", "index", *PARTS) as made:
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
        "PYTHONUNBUFFERED": "1",
    }
    processes = []

    def start_on(host: str, *command: str) -> Process:
        processes.append(Process(host, [*hosts.on(host), *command], environment, tmp_path))
        return processes[-1]

    def run_on(host: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [*hosts.on(host), sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)

    start_on.run = run_on
    yield start_on
    for process in processes:
        if process.is_running:
            process.kill()


def test_two_workers_share_one_queue_and_every_cable_is_pulled(hosts, sql, start, tmp_path):
    redis = broker_command(port=REDIS_PORT, folder=tmp_path)
    redis[redis.index("--bind") + 1] = hosts.address("redis")
    start("redis", *redis, "--protected-mode", "no")
    start("index", sys.executable, "-m", "tests.qdrant", hosts.address("index"), str(INDEX_PORT))
    start.run("coordinator", "migrate", "--verbosity", "0").check_returncode()
    logs = {host: start(host, sys.executable, *COMMANDS[part][1:]) for host, part in PARTS.items()}
    celery = [logs[host] for host in ("worker1", "worker2", "coordinator")]
    wait_until(lambda: all(" ready." in process.words() for process in celery), PATIENCE_SECONDS)
    archive = small_catalogue(tmp_path / "photos.zip", 0, PHOTOS)
    sent = start.run("coordinator", "upload", str(archive), "--merchant", "shop", "--create-merchant", "--no-wait")
    assert sent.returncode == 0, sent.stderr

    with psycopg.connect(sql.local_url, autocommit=True) as connection:

        def states():
            return dict(connection.execute("SELECT state, count(*) FROM catalog_photo GROUP BY state").fetchall())

        wait_until(lambda: states().get("done"), 120)
        for host, seconds in (("worker1", 6), ("redis", 2), ("sql", 2), ("index", 2)):
            hosts.cut(host)
            time.sleep(seconds)
            hosts.join(host)
        wait_until(lambda: states() == {"done": PHOTOS}, 180)
        wait_until(lambda: connection.execute("SELECT state FROM catalog_upload").fetchone() == ("done",), 60)
    assert all("chunk=" in logs[host].words() for host in ("worker1", "worker2"))

    said = start.run("web", "verify", "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    seen = json.loads(said.stdout)
    assert (seen["found"], seen["unproven"], seen["checked"]["points"]) == ({}, {}, PHOTOS)
