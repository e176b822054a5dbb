"""Backpacks, totes and washbags (see families/__init__.py)."""

from typing import Any

from labels import Art, panel
from materials import material
from shapes import box, prism, smooth_outline, tube
from soft import blob


def bag(p: dict[str, Any], art: Art) -> None:
    """kind (backpack, tote, wash, roll), body, finish, pocket, strap, zip."""
    finish = p.get("finish", "canvas")
    body, pocket = material(f"{finish}:{p['body']}"), material(f"{finish}:{p.get('pocket', p['body'])}")
    strap, zipper = material(p.get("strap_spec", "leather:#6b432a")), material(p.get("zip_spec", "metal:#c9a24b"))
    {"backpack": _backpack, "tote": _tote, "wash": _wash, "roll": _roll}[p["kind"]](
        body, pocket, strap, zipper, art, finish
    )


def _patch(wide: float, tall: float, at: tuple[float, float, float], art: Art, finish: str = "leather") -> None:
    face = material(f"{finish}:#ffffff", panel(art, 500, int(500 * tall / wide)))
    box((wide, 0.025, tall), at, face, bevel=0.006, faces={"front": face})


def _body_outline(w: float, h: float) -> list[tuple[float, ...]]:
    return smooth_outline(
        [
            (-w / 2, 0.12),
            (-w * 0.42, 0.01),
            (w * 0.42, 0.01),
            (w / 2, 0.12),
            (w * 0.5, h * 0.6),
            (w * 0.42, h * 0.92),
            (0.0, h),
            (-w * 0.42, h * 0.92),
            (-w * 0.5, h * 0.6),
        ],
        8,
    )


def _backpack(body: Any, pocket: Any, strap: Any, zipper: Any, art: Art, finish: str) -> None:
    prism(_body_outline(1.3, 1.85), 0.75, (0, 0, 0), body, bevel=0.16, steps=6)
    prism(_body_outline(1.02, 0.88), 0.3, (0, -0.42, 0.06), pocket, bevel=0.1, steps=5)
    _patch(0.5, 0.26, (0, -0.575, 0.46), art)
    tube(
        [(-0.53, -0.4, 0.9), (-0.5, -0.41, 1.45), (0, -0.41, 1.68), (0.5, -0.41, 1.45), (0.53, -0.4, 0.9)],
        0.018,
        zipper,
    )
    tube([(-0.42, -0.57, 0.75), (0, -0.58, 0.8), (0.42, -0.57, 0.75)], 0.015, zipper)
    tube([(-0.16, 0.1, 1.78), (-0.13, 0.1, 2.02), (0.13, 0.1, 2.02), (0.16, 0.1, 1.78)], 0.04, strap, flat=1.6)
    for x in (-0.4, 0.4):
        tube(
            [(x * 0.7, 0.34, 1.7), (x * 1.2, 0.62, 1.4), (x * 1.5, 0.6, 0.7), (x * 1.45, 0.34, 0.18)],
            0.05,
            strap,
            flat=2.2,
        )
        box((0.1, 0.09, 0.22), (x * 1.72, -0.05, 0.28), strap, bevel=0.02)
    tube([(0.46, -0.44, 1.28), (0.47, -0.46, 1.1)], 0.02, strap, curve=False)


def _tote(body: Any, pocket: Any, strap: Any, zipper: Any, art: Art, finish: str) -> None:
    outline = [(-0.75, 0.0), (0.75, 0.0), (0.82, 1.55), (-0.82, 1.55)]
    printed = material(f"{finish}:#ffffff", panel(art, 800, 780))
    prism(outline, 0.42, (0, 0, 0), body, bevel=0.06, face=printed, steps=5)
    for y in (-0.17, 0.17):
        tube(
            [(-0.36, y - 0.02, 1.45), (-0.34, y, 1.85), (0, y, 2.2), (0.34, y, 1.85), (0.36, y - 0.02, 1.45)],
            0.045,
            strap,
            flat=1.8,
        )
        for x in (-0.36, 0.36):
            box((0.16, 0.03, 0.2), (x, -0.22 if y < 0 else 0.22, 1.42), strap, bevel=0.01)


def _wash(body: Any, pocket: Any, strap: Any, zipper: Any, art: Art, finish: str) -> None:
    box((1.7, 0.75, 0.85), (0, 0, 0.43), body, bevel=0.2, steps=7)
    box((1.72, 0.77, 0.2), (0, 0, 0.12), pocket, bevel=0.09, steps=5)
    tube([(-0.82, -0.2, 0.78), (-0.6, 0, 0.865), (0.6, 0, 0.865), (0.82, -0.2, 0.78)], 0.022, zipper)
    _patch(0.62, 0.3, (0, -0.38, 0.5), art)
    tube([(0.84, 0.1, 0.6), (1.02, 0.05, 0.62), (1.04, 0, 0.36), (0.85, -0.02, 0.34)], 0.04, strap, flat=1.8)


def _roll(body: Any, pocket: Any, strap: Any, zipper: Any, art: Art, finish: str) -> None:
    prism([(-0.62, 0.0), (0.62, 0.0), (0.6, 1.7), (-0.6, 1.7)], 0.62, (0, 0, 0), body, bevel=0.15, steps=6)
    blob((1.22, 0.42, 0.42), (0, -0.04, 1.78), body, power=5)
    box((0.95, 0.14, 0.7), (0, -0.33, 0.5), pocket, bevel=0.06, steps=4)
    _patch(0.46, 0.24, (0, -0.41, 0.5), art)
    for x in (-0.32, 0.32):
        tube([(x, -0.28, 1.98), (x, -0.34, 1.6), (x, -0.36, 1.05), (x, -0.36, 0.9)], 0.045, strap, flat=1.5)
        box((0.14, 0.05, 0.12), (x, -0.38, 1.2), zipper, bevel=0.02)
