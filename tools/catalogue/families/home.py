"""Lamps, vases and planters, candles, clocks, cushions (see families/__init__.py)."""

import math
import random
from typing import Any

from labels import Art, clock_face, panel, wrap
from materials import material
from shapes import box, label, lathe, prism, tube
from soft import blob, pillow


def lamp(p: dict[str, Any], art: Art) -> None:
    """kind (table, mushroom, arm, globe, tripod), base_spec, shade, shade_spec."""
    base, shade = material(p.get("base_spec", "ceramic:#7b8f86")), material(p.get("shade_spec", "shade:#f0dfbd"))
    metal = material(p.get("metal", "metal:#b8923f"))
    {"table": _table_lamp, "mushroom": _mushroom, "arm": _arm_lamp, "globe": _globe, "tripod": _tripod}[p["kind"]](
        p, base, shade, metal
    )


def _shade(low: float, high: float, z: float, height: float, surface: Any) -> None:
    lathe(
        [
            (low - 0.015, z + 0.01),
            (low, z, 0.01),
            (high, z + height, 0.01),
            (high - 0.015, z + height - 0.01),
            (low - 0.02, z + 0.02),
        ],
        surface,
        rounding=0.005,
    )


def _table_lamp(p: dict[str, Any], base: Any, shade: Any, metal: Any) -> None:
    belly = p.get("belly", 0.42)
    lathe([(0, 0), (0.3, 0), (0.3, 0.05, 0.02), (belly, 0.42, 0.35), (0.12, 0.98, 0.2), (0.09, 1.06), (0, 1.06)], base)
    lathe([(0.05, 1.05), (0.05, 1.3), (0, 1.3)], metal)
    _shade(p.get("low", 0.72), p.get("high", 0.5), 1.22, p.get("tall", 0.72), shade)
    lathe([(0, 1.0), (0.02, 1.0), (0.02, 2.0), (0, 2.0)], metal)


def _mushroom(p: dict[str, Any], base: Any, shade: Any, metal: Any) -> None:
    lathe([(0, 0), (0.4, 0), (0.42, 0.05, 0.03), (0.2, 0.3, 0.2), (0.18, 0.9), (0, 0.9)], base)
    lathe([(0.72, 0.84), (0.76, 0.86, 0.02), (0.7, 1.25, 0.25), (0.3, 1.5, 0.25), (0, 1.53)], shade, rounding=0.1)
    lathe([(0.76, 0.83), (0.765, 0.87, 0.01), (0.7, 0.87), (0.7, 0.84)], metal)


def _arm_lamp(p: dict[str, Any], base: Any, shade: Any, metal: Any) -> None:
    lathe([(0, 0), (0.45, 0), (0.45, 0.07, 0.03), (0, 0.09)], base)
    tube([(0.0, 0, 0.08), (-0.35, 0, 1.1)], 0.035, metal, curve=False)
    tube([(-0.35, 0, 1.1), (0.5, 0, 1.75)], 0.035, metal, curve=False)
    blob((0.14, 0.16, 0.14), (-0.35, 0, 1.1), base)
    blob((0.12, 0.14, 0.12), (0.5, 0, 1.75), base)
    head = lathe(
        [(0.38, 0), (0.4, 0.02, 0.01), (0.3, 0.3, 0.2), (0.12, 0.46, 0.06), (0.1, 0.58, 0.03), (0, 0.58)], shade
    )
    head.location, head.rotation_euler = (0.68, -0.06, 1.26), (math.radians(-12), math.radians(-18), 0)


def _globe(p: dict[str, Any], base: Any, shade: Any, metal: Any) -> None:
    box((0.8, 0.8, 0.22), (0, 0, 0.11), base, bevel=0.04)
    lathe([(0.2, 0.22), (0.2, 0.3, 0.02), (0, 0.3)], metal)
    blob((1.05, 1.05, 1.05), (0, 0, 0.78), shade)


def _tripod(p: dict[str, Any], base: Any, shade: Any, metal: Any) -> None:
    for i in range(3):
        a = math.radians(30 + 120 * i)
        tube(
            [(0.55 * math.cos(a), 0.55 * math.sin(a), 0.0), (0.06 * math.cos(a), 0.06 * math.sin(a), 1.1)],
            lambda t: 0.035 + 0.02 * t,
            base,
            curve=False,
        )
    lathe([(0, 1.05), (0.13, 1.05), (0.13, 1.14, 0.02), (0, 1.14)], metal)
    _shade(p.get("low", 0.62), p.get("high", 0.62), 1.12, p.get("tall", 0.7), shade)


