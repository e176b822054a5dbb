"""Jars, tins, cartons and books: goods that are known by their label (see families/__init__.py)."""

import math
from typing import Any

from labels import Art, panel, side, wrap
from materials import material
from shapes import box, hoop, label, lathe, tube


def jar(p: dict[str, Any], art: Art) -> None:
    """shape (round, tall, squat, hex), content, lid_spec, cloth (a colour: fabric cap), label_finish."""
    radius, height, neck = {
        "round": (0.45, 1.05, 0.38),
        "tall": (0.36, 1.4, 0.3),
        "squat": (0.55, 0.75, 0.48),
        "hex": (0.45, 1.0, 0.37),
    }[p.get("shape", "round")]
    segments = 6 if p.get("shape") == "hex" else 72
    glass = material(f"filled:{p['content']}")
    body = lathe(
        [
            (0, 0.02),
            (radius * 0.7, 0.0),
            (radius - 0.04, 0.0),
            (radius, 0.08, 0.06),
            (radius, height * 0.84, 0.1),
            (neck, height * 0.95, 0.05),
            (neck, height + 0.04),
            (0, height + 0.04),
        ],
        glass,
        segments=segments,
    )
    body.rotation_euler.z = math.pi / segments
    lid, top = material(p.get("lid_spec", "metal:#c9a24b")), height + 0.03
    wide = neck + 0.035
    lathe(
        [
            (neck, top),
            (wide, top, 0.01),
            (wide, top + 0.17, 0.03),
            (wide - 0.05, top + 0.17, 0.02),
            (wide - 0.07, top + 0.155),
            (0, top + 0.155),
        ],
        lid,
    )
    if "cloth" in p:
        cloth = material(f"fabric:{p['cloth']}")
        lathe(
            [(0, top + 0.19), (wide, top + 0.185, 0.05), (wide + 0.02, top + 0.03, 0.05), (wide + 0.14, top - 0.1)],
            cloth,
        )
        hoop(wide + 0.025, top + 0.04, 0.02, material("fabric:#d8c7a0"))
    low, high = 0.13, height * 0.78
    degrees = p.get("degrees", 170)
    if segments == 6:
        low, high, degrees = 0.16, height * 0.76, 60
    w = 900
    h = int(w * (high - low) / (radius * degrees * 0.01745))
    printed = material(p.get("label_finish", "paper") + ":#ffffff", _sticker(art, w, h))
    if segments == 6:
        box(
            (radius * 0.94, 0.012, high - low),
            (0, -radius * 0.868, (low + high) / 2),
            printed,
            bevel=0,
            faces={"front": printed},
        )
    else:
        label(radius, low, high, degrees, printed)


def _sticker(art: Art, w: int, h: int) -> Any:
    """A wide label carries its words in the middle, a narrow one over its whole width."""
    return wrap(art, w, h, min(1.0, 0.82 * h / w)) if w > h * 1.25 else panel(art, w, h)


def tin(p: dict[str, Any], art: Art) -> None:
    """shape (can, tall, flat, caddy, square), body, metal, lid_spec."""
    shape = p.get("shape", "can")
    metal = material(p.get("metal", "steel:#d9d9d6"))
    if shape == "square":
        return _square_tin(p, art)
    radius, height = {"can": (0.42, 1.12), "tall": (0.34, 1.45), "flat": (0.7, 0.42), "caddy": (0.42, 1.2)}[shape]
    printed = material(
        f"{p.get('finish', 'gloss')}:{p['body']}", wrap(art, 1400, int(1400 * height / (6.28 * radius)), 0.27)
    )
    bead = 0.018
    lathe(
        [
            (0, 0.02),
            (radius - 0.04, 0.02),
            (radius - 0.02, 0, 0.01),
            (radius + bead, 0.0, 0.01),
            (radius + bead, 0.035, 0.01),
            (radius, 0.05, 0.01),
            (radius, height - 0.05, 0.01),
            (radius + bead, height - 0.035, 0.01),
            (radius + bead, height, 0.01),
            (radius - 0.03, height, 0.01),
            (radius - 0.04, height - 0.035, 0.01),
            (radius * 0.8, height - 0.03, 0.01),
            (radius * 0.76, height - 0.02, 0.01),
            (0, height - 0.02),
        ],
        metal,
        wrap=(0.052, height - 0.052, printed),
        rounding=0.008,
    )
    if shape == "caddy":
        lid = material(p.get("lid_spec", f"gloss:{p['body']}"))
        lathe(
            [
                (radius + bead, height - 0.1),
                (radius + 0.03, height - 0.1, 0.01),
                (radius + 0.03, height + 0.12, 0.05),
                (0, height + 0.14),
            ],
            lid,
        )
    elif shape in ("can", "flat") and p.get("ring", True):
        z = height
        tube(
            [(0.0, -radius * 0.7, z), (0.09, -radius * 0.55, z), (0.0, -radius * 0.36, z), (-0.09, -radius * 0.55, z)],
            0.018,
            metal,
            closed=True,
        )


