"""The page of an evaluation, one file that needs no network; the last step, made from the report of findings.py alone.

Figures, how honest the probabilities are, which labels are confused, and the worst mistakes with their photos, small
and inside the page. A photo that has been moved since is shown as an empty plate.
"""

import base64
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from recognition.training.figures import Bin, coverage
from recognition.training.findings import Findings, counted
from recognition.training.plots import coverage_plot, matrix_plot, reliability_plot, scores_plot

_MISTAKES = 24  # shown of each kind
_THUMBNAIL = 144  # pixels
_LABELS = 100  # of a matrix; more are thinned out to those that are confused most
_ROWS = 20  # of a table

_FIGURES = {  # key: what it is called, how it is written, and what it means
    "fine_top1": ("First label right", "{:.1%}", "Share of known photos whose label is the first answer."),
    "top5": ("Among the first five", "{:.1%}", "Share of known photos whose label is among the first five answers."),
    "coarse_top1": ("Coarse label right", "{:.1%}", "The same for coarse labels, where the coarse label is known."),
    "ece": (
        "Calibration error",
        "{:.3f}",
        "Mean distance between the probability of the first answer and how often such answers are right, in 15 bins of "
        "equal width; 0 is honest.",
    ),
    "recall_at_1": ("Nearest is right", "{:.1%}", "Share of photos for which the nearest thing is the right one."),
    "recall_at_5": ("Right among five", "{:.1%}", "Share of photos with the right thing among the five nearest."),
    "map": (
        "Mean average precision",
        "{:.3f}",
        "How far up all photos of the right thing stand in the ranking; 1 best.",
    ),
    "unknown_rejected_at_5_frr": (
        "Unknown rejected",
        "{:.1%}",
        "Share of unknown photos that are rejected where one known photo in twenty is.",
    ),
}


@dataclass(frozen=True)
class _Mistake:
    """One photo, what it is, what it was taken for, how surely, and a photo of that."""

    path: str
    true: str
    taken: str
    surely: str
    example: str | None


def write_page(findings: Findings) -> str:
    """The whole page as HTML."""
    title = f"{findings['bundle']} on {', '.join(findings['by_data'])}"
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = "\n".join(_sections(findings, title))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>\n{style}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _sections(findings: Findings, title: str) -> Iterator[str]:
    yield _header(findings, title)
    yield f'<div class="tiles">{"".join(_tile(findings, key) for key in _FIGURES)}</div>'
    yield from (f'<p class="note">{escape(note)}</p>' for note in findings["notes"])
    for name, heading in (
        ("labels", "Labels: are the probabilities honest?"),
        ("gallery", "Gallery: the same questions"),
    ):
        if findings[name]:
            yield f"<h2>{heading}</h2>"
            yield _plots(findings, name)
    if findings["by_label"]:
        yield "<h2>What is confused with what</h2>"
        yield f'<div class="tables">{_label_table(findings)}{_confused_table(findings)}</div>'
        yield _matrix(findings)
    yield from _mistake_sections(findings)
    if findings["unreadable"]:
        yield f"<h2>Left out: {len(findings['unreadable'])} photos that cannot be read</h2>"
        yield from (f'<p class="soft">{escape(fault)}</p>' for fault in findings["unreadable"])
    yield "<h2>What the figures mean</h2>"
    meanings = (f"<dt>{key}</dt><dd>{escape(meaning)}</dd>" for key, (_, _, meaning) in _FIGURES.items())
    yield f"<dl>{''.join(meanings)}</dl>"


def _header(findings: Findings, title: str) -> str:
    splits = {f"{data}: {'all' if split == 'all' else f'{split} split'}" for data, split in findings["splits"].items()}
    parts = [
        *sorted(splits),
        f"{findings['photos']} photos, {findings['known']} known, {findings['unknown']} unknown",
        f"label set {findings['label_set'] or 'none'}",
        f"gallery of {findings['stored_products']} products, {findings['stored_photos']} photos"
        if findings["stored_photos"]
        else "no gallery",
        str(findings["measured_at"]).replace("T", " ").replace("+00:00", " UTC"),
    ]
    return f"<header><h1>{escape(title)}</h1><p>{escape(' · '.join(parts))}</p></header>"


