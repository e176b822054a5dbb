"""The benchmarks are run by hand: what this shows is that each still finds what it measures, and says how to run it."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from recognition.training.data import DataSet, read_photos
from recognition.training.names import name_key
from recognition.training.photo_list import write_photos
from recognition.training.questions import products_shown, read_gallery, read_questions
from tests.training_data import shop

FOLDER = Path(__file__).resolve().parent.parent.parent / "benchmarks"
HELPERS = {"charts.py", "common.py"}
IMPORT = """
import sys
from dataclasses import replace
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
    return _loaded("common")


def _loaded(name):
    spec = spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
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


@pytest.fixture
def recognition(monkeypatch, common):
    monkeypatch.setitem(sys.modules, "common", common)
    return _loaded("recognition")


def test_what_is_said_of_probabilities_was_not_fitted_on_the_photos_it_is_said_of(recognition, common):
    """`evaluate` flatters: temperatures were fitted on the photos that it asks. The card's error is cross-fitted."""
    labels = {"fine_top1": 0.8, "coarse_top1": 0.9, "top5": 0.95, "ece": 0.001, "unknown_rejected_at_5_frr": 0.7}
    views = {"recall_at_1": 0.6, "recall_at_5": 0.9, "map": 0.65, "ece": 0.1, "unknown_rejected_at_5_frr": 0.3}
    seeds = {
        f"seed-{seed}": {
            "card": {"labels": {name: {"calibrate": {"calibration_error": error}} for name in ("grocery", "clothing")}},
            "grocery validation": labels,
            "clothing validation": labels | {"coarse_top1": None},
            "catalogues, left out": views,
            "renders, left out": views,
        }
        for seed, error in ((1, 0.02), (2, 0.04))
    }
    lines = recognition.summary(seeds)
    assert lines["grocery validation"]["ece"] == {"mean": 0.03, "deviation": 0.0141, "runs": 2}
    assert lines["catalogues, left out"]["map"] == {"mean": 0.65, "deviation": 0.0, "runs": 2}
    assert "coarse_top1" not in lines["clothing validation"]
    means = recognition.demanded(lines)
    assert {*means} == {*common.DEMANDED["recognition"]}
    assert (means["grocery_ece"], means["catalogues_map"], means["grocery_folds_fine"]) == (0.03, 0.65, None)
    assert (means["grocery_unknown_rejected_at_5_frr"], means["catalogues_unknown_rejected_at_5_frr"]) == (0.7, 0.3)


def test_what_was_not_trained_on_is_not_reported(recognition):
    """Renders are made, not downloaded: where there are none, seeds train and report without them."""
    told = {"card": {"labels": {}}, "catalogues, left out": {"map": 0.5}}
    for name in ("grocery", "clothing"):
        told["card"]["labels"][name] = {"calibrate": {"calibration_error": 0.03}}
        told[f"{name} validation"] = {"fine_top1": 0.8}
    assert [*recognition.summary({"seed-1": told})] == [
        "grocery validation",
        "clothing validation",
        "catalogues, left out",
    ]


def test_a_gallery_is_what_the_run_stored_and_is_asked_for_what_it_reported(recognition, tmp_path):
    """Read again by `evaluate`: of each product one view was left out, of half of them to be reported."""
    shop(tmp_path / "catalogues")
    photos = read_photos([DataSet("catalogues", tmp_path / "catalogues")])
    reported = [photo for photo in photos if photo.role == "report"]
    copy = next(place for place, photo in enumerate(photos) if photo.role == "train")
    photos[copy] = replace(photos[copy], role="copy", stored=False)
    write_photos(photos, tmp_path)
    training = recognition.Training("seed-1", ("catalogues",), ())
    known = recognition.photos_of_run(training, tmp_path, tmp_path)
    recognition.write_table(tmp_path / "asked.csv", [photo for photo in known if photo.role == "report"])
    recognition.write_table(tmp_path / "stored.csv", [photo for photo in known if photo.stored])
    asked = read_questions([("catalogues", tmp_path / "asked.csv")], None)
    stored = read_gallery(tmp_path / "stored.csv", asked)
    assert [question.row.path for question in asked.questions] == [photo.path for photo in reported] != []
    assert {photo.row.path for photo in stored} == {photo.path for photo in photos if photo.stored}
    assert [photo.row.text for photo in stored] == [photo.text for photo in photos if photo.stored]
    assert products_shown(asked.questions, stored) == [name_key(photo.product) for photo in reported]
