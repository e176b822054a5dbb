"""Drawings for print: little motifs and repeating patterns, in Pillow, used by labels.py.

All shapes are drawn in a unit square and scaled, so that a motif looks the same on a tea box and on a cushion.
"""

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

Points = list[tuple[float, float]]
Draw = ImageDraw.ImageDraw


class Pen:
    """Draws unit-square shapes (y downwards) into a square part of a picture."""

    def __init__(self, draw: Draw, x: float, y: float, size: float, ink: str, paper: str) -> None:
        self.draw, self.x, self.y, self.size, self.ink, self.paper = draw, x, y, size, ink, paper

    def _at(self, points: Points) -> Points:
        return [(self.x + px * self.size, self.y + py * self.size) for px, py in points]

    def shape(self, points: Points, paper: bool = False) -> None:
        self.draw.polygon(self._at(points), fill=self.paper if paper else self.ink)

    def disc(self, x: float, y: float, r: float, paper: bool = False, stretch: float = 1.0) -> None:
        box = self._at([(x - r, y - r * stretch), (x + r, y + r * stretch)])
        self.draw.ellipse([*box[0], *box[1]], fill=self.paper if paper else self.ink)

    def line(self, points: Points, width: float = 0.04, paper: bool = False) -> None:
        fill = self.paper if paper else self.ink
        self.draw.line(self._at(points), fill=fill, width=max(1, int(width * self.size)), joint="curve")


def _ring(x: float, y: float, radius: float, count: int, turn: float = 0.0) -> Points:
    return [
        (x + radius * math.sin(turn + 2 * math.pi * i / count), y - radius * math.cos(turn + 2 * math.pi * i / count))
        for i in range(count)
    ]


def _blade(x0: float, y0: float, x1: float, y1: float, width: float) -> Points:
    """A leaf from one point to another."""
    dx, dy = x1 - x0, y1 - y0
    left, right = [], []
    for i in range(13):
        t = i / 12
        swell = width * math.sin(math.pi * t) ** 0.8 if 0 < t < 1 else 0
        left.append((x0 + dx * t - dy * swell, y0 + dy * t + dx * swell))
        right.append((x0 + dx * t + dy * swell, y0 + dy * t - dx * swell))
    return left + right[::-1]


def leaf(pen: Pen) -> None:
    pen.line([(0.5, 1.0), (0.5, 0.15)], 0.03)
    for i in range(4):
        y = 0.85 - i * 0.19
        pen.shape(_blade(0.5, y, 0.12 + i * 0.05, y - 0.24, 0.22))
        pen.shape(_blade(0.5, y, 0.88 - i * 0.05, y - 0.24, 0.22))
    pen.shape(_blade(0.5, 0.25, 0.5, 0.0, 0.2))


def sun(pen: Pen) -> None:
    for outer, inner in zip(_ring(0.5, 0.5, 0.48, 12), _ring(0.5, 0.5, 0.34, 12), strict=True):
        pen.line([inner, outer], 0.05)
    pen.disc(0.5, 0.5, 0.27)


def mountain(pen: Pen) -> None:
    pen.disc(0.72, 0.26, 0.12)
    pen.shape([(0.0, 0.9), (0.38, 0.2), (0.62, 0.6), (0.72, 0.45), (1.0, 0.9)])
    pen.shape([(0.38, 0.2), (0.28, 0.4), (0.35, 0.36), (0.4, 0.44), (0.47, 0.36)], paper=True)


def wave(pen: Pen) -> None:
    for row in range(4):
        y = 0.24 + row * 0.18
        pen.line([(i / 24, y + 0.06 * math.sin(i / 24 * 4 * math.pi + row)) for i in range(25)], 0.06)


def star(pen: Pen) -> None:
    outer, inner = _ring(0.5, 0.52, 0.5, 5), _ring(0.5, 0.52, 0.21, 5, math.pi / 5)
    pen.shape([p for pair in zip(outer, inner, strict=True) for p in pair])


def fish(pen: Pen) -> None:
    pen.shape(_blade(0.0, 0.5, 0.82, 0.5, 0.24))
    pen.shape([(0.72, 0.5), (1.0, 0.28), (0.94, 0.5), (1.0, 0.72)])
    pen.disc(0.17, 0.46, 0.035, paper=True)
    pen.line([(0.3, 0.36), (0.34, 0.5), (0.3, 0.64)], 0.03, paper=True)


def citrus(pen: Pen) -> None:
    pen.disc(0.5, 0.5, 0.48)
    pen.disc(0.5, 0.5, 0.42, paper=True)
    pen.disc(0.5, 0.5, 0.38)
    for point in _ring(0.5, 0.5, 0.38, 8):
        pen.line([(0.5, 0.5), point], 0.04, paper=True)