def _tile(findings: Findings, key: str) -> str:
    name, form, _ = _FIGURES[key]
    value = findings[key]
    about = counted(findings, key)
    if key == "fine_top1" and findings["fine_top1_interval"]:
        low, high = findings["fine_top1_interval"]
        about += f", 95 % interval {low:.1%} to {high:.1%}"
    shown = "–" if value is None else form.format(value)
    kind = "tile none" if value is None else "tile"
    return f'<div class="{kind}"><span>{name}</span><b>{shown}</b><small>{escape(about)}</small></div>'


def _plots(findings: Findings, name: str) -> str:
    answers = findings[name]
    entries = findings["predictions"]
    if name == "gallery":
        entries = [entry["nearest"] for entry in entries if "nearest" in entry]
    known = [entry for entry in entries if entry["known"]]
    score = "score" if name == "gallery" else "probability"
    away = [entry[score] for entry in entries if not entry["known"]]
    away = away or [entry["score_without_its_product"] for entry in known if "score_without_its_product" in entry]
    curve = coverage([entry["probability"] for entry in known], [bool(entry["right"]) for entry in known])
    plots = [
        (
            reliability_plot([Bin(**one) for one in answers["bins"]]),
            f"Reliability: answers of a probability should be right that often (dashed). Red: the gap. Below: how many "
            f"photos. Expected calibration error {answers['ece'] or 0:.3f}.",
        ),
        (
            coverage_plot(curve),
            "Accuracy over coverage: how right the surest answers are if the others go to a person.",
        ),
    ]
    if answers["unknown_rejected_at_5_frr"] is not None:
        caption = (
            f"Score of known (green) and unknown photos (red: {answers['unknown_are']}). Where 5\u00a0% of the known "
            f"are rejected, {answers['unknown_rejected_at_5_frr']:.1%} of the unknown are. Area under the ROC curve "
            f"{answers['unknown_auroc']:.3f}."
        )
        plots.append((scores_plot([entry[score] for entry in known], away, answers["unknown_threshold"]), caption))
    figures = (f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in plots)
    return f'<div class="plots">{"".join(figures)}</div>'


def _label_table(findings: Findings) -> str:
    labels = sorted(findings["by_label"].items(), key=lambda item: (item[1]["fine_top1"], -item[1]["photos"]))
    rows = [
        [
            escape(label),
            f'<meter min="0" max="1" value="{facts["fine_top1"]:.3f}"></meter> {facts["fine_top1"]:.0%}',
            f"{facts['right']} of {facts['photos']}",
            escape(", ".join(f"{name} ({count})" for name, count in facts["taken_for"])),
        ]
        for label, facts in labels[:_ROWS]
    ]
    caption = f"Hardest labels ({len(rows)} of {len(labels)})"
    return _table(caption, ["label", "right", "photos", "taken for"], rows, numbers=(2,))


