"""Headphones and loudspeakers (see families/__init__.py)."""

import math
from dataclasses import dataclass
from typing import Any

from labels import Art, panel
from materials import material
from shapes import box, hoop, lathe, tube
from soft import blob


@dataclass(frozen=True)
class Look:
    """A loudspeaker's surfaces."""

    params: dict[str, Any]
    body: Any
    grille: Any
    cone: Any
    metal: Any
    badge: Any


def headphones(p: dict[str, Any], art: Art) -> None:
    """cup_spec, pad_spec, band_spec, ring_spec, cup (round, oval), slim."""
    cup, pad = material(p["cup_spec"]), material(p.get("pad_spec", "leather:#2a2a2a"))
    band, ring = material(p.get("band_spec", p["cup_spec"])), material(p.get("ring_spec", "metal:#c0c0c0"))
    arc = [(-0.92 * math.cos(t), 0, 0.78 + 1.12 * math.sin(t)) for t in [i * math.pi / 12 for i in range(13)]]
    tube(arc[1:-1], 0.075 if p.get("slim") else 0.11, band, flat=2.2)
    cushion = [(x * 0.92, y, 0.78 + (z - 0.78) * 0.93) for x, y, z in arc[4:-4]]
    tube(cushion, 0.085, pad, flat=2.2)
    tall = 1.25 if p.get("cup") == "oval" else 1.0
    for sign in (-1, 1):
        tube([(sign * 0.89, 0, 1.1), (sign * 0.97, 0, 0.85), (sign * 0.98, 0, 0.55)], 0.04, ring)
        shell = lathe([(0, 0.1), (0.4, 0.1), (0.46, 0.12, 0.03), (0.44, 0.3, 0.1), (0.26, 0.36, 0.05), (0, 0.36)], cup)
        trim = lathe([(0.3, 0.352), (0.31, 0.37, 0.01), (0.27, 0.375, 0.01), (0.26, 0.355)], ring)
        disc = lathe([(0.26, 0.362), (0.25, 0.366), (0, 0.367)], material(f"plastic:{art.paper}"))
        soft = lathe(
            [(0.2, -0.06), (0.3, -0.1, 0.05), (0.44, -0.06, 0.08), (0.46, 0.06, 0.08), (0.42, 0.1), (0.2, 0.1)], pad
        )
        for part in (shell, trim, disc, soft):
            part.rotation_euler = (0, math.radians(90 * sign), 0)
            part.location = (sign * 0.72, 0, 0.55)
            part.scale = (tall, 1, 1)


def speaker(p: dict[str, Any], art: Art) -> None:
    """kind (bookshelf, can, retro, smart, bar), body_spec, grille_spec, cone, strap."""
    look = Look(
        params=p,
        body=material(p["body_spec"]),
        grille=material(p.get("grille_spec", "knit:#333333")),
        cone=material(p.get("cone", "matt:#1c1c1c")),
        metal=material(p.get("metal", "metal:#c9c9c9")),
        badge=material("metal:#ffffff", panel(art, 600, 200)),
    )
    kinds = {"bookshelf": _bookshelf, "can": _can, "retro": _retro, "smart": _smart, "bar": _bar}
    kinds[p["kind"]](look)


def _driver(x: float, y: float, z: float, radius: float, cone: Any, ring: Any) -> None:
    outer = lathe([(radius * 1.12, 0), (radius * 1.12, 0.04, 0.02), (radius, 0.05, 0.02), (radius * 0.95, 0.0)], ring)
    inner = lathe(
        [
            (radius * 0.97, 0.02),
            (radius * 0.88, 0.045, 0.02),
            (radius * 0.78, 0.02, 0.02),
            (radius * 0.3, -0.07, 0.02),
            (radius * 0.26, -0.02, 0.05),
            (0, 0.0),
        ],
        cone,
    )
    for part in (outer, inner):
        part.rotation_euler, part.location = (math.radians(90), 0, 0), (x, y, z)


def _badge(x: float, y: float, z: float, wide: float, badge: Any) -> None:
    box((wide, 0.02, wide / 3), (x, y, z), badge, bevel=0.004, faces={"front": badge})


