"""Searches the settings of a training run; around loop.py, before the `fit` whose command line it prints.

A trial is a run with settings of its own (tree-structured Parzen estimator, Bergstra et al., 2011, by Optuna), scored
on the photos held out to calibrate: reported photos are never looked at. A trial that is worse than half of the others
were at the same epoch is given up (median stopping). Trials are kept in a journal, and each run leaves checkpoints: a
search that was killed, or ended by Ctrl-C or an error, goes on where it stopped, in the middle of a trial too.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from rich.console import Console

from recognition.training.cache import Cache
from recognition.training.data import Photo
from recognition.training.errors import DataError, Diverged
from recognition.training.loop import Run
from recognition.training.plan import OPTIMISERS, Plan

SETTINGS = ("rate", "backbone_rate", "decay", "mix", "dropout", "optimiser", "size")
SEARCHED = SETTINGS[:-1]  # by default; larger photos nearly always score higher and cost more

_RANGES = {  # lowest, highest, and whether by factors
    "rate": (3e-4, 1e-2, True),
    "backbone_rate": (3e-5, 2e-3, True),
    "decay": (1e-3, 0.2, True),
    "mix": (0.0, 1.0, False),
    "dropout": (0.0, 0.5, False),
}
_SIZES = (96, 128, 160, 192, 224)
_RATES = ("rate", "backbone_rate")
_SGD_FACTOR = 30.0  # SGD wants rates about so much higher than Adam; the search is over rates for Adam
_FREE_TRIALS = 3  # that are not given up: the median needs some to compare with
_FREE_EPOCHS = 2  # of every trial: early scores say little
_JOURNAL, _BEST, _RUNS = "trials.log", "best.json", "runs"
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class Best:
    """The best trial of a search, by its score on the photos held out to calibrate."""

    plan: Plan
    score: float
    trial: int
    trials: int


class Search:
    """One search in a folder: fresh, or taken up where it stopped."""

    def __init__(
        self,
        plan: Plan,
        photos: Sequence[Photo],
        cache_of: Callable[[int], Cache],
        folder: Path,
        settings: Sequence[str] = SEARCHED,
    ) -> None:
        """`plan`: what is not searched, and the first trial. `cache_of`: the cache for a size of training photos.

        Raises DataError when nothing is held out to calibrate, or the folder holds a search of another kind.
        """
        if not any(photo.role == "calibrate" for photo in photos):
            raise DataError("No photos are held out to calibrate: there is nothing to compare settings on.")
        folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.plan, self.photos, self.cache_of, self.folder = plan, photos, cache_of, folder
        self.settings = tuple(name for name in SETTINGS if name in settings)
        self.study = optuna.create_study(
            study_name="tune",
            storage=JournalStorage(JournalFileBackend(str(folder / _JOURNAL))),
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_FREE_TRIALS, n_warmup_steps=_FREE_EPOCHS + 1),
            load_if_exists=True,
        )
        self._check_kind()
        # What was drawn before is not drawn again when a search goes on.
        self.study.sampler = optuna.samplers.TPESampler(seed=1000 * plan.seed + len(self.study.trials))

    def run(self, trials: int, console: Console) -> Best:
        """Run trials until there are so many, counting those of before; returns the best."""
        self._take_up_unfinished()
        if not self.study.trials:
            self.study.enqueue_trial(self._drawn(self.plan))
        while self.done < trials:
            self._run_trial(console)
            self._forget_runs()
        return self.best()

    @property
    def done(self) -> int:
        """Trials that ended, given-up ones included."""
        return len(self.study.get_trials(deepcopy=False, states=_DONE))

    def best(self) -> Best:
        """The best trial so far, also written to best.json. Raises DataError while there is none."""
        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise DataError(f"{self.folder} holds no trial that ran to its end.")
        trial = self.study.best_trial
        best = Best(self._plan(trial.params), trial.value or 0.0, trial.number, self.done)
        facts = {"score": best.score, "trial": best.trial, "trials": best.trials, "plan": asdict(best.plan)}
        (self.folder / _BEST).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        return best

    def _run_trial(self, console: Console) -> None:
        """One trial. Ctrl-C and errors leave it unfinished in the journal; `Study.optimize` would write it off."""
        trial = self.study.ask()
        try:
            score = self._try(trial, console)
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, score)

    def _try(self, trial: Trial, console: Console) -> float:
        plan = self._plan({name: self._draw(trial, name) for name in self.settings})
        said = "  ".join(f"{name} {_shown(getattr(plan, name))}" for name in self.settings)
        console.print(f"trial {trial.number}: {said}", highlight=False, soft_wrap=True)

        def report(epoch: int, score: float) -> None:
            trial.report(score, epoch)
            if trial.should_prune():
                console.print(f"trial {trial.number}: given up at {score:.1%}", highlight=False)
                raise optuna.TrialPruned

        try:
            run = Run(plan, self.photos, self.cache_of(plan.size), self._run_folder(plan))
            for epoch, score in enumerate(run.scores, 1):
                trial.report(score, epoch)
            run.fit(console, report)
        except Diverged as error:
            console.print(f"trial {trial.number}: {error}", highlight=False, soft_wrap=True)
            return 0.0
        return max(run.scores) if plan.patience else run.scores[-1]

    def _draw(self, trial: Trial, name: str) -> Any:
        if name == "optimiser":
            return trial.suggest_categorical(name, OPTIMISERS)
        if name == "size":
            return trial.suggest_categorical(name, sorted({*_SIZES, self.plan.size}))
        low, high, by_factors = _RANGES[name]
        return trial.suggest_float(name, low, high, log=by_factors)

    def _plan(self, drawn: dict[str, Any]) -> Plan:
        """The plan of what was drawn; rates are three figures long, so that they can be typed."""
        sgd = drawn.get("optimiser", self.plan.optimiser) == "sgd"
        values: dict[str, Any] = dict(drawn)
        for name in set(values) & set(_RANGES):
            values[name] = _short(values[name] * (_SGD_FACTOR if sgd and name in _RATES else 1.0))
        return replace(self.plan, **values)

    def _drawn(self, plan: Plan) -> dict[str, Any]:
        """What would have to be drawn to get this plan, brought into the ranges."""
        drawn = {name: getattr(plan, name) for name in self.settings}
        for name in set(drawn) & set(_RANGES):
            low, high, _ = _RANGES[name]
            factor = _SGD_FACTOR if plan.optimiser == "sgd" and name in _RATES else 1.0
            drawn[name] = min(high, max(low, drawn[name] / factor))
        return drawn

    def _check_kind(self) -> None:
        kind = json.loads(json.dumps({"plan": asdict(self.plan), "settings": self.settings, "photos": self._print()}))
        known = self.study.user_attrs.get("kind")
        if known is None:
            self.study.set_user_attr("kind", kind)
        elif known != kind:
            raise DataError(f"{self.folder} holds a search with other settings or photos: choose another folder.")

    def _print(self) -> str:
        names = "\n".join(f"{photo.path}:{photo.role}" for photo in self.photos)
        return hashlib.sha256(names.encode()).hexdigest()

    def _take_up_unfinished(self) -> None:
        """Trials that a search left unfinished are tried again with the same settings: their runs go on."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if set(trial.params) == set(self.settings):
                self.study.enqueue_trial(trial.params)
            self.study.tell(trial.number, state=TrialState.FAIL)

    def _run_folder(self, plan: Plan) -> Path:
        key = hashlib.sha256(json.dumps(asdict(plan), sort_keys=True).encode()).hexdigest()
        return self.folder / _RUNS / key[:12]

    def _forget_runs(self) -> None:
        """Keep the checkpoints of the best trial only."""
        ended: list[FrozenTrial] = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        best = self._run_folder(self._plan(self.study.best_trial.params)) if ended else None
        for folder in (self.folder / _RUNS).glob("*"):
            if folder != best:
                shutil.rmtree(folder)


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
