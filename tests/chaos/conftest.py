"""One line for the faults that share one, with its photos on a small disk; what needs a line of its own brings it.

Over PostgreSQL where there is one, but for ``VITRINE_TEST_CHAOS_DATABASE=sqlite``.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.postgres import PostgresServer, programs
from tests.chaos.rig import PARTS, Rig, running_rig

DISK = "24m"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer | None]:
    """A PostgreSQL, or ``None`` where none is installed or wanted: then SQLite keeps the ledger."""
    if programs() is None or os.environ.get("VITRINE_TEST_CHAOS_DATABASE") == "sqlite":
        yield None
        return
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for photos: a disk of its own, which can be filled, where one may be mounted."""
    folder = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], capture_output=True)
    yield folder
    if mounted.returncode == 0:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer | None, disk: Path) -> Iterator[Rig]:
    """The line, up and empty; each test sends its own photos through it and breaks something."""
    folder = tmp_path_factory.mktemp("rig")
    photos = str(disk / "photos")
    with running_rig(folder / "var", database=postgres.url if postgres else "", VITRINE_PHOTO_STORE=photos) as rig:
        rig.launch(*PARTS)
        rig.wait_for(rig.is_up, "the line is up")
        yield rig
