"""The examples of the documents, as blocks of code, and a session in which they run one after the other. No fixtures.

    session = Session(folder, environment)
    for block in blocks_of(ROOT / "docs" / "api.md"):
        ...

A session runs shell blocks a command at a time, as a reader does: what one exports, the next one has; a refused
request ends it. Python blocks share their names, a JavaScript block is a module of its own (node).
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"sh": "shell", "bash": "shell", "python": "python", "javascript": "javascript"}
SECONDS = 120
# One block a line, as JSON; answers what went wrong, or null.
PYTHON = """
import json, sys, traceback
names, told = {"__name__": "__main__"}, sys.stdout
sys.stdout = sys.stderr
for line in sys.stdin:
    try:
        exec(compile(json.loads(line), "example", "exec"), names)
        print("null", file=told, flush=True)
    except Exception:
        print(json.dumps(traceback.format_exc()), file=told, flush=True)
"""


@dataclass(frozen=True)
class Block:
    """One block of code that a reader may run."""

    document: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks_of(document: Path, root: Path) -> list[Block]:
    """The blocks that are code, in order."""
    text = document.read_text()
    name = str(document.relative_to(root))
    return [
        Block(name, text.count("\n", 0, found.start()) + 2, LANGUAGES[found[1]], found[2])
        for found in BLOCK.finditer(text)
        if found[1] in LANGUAGES
    ]


def commands_of(code: str) -> list[str]:
    """The commands of a shell block: lines, joined as long as bash wants more."""
    commands, waiting = [], ""
    for line in code.splitlines():
        waiting += line + "\n"
        if line.endswith("\\") or not _is_whole(waiting):
            continue
        if any(each.strip() and not each.lstrip().startswith("#") for each in waiting.splitlines()):
            commands.append(waiting)
        waiting = ""
    assert not waiting, f"bash does not understand: {waiting}"
    return commands


def _is_whole(command: str) -> bool:
    return subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True).returncode == 0


class Session:
    """One reader at work in a folder."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._python: subprocess.Popen | None = None

    def shell(self, command: str) -> str:
        """Run a command; its output. What it exports is kept."""
        kept = self.folder / ".environment"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{command}\nenv -0 > {kept}"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}{done.stdout}{done.stderr}"
        exported = (line.partition("=") for line in kept.read_text().split("\0") if line)
        self.environment = {name: value for name, _, value in exported}
        return done.stdout

    def python(self, code: str) -> None:
        """Run a block with the names of those before it."""
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", PYTHON], cwd=self.folder, env=self.environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        self._python.stdin.write(json.dumps(code) + "\n")
        self._python.stdin.flush()
        failed = json.loads(self._python.stdout.readline())
        assert failed is None, f"{code}\n{failed}"

    def javascript(self, code: str) -> None:
        """Run a block as a module."""
        done = subprocess.run(
            ["node", "--input-type=module"], input=code, cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{code}\n{done.stderr}"

    def close(self) -> None:
        """End what still runs."""
        if self._python:
            self._python.stdin.close()
            self._python.wait(30)
            self._python.stdout.close()
            self._python = None


def workplace(folder: Path, root: Path) -> dict[str, str]:
    """Make a folder look like a checkout to a reader's commands; what belongs to their environment there.

    ``curl`` fails where it is refused, and Python finds the client.
    """
    folder.mkdir()
    (folder / "manage.py").symlink_to(root / "manage.py")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (folder / ".curlrc").write_text('fail-with-body\nsilent\nshow-error\nmax-time = "60"\n')
    return {"CURL_HOME": str(folder), "PYTHONPATH": str(root / "clients" / "python" / "src")}
