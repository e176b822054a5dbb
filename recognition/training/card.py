"""Writes the card of a bundle: what it learned from, how good it is, what it cannot do; called by export.py.

The card tells the truth: every figure in it comes from the metrics measured in the same run of `export`.
"""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from recognition.bundle import Bundle
from recognition.training.data import Photo

_LICENCES = {
    "grocery": "Grocery Store Dataset (Klasson et al., WACV 2019), MIT; its product photos and texts come from a "
    "shop's pages",
    "clothing": "clothing dataset, small (A. Grigorev), CC0",
    "catalogue": "five sample shops: eshop (MIT; photos made by an image generator), contoso (MIT), tailwind (MIT), "
    "luma (OSL-3.0 / AFL-3.0), saleor (BSD-3-Clause)",
    "renders": "products modelled and rendered by this project, Apache-2.0",
    "unseen": "products modelled and rendered by this project, Apache-2.0: one clean photo stored, three as a buyer "
    "would take them; no product of it was trained on",
    "photos": "the owner's own photos",
}


def write_card(bundle: Bundle, run: dict[str, Any], photos: Sequence[Photo], command: str) -> str:
    """The card as Markdown. `run`: the facts of run.json; `command`: how export was called."""
    plan, step = run["plan"], bundle.metrics["chosen"]["step"]
    parts = [
        f"# Bundle {bundle.version}",
        f"{bundle.arch}, {bundle.dim}-d unit vectors, photos at {bundle.preprocessing.size} px. Made on "
        f"{datetime.now(UTC):%Y-%m-%d} with torch {torch.__version__} on {_hardware()}.",
        "## Trained on",
        _data(photos),
        f"Starting weights: `{_name(plan['weights'])}`; the file in this project's bundle is MobileNetV2 trained on "
        "ImageNet-1k (Apache-2.0).",
        f"{run['epochs_done']} epochs at {plan['size']} px, batches of {plan['batch']}, seed {plan['seed']}. The photo "
        f"weights went {step:.0%} of the way from the starting to the fine-tuned ones; that, the side of the photos "
        "and the weights of the two comparisons were chosen on the calibration photos.",
        "## Measured",
        "On photos that neither training nor calibration nor any choice saw, by the path that serves: nearest stored "
        "photos, grouped by product.",
        _retrieval(bundle.metrics["retrieval"], "A photo alone, a data set as one shop"),
        _retrieval(bundle.metrics["words"], "The title alone; most of these texts were trained on"),
        _decisions(bundle.metrics["decisions"]),
        f"Command: `{command}`",
        "## Limits",
        _LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


_LIMITS = """- Clothes have one photo a garment, so there is nothing to find: no figure is given for them.
- The catalogues hold a few hundred products: words that training never saw match by their letters only.
- Grocery photos of one class come from a few shops and look alike; figures on other shops' photos will be lower.
- Only products of a set called `unseen` are new to the network. In this project's bundle they are renders, simpler than
  real photos; no real photos of new products were at hand. Expect lower figures there, and measure on your own.
- Left-out views of the catalogues are mostly clothes in another colour or from behind: much harder than one product
  from another side, and their product was seen in training.
- Probabilities hold for shops like those above. Where one photo in five does not show what the shop sells, they are
  calibrated; where it is one in two, they are too high.
- Mirrored products, text in photos and tiny differences (size, model number) are not told apart reliably."""


def _hardware() -> str:
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


def _name(weights: str) -> str:
    return weights.replace("\\", "/").rpartition("/")[2]


def _data(photos: Sequence[Photo]) -> str:
    roles = Counter((photo.source, photo.role) for photo in photos)
    lines = ["| data | trained on | held out to calibrate | held out to report |", "|---|---|---|---|"]
    for source in dict.fromkeys(photo.source for photo in photos):
        counts = " | ".join(str(roles[source, role]) for role in ("train", "calibrate", "report"))
        lines.append(f"| {_LICENCES[source]} | {counts} |")
    return "\n".join(lines)


def _retrieval(figures: dict[str, dict[str, float]], title: str) -> str:
    lines = [f"| {title} | queries | first | among five |", "|---|---|---|---|"]
    for source, figure in figures.items():
        lines.append(f"| {source} | {figure['queries']} | {figure['recall@1']:.1%} | {figure['recall@5']:.1%} |")
    return "\n".join(lines)


def _decisions(figures: dict[str, Any]) -> str:
    lines = [
        "| verdict | photos of products the shop has | photos of products it has not |",
        "|---|---|---|",
    ]
    for verdict in ("SURE", "REVIEW", "UNKNOWN"):
        lines.append(f"| {verdict} | {figures['known'][verdict]:.1%} | {figures['unknown'][verdict]:.1%} |")
    lines.append("")
    lines.append(
        f"Right when SURE (product in the shop): {figures['known']['right_when_sure']:.1%}. "
        f"Expected calibration error: {figures['expected_calibration_error']:.3f}."
    )
    return "\n".join(lines)
