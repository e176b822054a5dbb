"""Writes the card of a bundle: what it learned from, how good it is, what it cannot do; called by export.py
and by whatever changes a bundle afterwards. record.py has what was not measured.

The card tells the truth: every figure in it comes from metrics that `export` measured, and it says on which photos.
"""

from typing import Any

from recognition.bundle import Bundle
from recognition.training.calibrate import UNKNOWN_WEIGHT
from recognition.training.figures import BINS
from recognition.training.record import FINDING, ROLES, Record

_GENERAL = """- Words that training never saw match by their letters only.
- Expect lower figures on products that training never saw, and measure on your own photos (`evaluate`).
- Probabilities hold for photos like those that they were fitted to. Where one photo in five does not show what the shop
  sells, they are calibrated; where it is one in two, they are too high.
- Mirrored products, text in photos and tiny differences (size, model number) are not told apart reliably."""

# What is peculiar to the data of this project's own bundles, whose licences are on record; to nobody else's.
_PECULIAR = {
    "clothing": "- Clothes have one photo a garment, so there is no product to find: their figures are of labels only.",
    "catalogues": "- Left-out views of the catalogues are mostly clothes in another colour or from behind: much harder "
    "than one\n  product from another side, and their product was seen in training.",
    "renders": "- Rendered photos are simpler than real ones.",
}

_NO_LICENCE = "licence not stated"


def write_card(bundle: Bundle, record: Record) -> str:
    """The card as Markdown."""
    metrics = bundle.metrics
    parts = [
        f"# Bundle {bundle.version}",
        f"{bundle.arch}, {bundle.dim}-d unit vectors, photos at {bundle.preprocessing.size} px. {record.made}".rstrip(),
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
    peculiar = [told for name, told in _PECULIAR.items() if name in record.photos and name in record.licences]
    parts += ["## Limits", "\n".join([*peculiar, _GENERAL])]
    if record.finding:
        parts += [f"## {FINDING}", record.finding]
    return "\n\n".join(parts) + "\n"


def _provenance(bundle: Bundle) -> str:
    if "measured_on" not in bundle.metrics:
        return "Nothing was measured."
    if bundle.metrics["measured_on"] == bundle.version:
        return (
            "Probabilities and thresholds were fitted on the photos held out to calibrate; the figures are of photos "
            f"that training never saw. Calibration errors (Guo et al., 2017) are of {BINS} equal-width bins, those of "
            "labels cross-fitted."
        )
    return (
        f"This bundle was trained on photos that its sibling `{bundle.metrics['measured_on']}` (same settings) had "
        "held out. Probabilities, thresholds and all figures below are the sibling's, on photos that it never saw."
    )


def _data(record: Record) -> str:
    lines = ["| data | trained on | stored only | calibrated on | reported on |", "|---|---|---|---|---|"]
    for source, counts in record.photos.items():
        licence = record.licences.get(source, _NO_LICENCE)
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
    error = figures["expected_calibration_error"]
    return "\n".join([*lines, "", f"{_sure(figures)} Expected calibration error: {error:.3f}."])


def _sure(figures: dict[str, Any]) -> str:
    """What SURE is worth, with the numbers of photos behind it."""
    known, unknown = figures["known"], figures["unknown"]
    sure, false = (round(part["SURE"] * part["queries"]) for part in (known, unknown))
    right = round(known["right_when_sure"] * sure)
    told = (
        f"SURE were {sure} of {known['queries']} photos of products that the shop has, {right} of them rightly, and "
        f"{false} of {unknown['queries']} whose product was taken out of it."
    )
    if not sure + false:
        return told
    weighed = false * UNKNOWN_WEIGHT * known["queries"] / max(1, unknown["queries"])
    share = right / (sure + weighed)
    return (
        f"{told} So where one photo in five shows what the shop does not sell, {share:.1%} of SURE answers are right."
    )
