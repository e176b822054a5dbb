"""One sign as a camera sees it: turned away, on its pole, in front of something, in its light; after kinds.py."""

import random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

SIDE = 192  # pixels of a photo

Corners = list[tuple[float, float]]


def photograph(sign: Image.Image, chance: random.Random) -> Image.Image:
    """A photo of a drawn sign (RGBA, square); everything about it is drawn by lot."""
    photo = _scenery(chance)
    corners = _turned_away(chance)
    _pole(photo, corners, chance)
    seen = sign.transform((SIDE, SIDE), Image.Transform.PERSPECTIVE, _to_drawing(corners, sign.width), Image.BICUBIC)
    photo.paste(seen.convert("RGB"), (0, 0), seen.getchannel("A"))
    return _through_the_camera(photo, chance)


def _scenery(chance: random.Random) -> Image.Image:
    """Sky above, ground below, blurred blocks between: houses, trees, cars."""
    sky = tuple(chance.randint(*part) for part in ((90, 220), (120, 230), (140, 250)))
    ground = tuple(chance.randint(50, 140) for _ in range(3))
    image = Image.new("RGB", (SIDE, SIDE), sky)
    pen = ImageDraw.Draw(image)
    horizon = chance.randint(SIDE // 2, SIDE)
    pen.rectangle((0, horizon, SIDE, SIDE), ground)
    for _ in range(chance.randint(4, 14)):
        left, width = chance.randint(-30, SIDE), chance.randint(15, 90)
        top, colour = chance.randint(0, SIDE), tuple(chance.randint(20, 220) for _ in range(3))
        shape = chance.choice((pen.rectangle, pen.ellipse))
        shape((left, top, left + width, top + chance.randint(15, 120)), colour)
    return image.filter(ImageFilter.GaussianBlur(chance.uniform(1, 5)))


def _turned_away(chance: random.Random) -> Corners:
    """Where the corners of the drawing lie in the photo: upper left, upper right, lower right, lower left."""
    side = SIDE * chance.uniform(0.4, 0.85)
    left, top = (chance.uniform(0, SIDE - side) for _ in range(2))
    square = [(left, top), (left + side, top), (left + side, top + side), (left, top + side)]
    tilt = 0.12 * side
    return [(x + chance.uniform(-tilt, tilt), y + chance.uniform(-tilt, tilt)) for x, y in square]


def _pole(photo: Image.Image, corners: Corners, chance: random.Random) -> None:
    if chance.random() < 0.7:
        middle, top = sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4
        grey = chance.randint(90, 170)
        ImageDraw.Draw(photo).line([(middle, top), (middle, SIDE)], (grey, grey, grey), chance.randint(4, 9))


def _to_drawing(corners: Corners, side: int) -> list[float]:
    """The eight numbers of the projective map that takes points of the photo to points of the drawing."""
    drawing = [(0, 0), (side, 0), (side, side), (0, side)]
    rows, values = [], []
    for (x, y), (u, v) in zip(corners, drawing, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows, float), np.array(values, float)).tolist()


def _through_the_camera(photo: Image.Image, chance: random.Random) -> Image.Image:
    """Dusk or glare, a wrong white balance, a little blur, noise of the sensor."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        photo = enhance(photo).enhance(chance.uniform(0.5, 1.3))
    photo = photo.filter(ImageFilter.GaussianBlur(chance.choice((0.0, 0.5, 1.0, 1.8))))
    tint = np.array([chance.uniform(0.88, 1.12) for _ in range(3)])
    noise = np.random.default_rng(chance.randrange(2**32)).normal(0, chance.uniform(0, 14), (SIDE, SIDE, 3))
    return Image.fromarray((np.asarray(photo) * tint + noise).clip(0, 255).astype(np.uint8))
