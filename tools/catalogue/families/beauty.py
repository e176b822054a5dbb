"""Soap and shampoo bottles, tubes, cream jars, sprays (see families/__init__.py)."""

import math
from typing import Any

from labels import Art, panel
from materials import material
from shapes import box, label, lathe, tube


def container(p: dict[str, Any], art: Art) -> None:
    """kind (pump, square, tube, cream, spray, dropper), finish, body, cap_spec."""
    kinds = {
        "pump": _round_pump,
        "square": _square_pump,
        "tube": _tube,
        "cream": _cream,
        "spray": _spray,
        "dropper": _dropper,
    }
    body = f"{p.get('finish', 'plastic')}:{p['body']}"
    kinds[p["kind"]](material(body), material(p.get("cap_spec", "plastic:#222222")), art)


def _round(body: Any, art: Art, radius: float, height: float, neck: float, degrees: float = 130) -> None:
    lathe(
        [
            (0, 0),
            (radius - 0.04, 0),
            (radius, 0.05, 0.04),
            (radius, height * 0.82, 0.14),
            (neck, height * 0.96, 0.06),
            (neck, height),
            (0, height),
        ],
        body,
    )
    low, high = height * 0.1, height * 0.76
    w = int(800 * radius * math.radians(degrees) / (high - low))
    label(radius, low, high, degrees, material("carton:#ffffff", panel(art, w, 800)))


def _pump(z: float, wide: float, cap: Any) -> None:
    lathe(
        [
            (wide, z - 0.06),
            (wide, z + 0.14, 0.02),
            (0.1, z + 0.18, 0.03),
            (0.05, z + 0.2),
            (0.05, z + 0.42),
            (0, z + 0.42),
        ],
        cap,
    )
    lathe([(0, z + 0.38), (0.13, z + 0.38, 0.02), (0.13, z + 0.5, 0.04), (0, z + 0.52)], cap)
    tube(
        [(0, 0, z + 0.46), (-0.3, -0.06, z + 0.47), (-0.4, -0.08, z + 0.42), (-0.41, -0.082, z + 0.36)],
        lambda t: 0.055 - 0.02 * t,
        cap,
    )


def _round_pump(body: Any, cap: Any, art: Art) -> None:
    _round(body, art, 0.4, 1.45, 0.18)
    _pump(1.45, 0.2, cap)


def _square_pump(body: Any, cap: Any, art: Art) -> None:
    box((0.86, 0.56, 1.4), (0, 0, 0.7), body, bevel=0.09, steps=5)
    face = material("carton:#ffffff", panel(art, 560, 900))
    box((0.62, 0.012, 1.0), (0, -0.283, 0.68), face, bevel=0, faces={"front": face})
    lathe([(0.19, 1.38), (0.17, 1.48)], body)
    _pump(1.48, 0.2, cap)


def _tube(body: Any, cap: Any, art: Art) -> None:
    lathe([(0, 0), (0.24, 0), (0.25, 0.02, 0.01), (0.25, 0.28, 0.02), (0, 0.28)], cap)
    outline = []
    steps = 24
    for i in range(steps + 1):
        t = i / steps
        outline.append((0.3 + 0.18 * t, 0.3 * (1 - t) ** 0.8 + 0.012, 0.3 + 1.5 * t))
    _squeezed(outline, material(f"plastic:{art.paper}", panel(art, 640, 1010)))
    box((0.97, 0.035, 0.07), (0, 0, 1.8), body, bevel=0.008)


def _squeezed(sections: list[tuple[float, float, float]], surface: Any) -> None:
    """A tube that flattens towards its crimp: turned slices of growing width and shrinking depth."""
    obj = lathe([(0.3, 0.0), *[(1.0, i / len(sections)) for i in range(1, len(sections))]], surface, rounding=0)
    mesh, ring = obj.data, 72
    for i, vertex in enumerate(mesh.vertices):
        w, d, z = sections[min(i // ring, len(sections) - 1)]
        a = -math.pi + 2 * math.pi * (i % ring) / ring
        vertex.co = (w * math.sin(a), -d * math.cos(a), z)
    layer = mesh.uv_layers[0]
    for loop in mesh.loops:
        co = mesh.vertices[loop.vertex_index].co
        w = sections[min(loop.vertex_index // ring, len(sections) - 1)][0]
        layer.uv[loop.index].vector = (0.5 + 0.47 * co.x / w, (co.z - 0.3) / 1.45)


def _cream(body: Any, cap: Any, art: Art) -> None:
    lathe([(0, 0), (0.52, 0), (0.56, 0.05, 0.04), (0.56, 0.44, 0.03), (0.5, 0.46), (0, 0.46)], body)
    lathe([(0.55, 0.46), (0.57, 0.46, 0.01), (0.57, 0.72, 0.03), (0, 0.73)], cap)
    label(0.56, 0.07, 0.42, 130, material("carton:#ffffff", panel(art, 1200, 340)))


def _spray(body: Any, cap: Any, art: Art) -> None:
    _round(body, art, 0.36, 1.35, 0.15, 140)
    lathe([(0.18, 1.3), (0.18, 1.5, 0.02), (0.13, 1.54, 0.03), (0, 1.54)], cap)
    box((0.4, 0.2, 0.22), (-0.06, 0, 1.66), cap, bevel=0.05)
    tube([(-0.2, 0, 1.7), (-0.32, 0, 1.7)], 0.05, cap, curve=False)
    tube([(0.02, 0, 1.6), (-0.16, 0, 1.45), (-0.2, 0, 1.24)], 0.045, cap, flat=1.4)


def _dropper(body: Any, cap: Any, art: Art) -> None:
    _round(body, art, 0.38, 1.05, 0.15, 150)
    lathe([(0.17, 0.98), (0.17, 1.25, 0.02), (0.14, 1.27, 0.01), (0, 1.27)], material("metal:#c9a24b"))
    lathe([(0.11, 1.26), (0.12, 1.4, 0.05), (0.09, 1.62, 0.06), (0, 1.66)], cap)
