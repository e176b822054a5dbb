"""Photos a second through the whole line with one worker and with two, on this machine.

The same work as in `throughput`. Each worker has an embedded index of its own here, so that no server is needed, and
its share of the cores: on two cores two workers show what a second process costs, on many what it brings.

    python benchmarks/scale.py [--quick] [--json FILE] [--photos DIR]
"""

import json
import os
import statistics
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import common
from charts import bars
from throughput import upload, whole_line

WORKERS = (1, 2)


def main() -> None:
    options = parse()
    if options.workers:
        print(json.dumps(measure(options.workers, options)))
        return
    figures = common.report(options.quick)
    speeds = {f"{workers} workers": in_its_own_process(workers) for workers in WORKERS}
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    figures |= {
        "ratio_two_to_one": medians["2 workers"] / medians["1 workers"],
        "photos_per_second": medians,
        "rounds_photos_per_second": speeds,
    }
    common.write("scale", figures, options.json, {"speeds": bars("Photos a second, whole line", medians)})
    print(medians, f"two over one: {figures['ratio_two_to_one']:.2f}")


def parse() -> Namespace:
    parser = common.parser(__doc__)
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs instead of the sample catalogue's")
    parser.add_argument("--workers", type=int, help="only so many, in this process; prints the speeds of the rounds")
    options = parser.parse_args()
    options.count, options.rounds = (320, 2) if options.quick else (2000, 5)
    return options


def in_its_own_process(workers: int) -> list[float]:
    """Each number of workers has a line of its own, and Django looks into one database a process."""
    command = [sys.executable, *sys.argv, "--workers", str(workers)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def measure(workers: int, options: Namespace) -> list[float]:
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    with common.vitrine("coordinator", VITRINE_TORCH_THREADS=threads) as line:
        for number in range(workers):
            line.start("worker", VITRINE_INDEX_URL=str(line.folder / f"index-{number}"))
        line.wait_for(lambda: line.workers_alive() == workers, "the workers serve", 300)
        upload(common.photo_files(options.photos, options.count), options.count)
        return [options.count / whole_line(options.count) for _ in range(options.rounds)]


if __name__ == "__main__":
    main()
