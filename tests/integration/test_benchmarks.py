"""The benchmarks are run by hand: what this shows is that each still finds what it measures, and says how to run it."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / "benchmarks"
HELPERS = {"charts.py", "common.py"}
IMPORT = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
folder, *names = sys.argv[1:]
sys.path[:] = [str(Path(folder).parent), *sys.path, folder]
for name in names:
    spec = spec_from_file_location(f"benchmark_{name}", f"{folder}/{name}.py")
    spec.loader.exec_module(module := module_from_spec(spec))
    ways = f"python benchmarks/{name}.py", f"python -m benchmarks.{name}"
    assert callable(module.main) and any(way in module.__doc__ for way in ways), name
"""


def test_every_benchmark_can_be_loaded_and_says_how_it_is_run():
    names = sorted(path.stem for path in FOLDER.glob("*.py") if path.name not in HELPERS)
    assert {"throughput", "latency", "shadow", "engine"} <= {*names}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, FOLDER, *names], cwd=FOLDER.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
