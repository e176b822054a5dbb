"""What may vary in a random training product: for each family the parameters, the words and the price range.

training.py draws from `SPACE`; the parameters are those that the family's function in families/ takes.
"""

import colorsys
import random
from collections.abc import Callable
from typing import Any

Choice = Callable[[random.Random], Any]

NAMED = {
    "white": "#f2f0ea",
    "cream": "#efe4c9",
    "sand": "#d3bf9c",
    "grey": "#9b9d9e",
    "charcoal": "#3c3f43",
    "black": "#1d1d1f",
    "red": "#c22f2a",
    "coral": "#e46d56",
    "terracotta": "#b3603c",
    "orange": "#e5812b",
    "mustard": "#d3a02c",
    "yellow": "#efcb3f",
    "olive": "#6e7038",
    "moss": "#58713f",
    "green": "#3a8450",
    "mint": "#98d0b6",
    "teal": "#23797a",
    "turquoise": "#46b0b2",
    "sky": "#83bde0",
    "blue": "#2d62ad",
    "navy": "#202f55",
    "violet": "#6a4a9b",
    "lilac": "#b8a2d6",
    "pink": "#e6a4b0",
    "rose": "#c65a72",
    "burgundy": "#6b1f30",
    "brown": "#6c452b",
}
WOODS = ["#c99a63", "#8a5a35", "#5d3b25", "#d9bb8c"]


def one(*options: Any) -> Choice:
    """One of the options; an option that is itself a choice is drawn."""

    def pick(rng: random.Random) -> Any:
        option = rng.choice(options)
        return option(rng) if callable(option) else option

    return pick


def colour(rng: random.Random) -> str:
    """A named colour, slightly off, so that two mugs in teal are not the same mug."""
    value = NAMED[rng.choice(list(NAMED))]
    h, s, v = colorsys.rgb_to_hsv(*(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)))
    h, s, v = (h + rng.uniform(-0.02, 0.02)) % 1, s * rng.uniform(0.8, 1.1), v * rng.uniform(0.88, 1.06)
    return "#" + "".join(f"{round(255 * min(1, c)):02x}" for c in colorsys.hsv_to_rgb(h, min(1, s), min(1, v)))


def spec(*finishes: str) -> Choice:
    """A material spec: one of the finishes in a colour that such a thing has."""

    def pick(rng: random.Random) -> str:
        finish = rng.choice(finishes)
        if finish == "wood":
            return f"wood:{rng.choice(WOODS)}"
        if finish in ("metal", "steel", "chrome"):
            return f"{finish}:{rng.choice(['#d7d7d5', '#c9a24b', '#c98a5c', '#4a4a4c'])}"
        return f"{finish}:{colour(rng)}"

    return pick


def several(count: int) -> Choice:
    """A list of colours."""
    return lambda rng: [colour(rng) for _ in range(count)]


def span(low: float, high: float) -> Choice:
    """A length."""
    return lambda rng: round(rng.uniform(low, high), 2)


def size(*spans: tuple[float, float]) -> Choice:
    """A list of lengths."""
    return lambda rng: [span(*s)(rng) for s in spans]


