"""One photo's set: puts the product on its spot, then background, lights and camera for a studio or customer shot.

Before: a family built the product at the origin. After: render.py renders, photo.py develops. All sizes are relative to
the product, which is scaled so that half its bounding box's diagonal is 1; azimuth 0 looks at the front (-Y).
"""

import math
import random
from dataclasses import dataclass

import bpy
import numpy as np
import places

WARM, DAY, WHITE = (1.0, 0.72, 0.42), (0.78, 0.88, 1.0), (1.0, 0.97, 0.93)


@dataclass(frozen=True)
class View:
    """A camera: azimuth and elevation in degrees, lens in mm, share of the frame filled, roll, shift of the frame."""

    azimuth: float
    elevation: float
    lens: float
    fill: float
    roll: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    fstop: float | None = None


def clear() -> None:
    """Empty the scene and forget everything that no object uses any more."""
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    for image in list(bpy.data.images):
        if image.users == 0:
            bpy.data.images.remove(image)


def settle() -> np.ndarray:
    """Scale everything in the scene to unit size, stand it on z = 0 and return its vertices, (n, 3)."""
    root = bpy.data.objects.new("product", None)
    parts = [o for o in bpy.context.scene.objects if o.type == "MESH"]
    bpy.context.scene.collection.objects.link(root)
    for part in parts:
        part.parent = root
    corners = _vertices(parts)
    low, high = corners.min(0), corners.max(0)
    scale = 2 / np.linalg.norm(high - low)
    root.scale = (scale, scale, scale)
    root.location = (-scale * (low[0] + high[0]) / 2, -scale * (low[1] + high[1]) / 2, -scale * low[2])
    return _vertices(parts)


