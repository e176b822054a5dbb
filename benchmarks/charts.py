"""Two plots as SVG, for the files beside the figures: bars with their numbers, and lines over a logarithmic axis.

Black on white, since the files are looked at alone; the figures themselves stand in the JSON.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#4a5568")
_BAR, _NAMES, _WIDTH = 26, 230, 720


def bars(title: str, values: Mapping[str, float], unit: str = "") -> str:
    """A bar for each value, the number at its end."""
    most = max([*values.values(), 1e-9])
    marks = [_text(_NAMES, 20, title, "bold")]
    for row, (name, value) in enumerate(values.items()):
        y, width = 34 + row * _BAR, (_WIDTH - _NAMES - 110) * value / most
        marks.append(_text(_NAMES - 8, y + 14, name, anchor="end"))
        marks.append(f'<rect x="{_NAMES}" y="{y}" width="{width:.1f}" height="18" fill="{_COLOURS[0]}"/>')
        marks.append(_text(_NAMES + width + 6, y + 14, f"{value:.3g} {unit}".strip()))
    return _svg(marks, _WIDTH, 44 + _BAR * len(values))


def lines(title: str, curves: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> str:
    """Curves of (x, y), both on logarithmic axes, with a dot for each measurement."""
    points = [point for curve in curves.values() for point in curve]
    low_x, high_x = _decades([x for x, _ in points])
    low_y, high_y = _decades([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            70 + 420 * (math.log10(x) - low_x) / (high_x - low_x),
            310 - 270 * (math.log10(y) - low_y) / (high_y - low_y),
        )

    marks = [_text(70, 20, title, "bold"), _text(280, 350, across, anchor="middle"), _text(70, 34, up)]
    for power in range(low_y, high_y + 1):
        y = place(10**low_x, 10**power)[1]
        marks += [f'<path d="M70 {y:.1f}H490" stroke="#ddd"/>', _text(62, y + 4, f"{10.0**power:g}", anchor="end")]
    for power in range(low_x, high_x + 1):
        marks.append(_text(place(10**power, 10**low_y)[0], 328, f"{10**power:,.0f}", anchor="middle"))
    for number, (name, curve) in enumerate(curves.items()):
        colour, placed = _COLOURS[number % len(_COLOURS)], [place(*point) for point in curve]
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        marks.append(f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        marks.append(f'<rect x="510" y="{46 + 22 * number}" width="12" height="12" fill="{colour}"/>')
        marks.append(_text(528, 57 + 22 * number, name))
    return _svg(marks, _WIDTH, 360)


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))


def _text(x: float, y: float, words: str, weight: str = "normal", anchor: str = "start") -> str:
    look = f'font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{escape(words)}</text>'


def _svg(marks: Sequence[str], width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    inner = "\n".join(['<rect width="100%" height="100%" fill="white"/>', *marks])
    return f'{head} font-family="sans-serif" font-size="13">\n{inner}\n</svg>\n'
