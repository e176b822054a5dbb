"""Surfaces: turns a short spec such as "ceramic:#2f6f62" or "wood:#b98a5a" into a Principled material.

The families ask for materials by spec or with a printed picture (labels.py) on them; scenes.py uses the same for
tables and walls. Colours are sRGB hex, as a designer would write them.
"""

import bpy
import numpy as np
from PIL import Image

# finish -> Principled inputs, then the bump: (kind, scale, strength)
FINISHES: dict[str, tuple[dict[str, float], tuple[str, float, float] | None]] = {
    "ceramic": ({"Roughness": 0.28, "Coat Weight": 0.8, "Coat Roughness": 0.06}, ("noise", 2.5, 0.03)),
    "stoneware": ({"Roughness": 0.62, "Specular IOR Level": 0.4}, ("noise", 14, 0.10)),
    "enamel": ({"Roughness": 0.18, "Coat Weight": 1.0, "Coat Roughness": 0.03}, None),
    "clay": ({"Roughness": 0.88}, ("noise", 20, 0.15)),
    "plastic": ({"Roughness": 0.38}, None),
    "gloss": ({"Roughness": 0.14, "Coat Weight": 0.5, "Coat Roughness": 0.04}, None),
    "matt": ({"Roughness": 0.7}, None),
    "powder": ({"Roughness": 0.5, "Metallic": 0.1}, ("noise", 90, 0.05)),
    "rubber": ({"Roughness": 0.82, "Specular IOR Level": 0.3}, ("noise", 60, 0.05)),
    "steel": ({"Metallic": 1.0, "Roughness": 0.26}, ("brushed", 40, 0.02)),
    "chrome": ({"Metallic": 1.0, "Roughness": 0.08}, None),
    "metal": ({"Metallic": 1.0, "Roughness": 0.32}, None),
    "paper": ({"Roughness": 0.75, "Specular IOR Level": 0.3}, ("noise", 60, 0.03)),
    "carton": ({"Roughness": 0.42}, None),
    "fabric": ({"Roughness": 0.95, "Sheen Weight": 0.25}, ("weave", 55, 0.35)),
    "knit": ({"Roughness": 1.0, "Sheen Weight": 0.4}, ("weave", 26, 0.6)),
    "canvas": ({"Roughness": 0.9, "Sheen Weight": 0.1}, ("weave", 90, 0.3)),
    "leather": ({"Roughness": 0.5}, ("leather", 22, 0.25)),
    "wax": ({"Roughness": 0.45, "Subsurface Weight": 0.25, "Subsurface Scale": 0.1}, None),
    "wood": ({"Roughness": 0.45, "Coat Weight": 0.15}, ("grain", 1, 0.05)),
    "clear": ({"Roughness": 0.03, "Transmission Weight": 1.0, "IOR": 1.2}, None),
    "filled": ({"Roughness": 0.2, "Coat Weight": 1.0, "Coat Roughness": 0.02, "Subsurface Weight": 0.15}, None),
    "shade": ({"Roughness": 0.9, "Emission Strength": 0.22}, ("weave", 60, 0.15)),
    "glow": ({"Roughness": 0.6, "Emission Strength": 0.7}, None),
    "leaf": ({"Roughness": 0.45, "Subsurface Weight": 0.1}, ("noise", 6, 0.05)),
}


def linear(colour: str) -> tuple[float, float, float, float]:
    """'#rrggbb' as linear RGBA."""
    parts = [int(colour.lstrip("#")[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue, 1.0


def material(spec: str, picture: Image.Image | None = None) -> bpy.types.Material:
    """The material of a spec "finish:#colour"; a picture replaces the colour where it is printed."""
    finish, _, colour = spec.partition(":")
    inputs, bump = FINISHES[finish]
    made = bpy.data.materials.new(spec)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    for name, value in inputs.items():
        shader.inputs[name].default_value = value
    shader.inputs["Base Color"].default_value = linear(colour or "#cfcfcf")
    if "Emission Strength" in inputs:
        shader.inputs["Emission Color"].default_value = linear(colour)
    if finish == "wood":
        _grain(made, linear(colour))
    if picture:
        _print(made, picture)
    if bump:
        _bump(made, *bump)
    return made


def _link(made: bpy.types.Material, source: bpy.types.NodeSocket, target: str) -> None:
    made.node_tree.links.new(source, made.node_tree.nodes["Principled BSDF"].inputs[target])


def _print(made: bpy.types.Material, picture: Image.Image) -> None:
    image = bpy.data.images.new("print", *picture.size)
    pixels = np.asarray(picture.convert("RGBA"), np.float32)[::-1] / 255
    image.pixels.foreach_set(np.ascontiguousarray(pixels).ravel())
    image.update()
    node = made.node_tree.nodes.new("ShaderNodeTexImage")
    node.image, node.interpolation = image, "Cubic"
    _link(made, node.outputs["Color"], "Base Color")
    shader = made.node_tree.nodes["Principled BSDF"]
    if shader.inputs["Emission Strength"].default_value:
        _link(made, node.outputs["Color"], "Emission Color")


def _texture(made: bpy.types.Material, kind: str, scale: float, stretch: tuple[float, float, float]) -> bpy.types.Node:
    """A procedural texture in object coordinates."""
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place, mapping, node = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeMapping"), nodes.new(kind)
    mapping.inputs["Scale"].default_value = stretch
    links.new(place.outputs["Object"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], node.inputs["Vector"])
    node.inputs["Scale"].default_value = scale
    return node


def _grain(made: bpy.types.Material, colour: tuple[float, float, float, float]) -> None:
    node = _texture(made, "ShaderNodeTexNoise", 3.0, (1.0, 7.0, 7.0))
    node.inputs["Detail"].default_value = 6
    node.inputs["Distortion"].default_value = 0.6
    ramp = made.node_tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.3, 0.72
    ramp.color_ramp.elements[0].color = [c * 0.55 for c in colour[:3]] + [1]
    ramp.color_ramp.elements[1].color = [min(1, c * 1.15) for c in colour[:3]] + [1]
    made.node_tree.links.new(node.outputs["Fac"], ramp.inputs["Fac"])
    _link(made, ramp.outputs["Color"], "Base Color")


def _bump(made: bpy.types.Material, kind: str, scale: float, strength: float) -> None:
    if kind == "weave":
        node = _texture(made, "ShaderNodeTexChecker", scale, (1, 1, 1))
    elif kind == "leather":
        node = _texture(made, "ShaderNodeTexVoronoi", scale, (1, 1, 1))
    else:
        stretch = {"noise": (1, 1, 1), "brushed": (0.3, 0.3, 8), "grain": (2, 14, 14)}[kind]
        node = _texture(made, "ShaderNodeTexNoise", scale, stretch)
    bump = made.node_tree.nodes.new("ShaderNodeBump")
    bump.inputs["Strength"].default_value, bump.inputs["Distance"].default_value = strength, 0.1
    made.node_tree.links.new(node.outputs[1 if kind == "weave" else 0], bump.inputs["Height"])
    _link(made, bump.outputs["Normal"], "Normal")
