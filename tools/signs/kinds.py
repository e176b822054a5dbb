"""Twelve traffic signs as they stand along European roads, drawn from their geometry; seen through street.py."""

import math
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont

SIDE = 256  # pixels of a drawing

RED, BLUE, WHITE, BLACK, YELLOW = (190, 24, 34), (20, 84, 166), (245, 245, 242), (24, 24, 26), (246, 190, 20)

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


def _blank() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    return image, ImageDraw.Draw(image)


def _regular(corners: int, radius: float, turn: float, centre: tuple[float, float] = (128, 128)) -> Points:
    """A regular polygon; `turn` in degrees, 0 puts the first corner to the right."""
    angles = [math.radians(turn + 360 * corner / corners) for corner in range(corners)]
    return [(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)) for angle in angles]


def _disc(pen: ImageDraw.ImageDraw, radius: float, colour: Colour) -> None:
    pen.ellipse((128 - radius, 128 - radius, 128 + radius, 128 + radius), fill=colour)


def _write(pen: ImageDraw.ImageDraw, text: str, size: int, colour: Colour, at: tuple[int, int] = (128, 128)) -> None:
    pen.text(at, text, colour, ImageFont.load_default(size), anchor="mm", stroke_width=size // 18, stroke_fill=colour)


def _stop() -> Image.Image:
    image, pen = _blank()
    for radius, colour in ((124, WHITE), (114, RED)):
        pen.polygon(_regular(8, radius, 22.5), colour)
    _write(pen, "STOP", 72, WHITE)
    return image


def _give_way() -> Image.Image:
    image, pen = _blank()
    for radius, colour in ((126, RED), (80, WHITE)):
        pen.polygon(_regular(3, radius, 90, (128, 104)), colour)
    return image


def _no_entry() -> Image.Image:
    image, pen = _blank()
    _disc(pen, 122, WHITE)
    _disc(pen, 116, RED)
    pen.rectangle((42, 106, 214, 150), WHITE)
    return image


def _speed(limit: int) -> Callable[[], Image.Image]:
    def draw() -> Image.Image:
        image, pen = _blank()
        for radius, colour in ((122, RED), (92, WHITE)):
            _disc(pen, radius, colour)
        _write(pen, str(limit), 104, BLACK)
        return image

    return draw


def _priority() -> Image.Image:
    image, pen = _blank()
    for radius, colour in ((126, BLACK), (122, WHITE), (84, YELLOW)):
        pen.polygon(_regular(4, radius, 0), colour)
    return image


def _turn(*, left: bool) -> Callable[[], Image.Image]:
    def draw() -> Image.Image:
        image, pen = _blank()
        _disc(pen, 122, WHITE)
        _disc(pen, 116, BLUE)
        pen.line([(104, 206), (104, 112), (160, 112)], WHITE, 30, joint="curve")
        pen.polygon([(152, 66), (214, 112), (152, 158)], WHITE)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if left else image

    return draw


def _parking() -> Image.Image:
    image, pen = _blank()
    pen.rounded_rectangle((10, 10, 246, 246), 24, WHITE)
    pen.rounded_rectangle((18, 18, 238, 238), 20, BLUE)
    _write(pen, "P", 190, WHITE)
    return image


def _warning() -> Image.Image:
    image, pen = _blank()
    for radius, colour in ((126, RED), (86, WHITE)):
        pen.polygon(_regular(3, radius, -90, (128, 152)), colour)
    pen.polygon([(116, 96), (140, 96), (134, 168), (122, 168)], BLACK)
    pen.ellipse((116, 174, 140, 198), BLACK)
    return image


def _no_parking() -> Image.Image:
    image, pen = _blank()
    for radius, colour in ((122, RED), (98, BLUE)):
        _disc(pen, radius, colour)
    pen.line([(52, 52), (204, 204)], RED, 24)
    return image


KINDS: dict[str, Callable[[], Image.Image]] = {
    "stop": _stop,
    "give-way": _give_way,
    "turn-left": _turn(left=True),
    "turn-right": _turn(left=False),
    "parking": _parking,
    "speed-30": _speed(30),
    "speed-50": _speed(50),
    "speed-80": _speed(80),
    "no-entry": _no_entry,
    "priority-road": _priority,
    "warning": _warning,
    "no-parking": _no_parking,
}
