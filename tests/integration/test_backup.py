"""Backup and restore with the real line: 200 searches find the same before and after, in an empty place.

On SQLite, or on PostgreSQL where the tests have one (CI runs both).
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from config.demo.sample import customers, pack
from tests.line import running_line

SEARCHES = 200
AT_ONCE = 4
SETTINGS = {"VITRINE_SEARCH_DEADLINE_SECONDS": "120", "VITRINE_JOBS_KEPT_DAYS": "1"}
KEY = """
from catalog.models import Merchant
from catalog.services.key import api_key_create
print(api_key_create(merchant=Merchant.objects.get(slug="shop"), name="test")[1])
"""


@contextmanager
def empty_line(folder):
    """A Vitrine over nothing: a folder and a database of its own."""
    folder.mkdir()
    with running_line(folder, **SETTINGS) as line:
        yield line


def start(line):
    for name in ("web", "coordinator"):
        line.start(name)
    line.worker = line.start("worker")
    line.wait_for(lambda: line.web_answers() and line.workers_alive(), "site and worker are up", seconds=240)


def answers(line, key):
    """The first five products of 200 searches by customers' photos, with their scores."""

    def ask(customer):
        files = {"photo": (customer.photo.name, customer.photo.read_bytes(), "image/jpeg")}
        found = client.post("/api/v1/search-jobs?limit=5", files=files).json()
        assert found["state"] == "done", found
        return [(hit["product"]["id"], round(hit["scores"]["rank"], 3)) for hit in found["hits"][:5]]

    headers = {"Authorization": f"Bearer {key}", "Prefer": "wait=60"}
    with (
        httpx.Client(base_url=line.url, headers=headers, timeout=90, trust_env=False) as client,
        ThreadPoolExecutor(AT_ONCE) as asking,
    ):
        return list(asking.map(ask, customers()[:SEARCHES]))


@pytest.mark.slow
def test_a_restored_installation_finds_the_same(tmp_path):
    backup = tmp_path / "backup"
    with empty_line(tmp_path / "before") as line:
        start(line)
        line.manage("upload", str(pack(tmp_path)), "--merchant", "shop", "--create-merchant")
        key = line.manage("shell", "--no-imports", "-c", KEY).stdout.strip()
        before = answers(line, key)
        done = line.manage("backup", str(backup), check=False)
        assert (done.returncode, "(index_in_use)" in done.stderr) == (1, True)
        assert not backup.exists()
        assert line.worker.stop() == 0
        assert "files are in" in line.manage("backup", str(backup)).stdout

    with empty_line(tmp_path / "after") as line:
        line.manage("restore", str(backup))
        start(line)
        assert answers(line, key) == before
    assert len(before) == SEARCHES
    assert sum(len(found) == 5 for found in before) == SEARCHES
