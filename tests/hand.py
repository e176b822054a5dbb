"""A hand in the line's process environment: a test says what to run there, over the same database and the same Redis.

    with hand(line) as do:
        job = do("answer = str(search_job_create(...).pk)")

The statements see what they set before; what they leave in ``answer`` comes back, as JSON.
"""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

if __name__ == "__main__":
    import os

    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    import django

    django.setup()
    space: dict[str, Any] = {}
    for line in sys.stdin:
        space["answer"] = None
        try:
            exec(json.loads(line), space)
            print(json.dumps({"answer": space["answer"]}), flush=True)
        except Exception:
            print(json.dumps({"failed": traceback.format_exc()}), flush=True)


@contextmanager
def hand(line: Any) -> Iterator[Callable[[str], Any]]:
    """Start it beside a running line; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hand"],
        env=line.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def do(statements: str) -> Any:
        process.stdin.write(json.dumps(statements) + "\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
        assert "failed" not in told, told["failed"]
        return told["answer"]

    try:
        yield do
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
