"""Chairs and stools from seats, legs and backs (see families/__init__.py)."""

import math
from typing import Any

from labels import Art, panel
from materials import material
from shapes import box, hoop, lathe, prism, smooth_outline, tube
from soft import blob


def chair(p: dict[str, Any], art: Art) -> None:
    """kind (stool, bar, dining, shell, armchair, bench), seat_spec, leg_spec, back_spec."""
    seat = material(p["seat_spec"], panel(art, 512, 512) if art.pattern != "solid" else None)
    legs = material(p.get("leg_spec", "wood:#b98a5a"))
    back = material(p.get("back_spec", p["seat_spec"]))
    kinds = {"stool": _stool, "bar": _stool, "dining": _dining, "shell": _shell, "armchair": _armchair, "bench": _bench}
    kinds[p["kind"]](p, seat, legs, back)


def _legs(top: float, spread: float, at: float, count: int, surface: Any, radius: float = 0.04) -> None:
    for i in range(count):
        a = math.pi / count + 2 * math.pi * i / count
        foot = (spread * math.cos(a), spread * math.sin(a), 0.0)
        tube(
            [foot, (at * math.cos(a), at * math.sin(a), top)], lambda t: radius * (0.7 + 0.4 * t), surface, curve=False
        )


def _stool(p: dict[str, Any], seat: Any, legs: Any, back: Any) -> None:
    high, radius, count = (1.6, 0.42, 4) if p["kind"] == "bar" else (1.0, 0.45, p.get("legs", 3))
    if p.get("padded"):
        lathe(
            [
                (0, high),
                (radius, high),
                (radius + 0.03, high + 0.08, 0.06),
                (radius - 0.02, high + 0.17, 0.06),
                (0, high + 0.18),
            ],
            seat,
        )
        lathe([(0, high - 0.05), (radius - 0.03, high - 0.05), (radius - 0.03, high + 0.01)], legs)
    else:
        lathe(
            [
                (0, high),
                (radius - 0.03, high),
                (radius, high + 0.03, 0.02),
                (radius, high + 0.09, 0.03),
                (0, high + 0.075),
            ],
            seat,
        )
    _legs(high, radius * 1.12, radius * 0.62, count, legs)
    ring = radius * 0.98
    turns = [math.pi / count + 2 * math.pi * i / count for i in range(count)]
    if p["kind"] == "bar":
        hoop(ring, 0.5, 0.028, legs)
    else:
        for a, b in zip(turns, turns[1:] + turns[:1], strict=True):
            r = ring * 0.94
            tube(
                [(r * math.cos(a), r * math.sin(a), 0.32), (r * math.cos(b), r * math.sin(b), 0.32)],
                0.025,
                legs,
                curve=False,
            )


def _square_legs(w: float, d: float, top: float, surface: Any, size: float = 0.085) -> None:
    for x in (-1, 1):
        for y in (-1, 1):
            tube(
                [(x * w * 0.53, y * d * 0.55, 0), (x * w * 0.45, y * d * 0.42, top)],
                lambda t: size * (0.35 + 0.25 * t),
                surface,
                curve=False,
            )


def _dining(p: dict[str, Any], seat: Any, legs: Any, back: Any) -> None:
    box((1.0, 0.95, 0.1), (0, 0, 1.0), seat, bevel=0.045, steps=4)
    _square_legs(1.0, 0.95, 0.97, legs)
    for x in (-0.43, 0.43):
        tube([(x, 0.42, 0.97), (x * 1.02, 0.5, 1.5), (x * 1.04, 0.62, 2.05)], 0.045, legs)
    if p.get("back") == "slats":
        for i in range(5):
            x = -0.32 + 0.16 * i
            tube([(x, 0.44, 1.02), (x, 0.5, 1.5), (x, 0.61, 1.98)], 0.025, legs)
        tube([(-0.46, 0.6, 2.02), (0, 0.68, 2.05), (0.46, 0.6, 2.02)], 0.055, back, flat=0.6)
    else:
        for z, y in ((1.9, 0.58), (1.5, 0.5)):
            tube([(-0.46, y, z), (0, y + 0.08, z + 0.02), (0.46, y, z)], 0.085, back, flat=0.4)


def _shell(p: dict[str, Any], seat: Any, legs: Any, back: Any) -> None:
    outline = smooth_outline(
        [
            (-0.46, 1.05),
            (-0.3, 0.95),
            (0.3, 0.95),
            (0.46, 1.05),
            (0.52, 1.6),
            (0.4, 1.98),
            (0, 2.06),
            (-0.4, 1.98),
            (-0.52, 1.6),
        ],
        6,
    )
    prism(outline, 0.06, (0, 0.42, 0), back, bevel=0.025, turn=(0, 0, 0))
    blob((1.06, 1.05, 0.18), (0, -0.02, 0.98), seat, power=3.2)
    if p.get("base") == "pedestal":
        lathe([(0, 0), (0.45, 0), (0.46, 0.03, 0.02), (0.07, 0.14, 0.15), (0.06, 0.92), (0, 0.92)], legs)
    else:
        _square_legs(0.8, 0.8, 0.95, legs, 0.08)


def _armchair(p: dict[str, Any], seat: Any, legs: Any, back: Any) -> None:
    box((1.3, 1.1, 0.32), (0, 0, 0.55), seat, bevel=0.12, steps=5)
    box((1.05, 0.95, 0.26), (0, -0.06, 0.8), back, bevel=0.11, steps=5)
    box((1.34, 0.3, 1.1), (0, 0.5, 1.05), seat, bevel=0.13, turn=(-8, 0, 0), steps=5)
    for x in (-0.66, 0.66):
        box((0.26, 1.12, 0.72), (x, 0.0, 0.76), seat, bevel=0.11, steps=5)
    _square_legs(1.15, 0.95, 0.42, legs, 0.1)


def _bench(p: dict[str, Any], seat: Any, legs: Any, back: Any) -> None:
    box((2.0, 0.75, 0.12), (0, 0, 0.9), seat, bevel=0.03)
    for x in (-0.8, 0.8):
        box((0.1, 0.62, 0.86), (x, 0, 0.43), legs, bevel=0.02)
    box((1.6, 0.06, 0.12), (0, 0, 0.5), legs, bevel=0.02)
