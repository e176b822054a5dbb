"""Everything under one command: broker, web, coordinator and worker as child processes that are kept alive.

``manage.py start`` and ``manage.py demo`` use it on one machine; docker-compose.yml runs the very same ``COMMANDS``,
one a container. Comes before all of them.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from config.broker import broker_command
from config.env import ROOT, load_env

WEB = [
    *("python", "-m", "uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000"),  # noqa: S104
    *("--no-access-log", "--no-proxy-headers"),  # whom a request comes from is judged in one place: api.visitors
    *("--timeout-graceful-shutdown", "5"),  # an event stream would otherwise hold up a stop
]
COORDINATOR = ["python", "-m", "celery", "--app", "config.celery", "worker", "--beat", "--loglevel", "INFO"]
WORKER = ["python", "-m", "workers"]
COMMANDS = {"web": WEB, "coordinator": COORDINATOR, "worker": WORKER}

STOP_SECONDS = 20.0
RESTART_SECONDS = 2.0
STARTS_LIMIT = 5  # a process that never lives long enough is not worth another try
SETTLED_SECONDS = 60.0  # what lived longer has started well: its next end counts as the first
TETHER = [sys.executable, "-I", "-S", str(ROOT / "config" / "tether.py")]
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StackError(Exception):
    """The stack cannot start or go on; the message is one sentence for the operator."""


def port_is_free(port: int) -> bool:
    """Whether nobody listens on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(wanted: int) -> int:
    """``wanted`` when it is free, else any free loopback port."""
    if port_is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Child:
    """One child process, its log and how often it was started without settling."""

    name: str
    command: list[str]
    log: Path
    starts: int = 0
    process: subprocess.Popen | None = field(default=None, repr=False)
    started_at: float = 0.0

    def start(self, environment: dict[str, str]) -> None:
        """Start it in a session of its own, so that a Ctrl-C in the terminal reaches only the parent.

        It ends with the thread that starts it (see ``config.tether``): call this in the main thread.
        """
        self._end_group()
        command = [*TETHER, str(os.getpid()), *self.command]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - the commands are the constants above
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        self.starts += 1
        self.started_at = time.monotonic()

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self.process.poll() if self.process else None

    def stop(self, seconds: float) -> None:
        """Ask it to finish what it holds; kill it when it takes longer than ``seconds``."""
        if not self.process:
            return
        self.process.terminate()  # does nothing to a process that has ended
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._end_group()

    def _end_group(self) -> None:
        """End what a process left behind, such as the beat of a coordinator that was killed."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self, lines: int = 8) -> str:
        """The end of its log, for the operator."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


class Stack:
    """The four processes of a one-machine Vitrine. Use :func:`running_stack`."""

    def __init__(self, *, port: int, broker_url: str, own_broker: bool) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {**os.environ, "REDIS_URL": broker_url, "PYTHONUNBUFFERED": "1"}
        self.environment.setdefault("VITRINE_PUBLIC_URL", self.url)
        logs = load_env().var / "logs"
        self.children = [
            Child(name, [sys.executable, *command[1:]], logs / f"{name}.log") for name, command in COMMANDS.items()
        ]
        self._child("web").command = self._web_command()
        if own_broker:
            folder = load_env().var / "redis"
            folder.mkdir(parents=True, exist_ok=True)
            port_of_broker = int(broker_url.rsplit(":", 1)[1].split("/")[0])
            command = broker_command(port=port_of_broker, folder=folder)
            self.children.insert(0, Child("broker", command, logs / "broker.log"))

    def pid_of(self, name: str) -> int | None:
        """The process id of a child that was started."""
        process = self._child(name).process
        return process.pid if process else None

    def _child(self, name: str) -> Child:
        return next(child for child in self.children if child.name == name)

    def _web_command(self) -> list[str]:
        """On one machine the site listens on loopback only, on the port that is free."""
        command = [sys.executable, *WEB[1:]]
        command[command.index("--host") + 1] = "127.0.0.1"
        command[command.index("--port") + 1] = str(self.port)
        return command

    def start(self) -> None:
        """Start everything; the broker first, because all others need it."""
        for child in self.children:
            child.start(self.environment)
            if child.name == "broker":
                self.wait_until(lambda: not port_is_free(self._broker_port()), "the broker answers", 15)

    def _broker_port(self) -> int:
        return int(self.environment["REDIS_URL"].rsplit(":", 1)[1].split("/")[0])

    def supervise(self) -> None:
        """Start again whatever ended. Raises ``StackError`` when a process ends again and again."""
        for child in self.children:
            lived = time.monotonic() - child.started_at
            if child.exit_code is None or lived < RESTART_SECONDS:
                if lived > SETTLED_SECONDS:
                    child.starts = 0
                continue
            if child.starts >= STARTS_LIMIT:
                raise StackError(
                    f"{child.name} ended {child.starts} times, last with code {child.exit_code}. "
                    f"Its log is {child.log}:\n{child.last_words()}"
                )
            child.start(self.environment)

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Supervise until ``condition`` holds. Raises ``StackError`` naming ``what`` did not come true in time."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise StackError(f"Waited {seconds:.0f} s, but not: {what}. Logs are in {load_env().var / 'logs'}.")
            self.supervise()
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop everything, the broker last; a second Ctrl-C does not leave half of it behind."""
        with _undisturbed():
            for child in reversed(self.children):
                child.stop(STOP_SECONDS)


def end_on_signals() -> None:
    """Let SIGTERM and a closed terminal (SIGHUP) end the command as Ctrl-C does; ``nohup`` still works.

    Only the first one is heard: those after it must not interrupt the stop.
    """
    for number in END_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    for each in END_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in END_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def running_stack(*, port: int) -> Iterator[Stack]:
    """Run the whole of Vitrine while the block runs. Refuses when another one runs over the same ``var`` folder."""
    env = load_env()
    env.var.mkdir(parents=True, exist_ok=True)
    with (env.var / "stack.lock").open("w") as lock:
        _lock(lock)
        own_broker = not env.redis_url
        broker = f"redis://127.0.0.1:{free_port(env.broker_port)}/0" if own_broker else env.redis_url
        stack = Stack(port=free_port(port), broker_url=broker, own_broker=own_broker)
        try:
            if own_broker:
                env.broker_file.write_text(f"{broker} {os.getpid()}\n")
            stack.start()
            yield stack
        finally:
            stack.stop()
            env.broker_file.unlink(missing_ok=True)


def _lock(file: IO[str]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StackError(f"Another Vitrine already runs over {load_env().var}: stop it first.") from None
