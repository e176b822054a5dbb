"""The families of goods: each is a function (parameters, art) that models one product in the current scene.

products.toml gives the parameters of the catalogue, training.py draws random ones. render.py calls `FAMILIES[name]`.
"""

from collections.abc import Callable
from typing import Any

from labels import Art

from families import audio, bags, beauty, furniture, home, packaging, play, tableware

FAMILIES: dict[str, Callable[[dict[str, Any], Art], None]] = {
    "mug": tableware.mug,
    "teapot": tableware.teapot,
    "bottle": tableware.bottle,
    "jar": packaging.jar,
    "tin": packaging.tin,
    "carton": packaging.carton,
    "book": packaging.book,
    "lamp": home.lamp,
    "vase": home.vase,
    "candle": home.candle,
    "clock": home.clock,
    "cushion": home.cushion,
    "chair": furniture.chair,
    "beauty": beauty.container,
    "headphones": audio.headphones,
    "speaker": audio.speaker,
    "toy": play.toy,
    "controller": play.controller,
    "bag": bags.bag,
}
