"""Writes the card of a bundle: what it learned from, how good it is, what it cannot do; called by export.py
and by whatever changes a bundle afterwards. record.py has what was not measured.

The card tells the truth: every figure in it comes from metrics that `export` measured, and it says on which photos.
"""

from typing import Any

from recognition.bundle import Bundle
from recognition.training.record import FINDING, ROLES, Record

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


def write_card(bundle: Bundle, record: Record) -> str:
    """The card as Markdown."""
    metrics = bundle.metrics
    parts = [
        f"# Bundle {bundle.version}",
        f"{bundle.arch}, {bundle.dim}-d unit vectors, photos at {bundle.preprocessing.size} px. {record.made}",
        "## Photos, and what each was used for",
        _data(record),
        "## Training",
        record.training,
        "## Measured",
        _provenance(bundle),
    ]
    if bundle.mirrored:
        parts.append("Labels are judged by the photo and its mirror image, whose scores are averaged.")
    if metrics.get("labels"):
        parts.append(_labels(metrics["labels"]))
    if "retrieval" in metrics:
        parts += [
            "By the path that serves: nearest stored photos, grouped by product.",
            _retrieval(metrics["retrieval"], "A photo alone, a data set as one shop"),
            _retrieval(metrics["words"], "The title alone; most of these texts were trained on"),
            _decisions(metrics["decisions"]),
        ]
    parts += ["## Limits", _LIMITS]
    if record.finding:
        parts += [f"## {FINDING}", record.finding]
    return "\n\n".join(parts) + "\n"


def _provenance(bundle: Bundle) -> str:
    if "measured_on" not in bundle.metrics:
        return "Nothing was measured."
    if bundle.metrics["measured_on"] == bundle.version:
        return (
            "Probabilities and thresholds were fitted on the photos held out to calibrate; the figures are of photos "
            "that training never saw. Calibration errors of labels are cross-fitted."
        )
    return (
        f"This bundle was trained on photos that its sibling `{bundle.metrics['measured_on']}` (same settings) had "
        "held out. Probabilities, thresholds and all figures below are the sibling's, on photos that it never saw."
    )


def _data(record: Record) -> str:
    lines = ["| data | trained on | stored only | calibrated on | reported on |", "|---|---|---|---|---|"]
    for source, counts in record.photos.items():
        licence = record.licences.get(source) or _LICENCES.get(source, "the owner’s own photos")
        lines.append(f"| {source}: {licence} | {' | '.join(str(counts[role]) for role in ROLES)} |")
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
