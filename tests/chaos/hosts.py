"""Machines of a test's own: network namespaces with a cable each to one switch, which can be pulled. No fixtures here.

Needs root and Linux; ``hosts_refused`` says why where it cannot be done. All hosts share this machine's disk.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NETWORK = "10.77.0"


def hosts_refused() -> str:
    """Why no namespaces can be made here; empty: they can."""
    if os.geteuid():
        return "only root may make network namespaces"
    probe = f"vtprobe{os.getpid()}"
    try:
        made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no `ip` (iproute2)"
    if made.returncode:
        return f"no network namespace may be made here: {made.stderr.strip()}"
    ip("netns", "delete", probe)
    return ""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Hosts:
    """Named hosts on one network."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._switch = f"vt{os.getpid()}-switch"

    def address(self, name: str) -> str:
        """Its address on the network."""
        return f"{NETWORK}.{self._names.index(name) + 1}"

    def on(self, name: str) -> list[str]:
        """What to put before a command that is to run on this host."""
        return ["ip", "netns", "exec", self._space(name)]

    def cut(self, name: str) -> None:
        """Pull the cable: nothing that is sent arrives, and nobody is told."""
        ip("-n", self._switch, "link", "set", self._cable(name), "down")

    def join(self, name: str) -> None:
        """Plug it in again."""
        ip("-n", self._switch, "link", "set", self._cable(name), "up")

    def _space(self, name: str) -> str:
        return f"vt{os.getpid()}-{name}"

    def _cable(self, name: str) -> str:
        return f"cable{self._names.index(name)}"

    def make(self) -> None:
        """The switch, the hosts, the cables."""
        ip("netns", "add", self._switch)
        ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", self._switch, "link", "set", "bridge", "up")
        for name in self._names:
            space, cable = self._space(name), self._cable(name)
            ip("netns", "add", space)
            ip("-n", self._switch, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("-n", self._switch, "link", "set", cable, "master", "bridge", "up")
            ip("-n", space, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")

    def remove(self) -> None:
        """Everything again, as far as it was made."""
        for space in (*map(self._space, self._names), self._switch):
            subprocess.run(["ip", "netns", "delete", space], capture_output=True)


@contextmanager
def running_hosts(*names: str) -> Iterator[Hosts]:
    """Hosts for as long as the block runs; end what runs on them before."""
    hosts = Hosts(names)
    try:
        hosts.make()
        yield hosts
    finally:
        hosts.remove()
