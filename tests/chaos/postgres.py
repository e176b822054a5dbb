"""A PostgreSQL of a test's own, that can be stopped and started again. No fixtures here."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.broker import free_port

OWNER = "postgres"  # PostgreSQL refuses to run as root


def programs() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``: on PATH, or where Debian puts them. ``None``: there is none."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    place = Path(found) if found else debian[-1] if debian else None
    return place.parent if place and (os.geteuid() or _owner_exists()) else None


def _owner_exists() -> bool:
    return any(entry.pw_name == OWNER for entry in pwd.getpwall())


class PostgresServer:
    """A server on a free loopback port, with its data in a folder of its owner: pytest's are closed to others."""

    def __init__(self, address: str = "127.0.0.1", on: Sequence[str] = ()) -> None:
        """``on``: what to put before its commands, and ``address`` where it is to listen, on another host."""
        self._folder, self._port = Path(tempfile.mkdtemp(prefix="vitrine-postgres-")), free_port()
        self._address, self._on = address, list(on)
        self.url = f"postgres://vitrine@{address}:{self._port}/postgres"
        self.local_url = f"postgresql://vitrine@/postgres?host={self._folder}&port={self._port}"
        if not os.geteuid():
            shutil.chown(self._folder, OWNER)
        self._run("initdb", "--pgdata", self._folder / "data", "--username", "vitrine", "--auth", "trust", "--no-sync")
        with (self._folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-p {self._port} -k {self._folder} -c listen_addresses={self._address} -c fsync=off"
        self._run("pg_ctl", "--pgdata", self._folder / "data", "--log", self._folder / "log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a crash does: connections break in the middle of whatever they did."""
        self._run("pg_ctl", "--pgdata", self._folder / "data", "--mode", "immediate", "stop")

    def remove(self) -> None:
        """Stop it, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(programs() / program), *map(str, arguments)]
        if not os.geteuid():
            command = ["runuser", "-u", OWNER, "--", *command]
        subprocess.run([*self._on, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)
