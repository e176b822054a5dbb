"""Labelled photos drawn on disk, small enough to train on within seconds. No fixtures here."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from recognition._torchvision import get_model

COLOURS = ("red", "green", "blue", "orange", "purple", "black")
PRODUCT_COLUMNS = ("sku", "title", "brand", "category", "price", "currency", "description", "images")


def draw_ball(path: Path, colour: str, seed: int, *, plain: bool = False) -> Path:
    """A coloured disc on white, or on noise."""
    rng = np.random.default_rng(seed)
    ground = np.full((90, 120, 3), 255, np.uint8) if plain else rng.integers(0, 256, (90, 120, 3), np.uint8)
    image = Image.fromarray(ground)
    left, top = (int(value) for value in rng.integers(10, 40, 2))
    ImageDraw.Draw(image).ellipse((left, top, left + 45, top + 45), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def balls(root: Path, labels: Sequence[str] = COLOURS[:3], photos: int = 8, *, seed: int = 0) -> Path:
    """A folder of photos, a folder a label: `red/0.jpg` … Another ``seed`` (by thousands) draws none of them again."""
    for number, colour in enumerate(labels):
        for view in range(photos):
            draw_ball(root / colour / f"{view}.jpg", colour, seed + 100 * number + view)
    return root


def shop(root: Path, name: str = "toys", views: int = 4) -> Path:
    """A folder with one shop: six products of so many photos, the first on white, and their products.csv."""
    rows = []
    for number, colour in enumerate(COLOURS):
        images = [f"{name}/{colour}-{view}.png" for view in range(views)]
        for view, image in enumerate(images):
            draw_ball(root / image, colour, 10 * number + view, plain=view == 0)
        row = {"sku": colour, "title": f"{colour} ball", "brand": "Roundly", "price": f"{5 + number}.50"}
        rows.append(row | {"category": "Balls" if number % 2 else "Discs", "images": "|".join(images)})
    write_table(root / name / "products.csv", rows, PRODUCT_COLUMNS)
    return root


def write_table(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> Path:
    """A CSV; cells that a row does not name are empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def untrained_weights(path: Path, arch: str = "mobilenet_v3_small") -> Path:
    """A file of starting weights that know nothing."""
    torch.manual_seed(1)
    tensors = get_model(arch, weights=None).state_dict()
    save_file({name: tensor.half() for name, tensor in tensors.items() if tensor.is_floating_point()}, path)
    return path