VASES = {
    "bottle": [
        (0, 0),
        (0.36, 0),
        (0.46, 0.3, 0.25),
        (0.36, 0.85, 0.3),
        (0.12, 1.15, 0.2),
        (0.12, 1.55, 0.1),
        (0.17, 1.66),
    ],
    "urn": [(0, 0), (0.26, 0), (0.28, 0.08, 0.05), (0.58, 0.75, 0.4), (0.3, 1.2, 0.2), (0.36, 1.32)],
    "cylinder": [(0, 0), (0.36, 0), (0.38, 0.05, 0.03), (0.38, 1.35)],
    "gourd": [
        (0, 0),
        (0.36, 0),
        (0.55, 0.4, 0.3),
        (0.24, 0.8, 0.16),
        (0.33, 1.05, 0.16),
        (0.17, 1.3, 0.1),
        (0.2, 1.42),
    ],
    "pot": [(0, 0), (0.4, 0), (0.42, 0.03), (0.56, 0.8, 0.02), (0.6, 0.8, 0.01), (0.61, 0.98)],
    "bowl": [(0, 0), (0.34, 0), (0.36, 0.03), (0.66, 0.45, 0.3), (0.6, 0.75)],
}


def vase(p: dict[str, Any], art: Art) -> None:
    """shape, finish, body, plant (stems, cactus, leafy, none), plant_colour."""
    line = VASES[p["shape"]]
    finish, body, top = p.get("finish", "stoneware"), p["body"], line[-1][1]
    ratio = top / (6.28 * max(r for r, *_ in line))
    printed = material(f"{finish}:{body}", wrap(art, 1024, int(1024 * ratio), 0.3))
    rim = line[-1][0]
    lathe(line, material(f"{finish}:{body}"), wrap=(0.005, top, printed))
    inner = [
        (rim, top),
        (rim, top + 0.02, 0.015),
        (rim - 0.045, top + 0.02, 0.015),
        (rim - 0.05, top - 0.1),
        (0, top - 0.12),
    ]
    earth = p.get("plant", "none") not in ("none", "stems")
    lathe(inner, material("clay:#4a3628" if earth else f"{finish}:{body}"))
    lathe(inner[:4], material(f"{finish}:{body}"))
    _plant(p.get("plant", "none"), rim, top, p.get("plant_colour", "#4f7a45"), random.Random(p["shape"] + body))


def _plant(kind: str, rim: float, z: float, colour: str, rng: random.Random) -> None:
    green = material(f"leaf:{colour}")
    if kind == "cactus":
        for i in range(5):
            a, r = i * 2.4, 0.0 if i == 0 else rim * 0.55
            blob(
                (0.34, 0.34, 0.75 - 0.1 * i), (r * math.cos(a), r * math.sin(a), z + 0.12 - 0.03 * i), green, power=2.6
            )
    elif kind == "stems":
        for i in range(7):
            a, lean = i * 0.9, rng.uniform(0.1, 0.35)
            tip = (lean * math.cos(a), lean * math.sin(a), z + rng.uniform(0.5, 0.8))
            tube([(0, 0, z - 0.1), (tip[0] * 0.4, tip[1] * 0.4, z + 0.25), tip], 0.012, green)
            blob((0.1, 0.1, 0.2), tip, green, turn=(30 * math.sin(a), 30 * math.cos(a), 0))
    elif kind == "leafy":
        for i in range(16):
            a, out = i * 2.4, rim * (0.4 + 0.9 * i / 16)
            at = (out * math.cos(a), out * math.sin(a), z + 0.42 - 0.016 * i)
            blob((0.42, 0.2, 0.04), at, green, turn=(0, -55 + 2.5 * i, math.degrees(a)))


