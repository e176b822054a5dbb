"""Toys and game controllers (see families/__init__.py)."""

import math
from typing import Any

from labels import Art, panel
from materials import material
from shapes import box, hoop, lathe, prism, smooth_outline, tube
from soft import blob


def toy(p: dict[str, Any], art: Art) -> None:
    """kind (car, van, train, blocks, rings, robot), body_spec, colours (a list of hex)."""
    colours = p.get("colours", ["#d64933", "#2f6db5", "#e9b634", "#4f9a5b"])
    {"car": _car, "van": _car, "train": _train, "blocks": _blocks, "rings": _rings, "robot": _robot}[p["kind"]](
        p, colours, art
    )


def _wheel(x: float, y: float, radius: float, tyre: Any, hub: Any, wide: float = 0.2) -> None:
    side = -1 if y < 0 else 1
    for line, surface in (
        (
            [
                (0, 0),
                (radius * 0.9, 0),
                (radius, 0.04, 0.03),
                (radius, wide - 0.04, 0.03),
                (radius * 0.7, wide, 0.03),
                (0, wide - 0.02),
            ],
            tyre,
        ),
        ([(radius * 0.6, wide - 0.03), (radius * 0.55, wide + 0.02, 0.02), (0, wide + 0.03)], hub),
    ):
        wheel = lathe(line, surface, segments=40)
        wheel.rotation_euler, wheel.location = (math.radians(90 if side < 0 else -90), 0, 0), (x, y, radius)


def _car(p: dict[str, Any], colours: list[str], art: Art) -> None:
    body, glass = material(p.get("body_spec", f"gloss:{colours[0]}")), material(p.get("glass_spec", "gloss:#1d2a33"))
    if p["kind"] == "van":
        hull = [
            (-1.2, 0.25),
            (1.2, 0.25),
            (1.22, 0.75),
            (1.1, 0.85),
            (0.85, 1.35),
            (0.7, 1.42),
            (-1.1, 1.42),
            (-1.22, 1.3),
        ]
        cabin, windows = [(0.35, 0.85), (1.02, 0.85), (0.8, 1.28), (0.35, 1.28)], [(-0.95, 0.25)]
    else:
        hull = [
            (-1.25, 0.25),
            (1.2, 0.25),
            (1.3, 0.4),
            (1.25, 0.62),
            (0.6, 0.72),
            (0.25, 1.08),
            (-0.55, 1.1),
            (-0.95, 0.76),
            (-1.28, 0.7),
        ]
        cabin, windows = [(-0.82, 0.72), (0.5, 0.72), (0.2, 1.0), (-0.52, 1.02)], []
    prism(hull, 0.95, (0, 0, 0), body, bevel=0.08, steps=5)
    prism(cabin, 0.99, (0, 0, 0), glass, bevel=0.02)
    for low, high in windows:
        prism(
            [(low, 0.85), (high, 0.85), (high, 1.28), (low, 1.28)],
            0.99,
            (0, 0, 0),
            material(f"gloss:{colours[1]}"),
            bevel=0.02,
        )
    decal = material("gloss:#ffffff", panel(art, 360, 240))
    if art.layout != "none":
        box(
            (0.48, 0.02, 0.32),
            (0.08 if p["kind"] == "car" else -0.35, -0.475, 0.48 if p["kind"] == "car" else 0.56),
            decal,
            bevel=0,
            faces={"front": decal},
        )
    tyre, hub = material(p.get("tyre_spec", "rubber:#1e1e1e")), material(f"gloss:{colours[2]}")
    for x in (-0.75, 0.75):
        for y in (-0.34, 0.34):
            _wheel(x, y, 0.28, tyre, hub)
    for y in (-0.3, 0.3):
        blob((0.1, 0.2, 0.14), (1.24, y, 0.55), material("gloss:#f7f1d0"))


