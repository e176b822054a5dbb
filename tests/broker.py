"""A real Redis for integration tests: one process on a free loopback port, with its own folder. No fixtures here.

with start_redis(free_port(), tmp_path) as redis:
    ... redis.url, redis.client(), redis.restart(), redis.kill()
"""

import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from types import TracebackType

import redis

from config.broker import broker_command


def free_port() -> int:
    """A loopback port that nobody listens on now, below those that the kernel gives to whoever connects."""
    while True:
        port = SystemRandom().randrange(20_000, 32_000)  # the tests' own seed is the same in both of their processes
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class RedisServer:
    """A running redis-server; stops it at the end of the `with` block. Data survives `restart` (append-only file)."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self.folder = port, folder
        self.url = f"redis://127.0.0.1:{port}/0"
        self._process: subprocess.Popen | None = None

    def start(self) -> "RedisServer":
        """Start the process and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = broker_command(port=self.port, folder=self.folder)
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(1200):
            try:
                with self.client() as client:
                    client.ping()
                return self
            except redis.exceptions.ConnectionError:
                assert self._process.poll() is None, (self.folder / "redis.log").read_text()
                time.sleep(0.05)
        raise TimeoutError(f"redis-server did not answer on port {self.port}")

    def client(self) -> redis.Redis:
        """A new client; close it."""
        return redis.Redis.from_url(self.url, socket_timeout=None)  # brpop waits as long as it is told

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Let it hang (SIGSTOP): connections stay open and nobody answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash does (SIGKILL)."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, away: float = 0.0) -> None:
        """Kill it, stay away for `away` seconds, start it again with the same data."""
        self.kill()
        time.sleep(away)
        self.start()

    def __enter__(self) -> "RedisServer":
        return self if self._process else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def start_redis(port: int, folder: Path) -> RedisServer:
    """Start a Redis on a loopback port with its data in `folder`; use it as a context manager, or `kill()` it."""
    return RedisServer(port, folder).start()
