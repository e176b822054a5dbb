"""The whole line as real processes over a folder of its own: broker, web, coordinator, workers. No fixtures here.

    with running_line(tmp_path) as line:
        line.manage("upload", "photos.zip", "--merchant", "shop")
        line.worker.kill()

The commands are those of ``config.stack``, which docker-compose.yml runs too. The ledger is SQLite, or PostgreSQL where
the tests have one (``tests.databases``).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from config.stack import COMMANDS
from tests.broker import RedisServer, free_port
from tests.databases import execute, migrated_database

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 240.0  # nobody waits longer than it takes; a machine that is busy with other things takes long


class Process:
    """One process of the line, with its log."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        """SIGKILL: what an out-of-memory killer does. Its children (the coordinator's beat) go with it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM, as an operator does; returns the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def freeze(self) -> None:
        """Let it hang, with all its children (SIGSTOP)."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        os.killpg(self._process.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def words(self) -> str:
        return self.log.read_text(errors="replace")


class Line:
    """A Vitrine of its own; every part can be killed and started again."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.redis = RedisServer(free_port(), folder / "redis")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database_url = settings.get("DATABASE_URL", "")
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"
            },  # the browser's
            "VITRINE_VAR": str(folder),
            "REDIS_URL": self.redis.url,
            "VITRINE_PUBLIC_URL": self.url,
            "PYTHONUNBUFFERED": "1",
            **settings,
            "DATABASE_URL": self.database_url,
        }
        self.processes: list[Process] = []

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run a management command to its end."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, name: str, **settings: str) -> Process:
        """Start web, coordinator or worker with the command that production uses."""
        command = [sys.executable, *COMMANDS[name][1:]]
        if name == "web":
            command[command.index("--port") + 1] = str(self.port)
        process = Process(name, command, {**self.environment, **settings}, self.folder)
        self.processes.append(process)
        return process

    def rows(self, query: str, *values: Any) -> list[tuple]:
        """Read or change the ledger in SQL, as it stands. Ids are text without hyphens."""
        return execute(self.database_url, self.folder, query, *values)

    def photo_states(self) -> dict[str, int]:
        """How many photos are in each state."""
        return dict(self.rows("SELECT state, count(*) FROM catalog_photo GROUP BY state"))

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until ``condition`` gives something true and return it; fail with every log when it does not."""
        until = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > until:
                logs = "\n".join(f"--- {process.log.name}\n{process.words()[-3000:]}" for process in self.processes)
                raise AssertionError(f"not within {seconds} s: {what}\n{self.photo_states()}\n{logs}")
            time.sleep(0.1)
        return found

    def web_answers(self) -> bool:
        try:  # to read the machine's certificates takes longer than the site does to answer
            return httpx.get(f"{self.url}/health/live", timeout=5, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def workers_alive(self) -> int:
        with self.redis.client() as client:
            return len(list(client.scan_iter(match="vitrine:worker:*")))


@contextmanager
def running_line(folder: Path, **settings: str) -> Iterator[Line]:
    """Broker and database; the test starts the rest. Everything is gone afterwards."""
    line = Line(folder, {"DATABASE_URL": migrated_database(folder, _migrate), **settings})
    with line.redis:
        try:
            yield line
        finally:
            for process in line.processes:
                if process.is_running:
                    process.kill()


def _migrate(url: str, folder: Path) -> None:
    Line(folder, {"DATABASE_URL": url}).manage("migrate", "--verbosity", "0")
