"""The search for settings: a real one over tiny runs, killed and taken up again, and the command line it ends with."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from rich.console import Console

from recognition.training import tune
from recognition.training.__main__ import main, parser
from recognition.training.cache import open_cache
from recognition.training.data import DataSet, read_photos
from recognition.training.errors import DataError
from recognition.training.loop import Run
from recognition.training.options import plan_of
from recognition.training.plan import Plan

ROOT = Path(__file__).parents[3]
QUIET = Console(quiet=True)


@pytest.fixture
def search(folder, weights, tmp_path):
    """Call it for a search in `tmp_path`, of one epoch a trial."""
    photos = read_photos([DataSet("balls", folder)])

    def make(settings=tune.SEARCHED, **plan):
        values = {"arch": "mobilenet_v3_small", "size": 64, "epochs": 1, "batch": 18, **plan}
        wanted = Plan(weights=str(weights), **values)
        return tune.Search(
            wanted, photos, lambda size: open_cache(photos, tmp_path / "cache", size), tmp_path / "tune", settings
        )

    return make


def arguments(folder: Path, weights: Path, out: Path, *more: str) -> list[str]:
    return [
        *("tune", "--data", str(folder), "--weights", str(weights), "--out", str(out), "--trials", "2"),
        *("--arch", "mobilenet_v3_small", "--size", "64", "--epochs", "2", "--batch", "18", "--threads", "1"),
        *("--device", "cpu", "--no-mirror", *more),
    ]


def test_a_killed_search_goes_on_and_prints_a_fit(folder, weights, tmp_path, capsys):
    """Killed within its second trial; afterwards the first is not run again and the second goes on."""
    given = arguments(folder, weights, tmp_path / "tune")
    script = (
        "import os, sys; from recognition.training import loop; from recognition.training.__main__ import main\n"
        "save, saved = loop.Run._checkpoint, []\n"
        "def kill(self):\n"
        "    save(self); saved.append(1)\n"
        "    if len(saved) == 3: os.kill(os.getpid(), 9)\n"
        "loop.Run._checkpoint = kill\n"
        "main(sys.argv[1:])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script, *given], env=environment, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert len(list((tmp_path / "tune" / "runs").iterdir())) == 2
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "1 of 2 trials are done" in said
    assert "epoch 1/2" not in said and said.count("epoch 2/2") == 1  # the killed trial's first epoch was kept
    best = json.loads((tmp_path / "tune" / "best.json").read_text())
    assert best["trials"] == 2 and 0 <= best["score"] <= 1
    assert len(list((tmp_path / "tune" / "runs").iterdir())) == 1  # the best run's
    line = next(line for line in said.splitlines() if line.startswith("python -m recognition.training fit"))
    options = parser().parse_args(shlex.split(line)[3:])
    assert plan_of(options) == Plan(**best["plan"] | {"closed": tuple(best["plan"]["closed"])})
    assert main(given) == 0  # nothing left to do
    assert "photos/s" not in capsys.readouterr().out


@pytest.mark.parametrize("end", [KeyboardInterrupt(), DataError("no weights")])
def test_an_interrupted_trial_goes_on(search, monkeypatch, end):
    """Ctrl-C (or an error) after the second trial's first epoch: the trial keeps its settings and its checkpoint."""
    tried = search(settings=("mix", "rate"), epochs=2)
    tried.run(1, QUIET)
    save = Run._checkpoint

    def stop(run: Run) -> None:
        save(run)
        raise end

    monkeypatch.setattr(Run, "_checkpoint", stop)
    with pytest.raises(type(end)):
        tried.run(2, QUIET)
    stopped = tried.study.trials[1]
    monkeypatch.undo()
    epochs: list[int] = []
    train = Run._train_epoch
    monkeypatch.setattr(Run, "_train_epoch", lambda run: epochs.append(run.epoch) or train(run))
    again = search(settings=("mix", "rate"), epochs=2)
    assert (again.done, again.run(2, QUIET).trials) == (1, 2)
    assert epochs == [1]  # the first epoch was kept
    ended = [(trial.state.name, trial.params) for trial in again.study.trials[1:]]
    assert ended == [("FAIL", stopped.params), ("COMPLETE", stopped.params)]


def test_the_first_trial_is_what_was_given(search):
    tried = search(rate=5e-3, decay=0.01, optimiser="adam")
    tried.run(1, QUIET)
    (trial,) = tried.study.trials
    assert trial.params == {
        "rate": 5e-3,
        "backbone_rate": Plan.backbone_rate,
        "decay": 0.01,
        "mix": Plan.mix,
        "dropout": Plan.dropout,
        "optimiser": "adam",
    }


def test_sgd_gets_higher_rates(search):
    tried = search(settings=("rate", "optimiser"), rate=0.09, optimiser="sgd")
    tried.run(1, QUIET)
    (trial,) = tried.study.trials
    assert trial.params == {"rate": pytest.approx(0.003), "optimiser": "sgd"}
    assert tried.best().plan.rate == 0.09


def test_a_diverging_trial_counts_as_worthless(search):
    tried = search(settings=("mix",), rate=1e30, backbone_rate=1e30, optimiser="sgd", batch=6)
    assert tried.run(1, QUIET).score == 0.0


def test_a_trial_worse_than_the_median_is_given_up(search):
    """Three good trials are made up; the fourth, a real one, never reaches them and ends after its third epoch."""
    tried = search(settings=("mix",), epochs=4, rate=0, backbone_rate=0)
    for _ in range(3):
        made = optuna.trial.create_trial(
            params={"mix": 0.5},
            distributions={"mix": optuna.distributions.FloatDistribution(0.0, 1.0)},
            value=1.1,
            intermediate_values=dict.fromkeys(range(1, 5), 1.1),
        )
        tried.study.add_trial(made)
    best = tried.run(4, QUIET)
    given_up = tried.study.trials[-1]
    assert given_up.state == optuna.trial.TrialState.PRUNED
    assert sorted(given_up.intermediate_values) == [1, 2, 3]
    assert (best.score, best.trials) == (1.1, 4)


def test_a_search_of_another_kind_is_refused(search):
    search().run(1, QUIET)
    with pytest.raises(DataError, match="holds a search with other settings or photos"):
        search(settings=("rate",))
    with pytest.raises(DataError, match="holds a search with other settings or photos"):
        search(epochs=2)
    assert search().done == 1


def test_nothing_held_out(weights, tmp_path, folder):
    photos = [photo for photo in read_photos([DataSet("balls", folder)]) if photo.role == "train"]
    with pytest.raises(DataError, match="No photos are held out to calibrate"):
        tune.Search(Plan(weights=str(weights)), photos, lambda size: None, tmp_path / "tune")
    assert not (tmp_path / "tune").exists()
