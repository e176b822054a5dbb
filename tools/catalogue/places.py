"""Where photos are taken: floors and walls, the things that stand about in a home, and light environments.

scenes.py puts these around a product. Nothing here is for sale: clutter is plain (no labels), so that a recogniser
cannot confuse it with a product of the catalogue.
"""

import math
import random
from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from artwork import pattern, picture
from materials import linear, material
from shapes import box, lathe, tube
from soft import blob

WOODS = ["#b98a5a", "#8a5a35", "#d8b98c", "#5c3d28", "#a67c52"]
MUTED = ["#8c9a86", "#c8b8a0", "#7d8fa3", "#b98f7f", "#a3a3a0", "#d9d2c3", "#6f6a78", "#c2a25a", "#55697a", "#9c5a4a"]
THINGS = ("fruit", "pile", "pot", "bowl", "packet", "roll", "glass", "cloth")
PAINTS = ["#e8e4da", "#d9dfe0", "#c9d3c5", "#e6d3c3", "#b9c4cf", "#8fa39a", "#cfa58d", "#f0ece4", "#6d7f8d", "#d8c690"]


def _plane(size: float, at: tuple[float, float, float], turn: tuple[float, float, float], surface: Any) -> None:
    bpy.ops.mesh.primitive_plane_add(size=size, location=at, rotation=turn)
    bpy.context.object.data.materials.append(surface)


def backdrop(colour: str) -> None:
    """A studio's seamless paper: floor, a soft curve, wall."""
    line = [(-9.0, 0.0), (2.5, 0.0)]
    line += [(2.5 + 3 * math.sin(a), 3 - 3 * math.cos(a)) for a in np.linspace(0.1, math.pi / 2, 14)] + [(5.5, 14.0)]
    vertices = [(x, y, z) for y, z in line for x in (-22, 22)]
    faces = [(2 * i, 2 * i + 1, 2 * i + 3, 2 * i + 2) for i in range(len(line) - 1)]
    mesh = bpy.data.meshes.new("backdrop")
    mesh.from_pydata(vertices, [], faces)
    mesh.shade_smooth()
    mesh.materials.append(material(f"matt:{colour}"))
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("backdrop", mesh))


def _bricks(colour: str, joint: str, wide: float, tall: float, finish: str, offset: float = 0.0) -> Any:
    """Tiles or planks: a Blender brick texture over a finish."""
    made = material(f"{finish}:{colour}")
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place, brick = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeTexBrick")
    brick.offset = offset
    for name, value in (("Scale", 1.0), ("Brick Width", wide), ("Row Height", tall), ("Mortar Size", 0.012)):
        brick.inputs[name].default_value = value
    base = linear(colour)
    brick.inputs["Color1"].default_value = base
    brick.inputs["Color2"].default_value = [min(1, c * 0.82) for c in base[:3]] + [1]
    brick.inputs["Mortar"].default_value = linear(joint)
    links.new(place.outputs["Object"], brick.inputs["Vector"])
    shader = nodes["Principled BSDF"]
    old = shader.inputs["Base Color"].links
    if old:
        mix = nodes.new("ShaderNodeMix")
        mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
        mix.inputs["Factor"].default_value = 0.6
        links.new(old[0].from_socket, mix.inputs["A"])
        links.new(brick.outputs["Color"], mix.inputs["B"])
        links.new(mix.outputs["Result"], shader.inputs["Base Color"])
    else:
        links.new(brick.outputs["Color"], shader.inputs["Base Color"])
    return made