def _vertices(parts: list[bpy.types.Object]) -> np.ndarray:
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    clouds = []
    for part in parts:
        mesh = part.evaluated_get(graph).data
        flat = np.empty(len(mesh.vertices) * 3)
        mesh.vertices.foreach_get("co", flat)
        matrix = np.array(part.matrix_world)
        clouds.append(flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(clouds)


def point_camera(view: View, cloud: np.ndarray) -> None:
    """Place the camera so that the product's outline fills `view.fill` of the frame."""
    azimuth, elevation = math.radians(view.azimuth), math.radians(view.elevation)
    back = np.array(
        [math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    up = np.cross(back, right)
    axes = np.stack([right, up, back], 1)
    centre, scale = (cloud.min(0) + cloud.max(0)) / 2, view.lens / 18.0
    near, far = 1.2, 60.0
    for _ in range(24):
        distance = math.sqrt(near * far)
        seen = (cloud - centre - back * distance) @ axes
        depth = -seen[:, 2]
        x, y = seen[:, 0] / depth * scale, seen[:, 1] / depth * scale
        tight = depth.min() <= 0.05 or max(np.ptp(x), np.ptp(y)) / 2 > view.fill
        near, far = (distance, far) if tight else (near, distance)
    camera = bpy.data.cameras.new("camera")
    camera.lens = view.lens
    camera.shift_x = float(x.max() + x.min()) / 4 + view.shift[0]
    camera.shift_y = float(y.max() + y.min()) / 4 + view.shift[1]
    obj = bpy.data.objects.new("camera", camera)
    bpy.context.scene.collection.objects.link(obj)
    obj.location = centre + back * distance
    obj.rotation_euler = (math.pi / 2 - elevation, math.radians(view.roll), azimuth)
    if view.fstop:
        camera.dof.use_dof, camera.dof.focus_distance, camera.dof.aperture_fstop = (
            True,
            float(distance - 0.5),
            view.fstop,
        )
    bpy.context.scene.camera = obj


# How a family is best shown in the studio: azimuth, elevation.
ANGLES = {
    "book": (-28, 10),
    "clock": (16, 6),
    "cushion": (14, 10),
    "controller": (12, 22),
    "headphones": (32, 12),
    "carton": (-30, 14),
    "bag": (24, 10),
    "mug": (18, 18),
    "toy": (28, 20),
    "chair": (30, 14),
    "beauty": (14, 10),
}


def studio(family: str, cloud: np.ndarray, rng: random.Random) -> None:
    """A clean catalogue photo: seamless paper, two soft boxes, a long lens."""
    azimuth, elevation = ANGLES.get(family, (16, 13))
    places.backdrop(rng.choice(["#f4f4f3", "#f2f1ef", "#f3f4f5"]))
    boxes = [(-70, 35, 60, 60, 5.0, WHITE), (75, 20, 40, 70, 2.2, WHITE), (10, 80, 80, 30, 2.0, WHITE)]
    places.environment((0.75, 0.75, 0.76), boxes, 0.55)
    places.lamp((-3.2, -3.6, 4.2), 3.0, 330, WHITE)
    places.lamp((4.2, -2.4, 2.6), 2.5, 90, WHITE)
    places.lamp((0.5, 2.6, 5.0), 3.5, 150, WHITE)
    view = View(
        azimuth + rng.uniform(-4, 4), elevation + rng.uniform(-2, 3), rng.choice([70, 85, 100]), rng.uniform(0.78, 0.84)
    )
    point_camera(view, cloud)


def customer(family: str, cloud: np.ndarray, rng: random.Random, shot: int) -> None:
    """A buyer's photo at home: other angle, lens, light and background, clutter, often something in front."""
    side = (-1, 1, rng.choice([-1, 1]))[shot - 1]
    azimuth, elevation = (
        side * rng.uniform(8, 42),
        rng.choice([rng.uniform(6, 18), rng.uniform(18, 34), rng.uniform(30, 46)]),
    )
    lens, fill = rng.choice([26, 28, 35, 50]), rng.uniform(0.5, 0.82)
    shift = (rng.uniform(-1, 1) * (0.92 - fill) * 0.45, rng.uniform(-1, 1) * (0.92 - fill) * 0.4)
    if rng.random() < 0.16:
        fill, shift = rng.uniform(0.92, 1.05), (rng.uniform(-0.07, 0.07), rng.uniform(-0.05, 0.05))
    fstop = rng.uniform(0.6, 1.2) if rng.random() < 0.5 else None
    view = View(azimuth, elevation, lens, fill, rng.gauss(0, 5), shift, fstop)
    places.floor(rng)
    places.wall(rng, math.radians(azimuth))
    _clutter(cloud, math.radians(azimuth), rng)
    if rng.random() < 0.6:
        _occluder(cloud, math.radians(azimuth), elevation, rng)
    _light(rng, azimuth)
    point_camera(view, cloud)


def _clutter(cloud: np.ndarray, azimuth: float, rng: random.Random) -> None:
    """Plain things beside and behind the product, none touching it."""
    reach, spots = float(np.hypot(cloud[:, 0], cloud[:, 1]).max()), []
    for _ in range(rng.randint(1, 6)):
        angle = azimuth + math.pi + rng.uniform(-1.5, 1.5)
        size, distance = rng.uniform(0.35, 0.9), reach + rng.uniform(0.75, 1.7)
        x, y = math.sin(angle) * distance, -math.cos(angle) * distance
        if all(math.hypot(x - a, y - b) > 0.75 * (size + s) for a, b, s in spots):
            places.thing(rng, x, y, size)
            spots.append((x, y, size))


def _occluder(cloud: np.ndarray, azimuth: float, elevation: float, rng: random.Random) -> None:
    """A thing in front of one lower corner of the product, the taller the more the camera looks down."""
    out, right = np.array([math.sin(azimuth), -math.cos(azimuth)]), np.array([math.cos(azimuth), math.sin(azimuth)])
    front, wide = float((cloud[:, :2] @ out).max()), float((cloud[:, :2] @ right).max())
    size, side = rng.uniform(0.42, 0.6) * (1 + elevation / 60), rng.choice([-1, 1])
    size = min(size, 0.8 * float(cloud[:, 2].max()))
    spot = out * (front + size * 0.6 + 0.05) + right * side * wide * rng.uniform(0.35, 0.8)
    places.thing(rng, float(spot[0]), float(spot[1]), size, ("packet", "roll", "pot", "fruit", "glass"))


def _light(rng: random.Random, azimuth: float) -> None:
    """One of six kinds of light in a home. photo.py sets the exposure, so only proportions and colours matter here."""
    kind, side = rng.choice(["window", "window", "lamp", "dim", "mixed", "overcast", "flash"]), rng.choice([-1, 1])
    room = (0.5, 0.46, 0.4) if kind in ("lamp", "dim") else (0.62, 0.66, 0.7)
    panes = [(side * 80, 15, 50, 50, 5.0, DAY), (side * 140, 25, 30, 40, 2.0, DAY)]

    def around(degrees: float, distance: float, height: float) -> tuple[float, float, float]:
        a = math.radians(azimuth + degrees)
        return math.sin(a) * distance, -math.cos(a) * distance, height

    if kind == "window":
        places.environment(room, panes, 0.5)
        places.lamp(around(side * rng.uniform(45, 85), 5.5, rng.uniform(1.8, 4)), 3.2, 520, DAY)
    elif kind == "lamp":
        places.environment(room, [], 0.16)
        places.lamp(around(side * rng.uniform(20, 70), 3.6, rng.uniform(2.6, 4.5)), 0.6, 300, WARM)
    elif kind == "dim":
        places.environment(room, panes[:1], 0.1)
        places.lamp(around(side * rng.uniform(-30, 60), 4.5, 5), 1.6, 90, WARM)
    elif kind == "mixed":
        places.environment(room, panes[:1], 0.35)
        places.lamp(around(side * 70, 5, 2.5), 2.5, 260, DAY)
        places.lamp(around(-side * 45, 3.6, 3.5), 0.7, 150, WARM)
    elif kind == "overcast":
        places.environment((0.85, 0.88, 0.92), [(0, 80, 120, 60, 1.2, DAY)], 0.9)
    else:
        places.environment(room, [], 0.22)
        places.lamp(around(4, 5.0, 2.4), 0.35, 380, WHITE)
