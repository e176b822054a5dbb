"""Runs a command that ends when the process that started it does: ``python -I -S config/tether.py PARENT COMMAND …``.

Between ``config.stack`` and each of its children. A parent that is killed outright (SIGKILL, the out-of-memory killer)
cannot stop anything, so on Linux the kernel sends its children a SIGTERM. Asked for here, in the child after its
fork and exec, because Python code between the two (``preexec_fn``) may deadlock where the parent has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(parent: int, command: list[str]) -> None:
    """Become ``command``: the process id stays, and so does the wish."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the wish was heard
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the commands are constants of config.stack


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
