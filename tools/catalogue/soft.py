"""Soft bodies, beside shapes.py: superellipsoids and filled cushions.

Used by the families and by places.py; every function adds one object to the current Blender scene and returns it.
"""

import math

import bpy
import numpy as np
from shapes import Material, Point, add


def blob(size: Point, at: Point, material: Material, power: float = 2.0, turn: Point = (0, 0, 0)) -> bpy.types.Object:
    """A superellipsoid: power 2 is an ellipsoid, 4 a soft pillow box."""
    rows, columns = 32, 64

    def bent(value: float) -> float:
        return math.copysign(abs(value) ** (2 / power), value)

    vertices, uvs, faces = [], [], []
    for i in range(rows + 1):
        b = -math.pi / 2 + math.pi * i / rows
        for j in range(columns):
            a = -math.pi + 2 * math.pi * j / columns
            x, y, z = bent(math.cos(b)) * bent(math.sin(a)), -bent(math.cos(b)) * bent(math.cos(a)), bent(math.sin(b))
            vertices.append((x * size[0] / 2, y * size[1] / 2, z * size[2] / 2))
    for i in range(rows):
        for j in range(columns):
            k = (j + 1) % columns
            faces.append((i * columns + j, i * columns + k, (i + 1) * columns + k, (i + 1) * columns + j))
            for c, r in ((j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1)):
                uvs.append((c / columns, r / rows))
    mesh = bpy.data.meshes.new("blob")
    mesh.from_pydata(vertices, [], faces)
    mesh.uv_layers.new().uv.foreach_set("vector", np.array(uvs, np.float32).ravel())
    obj = add("blob", mesh, [material])
    obj.location, obj.rotation_euler = at, [math.radians(t) for t in turn]
    obj.data.shade_smooth()
    return obj


def pillow(wide: float, tall: float, thick: float, material: Material, at: Point, turn: Point) -> bpy.types.Object:
    """A filled cushion with pointed corners and slightly drawn-in edges; the picture covers front and back."""
    n = 40
    grid = np.linspace(-1, 1, n + 1)
    vertices, faces, uvs = [], [], []
    for sign in (-1, 1):
        for v in grid:
            for u in grid:
                swell = ((1 - u**4) * (1 - v**4)) ** 0.55
                x, z = u * (1 - 0.07 * (1 - v**2)), v * (1 - 0.07 * (1 - u**2))
                crease = 0.03 * math.sin(9 * u + 4 * v) * (1 - swell) * swell
                vertices.append((x * wide / 2, sign * thick / 2 * (swell + crease), z * tall / 2))
    for half in (0, 1):
        start = half * (n + 1) ** 2
        for i in range(n):
            for j in range(n):
                a, b = start + i * (n + 1) + j, start + (i + 1) * (n + 1) + j
                faces.append((a, a + 1, b + 1, b) if half == 0 else (b, b + 1, a + 1, a))
                corners = [(j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1)]
                uvs += [(c / n, r / n) for c, r in (corners if half == 0 else corners[::-1])]
    mesh = bpy.data.meshes.new("pillow")
    mesh.from_pydata(vertices, [], faces)
    mesh.uv_layers.new().uv.foreach_set("vector", np.array(uvs, np.float32).ravel())
    obj = add("pillow", mesh, [material])
    obj.location, obj.rotation_euler = at, [math.radians(t) for t in turn]
    obj.data.shade_smooth()
    return obj
