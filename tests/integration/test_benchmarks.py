"""The benchmarks are run by hand: what this shows is that each still finds what it measures, and says how to run it."""

import json
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

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


@pytest.fixture
def common():
    spec = spec_from_file_location("benchmark_common", FOLDER / "common.py")
    spec.loader.exec_module(module := module_from_spec(spec))
    return module


def test_the_demanded_figures_have_one_list_and_each_is_made_by_its_benchmark(common):
    assert {*common.DEMANDED} >= {"throughput", "latency", "index", "import"}
    absent = [
        (name, key)
        for name, keys in common.DEMANDED.items()
        for key in keys
        if f'"{key}": ' not in (FOLDER / f"{name}.py").read_text()
    ]
    assert absent == []


def test_a_file_names_what_was_not_measured(common, tmp_path):
    keys = common.DEMANDED["latency"]
    common.write("latency", {"quick": True, keys[0]: 4.2, keys[1]: None}, tmp_path / "a.json")
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told[keys[0]], told["not_measured"]) == (4.2, [keys[1]])


def test_a_demanded_figure_that_a_benchmark_forgot_is_an_error_and_the_others_are_kept(common, tmp_path):
    keys = common.DEMANDED["latency"]
    with pytest.raises(KeyError, match=keys[1]):
        common.write("latency", {"quick": True, keys[0]: 4.2}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())[keys[0]] == 4.2