def _train(p: dict[str, Any], colours: list[str], art: Art) -> None:
    wood = p.get("finish", "wood")
    paint = [material(f"gloss:{c}") for c in colours]
    box((2.0, 0.7, 0.18), (0, 0, 0.36), material(f"{wood}:#c99b63"), bevel=0.04)
    boiler = lathe([(0, 0), (0.3, 0), (0.34, 0.04, 0.03), (0.34, 1.0, 0.04), (0.25, 1.06, 0.03), (0, 1.06)], paint[0])
    boiler.rotation_euler, boiler.location = (0, math.radians(90), 0), (-0.1, 0, 0.78)
    box((0.75, 0.72, 0.85), (-0.55, 0, 0.85), paint[1], bevel=0.05)
    face = material("gloss:#ffffff", panel(art, 300, 300))
    box((0.5, 0.02, 0.5), (-0.55, -0.36, 0.9), face, bevel=0, faces={"front": face})
    box((0.95, 0.86, 0.1), (-0.55, 0, 1.32), paint[2], bevel=0.04)
    lathe([(0, 1.05), (0.11, 1.05), (0.16, 1.42, 0.03), (0, 1.42)], paint[2]).location = (0.62, 0, 0)
    blob((0.22, 0.22, 0.2), (0.2, 0, 1.13), material("metal:#d0a84a"))
    for x in (-0.65, 0.0, 0.65):
        for y in (-0.33, 0.33):
            _wheel(x, y, 0.26, paint[3 % len(paint)], paint[2], 0.12)


def _blocks(p: dict[str, Any], colours: list[str], art: Art) -> None:
    places = [
        (-0.56, 0, 0, 8),
        (0.02, -0.05, 0, -6),
        (0.6, 0.02, 0, 12),
        (-0.26, 0.0, 1, -10),
        (0.34, 0, 1, 6),
        (0.05, 0, 2, 15),
    ]
    letters = (art.name.replace(" ", "") or "ABCDEF") * 3
    for i, (x, y, level, turn) in enumerate(places):
        ink = colours[i % len(colours)]
        card = Art(
            name=letters[i], layout="mark", font=art.font, paper=p.get("wood", "#dcb987"), ink=ink, pattern="solid"
        )
        face = material("matt:#ffffff", _letter(card, ink))
        cube = dict.fromkeys(("front", "back", "left", "right", "top"), face)
        box(
            (0.52, 0.52, 0.52),
            (x, y, 0.26 + 0.52 * level),
            material(f"matt:{ink}"),
            bevel=0.03,
            faces=cube,
            turn=(0, 0, turn),
        )


def _letter(card: Art, ink: str) -> Any:
    edge = panel(Art(paper=ink, layout="none"), 256, 256)
    edge.paste(panel(card, 220, 220), (18, 18))
    return edge


def _rings(p: dict[str, Any], colours: list[str], art: Art) -> None:
    lathe(
        [(0, 0), (0.7, 0), (0.72, 0.05, 0.04), (0.66, 0.14, 0.05), (0, 0.14)],
        material(p.get("base_spec", "wood:#d3a870")),
    )
    z = 0.14
    for i in range(5):
        radius = 0.66 - 0.09 * i
        paint = material(f"{p.get('finish', 'gloss')}:{colours[i % len(colours)]}")
        hoop(radius * 0.72, z + 0.13, 0.15, paint, flat=radius / 0.5)
        z += 0.26
    blob((0.42, 0.42, 0.36), (0, 0, z + 0.14), material(f"gloss:{colours[-1]}"))


def _robot(p: dict[str, Any], colours: list[str], art: Art) -> None:
    body, trim, eye = material(f"gloss:{colours[0]}"), material(f"gloss:{colours[1]}"), material(f"gloss:{colours[2]}")
    face = material("gloss:#ffffff", panel(art, 400, 400))
    box((1.0, 0.62, 1.0), (0, 0, 0.85), body, bevel=0.08, steps=4)
    box((0.62, 0.02, 0.62), (0, -0.31, 0.85), face, bevel=0, faces={"front": face})
    box((0.8, 0.55, 0.6), (0, 0, 1.72), trim, bevel=0.09, steps=4)
    lathe([(0, 1.33), (0.2, 1.33), (0.2, 1.45), (0, 1.45)], material("chrome:#cccccc"))
    for x in (-0.19, 0.19):
        blob((0.24, 0.12, 0.24), (x, -0.27, 1.77), eye)
        blob((0.1, 0.06, 0.1), (x, -0.33, 1.77), material("gloss:#161616"))
        box((0.34, 0.44, 0.36), (x * 1.4, -0.03, 0.18), trim, bevel=0.05)
        tube([(x * 2.6, 0, 1.2), (x * 3.6, -0.05, 0.95), (x * 3.6, -0.2, 0.6)], 0.09, trim)
        blob((0.26, 0.26, 0.26), (x * 3.6, -0.2, 0.54), eye)
    tube([(0, 0, 2.0), (0, 0, 2.28)], 0.025, material("chrome:#cccccc"), curve=False)
    blob((0.14, 0.14, 0.14), (0, 0, 2.32), eye)


