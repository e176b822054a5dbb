"""Mesh building blocks: turned bodies, bevelled boxes, extruded outlines, tubes.

The families (families/) call these to model a product around the origin, front side towards -Y, standing on z = 0.
Every function adds one object to the current Blender scene and returns it. Nothing here knows of cameras or lights.
"""

import math
from collections.abc import Callable, Sequence

import bpy
import numpy as np

Point = Sequence[float]
Material = bpy.types.Material


def add(name: str, mesh: bpy.types.Mesh, materials: Sequence[Material]) -> bpy.types.Object:
    """Put a mesh with its materials into the scene."""
    for material in materials:
        mesh.materials.append(material)
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def _smooth(obj: bpy.types.Object) -> None:
    obj.data.shade_smooth()
    obj.modifiers.new("normals", "WEIGHTED_NORMAL")


def fillet(profile: Sequence[Point], default: float = 0.02, steps: int = 5) -> list[tuple[float, float]]:
    """Round the inner corners of an open (radius, height[, corner radius]) line with short curves."""
    points = [np.array(p[:2], float) for p in profile]
    rounded = [tuple(points[0])]
    for i in range(1, len(points) - 1):
        before, here, after = points[i - 1], points[i], points[i + 1]
        wanted = profile[i][2] if len(profile[i]) > 2 else default
        room = 0.48 * min(np.linalg.norm(before - here), np.linalg.norm(after - here))
        radius = min(wanted, room)
        if radius < 1e-5:
            rounded.append(tuple(here))
            continue
        start = here + (before - here) / np.linalg.norm(before - here) * radius
        end = here + (after - here) / np.linalg.norm(after - here) * radius
        for t in np.linspace(0, 1, steps):
            rounded.append(tuple((1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end))
    return [*rounded, tuple(points[-1])]


def lathe(
    profile: Sequence[Point],
    material: Material,
    wrap: tuple[float, float, Material] | None = None,
    rounding: float = 0.02,
    segments: int = 72,
    squash: float = 1.0,
) -> bpy.types.Object:
    """Turn a profile, drawn from the bottom outside up and inwards, around Z.

    wrap = (low, high, material) puts a picture around the first rise of the profile between two heights,
    its middle at the front. squash < 1 flattens the body in Y.
    """
    line = fillet(profile, rounding)
    if wrap:
        line = _cut(line, wrap[0], wrap[1])
    rings, columns = len(line), segments + 1
    angle = np.linspace(-math.pi, math.pi, columns)
    vertices = [(r * math.sin(a), -r * math.cos(a) * squash, z) for r, z in line for a in angle[:-1]]
    peak = max(range(rings), key=lambda i: line[i][1])
    faces, slots, uvs = [], [], []
    low, high = (wrap[0], wrap[1]) if wrap else (line[0][1], line[peak][1])
    for i in range(rings - 1):
        inside = wrap is not None and i < peak and line[i][1] >= low - 1e-6 and line[i + 1][1] <= high + 1e-6
        for j in range(segments):
            k = (j + 1) % segments
            faces.append((i * segments + j, i * segments + k, (i + 1) * segments + k, (i + 1) * segments + j))
            slots.append(1 if inside else 0)
            bottom, top = ((line[n][1] - low) / (high - low or 1) for n in (i, i + 1))
            u, v = j / segments, (j + 1) / segments
            uvs += [(u, bottom), (v, bottom), (v, top), (u, top)]
    mesh = bpy.data.meshes.new("lathe")
    mesh.from_pydata(vertices, [], faces)
    mesh.uv_layers.new().uv.foreach_set("vector", np.array(uvs, np.float32).ravel())
    mesh.polygons.foreach_set("material_index", slots)
    obj = add("lathe", mesh, [material, wrap[2]] if wrap else [material])
    _smooth(obj)
    return obj


def _cut(line: list[tuple[float, float]], *heights: float) -> list[tuple[float, float]]:
    """Add points to the rising part of a profile so that a picture begins and ends exactly at these heights."""
    for height in heights:
        for i in range(len(line) - 1):
            (r0, z0), (r1, z1) = line[i], line[i + 1]
            if z0 + 1e-6 < height < z1 - 1e-6:
                t = (height - z0) / (z1 - z0)
                line = [*line[: i + 1], (r0 + t * (r1 - r0), height), *line[i + 1 :]]
                break
    return line


def label(
    radius: float,
    low: float,
    high: float,
    degrees: float,
    material: Material,
    top_radius: float | None = None,
    squash: float = 1.0,
) -> bpy.types.Object:
    """A paper label around the front of a turned body, lifted a hair off its surface."""
    top = radius if top_radius is None else top_radius
    half, steps = math.radians(degrees) / 2, 32
    vertices, uvs = [], []
    for r, z in ((radius, low), (top, high)):
        for a in np.linspace(-half, half, steps + 1):
            vertices.append(((r + 0.006) * math.sin(a), -(r + 0.006) * math.cos(a) * squash, z))
    faces = [(j, j + 1, steps + 2 + j, steps + 1 + j) for j in range(steps)]
    for j in range(steps):
        u, v = j / steps, (j + 1) / steps
        uvs += [(u, 0), (v, 0), (v, 1), (u, 1)]
    mesh = bpy.data.meshes.new("label")
    mesh.from_pydata(vertices, [], faces)
    mesh.uv_layers.new().uv.foreach_set("vector", np.array(uvs, np.float32).ravel())
    obj = add("label", mesh, [material])
    obj.data.shade_smooth()
    return obj


BOX_CORNERS = [(-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1), (-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)]
BOX_FACES = {
    "front": (0, 1, 5, 4),
    "right": (1, 2, 6, 5),
    "back": (2, 3, 7, 6),
    "left": (3, 0, 4, 7),
    "top": (4, 5, 6, 7),
    "bottom": (3, 2, 1, 0),
}


def box(
    size: Point,
    at: Point,
    material: Material,
    bevel: float = 0.02,
    faces: dict[str, Material] | None = None,
    turn: Point = (0, 0, 0),
    steps: int = 3,
) -> bpy.types.Object:
    """A bevelled box centred at a point; `faces` gives single sides another material (with the picture upright)."""
    materials, slots = [material], []
    for side in BOX_FACES:
        extra = (faces or {}).get(side)
        if extra:
            materials.append(extra)
        slots.append(len(materials) - 1 if extra else 0)
    mesh = bpy.data.meshes.new("box")
    mesh.from_pydata(
        [tuple(c * s / 2 for c, s in zip(corner, size, strict=True)) for corner in BOX_CORNERS], [], BOX_FACES.values()
    )
    square = [(0, 0), (1, 0), (1, 1), (0, 1)] * 6
    mesh.uv_layers.new().uv.foreach_set("vector", np.array(square, np.float32).ravel())
    mesh.polygons.foreach_set("material_index", slots)
    obj = add("box", mesh, materials)
    obj.location, obj.rotation_euler = at, [math.radians(t) for t in turn]
    _bevel(obj, bevel, steps)
    return obj


def _bevel(obj: bpy.types.Object, width: float, steps: int = 3) -> None:
    if width > 0:
        modifier = obj.modifiers.new("bevel", "BEVEL")
        modifier.width, modifier.segments, modifier.limit_method = width, steps, "ANGLE"
        modifier.harden_normals = False
    _smooth(obj)


def prism(
    outline: Sequence[Point],
    depth: float,
    at: Point,
    material: Material,
    bevel: float = 0.02,
    turn: Point = (0, 0, 0),
    steps: int = 4,
    face: Material | None = None,
) -> bpy.types.Object:
    """Extrude a counter-clockwise outline in XZ along Y, centred; `face` puts a picture on the front."""
    n, xs, zs = len(outline), [p[0] for p in outline], [p[1] for p in outline]
    vertices = [(x, -depth / 2, z) for x, z in outline] + [(x, depth / 2, z) for x, z in outline]
    faces = [tuple(range(n)), tuple(range(2 * n - 1, n - 1, -1))]
    faces += [(i, n + i, n + (i + 1) % n, (i + 1) % n) for i in range(n)]
    mesh = bpy.data.meshes.new("prism")
    mesh.from_pydata(vertices, [], faces)
    wide, tall = max(xs) - min(xs), max(zs) - min(zs)
    uvs = [
        ((mesh.vertices[v].co.x - min(xs)) / wide, (mesh.vertices[v].co.z - min(zs)) / tall)
        for polygon in mesh.polygons
        for v in polygon.vertices
    ]
    mesh.uv_layers.new().uv.foreach_set("vector", np.array(uvs, np.float32).ravel())
    if face:
        mesh.polygons.foreach_set("material_index", [1] + [0] * (n + 1))
    obj = add("prism", mesh, [material, face] if face else [material])
    obj.location, obj.rotation_euler = at, [math.radians(t) for t in turn]
    _bevel(obj, bevel, steps)
    return obj


def smooth_outline(points: Sequence[Point], steps: int = 10, closed: bool = True) -> list[tuple[float, ...]]:
    """A Catmull-Rom curve through the points (two or three coordinates)."""
    pts = [np.array(p, float) for p in points]
    n, out = len(pts), []
    for i in range(n if closed else n - 1):
        if closed:
            p0, p1, p2, p3 = (pts[(i + k) % n] for k in (-1, 0, 1, 2))
        else:
            p0, p1, p2, p3 = pts[max(i - 1, 0)], pts[i], pts[i + 1], pts[min(i + 2, n - 1)]
        for t in np.arange(steps) / steps:
            a = 2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
            out.append(tuple(a / 2))
    return out if closed else [*out, tuple(pts[-1])]


def tube(
    points: Sequence[Point],
    radius: float | Callable[[float], float],
    material: Material,
    closed: bool = False,
    curve: bool = True,
    flat: float = 1.0,
    sides: int = 16,
) -> bpy.types.Object:
    """Sweep a round (or, with flat != 1, elliptic) section along a path; `radius` may depend on t in 0..1."""
    path = np.array(smooth_outline(points, 8, closed) if curve else points, float)
    n = len(path)
    ahead = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead[0], (0, 0, 1) if abs(ahead[0][2]) < 0.9 else (0, 1, 0))
    vertices = []
    for i in range(n):
        side = side - ahead[i] * np.dot(side, ahead[i])
        side /= np.linalg.norm(side)
        up = np.cross(side, ahead[i])
        r = radius(i / (n - 1)) if callable(radius) else radius
        for a in np.linspace(0, 2 * math.pi, sides, endpoint=False):
            vertices.append(tuple(path[i] + r * (math.cos(a) * side * flat + math.sin(a) * up)))
    faces = [
        (i * sides + j, i * sides + (j + 1) % sides, (i + 1) % n * sides + (j + 1) % sides, (i + 1) % n * sides + j)
        for i in range(n if closed else n - 1)
        for j in range(sides)
    ]
    if not closed:
        faces += [tuple(range(sides - 1, -1, -1)), tuple(range((n - 1) * sides, n * sides))]
    mesh = bpy.data.meshes.new("tube")
    mesh.from_pydata(vertices, [], faces)
    obj = add("tube", mesh, [material])
    _smooth(obj)
    return obj


def hoop(radius: float, z: float, thickness: float, material: Material, flat: float = 1.0) -> bpy.types.Object:
    """A ring around Z."""
    points = [(radius * math.cos(i * math.pi / 8), radius * math.sin(i * math.pi / 8), z) for i in range(16)]
    return tube(points, thickness, material, closed=True, flat=flat, sides=24)