# family -> (category, words for a title, highest price, layouts, parameters)
MARKS, FULL = ["mark", "mark", "none"], ["plain", "frame", "bold", "split", "badge"]
SPACE: dict[str, tuple[str, list[str], float, list[str], dict[str, Choice]]] = {
    "mug": (
        "Mugs & Tea",
        ["Mug", "Cup"],
        30,
        MARKS,
        {
            "shape": one("straight", "tapered", "flared", "tall", "barrel", "bowl"),
            "finish": one("ceramic", "enamel", "stoneware"),
            "body": colour,
            "inside": one(colour, "#f2efe6"),
            "rim": colour,
            "handle": one("ear", "ring", "square", "none"),
            "handle_colour": colour,
        },
    ),
    "teapot": (
        "Mugs & Tea",
        ["Teapot", "Kettle"],
        80,
        MARKS,
        {
            "shape": one("round", "tall", "cone", "squat", "cylinder"),
            "finish": one("ceramic", "enamel", "steel", "stoneware"),
            "body": colour,
            "handle": one("side", "arch"),
            "spout": one("short", "goose"),
            "handle_spec": spec("wood", "plastic", "metal"),
            "knob_spec": spec("wood", "plastic", "metal"),
        },
    ),
    "bottle": (
        "Bottles & Flasks",
        ["Bottle", "Flask"],
        40,
        MARKS,
        {
            "shape": one("slim", "wide", "cola", "tumbler", "flask"),
            "finish": one("powder", "plastic", "gloss", "steel"),
            "body": colour,
            "cap": one("screw", "loop", "sport", "flip", "disc"),
            "cap_spec": spec("plastic", "wood", "steel"),
            "detail_spec": spec("plastic", "steel"),
        },
    ),
    "jar": (
        "Food Cupboard",
        ["Preserve", "Sauce", "Spread", "Pickle"],
        12,
        FULL,
        {
            "shape": one("round", "tall", "squat", "hex"),
            "content": colour,
            "lid_spec": spec("metal", "gloss", "plastic"),
        },
    ),
    "tin": (
        "Food Cupboard",
        ["Soup", "Beans", "Biscuits", "Loose Tea"],
        15,
        [*FULL, "none"],
        {"shape": one("can", "tall", "flat", "caddy", "square"), "body": colour, "lid_spec": spec("metal", "gloss")},
    ),
    "carton": (
        "Food Cupboard",
        ["Cereal", "Tea", "Crackers", "Pasta"],
        12,
        FULL,
        {"size": size((0.8, 1.5), (0.35, 0.8), (0.8, 1.9))},
    ),
    "book": (
        "Books",
        ["Novel", "Guide", "Notebook", "Stories"],
        35,
        [*FULL, "mark"],
        {
            "size": size((1.1, 1.6), (1.5, 2.0), (0.18, 0.45)),
            "spine": colour,
            "spine_ink": one("#f3efe2", "#1d1d1f"),
            "finish": one("carton", "canvas"),
        },
    ),
    "lamp": (
        "Lighting",
        ["Lamp", "Table Lamp"],
        150,
        ["none"],
        {
            "kind": one("table", "mushroom", "arm", "globe", "tripod"),
            "base_spec": spec("ceramic", "wood", "metal", "gloss", "powder"),
            "shade_spec": spec("fabric", "knit", "gloss", "powder"),
            "metal": spec("metal", "gloss"),
            "belly": span(0.28, 0.55),
            "low": span(0.55, 0.8),
            "high": span(0.4, 0.7),
            "tall": span(0.5, 0.8),
        },
    ),
    "vase": (
        "Vases & Planters",
        ["Vase", "Planter"],
        60,
        ["none"],
        {
            "shape": one("bottle", "urn", "cylinder", "gourd", "pot", "bowl"),
            "finish": one("stoneware", "clay", "ceramic"),
            "body": colour,
            "plant": one("none", "none", "stems", "cactus", "leafy"),
            "plant_colour": one("#4f7a45", "#6d8f4f", "#c9a977", "#3f6d5a"),
        },
    ),
    "candle": (
        "Candles",
        ["Candle"],
        30,
        FULL,
        {"kind": one("glass", "tin", "stone"), "body": colour, "wax": one("#f3ead6", colour)},
    ),
    "clock": (
        "Clocks",
        ["Clock"],
        90,
        ["none"],
        {
            "kind": one("wall", "alarm", "bell", "mantel"),
            "case_spec": spec("wood", "gloss", "metal", "plastic"),
            "numerals": one("arabic", "roman", "ticks", "dots"),
            "hour": span(0.5, 11.9),
            "metal": spec("metal", "gloss"),
        },
    ),
    "cushion": (
        "Home Textiles",
        ["Cushion"],
        45,
        ["none", "none", "mark"],
        {"size": size((1.4, 2.1), (1.3, 1.7)), "weave": one("fabric", "knit", "canvas"), "tassel": colour},
    ),
    "chair": (
        "Furniture",
        ["Chair", "Seat"],
        320,
        ["none"],
        {
            "kind": one("stool", "bar", "dining", "shell", "armchair", "bench"),
            "seat_spec": spec("fabric", "knit", "wood", "plastic", "leather"),
            "leg_spec": spec("wood", "metal", "plastic"),
            "back_spec": spec("fabric", "plastic", "wood"),
            "back": one("slats", "rails"),
            "padded": one(True, False),
            "base": one("legs", "pedestal"),
            "legs": one(3, 4),
        },
    ),
    "beauty": (
        "Bath & Body",
        ["Wash", "Shampoo", "Lotion", "Serum"],
        60,
        FULL,
        {
            "kind": one("pump", "square", "tube", "spray", "dropper", "cream"),
            "finish": one("plastic", "gloss", "filled", "matt"),
            "body": colour,
            "cap_spec": spec("plastic", "gloss", "metal"),
        },
    ),
    "headphones": (
        "Audio",
        ["Headphones"],
        200,
        ["mark"],
        {
            "cup": one("round", "oval"),
            "slim": one(True, False),
            "cup_spec": spec("matt", "gloss", "metal", "wood"),
            "band_spec": spec("matt", "gloss", "leather"),
            "pad_spec": spec("leather", "fabric"),
            "ring_spec": spec("metal", "gloss"),
        },
    ),
    "speaker": (
        "Audio",
        ["Speaker", "Radio"],
        250,
        ["mark"],
        {
            "kind": one("bookshelf", "can", "retro", "smart", "bar"),
            "body_spec": spec("wood", "gloss", "matt", "rubber"),
            "grille_spec": spec("knit", "fabric"),
            "cone": spec("matt", "metal"),
            "metal": spec("metal", "gloss"),
        },
    ),
    "toy": (
        "Toys",
        ["Toy", "Play Set"],
        40,
        ["mark", "badge"],
        {"kind": one("car", "van", "train", "blocks", "rings", "robot"), "colours": several(6)},
    ),
    "controller": (
        "Gaming",
        ["Controller", "Gamepad"],
        70,
        ["mark"],
        {
            "body": colour,
            "grip": one("#202020", colour),
            "buttons": several(4),
            "layout": one("offset", "level"),
            "retro": one(True, False, False),
            "finish": one("plastic", "matt", "gloss"),
        },
    ),
    "bag": (
        "Bags",
        ["Bag", "Pack"],
        120,
        ["mark"],
        {
            "kind": one("backpack", "tote", "wash", "roll"),
            "finish": one("canvas", "matt", "leather", "fabric"),
            "body": colour,
            "pocket": colour,
            "strap_spec": spec("leather", "rubber", "canvas"),
            "zip_spec": spec("metal", "plastic"),
        },
    ),
}
