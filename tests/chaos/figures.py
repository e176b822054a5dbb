"""What came out of a long chaos run: a table for who watches, and a dated entry in a file for who asks later.

The last step of ``kills`` and ``flush``; both write into the same file, each under its own name.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table


def tell(
    name: str, title: str, rows: Sequence[tuple[str, int]], *, held: bool, options: argparse.Namespace, seed: int
) -> None:
    """Print the rows, and keep them where ``--json`` says so."""
    table = Table(title=title)
    table.add_column("what")
    table.add_column("count", justify="right")
    for what, count in rows:
        table.add_row(what, str(count))
    Console(width=80).print(table)
    if options.json:
        kept = json.loads(options.json.read_text()) if options.json.exists() else {}
        kept[name] = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
            "database": "PostgreSQL" if options.postgres else "SQLite",
            "seed": seed,
            "held": held,
            "counts": dict(rows),
        }
        options.json.write_text(json.dumps(kept, indent=1) + "\n")
