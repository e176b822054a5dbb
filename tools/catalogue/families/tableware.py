"""Mugs, teapots and kettles, drinking bottles: turned bodies with a picture around them (see families/__init__.py)."""

from typing import Any

from labels import Art, wrap
from materials import material
from shapes import lathe, tube
from soft import blob

MUGS = {  # foot radius, rim radius, height, bulge
    "straight": (0.40, 0.40, 0.95, 0.0),
    "tapered": (0.30, 0.43, 0.92, 0.0),
    "flared": (0.42, 0.36, 0.80, 0.0),
    "tall": (0.34, 0.38, 1.25, 0.0),
    "barrel": (0.32, 0.36, 0.88, 0.11),
    "bowl": (0.24, 0.52, 0.66, 0.08),
}


def mug(p: dict[str, Any], art: Art) -> None:
    """shape, finish, body, inside, handle (ear, square, ring, none), rim (a colour), saucer."""
    foot, rim, height, bulge = MUGS[p.get("shape", "straight")]
    finish, body = p.get("finish", "ceramic"), p["body"]
    glaze, inside = material(f"{finish}:{body}"), material(f"{finish}:{p.get('inside', body)}")
    edge = material(f"{finish}:{p.get('rim', body)}")
    printed = material(f"{finish}:{body}", wrap(art, 1024, int(1024 * height / (3.14 * (foot + rim))), 0.3))
    middle = (foot + rim) / 2 + bulge
    lathe(
        [
            (0.0, 0.03),
            (foot * 0.78, 0.03),
            (foot * 0.82, 0.0),
            (foot * 0.94, 0.0, 0.02),
            (foot, 0.08, 0.04),
            (middle, height * 0.52, height * 0.4),
            (rim, height - 0.03),
        ],
        glaze,
        wrap=(0.085, height - 0.03, printed),
    )
    lathe([(rim, height - 0.03), (rim, height, 0.02), (rim - 0.035, height, 0.02), (rim - 0.04, height - 0.04)], edge)
    lathe(
        [(rim - 0.04, height - 0.04), (middle - 0.05, height * 0.5, 0.3), (foot - 0.05, 0.1, 0.08), (0.0, 0.09)], inside
    )
    _mug_handle(
        p.get("handle", "ear"), (foot, middle, rim), height, material(f"{finish}:{p.get('handle_colour', body)}")
    )
    if "saucer" in p:
        plate = material(f"{finish}:{p['saucer']}")
        lathe(
            [
                (0.0, 0.005),
                (0.35, 0.005),
                (0.45, 0.02, 0.05),
                (0.78, 0.12, 0.05),
                (0.79, 0.15, 0.02),
                (0.45, 0.07, 0.1),
                (0.0, 0.06),
            ],
            plate,
        )


def _mug_handle(kind: str, radii: tuple[float, float, float], height: float, surface: Any) -> None:
    x, low, high = radii[1], height * 0.24, height * 0.8
    under, over = (radii[0] + x) / 2 - 0.035, (radii[2] + x) / 2 - 0.035
    paths = {
        "ear": [
            (over, 0, high),
            (x + 0.19, 0, high + 0.02),
            (x + 0.29, 0, high - 0.15),
            (x + 0.2, 0, low + 0.1),
            (under, 0, low),
        ],
        "ring": [
            (over, 0, height * 0.68),
            (x + 0.15, 0, height * 0.7),
            (x + 0.25, 0, height * 0.52),
            (x + 0.15, 0, height * 0.34),
            (under, 0, height * 0.36),
        ],
        "square": [
            (over, 0, high),
            (x + 0.24, 0, high),
            (x + 0.28, 0, high - 0.04),
            (x + 0.28, 0, low + 0.04),
            (x + 0.24, 0, low),
            (under, 0, low),
        ],
    }
    if kind in paths:
        tube(paths[kind], lambda t: 0.052 + 0.016 * abs(2 * t - 1) ** 2, surface, flat=1.35)


def bottle(p: dict[str, Any], art: Art) -> None:
    """shape (slim, wide, cola, tumbler, flask), finish, body, cap (screw, loop, sport, flip), cap_spec, base."""
    radius, height, neck = {
        "slim": (0.33, 2.3, 0.24),
        "wide": (0.46, 2.0, 0.34),
        "cola": (0.36, 2.2, 0.2),
        "tumbler": (0.44, 1.7, 0.44),
        "flask": (0.42, 1.6, 0.3),
    }[p.get("shape", "slim")]
    finish, body = p.get("finish", "powder"), p["body"]
    shoulder = height * (0.62 if p.get("shape") == "cola" else 0.8)
    foot = radius * (0.76 if p.get("shape") == "tumbler" else 1.0)
    printed = material(f"{finish}:{body}", wrap(art, 1024, int(1024 * (shoulder - 0.15) / (6.28 * radius)), 0.3))
    lathe([(0, 0.0), (foot - 0.04, 0.0), (foot, 0.04, 0.03), (foot, 0.12)], material(p.get("base", f"{finish}:{body}")))
    lathe(
        [(foot, 0.12), (foot, 0.15, 0.005), (radius, shoulder, 0.2), (neck, height - 0.04, 0.3), (neck, height)],
        material(f"{finish}:{body}"),
        wrap=(0.15, shoulder - 0.1, printed),
    )
    cap = material(p.get("cap_spec", "plastic:#222222"))
    wide = neck + 0.03
    lathe([(neck, height), (wide, height, 0.01), (wide, height + 0.22, 0.04), (0, height + 0.23)], cap)
    _bottle_top(p.get("cap", "screw"), wide, height + 0.22, cap, material(p.get("detail_spec", "steel:#dddddd")))