def controller(p: dict[str, Any], art: Art) -> None:
    """body, grip, buttons (list of hex), layout (offset, level), retro (flat slab)."""
    body, dark = material(f"{p.get('finish', 'plastic')}:{p['body']}"), material(f"rubber:{p.get('grip', '#202020')}")
    buttons = p.get("buttons", ["#d64933", "#e9b634", "#2f6db5", "#4f9a5b"])
    if p.get("retro"):
        outline = [(-1.3, -0.5), (1.3, -0.5), (1.3, 0.5), (-1.3, 0.5)]
    else:
        outline = smooth_outline(
            [
                (-1.15, 0.42),
                (-0.6, 0.55),
                (0.6, 0.55),
                (1.15, 0.42),
                (1.4, -0.35),
                (1.25, -0.95),
                (0.95, -0.88),
                (0.62, -0.3),
                (-0.62, -0.3),
                (-0.95, -0.88),
                (-1.25, -0.95),
                (-1.4, -0.35),
            ],
            6,
        )
    tilt = math.radians(28)
    front, up = (math.sin(tilt), math.cos(tilt))

    def place(x: float, z: float, lift: float) -> tuple[float, float, float]:
        return (
            x,
            -lift * math.cos(tilt) + z * math.sin(tilt),
            0.98 + z * math.cos(tilt) + lift * math.sin(tilt) * front / up,
        )

    face = 0.27
    prism(outline, 0.5, (0, 0, 0.98), body, bevel=0.14 if not p.get("retro") else 0.08, turn=(-28, 0, 0), steps=6)
    left, right = (
        ((-0.78, 0.12), (0.42, -0.14)) if p.get("layout", "offset") == "offset" else ((-0.42, -0.14), (0.42, -0.14))
    )
    cross = (-0.42, -0.14) if p.get("layout", "offset") == "offset" else (-0.78, 0.12)
    if p.get("retro"):
        cross, left, right = (-0.85, 0.0), None, None
    for stick in (left, right):
        if stick:
            part = lathe(
                [
                    (0, -0.06),
                    (0.2, -0.06),
                    (0.2, 0.0, 0.02),
                    (0.1, 0.02, 0.03),
                    (0.09, 0.12),
                    (0.17, 0.14, 0.02),
                    (0.16, 0.2, 0.03),
                    (0.1, 0.18),
                    (0, 0.17),
                ],
                dark,
            )
            part.rotation_euler, part.location = (math.radians(90 - 28), 0, 0), place(*stick, face)
    for size in ((0.42, 0.12, 0.14), (0.14, 0.12, 0.42)):
        box(size, place(*cross, face), dark, bevel=0.03, turn=(-28, 0, 0))
    for i, (dx, dz) in enumerate(((0.17, 0), (0, 0.17), (-0.17, 0), (0, -0.17))):
        part = lathe(
            [(0, -0.05), (0.09, -0.05), (0.09, 0.04, 0.03), (0, 0.06)], material(f"gloss:{buttons[i % len(buttons)]}")
        )
        part.rotation_euler, part.location = (
            (math.radians(90 - 28), 0, 0),
            place(0.8 + dx, 0.12 * (not p.get("retro")) + dz, face),
        )
    badge = material("plastic:#ffffff", panel(art, 420, 140))
    box((0.5, 0.03, 0.17), place(0, 0.28, face - 0.015), badge, bevel=0.005, turn=(-28, 0, 0), faces={"front": badge})
    for x in (-0.14, 0.14):
        box((0.14, 0.06, 0.06), place(x, 0.06, face - 0.01), dark, bevel=0.02, turn=(-28, 0, 0))
