"""docs/recipes.md says what the recipes reached: its tables are the results that are kept, its commands are real ones.

A new result: copy the run's result.json to benchmarks/results/recipes-NAME.json. The test then prints the wanted table.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from recognition.training.__main__ import parser
from recognition.training.recipes.plans import PLANS

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
CIFAR_HEAD = [
    "| recipe | test accuracy | one view | the tutorial's | training | hardware | precision |",
    "|---|---|---|---|---|---|---|",
]
FUSION_HEAD = ["| the category told from | accuracy | over the folds |", "|---|---|---|"]


def test_every_result_has_its_row_and_every_row_its_result():
    wanted = [*CIFAR_HEAD, *(row for name in PLANS for row in _cifar_rows(name))]
    assert _table(CIFAR_HEAD[0]) == wanted, "docs/recipes.md wants this table:\n" + "\n".join(wanted)


def test_every_kept_result_is_of_a_recipe():
    names = {path.stem.removeprefix("recipes-") for path in RESULTS.glob("recipes-*.json")}
    assert names <= {*PLANS, "fusion"}
    assert {name: json.loads(_file(name).read_text())["recipe"] for name in names} == {name: name for name in names}


def test_the_table_of_fusion_is_its_result():
    kept = _file("fusion").exists()
    figures = json.loads(_file("fusion").read_text())["accuracy"] if kept else {}
    rows = [f"| {name} | {_percent(each['mean'])} | ± {_percent(each['spread'])} |" for name, each in figures.items()]
    wanted = [*FUSION_HEAD, *rows] if kept else []
    assert _table(FUSION_HEAD[0]) == wanted, "docs/recipes.md wants this table:\n" + "\n".join(wanted)


@pytest.mark.parametrize("name", [*PLANS, "fusion"])
def test_the_page_tells_how_each_recipe_is_run(name):
    line = re.search(rf"^python -m recognition\.training (recipe {name} .*)$", PAGE, re.MULTILINE)
    assert line, name
    options = parser().parse_args(shlex.split(line[1]))
    assert (str(options.out), options.data.parts[:2]) == (
        f"var/recipes/{name.removeprefix('cifar10-')}",
        ("var", "data"),
    )


def _cifar_rows(name: str) -> list[str]:
    if not _file(name).exists():
        return []
    result, tutorial = json.loads(_file(name).read_text()), PLANS[name][1].tutorial_test_accuracy
    on_cpu = " cores, " in result["device"]
    cells = (
        f"[{name}](../benchmarks/results/{_file(name).name})",
        _percent(result["test_accuracy"]),
        _percent(result["test_accuracy_of_one_view"]),
        "–" if tutorial is None else _percent(tutorial),
        f"{len(result['epochs'])} epochs, {_time(result['train_seconds'])}",
        result["device"] + (f"; threads: {result['threads']}" if on_cpu else ""),
        result["precision"],
    )
    return [f"| {' | '.join(cells)} |"]


def _file(name: str) -> Path:
    return RESULTS / f"recipes-{name}.json"


def _table(head: str) -> list[str]:
    """The lines of the page's table that begins with this one; none where it has no such table."""
    lines = PAGE.splitlines()
    found = lines[lines.index(head) :] if head in lines else []
    return found[: next((place for place, line in enumerate(found) if not line.startswith("|")), len(found))]


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