def _bottle_top(kind: str, wide: float, z: float, cap: Any, detail: Any) -> None:
    if kind == "loop":
        tube(
            [
                (-wide * 0.8, 0, z - 0.02),
                (-wide * 0.75, 0, z + 0.16),
                (0, 0, z + 0.26),
                (wide * 0.75, 0, z + 0.16),
                (wide * 0.8, 0, z - 0.02),
            ],
            0.045,
            cap,
            flat=1.5,
        )
    elif kind == "sport":
        lathe([(0.14, z), (0.13, z + 0.08, 0.03), (0.08, z + 0.1), (0.08, z + 0.22, 0.03), (0, z + 0.22)], detail)
    elif kind == "flip":
        tube(
            [(wide + 0.01, 0, z - 0.1), (wide * 0.8, 0, z + 0.05), (0, 0, z + 0.07), (-wide * 0.7, 0, z + 0.05)],
            0.05,
            detail,
            flat=2.0,
        )
    elif kind == "disc":
        lathe([(0, z), (wide * 0.86, z), (wide * 0.86, z + 0.03, 0.01), (0, z + 0.03)], detail)


TEAPOTS = {  # foot, belly, belly height, neck, height
    "round": (0.38, 0.72, 0.48, 0.3, 0.98),
    "tall": (0.46, 0.52, 0.6, 0.36, 1.35),
    "cone": (0.68, 0.66, 0.2, 0.32, 1.15),
    "squat": (0.46, 0.8, 0.34, 0.34, 0.74),
    "cylinder": (0.56, 0.57, 0.5, 0.53, 1.02),
}


def teapot(p: dict[str, Any], art: Art) -> None:
    """shape, finish, body, lid_spec, knob_spec, handle (side, arch), handle_spec, spout (short, goose)."""
    foot, belly, middle, neck, height = TEAPOTS[p.get("shape", "round")]
    finish, body = p.get("finish", "ceramic"), p["body"]
    surface = material(f"{finish}:{body}")
    printed = material(f"{finish}:{body}", wrap(art, 1024, int(1024 * height / (6.28 * belly)), 0.3))
    lathe(
        [
            (0, 0),
            (foot * 0.96, 0),
            (foot, 0.03),
            (foot, 0.06, 0.04),
            (belly, middle, 0.35),
            (neck + 0.03, height - 0.05, 0.25),
            (neck, height),
        ],
        surface,
        wrap=(0.06, height - 0.05, printed),
        rounding=0.03,
    )
    lid = material(p.get("lid_spec", f"{finish}:{body}"))
    lathe(
        [
            (neck + 0.02, height),
            (neck + 0.02, height + 0.03, 0.015),
            (neck * 0.6, height + 0.11, 0.2),
            (0, height + 0.13),
        ],
        lid,
    )
    blob((0.17, 0.17, 0.15), (0, 0, height + 0.19), material(p.get("knob_spec", f"{finish}:{body}")), power=2.4)
    metal = material(p.get("spout_spec", f"{finish}:{body}"))
    if p.get("spout") == "goose":
        path = [
            (foot * 0.86, 0, 0.16),
            (belly + 0.28, 0, 0.2),
            (belly + 0.34, 0, height * 0.7),
            (belly + 0.58, 0, height + 0.04),
        ]
        tube([(-x, y, z) for x, y, z in path], lambda t: 0.085 - 0.035 * t, metal)
    else:
        path = [(belly * 0.6, 0, middle * 0.75), (belly + 0.2, 0, middle + 0.1), (belly + 0.42, 0, height)]
        tube([(-x, y, z) for x, y, z in path], lambda t: 0.17 - 0.1 * t, metal)
    handle = material(p.get("handle_spec", f"{finish}:{body}"))
    if p.get("handle") == "arch":
        tube(
            [
                (-neck - 0.1, 0, height - 0.1),
                (-neck - 0.12, 0, height + 0.3),
                (0, 0, height + 0.6),
                (neck + 0.12, 0, height + 0.3),
                (neck + 0.1, 0, height - 0.1),
            ],
            0.045,
            handle,
            flat=1.5,
        )
    else:
        x = belly - 0.1
        tube(
            [
                (neck, 0, height - 0.1),
                (x + 0.35, 0, height),
                (x + 0.5, 0, height * 0.62),
                (x + 0.3, 0, height * 0.3),
                ((foot + belly) / 2 - 0.1, 0, height * 0.24),
            ],
            0.058,
            handle,
            flat=1.4,
        )
