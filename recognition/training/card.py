"""Writes the card of a bundle: what it learned from, how good it is, what it cannot do; called by export.py.

The card tells the truth: every figure in it comes from metrics that `export` measured, and it says on which photos.
"""

import os
import platform
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from recognition.bundle import Bundle
from recognition.training.data import Photo

# What this project's own bundles are trained on; anything else is its owner's.
_LICENCES = {
    "grocery": "Grocery Store Dataset (Klasson et al., WACV 2019), MIT; its product photos and texts come from a "
    "shop's pages",
    "clothing": "clothing dataset, small (A. Grigorev), CC0",
    "catalogues": "five sample shops: eshop (MIT; photos made by an image generator), contoso (MIT), tailwind (MIT), "
    "luma (OSL-3.0 / AFL-3.0), saleor (BSD-3-Clause)",
    "renders": "products modelled and rendered by this project, Apache-2.0; those held out are held out whole: one "
    "clean photo stored, three as a buyer would take them",
}

_LIMITS = """- Clothes have one photo a garment, so there is no product to find: their figures are of labels only.
- The catalogues hold a few hundred products: words that training never saw match by their letters only.
- Rendered photos are simpler than real ones. Expect lower figures on products that training never saw, and measure on
  your own.
- Left-out views of the catalogues are mostly clothes in another colour or from behind: much harder than one product
  from another side, and their product was seen in training.
- Probabilities hold for shops like those above. Where one photo in five does not show what the shop sells, they are
  calibrated; where it is one in two, they are too high.
- Mirrored products, text in photos and tiny differences (size, model number) are not told apart reliably."""


def write_card(bundle: Bundle, run: dict[str, Any], photos: Sequence[Photo]) -> str:
    """The card as Markdown. `run`: the facts of run.json; `photos`: all photos with their roles."""
    plan, metrics = run["plan"], bundle.metrics
    began_with = [f"How `{_name(plan['weights'])}` came about: {run['began_with']}"] if run["began_with"] else []
    parts = [
        f"# Bundle {bundle.version}",
        f"{bundle.arch}, {bundle.dim}-d unit vectors, photos at {bundle.preprocessing.size} px. Made on "
        f"{datetime.now(UTC):%Y-%m-%d} with torch {torch.__version__} on {_hardware(plan)}.",
        "## Photos, and what each was used for",
        _data(photos),
        "## Training",
        f"Starting weights: `{_name(plan['weights'])}`. {_trained(plan)}: {run['epochs_done']} epochs at "
        f"{plan['size']} px, batches of {plan['batch']}, {plan['optimiser']}, seed {plan['seed']}; the weights are a "
        f"moving average ({run['best']}).",
        *began_with,
        "## Measured",
        _provenance(bundle),
    ]
    if metrics.get("labels"):
        parts.append(_labels(metrics["labels"]))
    if "retrieval" in metrics:
        parts += [
            "By the path that serves: nearest stored photos, grouped by product.",
            _retrieval(metrics["retrieval"], "A photo alone, a data set as one shop"),
            _retrieval(metrics["words"], "The title alone; most of these texts were trained on"),
            _decisions(metrics["decisions"]),
        ]
    return "\n\n".join([*parts, "## Limits", _LIMITS]) + "\n"


def training_of(folder: Path) -> str:
    """What the card of a bundle says of how its weights came about; "" where there is no such card."""
    try:
        card = (folder / "card.md").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^## Training\n+(.*?)\s*(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def _provenance(bundle: Bundle) -> str:
    if bundle.metrics["measured_on"] == bundle.version:
        return (
            "Probabilities and thresholds were fitted on the photos held out to calibrate; the figures are of photos "
            "that training never saw. Calibration errors of labels are cross-fitted."
        )
    return (
        f"This bundle was trained on photos that its sibling `{bundle.metrics['measured_on']}` (same settings) had "
        "held out. Probabilities, thresholds and all figures below are the sibling's, on photos that it never saw."
    )


def _trained(plan: dict[str, Any]) -> str:
    return (
        "All layers trained"
        if plan["backbone_rate"]
        else "Words, gate and classifiers trained, the photo's network not"
    )


def _hardware(plan: dict[str, Any]) -> str:
    if str(plan["device"]).startswith("cuda"):
        return torch.cuda.get_device_name(plan["device"])
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


def _name(weights: str) -> str:
    return weights.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _data(photos: Sequence[Photo]) -> str:
    roles = Counter((photo.source, photo.role) for photo in photos)
    lines = ["| data | trained on | stored only | calibrated on | reported on |", "|---|---|---|---|---|"]
    for source in dict.fromkeys(photo.source for photo in photos):
        counts = " | ".join(str(roles[source, role]) for role in ("train", "gallery", "calibrate", "report"))
        lines.append(f"| {source}: {_LICENCES.get(source, 'the owner’s own photos')} | {counts} |")
    return "\n".join(lines)


def _labels(figures: dict[str, dict[str, dict[str, float]]]) -> str:
    lines = [
        "| labels told by the classifiers | held out to | photos | fine | among five | coarse | calibration error |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, roles in figures.items():
        for role, figure in roles.items():
            coarse = f"{figure['coarse']:.1%}" if "coarse" in figure else "none"
            shares = f"{figure['fine']:.1%} | {figure['among_five']:.1%} | {coarse} | {figure['calibration_error']:.3f}"
            lines.append(f"| {name} | {role} | {figure['photos']} | {shares} |")
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
