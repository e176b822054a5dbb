"""What the benchmarks share: their options, a line of real processes, photos, and the dated file with its plots.

Import it first: it puts the repository on the path, so that `python benchmarks/NAME.py` works from anywhere.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.line import Line, running_line  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = (
    *("torch", "onnxruntime", "numpy", "pillow", "celery", "kombu", "redis", "Django", "uvicorn"),
    *("qdrant-edge-py", "qdrant-client"),
)

# What the figures of a benchmark are asked for, by the names at the top of its file.
DEMANDED = {
    "throughput": ("ratio_to_bare_loop", "ratio_to_task_per_photo", "peers"),
    "latency": ("p50_idle_over_bare", "p99_bulk_over_idle"),
    "index": ("p99_ms_100k_filtered", "recall_at_10_100k", "filtered_recall_at_10_1m", "upserts_over_engine"),
    "import": ("memory_growth_1k_to_100k",),
    "pages": ("p50_deep_over_first", "p50_brand_over_plain"),
    "recognition": (
        *("grocery_fine_top1", "grocery_coarse_top1", "grocery_ece", "grocery_unknown_rejected_at_5_frr"),
        *("grocery_folds_fine", "grocery_folds_coarse", "clothing_fine_top1"),
        *("catalogues_recall_at_1", "catalogues_recall_at_5", "catalogues_map", "catalogues_unknown_rejected_at_5_frr"),
    ),
}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stopped from outside: still stop what was started
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true", help="less of everything: shows that it works")
    options.add_argument("--json", type=Path, metavar="FILE", help="where the figures go (default: results, dated)")
    return options


def report(quick: bool) -> dict[str, Any]:
    """The head of every file: when, on what, with which versions."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "commit": _said("git", "describe", "--always", "--dirty", "--exclude", "*"),
        "hardware": {"cpu": _processor(), "cores": os.cpu_count(), "gpu": _said("nvidia-smi", "-L")},
        "load_before": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def write(name: str, figures: Mapping[str, Any], path: Path | None, plots: Mapping[str, str] | None = None) -> None:
    """Write the figures, and the plots beside them: `NAME-DATE.json` (`NAME-quick-DATE.json`) and `….PLOT.svg`.

    What was to be measured and was not, because less was asked for, is named in the file. A figure that is demanded
    and that the benchmark does not know is its bug: KeyError, once the rest is written.
    """
    demanded = DEMANDED.get(name, ())
    figures = {**figures, "not_measured": [key for key in demanded if figures.get(key) in (None, {})]}
    day = f"{name}-quick" if figures["quick"] else name
    path = path or RESULTS / f"{day}-{figures['when'][:10]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**figures, "load_after": os.getloadavg()[0]}, indent=1) + "\n", encoding="utf-8")
    for plot, drawing in (plots or {}).items():
        path.with_suffix(f".{plot}.svg").write_text(drawing, encoding="utf-8")
    print(f"written to {path}")
    if forgotten := [key for key in demanded if key not in figures]:
        raise KeyError(*forgotten)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The distribution in milliseconds."""
    ms = sorted(1000 * each for each in seconds)
    at = statistics.quantiles(ms, n=100, method="inclusive")
    return {"n": len(ms), **{k: round(v, 2) for k, v in (("p50", at[49]), ("p90", at[89]), ("p99", at[98]))}}


def cpu_seconds(process: int) -> float:
    """Processor time that a process has used so far, all threads (Linux; elsewhere 0)."""
    path = Path(f"/proc/{process}/stat")
    if not path.exists():
        return 0.0
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def photo_files(folder: Path | None, most: int) -> list[Path]:
    """JPEGs of a folder; the sample catalogue's renders where none is named."""
    found = sorted(path for path in (folder or ROOT / "sample").rglob("*") if path.suffix.lower() in {".jpg", ".jpeg"})
    if not found:
        raise SystemExit(f"There is no JPEG in {folder}.")
    return found[:most]


def photo_source(folder: Path | None, files: Sequence[Path]) -> dict[str, Any]:
    """Which photos a file of figures is about: the folder's name, without its place, and what lies in it."""
    sizes = [path.stat().st_size for path in files]
    name = folder.resolve().name if folder else "sample catalogue"
    return {"name": name, "files": len(files), "median_kilobytes": round(statistics.median(sizes) / 1000, 1)}


@contextmanager
def vitrine(*processes: str, **settings: str) -> Iterator[Line]:
    """A Vitrine of its own: broker, database and these processes; Django of this process is set up to look into it."""
    with (
        tempfile.TemporaryDirectory(prefix="vitrine-benchmark-") as name,
        running_line(Path(name), VITRINE_LEASE_SECONDS="1800", **settings) as line,
    ):
        os.environ |= line.environment | {"DJANGO_SETTINGS_MODULE": "config.settings"}
        import django  # noqa: PLC0415 - reads the environment, which was set just before

        django.setup()
        (line.folder / "static").mkdir(exist_ok=True)
        for process in processes:
            line.start(process)
        if "web" in processes:
            line.wait_for(line.web_answers, "the web answers", 300)
        line.wait_for(lambda: line.workers_alive() == processes.count("worker"), "the workers serve", 300)
        yield line


def wait(done: Callable[[], bool], seconds: float = 3600, every: float = 0.05) -> None:
    """Look every so often until it is so."""
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise TimeoutError(f"not done within {seconds} seconds")
        time.sleep(every)


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""