def _square_tin(p: dict[str, Any], art: Art) -> None:
    w, d, h = 0.85, 0.62, 1.15
    finish = p.get("finish", "gloss")
    body = material(f"{finish}:{p['body']}")
    front = material(f"{finish}:{p['body']}", panel(art, 700, int(700 * h / w)))
    flank = material(f"{finish}:{p['body']}", panel(art, int(700 * d / w), int(700 * h / w)))
    box(
        (w, d, h), (0, 0, h / 2), body, bevel=0.05, faces={"front": front, "back": front, "left": flank, "right": flank}
    )
    lid = material(p.get("lid_spec", f"gloss:{p['body']}"))
    box((w + 0.03, d + 0.03, 0.2), (0, 0, h + 0.06), lid, bevel=0.045)


def carton(p: dict[str, Any], art: Art) -> None:
    """size [wide, deep, tall], side (a colour for the flanks), top (a colour), open (flap stands up)."""
    w, d, h = p.get("size", [1.2, 0.4, 1.8])
    scale = 900 / max(w, h)
    front = material("carton:#ffffff", panel(art, int(w * scale), int(h * scale)))
    flank = material("carton:#ffffff", side(art, int(d * scale), int(h * scale)))
    plain = material(f"carton:{p.get('top', art.accent)}")
    box(
        (w, d, h),
        (0, 0, h / 2),
        plain,
        bevel=0.008,
        faces={"front": front, "back": front, "left": flank, "right": flank},
    )
    box((w - 0.03, d * 0.52, 0.006), (0, -d * 0.22, h + 0.004), plain, bevel=0.002)


def book(p: dict[str, Any], art: Art) -> None:
    """size [wide, tall, thick], spine (a colour), pose (standing, lying), ribbon (a colour), paper cover or cloth."""
    w, h, t = p.get("size", [1.3, 1.9, 0.28])
    finish = p.get("finish", "carton")
    front = material(f"{finish}:#ffffff", panel(art, int(480 * w), int(480 * h)))
    cloth = material(f"{finish}:{p.get('spine', art.accent)}")
    spine_art = Art(
        name=art.name, layout="mark", font=art.font, paper=p.get("spine", art.accent), ink=p.get("spine_ink", art.paper)
    )
    spine = material(f"{finish}:#ffffff", panel(spine_art, int(480 * h), int(480 * t)).rotate(-90, expand=True))
    pages, board, edge = material("paper:#efe6d2"), 0.035, 0.04
    box((w, board, h), (0, -t / 2, h / 2), cloth, bevel=0.008, faces={"front": front})
    box((w, board, h), (0, t / 2, h / 2), cloth, bevel=0.008)
    box((board, t + board, h), (-w / 2 + board / 2, 0, h / 2), cloth, bevel=0.012, faces={"left": spine})
    box((w - edge - 0.01, t - board, h - 2 * edge), (-edge / 2, 0, h / 2), pages, bevel=0.0)
    if "ribbon" in p:
        tube(
            [(-w * 0.3, 0, h - 0.05), (-w * 0.3, -0.02, h * 0.4), (-w * 0.29, -0.02, 0.05)],
            0.01,
            material(f"fabric:{p['ribbon']}"),
        )
    if "band" in p:
        strap = material(f"rubber:{p['band']}")
        box((0.06, t + board + 0.03, h + 0.02), (w * 0.44, 0, h / 2), strap, bevel=0.005)