def candle(p: dict[str, Any], art: Art) -> None:
    """kind (glass, tin, pillar, stone), body, wax, lid_spec."""
    kind, wax = p["kind"], material(f"wax:{p.get('wax', '#f3ead6')}")
    radius, height = {"glass": (0.42, 0.92), "tin": (0.5, 0.55), "pillar": (0.38, 1.1), "stone": (0.52, 0.7)}[kind]
    finish = {"glass": "gloss", "tin": "metal", "pillar": "wax", "stone": "stoneware"}[kind]
    if kind == "pillar":
        printed = material(f"wax:{p['body']}", wrap(art, 1024, int(1024 * height / (6.28 * radius)), 0.28))
        lathe(
            [(0, 0), (radius, 0), (radius, height, 0.06), (radius * 0.85, height - 0.01, 0.02), (0, height - 0.05)],
            material(f"wax:{p['body']}"),
            wrap=(0.01, height - 0.07, printed),
        )
    else:
        body = material(f"{finish}:{p['body']}")
        lathe(
            [
                (0, 0),
                (radius - 0.03, 0),
                (radius, 0.05, 0.04),
                (radius, height, 0.01),
                (radius - 0.03, height, 0.01),
                (radius - 0.04, height - 0.15),
            ],
            body,
        )
        lathe([(radius - 0.035, height - 0.12), (0, height - 0.11)], wax)
        low, high = height * 0.14, height * 0.8
        width = int(700 * radius * 1.75 / (high - low))
        label(radius, low, high, 100, material("paper:#ffffff", panel(art, width, 700)))
    wick = height - (0.06 if kind == "pillar" else 0.12)
    tube([(0, 0, wick), (0.005, 0, wick + 0.09), (0.025, 0, wick + 0.17)], 0.012, material("matt:#3a322b"))
    if "lid_spec" in p:
        lid = lathe([(0, 0), (radius, 0), (radius, 0.06, 0.02), (0, 0.06)], material(p["lid_spec"]))
        lid.location, lid.rotation_euler = (
            (radius * 1.25, -radius * 0.2, radius * 0.99),
            (math.radians(8), math.radians(76), 0.3),
        )


def clock(p: dict[str, Any], art: Art) -> None:
    """kind (wall, alarm, mantel, bell), case_spec, numerals, hands (a colour), hour."""
    face = material(
        "paper:#ffffff",
        clock_face(art, p.get("numerals", "arabic"), 700, p.get("hour", 10.15), p.get("hands", "#222222")),
    )
    case, metal = material(p["case_spec"]), material(p.get("metal", "metal:#c9a24b"))
    if p["kind"] == "mantel":
        box((1.5, 0.5, 1.5), (0, 0, 0.75), case, bevel=0.12, steps=5)
        box((1.12, 0.02, 1.12), (0, -0.255, 0.75), face, bevel=0, faces={"front": face})
        return
    lift = {"wall": 1.0, "alarm": 1.02, "bell": 1.12}[p["kind"]]
    deep = 0.16 if p["kind"] == "wall" else 0.5
    rim = lathe([(0, 0), (0.9, 0), (1.0, 0.05, 0.05), (1.0, deep, 0.05), (0.9, deep, 0.03), (0.88, deep - 0.05)], case)
    rim.rotation_euler, rim.location = (math.radians(90), 0, 0), (0, deep / 2, lift)
    disc = [(0.89 * math.cos(i * math.pi / 32), 0.89 * math.sin(i * math.pi / 32)) for i in range(64)]
    prism(disc, 0.004, (0, -deep / 2 + 0.045, lift), face, bevel=0, face=face)
    if p["kind"] in ("alarm", "bell"):
        for x in (-0.5, 0.5):
            tube([(x * 1.25, 0, 0.0), (x * 0.9, 0, 0.4)], 0.06, metal, curve=False)
    if p["kind"] == "bell":
        for x in (-0.55, 0.55):
            bell = lathe([(0.34, 0), (0.35, 0.03, 0.01), (0.28, 0.2, 0.12), (0, 0.26)], metal)
            bell.location, bell.rotation_euler = (x, 0, lift + 0.92), (0, math.radians(28 if x > 0 else -28), 0)
        tube([(-0.35, 0, lift + 1.1), (-0.3, 0, lift + 1.5), (0.3, 0, lift + 1.5), (0.35, 0, lift + 1.1)], 0.03, metal)


def cushion(p: dict[str, Any], art: Art) -> None:
    """size [wide, tall], weave (fabric, knit, canvas), piping (a colour), back."""
    wide, tall = p.get("size", [1.6, 1.6])
    front = material(f"{p.get('weave', 'fabric')}:#ffffff", panel(art, int(560 * wide), int(560 * tall)))
    pillow(wide, tall, p.get("thick", 0.55), front, (0, 0, tall / 2 * 0.97), (-14, 0, 0))
    if "tassel" in p:
        yarn = material(f"fabric:{p['tassel']}")
        for x in (-1, 1):
            for z, y in ((tall * 0.98, 0.19), (0.06, -0.19)):
                blob((0.1, 0.1, 0.22), (x * wide * 0.5, y, z), yarn)
