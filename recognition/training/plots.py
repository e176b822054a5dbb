"""Plots as inline SVG, coloured by the style sheet of page.css so that they follow light and dark; used by page.py.

Every function takes numbers and returns one `<svg>`. What a mark means exactly stands in its `<title>`, which browsers
show under the pointer.
"""

from collections.abc import Mapping, Sequence
from html import escape

from recognition.training.figures import Bin

_WIDTH, _HEIGHT = 420, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 44
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_COUNTS = 58  # pixels kept for the bars of counts under a reliability diagram
_NAMES = 160  # pixels kept for the names beside a matrix
_MATRIX = 900  # pixels of a large matrix
_READABLE = 17  # pixels of a cell that has room for its count


class _Plane:
    """A plot whose x runs over 0..1 and whose y runs from `low` to `high`; collects marks."""

    def __init__(self, low: float, high: float, height: float = _HEIGHT - _TOP - _BOTTOM) -> None:
        self._low, self._span, self._height = low, (high - low) or 1.0, height
        self.marks: list[str] = []

    def x(self, value: float) -> float:
        return round(_LEFT + value * (_WIDTH - _LEFT - _RIGHT), 2)

    def y(self, value: float) -> float:
        return round(_TOP + (1 - (value - self._low) / self._span) * self._height, 2)

    def frame(self, across: str, up: str, ticks: Sequence[tuple[float, str]]) -> None:
        """Grid lines with their numbers, and what the two axes show."""
        for value, name in ticks:
            self.line([(0, value), (1, value)], "grid")
            self.text(_LEFT - 8, self.y(value) + 4, name, "end")
        for value in _TICKS:
            self.text(self.x(value), _HEIGHT - _BOTTOM + 17, f"{value:g}", "middle")
        self.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, across, "middle", "axis")
        self.marks.append(_upright(13, _TOP + self._height / 2, up, 'class="axis" text-anchor="middle"'))

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        where = " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)
        self.marks.append(f'<polyline class="{kind}" points="{where}"/>')

    def bar(self, left: float, right: float, bottom: float, top: float, kind: str, title: str) -> None:
        x, y = self.x(left) + 1, self.y(max(top, bottom))
        width, height = max(1.0, self.x(right) - x - 1), abs(self.y(bottom) - self.y(top))
        self.marks.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:.4g}" height="{height:.4g}">'
            f"<title>{escape(title)}</title></rect>"
        )

    def text(self, x: float, y: float, words: str, anchor: str, kind: str = "tick") -> None:
        self.marks.append(f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>')


def reliability_plot(bins: Sequence[Bin]) -> str:
    """Share of right answers over probability, the gap to the diagonal, and how many photos each bar stands for."""
    plane = _Plane(0, 1, _HEIGHT - _TOP - _BOTTOM - _COUNTS)
    plane.frame("probability", "share of right answers", [(value, f"{value:g}") for value in _TICKS])
    most = max((one.count for one in bins), default=1)
    for one in bins:
        means = f"probability {one.probability:.3f}, right {one.right:.3f}"
        title = f"{one.low:.2f} to {one.high:.2f}: {one.count} photos, {means}"
        plane.bar(one.low, one.high, 0, one.right, "good", title)
        plane.bar(one.low, one.high, one.right, one.probability, "gap", title)
        left, right = plane.x(one.low) + 1, plane.x(one.high) - 1
        height = max(1.0, (_COUNTS - 14) * one.count / most)
        plane.marks.append(
            f'<rect class="count" x="{left:g}" y="{_HEIGHT - _BOTTOM - height:.5g}" width="{right - left:.4g}" '
            f'height="{height:.4g}"><title>{escape(title)}</title></rect>'
        )
    plane.line([(0, 0), (1, 1)], "ideal")
    return _svg(plane.marks, "Reliability diagram")


def coverage_plot(points: Sequence[tuple[float, float]]) -> str:
    """Share of right answers over the share of photos that are answered, surest first."""
    low = min([0.9, *(right for covered, right in points if covered > 0.02)])
    low = max(0.0, int(low * 10 - 0.001) / 10)
    plane = _Plane(low, 1)
    ticks = [low + (1 - low) * value for value in _TICKS]
    plane.frame(
        "share of photos answered, the surest first", "share of right answers", [(at, f"{at:.3g}") for at in ticks]
    )
    shown = [(covered, max(low, right)) for covered, right in points]
    plane.line([(0, shown[0][1]), *shown] if shown else [], "curve")
    return _svg(plane.marks, "Accuracy over coverage")


def scores_plot(known: Sequence[float], unknown: Sequence[float], threshold: float | None, bins: int = 25) -> str:
    """How the score lies for known and for unknown photos, each as a share of its own number; and the threshold."""
    shares = [_histogram(scores, bins) for scores in (known, unknown)]
    high = max([0.05, *shares[0], *shares[1]])
    plane = _Plane(0, high)
    plane.frame("score", "share of photos", [(high * value, f"{high * value:.0%}") for value in _TICKS])
    for values, kind, name in zip(shares, ("good", "bad"), ("known", "unknown"), strict=True):
        for place, value in enumerate(values):
            if value:
                title = f"{place / bins:.2f} to {(place + 1) / bins:.2f}: {value:.1%} of {name} photos"
                plane.bar(place / bins, (place + 1) / bins, 0, value, kind, title)
    if threshold is not None:
        plane.line([(threshold, 0), (threshold, high)], "ideal")
        side, anchor = (-6, "end") if threshold > 0.5 else (6, "start")
        plane.text(plane.x(threshold) + side, _TOP + 10, f"rejected below {threshold:.3f}", anchor)
    return _svg(plane.marks, "Scores of known and unknown photos")


def matrix_plot(labels: Sequence[str], counts: Mapping[tuple[str, str], int]) -> str:
    """True labels down, answers across; a cell is as dark as its share of its row, off the diagonal in red."""
    side = min(28.0, max(7.0, _MATRIX / max(1, len(labels))))
    place = {label: number for number, label in enumerate(labels)}
    totals: dict[str, int] = {}
    for (true, _), count in counts.items():
        totals[true] = totals.get(true, 0) + count
    size, end = f"font-size:{min(11.0, side * 0.92):.3g}px", _NAMES + side * len(labels)
    marks = []
    for label, number in place.items():
        at, name = _NAMES + side * (number + 0.5), _shortened(label)
        marks.append(f'<path class="grid" d="M{_NAMES} {at:g}H{end:g}M{at:g} {_NAMES}V{end:g}"/>')
        look = f'class="tick" style="{size}"'
        marks.append(f'<text {look} x="{_NAMES - 6}" y="{at + side * 0.3:g}" text-anchor="end">{escape(name)}</text>')
        marks.append(_upright(at + side * 0.3, _NAMES - 6, name, look))
    for (true, taken), count in counts.items():
        if true not in place or taken not in place:
            continue
        x, y, part = _NAMES + side * place[taken], _NAMES + side * place[true], count / totals[true]
        title = f"{true} taken for {taken}: {count} of {totals[true]}"
        kind = "good" if true == taken else "bad"
        marks.append(
            f'<rect class="{kind} cell" style="opacity:{0.25 + 0.75 * part:.2f}" x="{x + 0.5:g}" y="{y + 0.5:g}" '
            f'width="{side - 1:g}" height="{side - 1:g}"><title>{escape(title)}</title></rect>'
        )
        if side >= _READABLE:
            where = f'x="{x + side / 2:g}" y="{y + side / 2 + 4:g}"'
            marks.append(f'<text class="number" {where} text-anchor="middle">{count}</text>')
    return _svg(marks, "Confusion matrix", end + 4, end + 4)


def _histogram(scores: Sequence[float], bins: int) -> list[float]:
    """The share of scores in each of so many equal parts of 0..1."""
    shares = [0.0] * bins
    for score in scores:
        shares[min(bins - 1, max(0, int(score * bins)))] += 1 / len(scores)
    return shares


def _upright(x: float, y: float, words: str, look: str) -> str:
    """Words that run from the bottom to the top."""
    return f'<text {look} transform="translate({x:g} {y:g}) rotate(-90)">{escape(words)}</text>'


def _shortened(label: str) -> str:
    return label if len(label) <= 22 else f"{label[:21]}…"


def _svg(marks: Sequence[str], name: str, width: float = _WIDTH, height: float = _HEIGHT) -> str:
    inner = "\n".join(marks)
    return f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" aria-label="{name}">\n{inner}\n</svg>'