def _confused_table(findings: Findings) -> str:
    rows = [
        [escape(pair["true"]), escape(str(pair["taken_for"])), str(pair["photos"])]
        for pair in findings["confused"][:_ROWS]
    ]
    return _table("Most confused pairs", ["is", "taken for", "photos"], rows, numbers=(2,)) if rows else ""


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    def cell(tag: str, place: int, value: str) -> str:
        return f'<{tag} class="n">{value}</{tag}>' if place in numbers else f"<{tag}>{value}</{tag}>"

    head = "".join(cell("th", place, name) for place, name in enumerate(heads))
    lines = ("".join(cell("td", place, value) for place, value in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _matrix(findings: Findings) -> str:
    """Labels stand beside those of the same coarse label; of very many, only the most confused are shown."""
    known = [entry for entry in findings["predictions"] if entry.get("known") and entry["fine"]]
    counts = Counter((entry["true_fine"], entry["fine"]) for entry in known)
    above = {entry["fine"]: entry["coarse"] for entry in known}
    above |= {entry["true_fine"]: entry["true_coarse"] for entry in known} | findings["coarse_of"]
    labels = {label for pair in counts for label in pair}
    caption = "True labels down, answers across; darker is a larger share of the row, red is wrong."
    if len(labels) > _LABELS:
        wrong: Counter[str] = Counter()
        for (true, taken), count in counts.items():
            if true != taken:
                wrong.update({true: count, taken: count})
        labels = {label for label, _ in wrong.most_common(_LABELS)}
        caption += f" The {len(labels)} labels with the most mistakes are shown."
    ordered = sorted(labels, key=lambda label: (above.get(label) or "", label))
    return f'<figure class="wide">{matrix_plot(ordered, counts)}<figcaption>{caption}</figcaption></figure>'


def _mistake_sections(findings: Findings) -> Iterator[str]:
    entries = findings["predictions"]
    if findings["labels"]:
        yield _mistakes("Worst mistakes: sure of the wrong label", _wrong_labels(entries))
        yield _mistakes("Unknown photos taken for a label most surely", _unknown_accepted(entries))
    if findings["gallery"]:
        nearest = [entry for entry in entries if "nearest" in entry]
        wrong = [entry for entry in nearest if entry["nearest"]["known"] and not entry["nearest"]["right"]]
        yield _mistakes("Worst mistakes: sure of the wrong product", _by_nearest(wrong, "probability"))
        foreign = [entry for entry in nearest if not entry["nearest"]["known"]]
        yield _mistakes("Unknown photos taken for a product most surely", _by_nearest(foreign, "probability"))
    else:
        lost = [entry for entry in entries if "nearest" in entry and entry["nearest"]["average_precision"] is not None]
        lost = [entry for entry in lost if entry["nearest"]["place"] != 0]
        yield _mistakes("Photos whose nearest photo shows something else", _by_nearest(lost, "similarity"))


def _wrong_labels(entries: Sequence[dict[str, Any]]) -> list[_Mistake]:
    wrong = [entry for entry in entries if entry["known"] and not entry["right"]]
    return _by_label(wrong, entries)


def _unknown_accepted(entries: Sequence[dict[str, Any]]) -> list[_Mistake]:
    return _by_label([entry for entry in entries if entry["unknown"]], entries)


def _by_label(chosen: Sequence[dict[str, Any]], entries: Sequence[dict[str, Any]]) -> list[_Mistake]:
    """The surest first; beside each the photo that is surest, and right, about what it was taken for."""
    right = sorted((entry for entry in entries if entry["right"]), key=lambda entry: entry["probability"])
    examples = {entry["fine"]: entry["path"] for entry in right}
    worst = sorted(chosen, key=lambda entry: -entry["probability"])[:_MISTAKES]
    return [
        _Mistake(
            entry["path"],
            entry["true_fine"] or "something unknown",
            entry["fine"],
            f"probability {entry['probability']:.3f}",
            examples.get(entry["fine"]),
        )
        for entry in worst
    ]


def _by_nearest(chosen: Sequence[dict[str, Any]], key: str) -> list[_Mistake]:
    """The surest first, by the probability or the similarity of the nearest; beside each the nearest photo."""
    worst = sorted(chosen, key=lambda entry: -entry["nearest"][key])[:_MISTAKES]
    return [
        _Mistake(
            entry["path"],
            entry["true_fine"] or "something unknown",
            entry["nearest"]["product"] or "nothing",
            f"{key} {entry['nearest'][key]:.3f}",
            entry["nearest"]["photo"],
        )
        for entry in worst
    ]


def _mistakes(heading: str, mistakes: Sequence[_Mistake]) -> str:
    if not mistakes:
        return ""
    cards = "".join(
        f'<div class="mistake"><div>{_thumbnail(one.path)}<span class="was">{escape(one.true)}</span></div>'
        f'<div>{_thumbnail(one.example)}<span class="taken">{escape(one.taken)}</span></div>'
        f"<p>{escape(one.surely)} · {escape(Path(one.path).name)}</p></div>"
        for one in mistakes
    )
    return f'<h2>{escape(heading)}</h2><div class="mistakes">{cards}</div>'


def _thumbnail(path: str | None) -> str:
    """A small photo inside the page; an empty plate where there is none."""
    if path is None:
        return '<div class="empty">no photo of it</div>'
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * _THUMBNAIL, 2 * _THUMBNAIL))
            small = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return '<div class="empty">cannot be shown</div>'
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    ground = Image.new("RGB", small.size, "white")
    ground.paste(small, mask=small.getchannel("A"))
    file = io.BytesIO()
    ground.save(file, "JPEG", quality=78)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}">'
