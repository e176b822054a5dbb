"""The coordinator keeps its database connections from one task to the next, in a real process."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.databases import FILE, POSTGRES
from tests.line import running_line
from workers.contract import COORDINATOR_KEY

TABLES = Path("/proc/self/fd").exists()


@pytest.mark.slow
@pytest.mark.skipif(not TABLES or bool(POSTGRES), reason="looks for SQLite's file among the open files of Linux")
def test_the_ledger_stays_open_between_tasks(tmp_path):
    with running_line(tmp_path, VITRINE_DISPATCH_SECONDS="0.5") as line:
        coordinator = line.start("coordinator")

        def is_open():
            files = set()
            for each in Path(f"/proc/{coordinator.pid}/fd").iterdir():
                with suppress(OSError):  # closed meanwhile
                    files.add(each.readlink())
            return tmp_path / FILE in files

        def has_dispatched():
            with line.redis.client() as client:
                return client.exists(COORDINATOR_KEY)

        line.wait_for(has_dispatched, "a first task ran")
        line.wait_for(is_open, "a task opened the ledger")
        looks = []
        for _ in range(30):
            looks.append(is_open())
            time.sleep(0.1)
        assert all(looks)
