"""Is this process well? ``python -m config.health web|coordinator|worker`` exits 0 or 1 with one sentence.

docker-compose.yml asks it for every container; it looks at what each process really does, not at whether it exists.
"""

import socket
import sys
import urllib.request
from collections.abc import Callable

from workers import client
from workers.client import Unavailable


def web(url: str = "http://127.0.0.1:8000") -> str:
    """Empty when the site answers; asked directly, whatever proxy the environment names."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/health/live", timeout=5):
            return ""
    except OSError as error:
        return f"the site does not answer: {error}"


def coordinator() -> str:
    """Empty when a coordinator dispatched in the last half minute."""
    return "" if client.coordinator_is_alive() else "no coordinator has dispatched in the last half minute"


def worker() -> str:
    """Empty when this host's worker wrote its card in the last seconds."""
    host = socket.gethostname()
    return "" if any(host in card.name for card in client.live_workers()) else f"no worker of {host} is alive"


CHECKS: dict[str, Callable[[], str]] = {"web": web, "coordinator": coordinator, "worker": worker}


def main(arguments: list[str]) -> int:
    """Run one check and say what is wrong."""
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        print(f"usage: python -m config.health {'|'.join(CHECKS)}", file=sys.stderr)
        return 2
    try:
        problem = CHECKS[arguments[0]]()
    except Unavailable as error:
        problem = error.message
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
