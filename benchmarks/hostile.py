"""Thousands of broken and hostile files through the real line: what each is answered, who dies, how much memory.

Every file is a product's photo of a bulk upload (500 an archive) and a shopper's photo; then come the hostile archives.
One web process, one coordinator, one worker, SQLite, the embedded index, on this machine. Ends with exit code 1 where a
process died or a file was answered with anything but a code of its own.

    python benchmarks/hostile.py [--files 2000] [--seed 7] [--json FILE]
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.hostile import SEED, HostileFile, hostile_photos  # noqa: E402
from tests.hostile_archives import hostile_archives  # noqa: E402
from tests.hostile_line import UNEXPLAINED, HostileLine, Outcome, hostile_line  # noqa: E402

AT_ONCE = 500


def main() -> None:
    options = parse()
    with (
        tempfile.TemporaryDirectory(prefix="vitrine-hostile-") as folder,
        hostile_line(Path(folder), VITRINE_KEY_REQUESTS="100000") as line,
    ):
        report = run(line, options.files, options.seed)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    if options.json:
        options.json.write_text(text + "\n")
    print(text)
    sys.exit(bool(report["processes that died"] or report["unexplained"]))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    return parser.parse_args()


def run(line: HostileLine, files: int, seed: int) -> dict:
    outcomes: dict[str, list[Outcome]] = {"upload": [], "search": []}
    seconds: defaultdict[str, float] = defaultdict(float)
    for part in in_parts(files, seed):
        for way, send in (("upload", line.upload), ("search", line.search)):
            started = time.monotonic()
            outcomes[way] += send(part)
            seconds[way] += time.monotonic() - started
            print(
                f"{way}: {len(outcomes[way])}/{files} in {seconds[way]:.0f} s, died: {line.deaths()}", file=sys.stderr
            )
    archives = {}
    for file in hostile_archives():
        started = time.monotonic()
        outcome, rows = line.archive(file)
        archives[file.kind] = {
            "code": outcome.code,
            "rows": dict(rows),
            "seconds": round(time.monotonic() - started, 1),
        }
        outcomes.setdefault("archive", []).append(outcome)
        print(f"archive {file.kind}: {archives[file.kind]}, died: {line.deaths()}", file=sys.stderr)
    strange = [o for way in outcomes.values() for o in way if o.code in UNEXPLAINED]
    return {
        "what": "hostile files through the real line",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
        "seed": seed,
        "seconds": {way: round(value) for way, value in seconds.items()},
        "processes that died": line.deaths(),
        "unexplained": [f"{o.name}: {o.code}" for o in strange],
        "peak memory in MB": line.memory(),
        "codes": {way: dict(Counter(o.code for o in outcomes[way]).most_common()) for way in ("upload", "search")},
        "kinds": kinds(outcomes["upload"]),
        "archives": archives,
    }


def in_parts(files: int, seed: int) -> Iterator[list[HostileFile]]:
    """Made as they are sent: together they are large."""
    photos = hostile_photos(files, seed)
    while part := list(islice(photos, AT_ONCE)):
        yield part


def kinds(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.kind, Counter())[outcome.code] += 1
    return {kind: dict(found[kind].most_common()) for kind in sorted(found)}


if __name__ == "__main__":
    main()