def bee(pen: Pen) -> None:
    pen.disc(0.32, 0.32, 0.19, stretch=0.75)
    pen.disc(0.68, 0.32, 0.19, stretch=0.75)
    pen.disc(0.5, 0.6, 0.22, stretch=1.5)
    for y in (0.48, 0.62, 0.76):
        pen.line([(0.3, y), (0.7, y)], 0.06, paper=True)


def cup(pen: Pen) -> None:
    pen.shape([(0.15, 0.4), (0.72, 0.4), (0.66, 0.8), (0.56, 0.88), (0.31, 0.88), (0.21, 0.8)])
    pen.line([(0.7, 0.48), (0.88, 0.5), (0.86, 0.66), (0.68, 0.7)], 0.06)
    for x in (0.32, 0.44, 0.56):
        pen.line([(x, 0.32), (x + 0.04, 0.22), (x - 0.02, 0.14), (x + 0.03, 0.05)], 0.04)


def flower(pen: Pen) -> None:
    for point in _ring(0.5, 0.5, 0.29, 7):
        pen.disc(*point, 0.18)
    pen.disc(0.5, 0.5, 0.16, paper=True)
    pen.disc(0.5, 0.5, 0.1)


def tree(pen: Pen) -> None:
    pen.line([(0.5, 1.0), (0.5, 0.7)], 0.08)
    for top, width in ((0.0, 0.22), (0.22, 0.32), (0.45, 0.42)):
        pen.shape([(0.5, top), (0.5 + width, top + 0.35), (0.5 - width, top + 0.35)])


def moon(pen: Pen) -> None:
    pen.disc(0.48, 0.5, 0.44)
    pen.disc(0.64, 0.42, 0.38, paper=True)
    pen.disc(0.74, 0.3, 0.05)


def house(pen: Pen) -> None:
    pen.shape([(0.5, 0.08), (0.95, 0.5), (0.82, 0.5), (0.82, 0.92), (0.18, 0.92), (0.18, 0.5), (0.05, 0.5)])
    pen.shape([(0.42, 0.92), (0.42, 0.62), (0.58, 0.62), (0.58, 0.92)], paper=True)


def boat(pen: Pen) -> None:
    pen.shape([(0.05, 0.68), (0.95, 0.68), (0.78, 0.9), (0.22, 0.9)])
    pen.shape([(0.48, 0.08), (0.48, 0.62), (0.12, 0.62)])
    pen.shape([(0.54, 0.2), (0.54, 0.62), (0.86, 0.62)])


def cat(pen: Pen) -> None:
    pen.disc(0.5, 0.56, 0.38, stretch=0.9)
    pen.shape([(0.14, 0.5), (0.17, 0.08), (0.48, 0.3)])
    pen.shape([(0.86, 0.5), (0.83, 0.08), (0.52, 0.3)])
    pen.disc(0.36, 0.52, 0.05, paper=True)
    pen.disc(0.64, 0.52, 0.05, paper=True)
    pen.shape([(0.46, 0.66), (0.54, 0.66), (0.5, 0.72)], paper=True)


def wheat(pen: Pen) -> None:
    pen.line([(0.5, 1.0), (0.5, 0.2)], 0.025)
    for i in range(5):
        y = 0.72 - i * 0.14
        pen.shape(_blade(0.5, y, 0.3, y - 0.2, 0.26))
        pen.shape(_blade(0.5, y, 0.7, y - 0.2, 0.26))


MOTIFS: dict[str, Callable[[Pen], None]] = {
    f.__name__: f
    for f in (leaf, sun, mountain, wave, star, fish, citrus, bee, cup, flower, tree, moon, house, boat, cat, wheat)
}


def motif(draw: Draw, name: str, x: float, y: float, size: float, ink: str, paper: str) -> None:
    """Draw a motif centred at a point."""
    MOTIFS[name](Pen(draw, x - size / 2, y - size / 2, size, ink, paper))


def _dots(draw: Draw, w: int, h: int, ink: str, unit: float) -> None:
    for row in range(int(h / unit) + 2):
        for col in range(int(w / unit) + 2):
            x, y = (col + 0.5 * (row % 2)) * unit, row * unit
            draw.ellipse([x - unit * 0.22, y - unit * 0.22, x + unit * 0.22, y + unit * 0.22], fill=ink)


def _bars(draw: Draw, w: int, h: int, ink: str, unit: float, upright: bool, share: float = 0.5) -> None:
    for i in range(int((w if upright else h) / unit) + 1):
        a, b = i * unit, (i + share) * unit
        draw.rectangle([a, 0, b, h] if upright else [0, a, w, b], fill=ink)