def _speckled(spec: str, other: str, scale: float) -> Any:
    """A finish with a second colour in cloudy noise: carpet, stone, concrete."""
    made = material(spec)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place, noise, ramp = (
        nodes.new("ShaderNodeTexCoord"),
        nodes.new("ShaderNodeTexNoise"),
        nodes.new("ShaderNodeValToRGB"),
    )
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = scale, 8
    noise.inputs["Roughness"].default_value = 0.65
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.38, 0.64
    ramp.color_ramp.elements[0].color = linear(spec.split(":")[1])
    ramp.color_ramp.elements[1].color = linear(other)
    links.new(place.outputs["Object"], noise.inputs["Vector"])
    links.new(noise.outputs[0], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return made


def floor(rng: random.Random) -> None:
    """A table top or floor of a random kind under the product."""
    kind = rng.choice(["planks", "planks", "table", "tiles", "carpet", "linen", "stone", "concrete", "laminate"])
    wood = rng.choice(WOODS)
    if kind == "planks":
        surface = _bricks(wood, "#2a1c12", 6.0, rng.uniform(0.7, 1.3), "wood", 0.4)
    elif kind == "table":
        surface = material(f"wood:{wood}")
    elif kind == "tiles":
        surface = _bricks(rng.choice(["#e9e6df", "#c9d2d3", "#b7a58f", "#5d6468"]), "#8f8b84", 1.5, 1.5, "gloss")
    elif kind == "carpet":
        surface = _speckled(f"knit:{rng.choice(MUTED)}", rng.choice(MUTED), rng.uniform(2, 30))
    elif kind == "linen":
        surface = material(f"fabric:{rng.choice(PAINTS)}")
    elif kind == "stone":
        surface = _speckled("gloss:#efece6", rng.choice(["#b9b4aa", "#8f8b85", "#d8cfc0"]), 1.2)
    elif kind == "concrete":
        surface = _speckled("matt:#9b9892", "#83807a", 2.5)
    else:
        surface = material(f"plastic:{rng.choice(PAINTS)}")
    _plane(40, (0, 0, 0), (0, 0, rng.uniform(0, 3)), surface)


def wall(rng: random.Random, towards: float) -> None:
    """A wall behind the product as the camera sees it (`towards` is the camera's azimuth in radians)."""
    kind, colour, distance = (
        rng.choice(["paint", "paint", "paper", "tiles", "boards", "shelf"]),
        rng.choice(PAINTS),
        rng.uniform(1.9, 5),
    )
    at = (-math.sin(towards) * distance, math.cos(towards) * distance, 0)
    turn = (math.pi / 2, 0, towards + rng.uniform(-0.25, 0.25))
    if kind == "paper":
        image, draw = picture(1600, 1600, colour)
        shape = rng.choice(["stripes", "dots", "arches", "motifs", "check"])
        pattern(
            draw,
            shape,
            1600,
            1600,
            colour,
            rng.sample(PAINTS, 2),
            90,
            rng.choice(["leaf", "flower", "tree"]),
            rng.randrange(999),
        )
        surface = material("matt:#ffffff", image)
    elif kind == "tiles":
        surface = _bricks(colour, "#b5b0a6", 0.8, 0.4, "gloss", 0.5)
    elif kind == "boards":
        surface = _bricks(rng.choice(WOODS), "#3a2a1c", 9.0, 0.9, "wood", 0.3)
    else:
        surface = material(f"matt:{colour}")
    _plane(40, at, turn, surface)
    if kind == "shelf":
        _shelf(rng, at, towards)


def _shelf(rng: random.Random, at: tuple[float, float, float], towards: float) -> None:
    wood, degrees = material(f"wood:{rng.choice(WOODS)}"), math.degrees(towards)
    right, out = (math.cos(towards), math.sin(towards)), (math.sin(towards), -math.cos(towards))
    for level in (1.0, 2.3):
        box((12, 0.9, 0.1), (at[0] + out[0] * 0.5, at[1] + out[1] * 0.5, level), wood, bevel=0.01, turn=(0, 0, degrees))
        x = -3.0
        while x < 3.0:
            w, h = rng.uniform(0.12, 0.4), rng.uniform(0.6, 1.05)
            centre = (at[0] + out[0] * 0.5 + right[0] * x, at[1] + out[1] * 0.5 + right[1] * x, level + 0.05 + h / 2)
            box((w, 0.6, h), centre, material(f"matt:{rng.choice(MUTED)}"), bevel=0.015, turn=(0, 0, degrees))
            x += w + (rng.uniform(0.4, 1.2) if rng.random() < 0.2 else 0.02)


def thing(rng: random.Random, x: float, y: float, size: float, kinds: Sequence[str] = THINGS) -> None:
    """One plain object of a household, about `size` high, standing at a point."""
    colour, kind = rng.choice(MUTED), rng.choice(kinds)
    if kind == "fruit":
        fruit = rng.choice(["#c23b2c", "#d98c2b", "#8fae3f", "#d9c23a", "#7a2f3f"])
        blob((size, size, size * 0.92), (x, y, size * 0.45), material(f"leaf:{fruit}"), power=2.2)
        tube([(x, y, size * 0.86), (x + 0.02, y, size * 1.02)], 0.02, material("matt:#4a3a25"), curve=False)
    elif kind == "pile":
        z = 0.0
        for _ in range(rng.randint(1, 3)):
            h = size * rng.uniform(0.16, 0.3)
            box(
                (size * 1.5, size * 1.05, h),
                (x, y, z + h / 2),
                material(f"matt:{rng.choice(MUTED)}"),
                bevel=0.015,
                turn=(0, 0, rng.uniform(-40, 40)),
            )
            z += h
    elif kind == "pot":
        lathe(
            [(0, 0), (size * 0.3, 0), (size * 0.4, size * 0.6), (0, size * 0.58)], material(f"clay:{colour}")
        ).location = (x, y, 0)
        green = material("leaf:#4d7440")
        for i in range(9):
            tip = (x + size * 0.5 * math.cos(i * 2.4), y + size * 0.5 * math.sin(i * 2.4), size * rng.uniform(0.8, 1.3))
            tube(
                [(x, y, size * 0.5), tip],
                lambda t: size * 0.07 * math.sin(math.pi * (0.1 + 0.9 * t)) + 0.004,
                green,
                flat=2.0,
            )
    elif kind == "bowl":
        lathe(
            [
                (0, 0),
                (size * 0.3, 0),
                (size * 0.65, size * 0.5, 0.2),
                (size * 0.6, size * 0.5),
                (size * 0.3, size * 0.08),
                (0, size * 0.06),
            ],
            material(f"ceramic:{colour}"),
        ).location = (x, y, 0)
    elif kind == "packet":
        box(
            (size * 0.7, size * 0.45, size),
            (x, y, size / 2),
            material(f"carton:{colour}"),
            bevel=0.02,
            turn=(0, 0, rng.uniform(0, 90)),
        )
    elif kind == "roll":
        lathe(
            [(size * 0.12, 0), (size * 0.4, 0), (size * 0.4, size), (size * 0.12, size)], material("paper:#f1eee8")
        ).location = (x, y, 0)
    elif kind == "glass":
        lathe(
            [(0, 0), (size * 0.3, 0), (size * 0.36, size), (size * 0.33, size), (size * 0.28, 0.05), (0, 0.05)],
            material("clear:#f4f8f8"),
        ).location = (x, y, 0)
    else:
        box(
            (size * 1.4, size, size * 0.3),
            (x, y, size * 0.15),
            material(f"knit:{colour}"),
            bevel=0.06,
            turn=(0, 0, rng.uniform(0, 90)),
        )


def environment(
    base: tuple[float, float, float], windows: list[tuple[float, float, float, float, float, Any]], strength: float
) -> None:
    """Light the world with a painted panorama: a base colour, darker floor, bright rectangles.

    windows: (azimuth degrees, elevation degrees, width, height in degrees, brightness, rgb).
    """
    h, w = 96, 192
    el, az = np.meshgrid(np.linspace(-90, 90, h), np.linspace(-180, 180, w), indexing="ij")
    pixels = np.ones((h, w, 4), np.float32)
    pixels[..., :3] = np.array(base) * (0.55 + 0.45 * np.tanh(el / 30))[..., None]
    for a, e, wide, tall, bright, colour in windows:
        away = np.maximum(np.abs((az - a + 180) % 360 - 180) / wide, np.abs(el - e) / tall) * 2
        pixels[..., :3] += np.clip((1 - away) * 6, 0, 1)[..., None] * np.array(colour) * bright
    image = bpy.data.images.new("panorama", w, h, float_buffer=True)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    world = bpy.context.scene.world or bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    texture, light, out = (
        nodes.new(n) for n in ("ShaderNodeTexEnvironment", "ShaderNodeBackground", "ShaderNodeOutputWorld")
    )
    texture.image, light.inputs["Strength"].default_value = image, strength
    links.new(texture.outputs["Color"], light.inputs["Color"])
    links.new(light.outputs["Background"], out.inputs["Surface"])


def lamp(at: tuple[float, float, float], size: float, power: float, colour: tuple[float, float, float]) -> None:
    """A square area light that looks at the product."""
    data = bpy.data.lights.new("lamp", "AREA")
    data.energy, data.size, data.color = power, size, colour
    obj = bpy.data.objects.new("lamp", data)
    bpy.context.scene.collection.objects.link(obj)
    direction = np.array((0, 0, 0.7)) - np.array(at)
    pitch = math.atan2(math.hypot(direction[0], direction[1]), -direction[2])
    obj.location, obj.rotation_euler = at, (pitch, 0, math.atan2(direction[1], direction[0]) - math.pi / 2)
