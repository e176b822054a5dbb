"""Photos drawn for tests: each number gives another picture, so that every one is its own content and its own look."""

import io
import random
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

HEADER = "sku,title,brand,category,price,currency,description,images"


def draw(number: int, size: int = 320) -> Image.Image:
    """A picture of coloured shapes on a ground, fixed by its number."""
    chance = random.Random(number)

    def colour() -> tuple[int, int, int]:
        return tuple(chance.randrange(256) for _ in range(3))

    image = Image.new("RGB", (size, size), colour())
    canvas = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = chance.randrange(size * 3 // 4), chance.randrange(size * 3 // 4)
        box = (left, top, left + size // 8 + chance.randrange(size // 2), top + size // 8 + chance.randrange(size // 2))
        chance.choice((canvas.ellipse, canvas.rectangle))(box, fill=colour())
    return image


def jpeg(number: int, size: int = 320, quality: int = 88) -> bytes:
    """The bytes of ``draw`` as a JPEG."""
    buffer = io.BytesIO()
    draw(number, size).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def catalogue_zip(
    path: Path,
    products: int,
    photos: int = 1,
    extra: Mapping[str, bytes] | None = None,
    rows: Sequence[str] = (),
) -> Path:
    """A bulk upload of drawn products ``P-0`` … with ``photos`` each; ``extra`` files and ``rows`` join them."""
    lines = [HEADER]
    with zipfile.ZipFile(path, "w") as archive:
        for product in range(products):
            names = [f"p{product}-{photo}.jpg" for photo in range(photos)]
            for photo, name in enumerate(names):
                archive.writestr(name, jpeg(product * photos + photo))
            row = [f"P-{product}", f"Thing {product}", f"Brand {product % 7}", f"Kind {product % 5}"]
            lines.append(",".join([*row, f"{5 + product % 90}.50", "EUR", "", "|".join(names)]))
        archive.writestr("products.csv", "\n".join([*lines, *rows]))
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return path