def _zigzag(draw: Draw, w: int, h: int, ink: str, unit: float, curved: bool) -> None:
    step = max(2, int(unit / 16)) if curved else int(unit / 2)
    for row in range(-1, int(h / unit) + 2):
        line = []
        for i in range(int(w / step) + 2):
            swing = math.sin(2 * math.pi * i * step / unit) if curved else (i % 2) * 2 - 1
            line.append((i * step, row * unit + swing * unit * 0.25))
        draw.line(line, fill=ink, width=int(unit * 0.3), joint="curve")


def _scatter(draw: Draw, w: int, h: int, inks: list[str], unit: float, rng: random.Random, angular: bool) -> None:
    for _ in range(int(w * h / unit**2 * 2)):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), unit * rng.uniform(0.1, 0.4)
        if angular:
            points = [
                (x + r * rng.uniform(0.5, 1) * math.cos(a), y + r * rng.uniform(0.5, 1) * math.sin(a))
                for a in (0.2, 1.4, 2.6, 3.9, 5.2)
            ]
            draw.polygon(points, fill=rng.choice(inks))
        else:
            draw.ellipse([x - r / 3, y - r / 3, x + r / 3, y + r / 3], fill=rng.choice(inks))


def _triangles(draw: Draw, w: int, h: int, inks: list[str], unit: float, rng: random.Random) -> None:
    for row in range(int(h / unit) + 1):
        for col in range(int(w / unit) + 1):
            x, y, corner = col * unit, row * unit, rng.randrange(4)
            corners = [(x, y), (x + unit, y), (x + unit, y + unit), (x, y + unit)]
            draw.polygon([c for i, c in enumerate(corners) if i != corner], fill=rng.choice(inks))


def _arches(draw: Draw, w: int, h: int, inks: list[str], unit: float) -> None:
    for row in range(int(h / unit * 2) + 3):
        for col in range(int(w / unit) + 2):
            x, y = (col - 0.5 * (row % 2)) * unit, (row * 0.5 - 0.5) * unit
            for i, share in enumerate((0.5, 0.36, 0.22)):
                r = share * unit
                box = [x + unit / 2 - r, y + unit / 2 - r, x + unit / 2 + r, y + unit / 2 + r]
                draw.ellipse(box, fill=inks[i % len(inks)])


def _repeat(draw: Draw, w: int, h: int, name: str, ink: str, paper: str, unit: float) -> None:
    for row in range(int(h / unit) + 2):
        for col in range(int(w / unit) + 2):
            motif(draw, name, (col + 0.5 * (row % 2)) * unit, (row + 0.3) * unit, unit * 0.62, ink, paper)


def pattern(
    draw: Draw, kind: str, w: int, h: int, paper: str, inks: list[str], unit: float, name: str, seed: int
) -> None:
    """Fill a w x h picture with a repeating pattern; `unit` is the size of one repeat in pixels."""
    rng = random.Random(seed)
    draw.rectangle([0, 0, w, h], fill=paper)
    if kind == "dots":
        _dots(draw, w, h, inks[0], unit)
    elif kind in ("stripes", "pinstripes", "hoops"):
        _bars(draw, w, h, inks[0], unit, kind != "hoops", 0.12 if kind == "pinstripes" else 0.5)
    elif kind == "check":
        _bars(draw, w, h, inks[0], unit, upright=True)
        _bars(draw, w, h, inks[1], unit, upright=False, share=0.22)
    elif kind in ("zigzag", "waves"):
        _zigzag(draw, w, h, inks[0], unit, kind == "waves")
    elif kind in ("terrazzo", "speckle"):
        _scatter(draw, w, h, inks, unit, rng, kind == "terrazzo")
    elif kind == "triangles":
        _triangles(draw, w, h, [paper, *inks], unit, rng)
    elif kind == "arches":
        _arches(draw, w, h, [inks[0], paper, inks[1]], unit)
    elif kind == "halves":
        draw.rectangle([0, h * 0.58, w, h], fill=inks[0])
    elif kind == "bands":
        for low, high, ink in ((0.12, 0.2, inks[0]), (0.24, 0.27, inks[1]), (0.8, 0.88, inks[0])):
            draw.rectangle([0, h * low, w, h * high], fill=ink)
    elif kind == "motifs":
        _repeat(draw, w, h, name, inks[0], paper, unit)


def picture(w: int, h: int, paper: str) -> tuple[Image.Image, Draw]:
    """An empty picture and what draws in it."""
    image = Image.new("RGB", (max(1, w), max(1, h)), paper)
    return image, ImageDraw.Draw(image)