def _bookshelf(look: Look) -> None:
    box((1.1, 0.95, 1.75), (0, 0, 0.875), look.body, bevel=0.04)
    box((1.0, 0.03, 1.65), (0, -0.48, 0.875), material(look.params.get("front_spec", "matt:#1b1b1b")), bevel=0.01)
    _driver(0, -0.49, 0.62, 0.36, look.cone, look.metal)
    _driver(0, -0.49, 1.28, 0.18, look.cone, look.metal)
    _badge(0, -0.5, 0.13, 0.36, look.badge)


def _can(look: Look) -> None:
    lathe([(0, 0), (0.4, 0), (0.46, 0.08, 0.05), (0.46, 0.14)], look.body)
    lathe([(0.45, 0.13), (0.47, 0.16, 0.02), (0.47, 1.42, 0.02), (0.45, 1.45)], look.grille)
    lathe([(0.46, 1.44), (0.46, 1.5, 0.04), (0.38, 1.56, 0.03), (0.32, 1.54), (0, 1.54)], look.body)
    _badge(0, -0.475, 0.42, 0.42, look.badge)
    if "strap" in look.params:
        tube(
            [(0.44, 0, 1.48), (0.62, 0, 1.4), (0.64, 0, 1.1), (0.5, 0, 0.98)],
            0.03,
            material(f"rubber:{look.params['strap']}"),
            flat=2.5,
        )


def _retro(look: Look) -> None:
    box((1.9, 0.8, 1.1), (0, 0, 0.6), look.body, bevel=0.1, steps=5)
    box((1.15, 0.04, 0.86), (-0.3, -0.395, 0.6), look.grille, bevel=0.02)
    for z in (0.85, 0.42):
        knob = lathe([(0, 0), (0.16, 0), (0.15, 0.12, 0.03), (0, 0.125)], look.metal)
        knob.rotation_euler, knob.location = (math.radians(90), 0, 0), (0.6, -0.39, z)
    _badge(-0.3, -0.43, 0.28, 0.5, look.badge)
    tube(
        [(-0.75, 0, 1.14), (-0.7, 0, 1.4), (0.7, 0, 1.4), (0.75, 0, 1.14)],
        0.045,
        material(look.params.get("strap_spec", "leather:#7a4a2b")),
        flat=2,
    )
    for x in (-0.75, 0.75):
        lathe([(0, 0), (0.07, 0), (0.08, 0.07), (0, 0.07)], look.metal).location = (x, -0.2, 0)


def _smart(look: Look) -> None:
    blob((1.3, 1.3, 1.12), (0, 0, 0.54), look.grille, power=2.5)
    lathe([(0, 0), (0.36, 0), (0.4, 0.05, 0.03), (0, 0.05)], look.body)
    lathe([(0.42, 1.02), (0.4, 1.1, 0.04), (0.3, 1.11), (0, 1.1)], look.body)
    hoop(0.38, 1.085, 0.016, material("glow:#6fc7ff"))
    _badge(0, -0.64, 0.36, 0.36, look.badge)


def _bar(look: Look) -> None:
    side = lathe(
        [
            (0, 0),
            (0.38, 0),
            (0.42, 0.06, 0.04),
            (0.42, 0.12),
            (0.4, 0.14),
            (0.4, 1.76),
            (0.42, 1.78),
            (0.42, 1.84, 0.04),
            (0.38, 1.9),
            (0, 1.9),
        ],
        look.grille,
    )
    ends = [lathe([(0.43, 0), (0.44, 0.02, 0.02), (0.44, 0.16, 0.02), (0.43, 0.18)], look.body) for _ in range(2)]
    side.rotation_euler, side.location = (0, math.radians(90), 0), (-0.95, 0, 0.46)
    for end, x in zip(ends, (-0.97, 0.79), strict=True):
        end.rotation_euler, end.location = (0, math.radians(90), 0), (x, 0, 0.46)
    for x in (-1.0, 1.0):
        _driver_cap(x, look.cone)
    _badge(0, -0.41, 0.46, 0.6, look.badge)
    for x in (-0.5, 0.5):
        box((0.2, 0.5, 0.08), (x, 0, 0.04), look.body, bevel=0.02)


def _driver_cap(x: float, cone: Any) -> None:
    cap = lathe([(0.4, 0), (0.34, 0.03, 0.03), (0.12, 0.0, 0.05), (0, 0.04)], cone)
    cap.rotation_euler, cap.location = (0, math.radians(90 if x > 0 else -90), 0), (x * 0.96, 0, 0.46)
