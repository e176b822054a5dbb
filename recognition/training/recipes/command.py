"""`python -m recognition.training recipe NAME`: the command line of the recipes; called by __main__.py."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from recognition.training.recipes import fusion
from recognition.training.recipes.cifar import open_cifar
from recognition.training.recipes.plans import OPTIMISERS, PLANS
from recognition.training.recipes.training import Training


def add_command(command: argparse.ArgumentParser) -> None:
    """`recipe` and its names."""
    names = command.add_subparsers(required=True, metavar="NAME")
    for name, (summary, plan) in PLANS.items():
        recipe = names.add_parser(name, help=f"CIFAR-10: {summary}")
        recipe.add_argument("--data", type=Path, required=True, metavar="DIR", help="train/<label>/ and test/<label>/")
        recipe.add_argument("--download", action="store_true", help="fetch the photos into DIR first")
        recipe.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoint and result.json")
        recipe.add_argument("--epochs", type=int, default=plan.epochs)
        recipe.add_argument("--batch", type=int, default=plan.batch)
        recipe.add_argument("--optimiser", choices=OPTIMISERS, default=plan.optimiser)
        recipe.add_argument("--rate", type=float, default=plan.rate, help="learning rate")
        recipe.add_argument("--seed", type=int, default=plan.seed)
        if plan.network == "mobilenet_v2":
            recipe.add_argument(
                "--weights", required=True, help='starting weights: a bundle, a file, or "DEFAULT" to download them'
            )
        recipe.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
        recipe.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
        recipe.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
        recipe.set_defaults(run_command=_cifar, recipe=name)
    fusion.add_command(names.add_parser("fusion", help="a category from photo, words and price, or from one of them"))


def _cifar(options: argparse.Namespace, console: Console) -> None:
    _, plan = PLANS[options.recipe]
    chosen = {name: getattr(options, name) for name in ("epochs", "batch", "optimiser", "rate", "seed")}
    data = open_cifar(options.data, download=options.download)
    training = Training(
        options.recipe,
        replace(plan, **chosen),
        data,
        options.out,
        device=options.device,
        precision=options.precision,
        weights=getattr(options, "weights", None),
    )
    done = len(training.epochs)
    console.print(
        f"{len(data.train.labels)} photos to train on, {len(data.test.labels)} to test; "
        f"{done} of {options.epochs} epochs are done; {training.precision} on {training.device}",
        highlight=False,
    )
    result = training.fit(console)
    shown = (
        "recipe",
        "test_accuracy",
        "test_accuracy_of_one_view",
        "tutorial_test_accuracy",
        "train_seconds",
        "device",
    )
    console.print_json(json.dumps({name: result[name] for name in shown}))
