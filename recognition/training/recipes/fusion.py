"""A product's category from its photo, its words, its price, or all of them: what fusion is worth on a catalogue.

Every row of the table is a model of its own, trained on four fifths of the products and asked about the rest, five
times over, so that each product is asked about once. The backbone stays as it is and its features are kept, so a row
takes seconds. Words are title, brand and description; the category is never among them.
"""

import argparse
import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional

from recognition.fusion import ProductEncoder
from recognition.text import ProductText, encode_texts
from recognition.training.augment import middle_square
from recognition.training.cache import open_cache
from recognition.training.data import DataSet, Photo, read_photos, share
from recognition.training.errors import DataError
from recognition.training.recipes.training import processor
from recognition.training.start import start_model, start_preprocessing

FOLDS = 5
_LEAST = 3  # products a category needs to be asked about
_DIM = 128
_SCALE = 10.0  # unit vectors to scores
_FORGET = 0.3  # chance that words, or the price, are kept from the fused model while it learns
_BATCH = 32


@dataclass(frozen=True)
class Parts:
    """Which parts of a product a model may look at."""

    name: str
    photo: bool
    words: bool
    price: bool


ROWS = (
    Parts("photo", photo=True, words=False, price=False),
    Parts("words", photo=False, words=True, price=False),
    Parts("price", photo=False, words=False, price=True),
    Parts("photo + words + price", photo=True, words=True, price=True),
)
_BARE = Parts("fused, words and price missing", photo=True, words=False, price=False)


class CategoryModel(nn.Module):
    """The fused vector of a product (recognition/fusion.py) and a linear layer over it."""

    def __init__(self, arch: str, categories: int) -> None:
        super().__init__()
        encoder = ProductEncoder(arch, _DIM)
        self.projection, self.project = encoder.image.projection, encoder.image.project
        self.text, self.gate, self.fuse = encoder.text, encoder.gate, encoder.fuse
        self.head = nn.Linear(_DIM, categories)

    def forward(self, features: Tensor | None, texts: Sequence[ProductText]) -> Tensor:
        """Pooled features [N, F] (None: no photos) and N texts to scores [N, categories]."""
        image = None if features is None else self.project(features)
        fused, _ = self.fuse(image, encode_texts(texts))
        return self.head(_SCALE * fused)


def add_command(command: argparse.ArgumentParser) -> None:
    """The command line of this recipe."""
    command.add_argument("--data", type=Path, required=True, metavar="PATH", help="a table of products, or its folder")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="kept features and result.json")
    command.add_argument("--arch", default="mobilenet_v2")
    command.add_argument(
        "--weights", default="bundles/default", help="of the backbone; some that have not seen these photos are honest"
    )
    command.add_argument("--size", type=int, default=192, help="side of the photos in pixels")
    command.add_argument("--steps", type=int, default=120, help="of training, for each model")
    command.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    command.set_defaults(run_command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    photos = with_category(read_photos([DataSet("catalogue", options.data)]))
    features = kept_features(photos, options.arch, options.weights, options.size, options.out)
    started = time.monotonic()
    figures = compare(photos, features, options.arch, options.steps)
    seconds = time.monotonic() - started
    result = {"recipe": "fusion", "photos": len(photos), "categories": len({_category(each) for each in photos})}
    result |= {"products": len({photo.product for photo in photos}), "folds": FOLDS, "accuracy": figures}
    result |= {"starting_weights": Path(options.weights).name, "steps": options.steps, "size": options.size}
    result |= {"train_seconds": round(seconds, 1), "device": processor(), "threads": options.threads}
    result |= {"precision": "float32", "torch": torch.__version__}
    (options.out / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    table = Table(
        title=f"{result['categories']} categories, {result['products']} products, {len(photos)} photos, {FOLDS} folds"
    )
    for heading in ("the category told from", "accuracy", "over the folds"):
        table.add_column(heading)
    for name, figure in figures.items():
        table.add_row(name, f"{figure['mean']:.1%}", f"± {figure['spread']:.1%}")
    console.print(table)


def with_category(photos: Sequence[Photo]) -> list[Photo]:
    """The photos of categories with enough products. Raises DataError where fewer than two have."""
    products = {photo.product: _category(photo) for photo in photos}
    sizes = Counter(category for category in products.values() if category)
    kept = [photo for photo in photos if sizes[_category(photo)] >= _LEAST]
    if len({_category(photo) for photo in kept}) < 2:
        raise DataError(f"Fewer than two categories have {_LEAST} products: there is nothing to tell apart.")
    return kept


def kept_features(photos: Sequence[Photo], arch: str, weights: str, size: int, folder: Path) -> Tensor:
    """Pooled features float32 [N, F] of the middle square of each photo; computed once, then read from `folder`."""
    look = start_preprocessing(arch, weights, size)
    cache = open_cache(photos, folder / "cache", size)
    key = hashlib.sha256(json.dumps([[str(photo.path) for photo in photos], arch, weights, asdict(look)]).encode())
    path = folder / f"features-{key.hexdigest()[:16]}.npy"
    if not path.exists():
        backbone = start_model(arch, _DIM, weights).image.backbone.eval()
        mean, std = (torch.tensor(value)[:, None, None] for value in (look.mean, look.std))
        found = []
        with torch.inference_mode():
            for at in range(0, len(photos), _BATCH):
                rows = slice(at, at + _BATCH)
                pixels, boxes = (torch.from_numpy(part[rows].copy()) for part in (cache.pixels, cache.boxes))
                found.append(backbone((middle_square(pixels, boxes, size) - mean) / std).float())
        np.save(path, torch.cat(found).numpy())
    return torch.from_numpy(np.load(path, allow_pickle=False))


def compare(photos: Sequence[Photo], features: Tensor, arch: str, steps: int) -> dict[str, dict[str, Any]]:
    """Accuracy of every row: the mean over the folds and its spread (standard deviation)."""
    names = sorted({_category(photo) for photo in photos})
    truth = torch.tensor([names.index(_category(photo)) for photo in photos])
    folds = torch.tensor([share(photo.product, FOLDS) for photo in photos])
    hits: dict[str, list[float]] = {}
    for fold in range(FOLDS):
        asked, known = (torch.nonzero(chosen)[:, 0] for chosen in (folds == fold, folds != fold))
        if not len(asked):
            continue
        for parts in ROWS:
            torch.manual_seed(fold)
            model = _trained(CategoryModel(arch, len(names)), parts, photos, features, truth, known, steps)
            for shown in (parts, _BARE) if parts.photo and parts.words else (parts,):
                told = _scores(model, shown, photos, features, asked).argmax(1)
                hits.setdefault(shown.name, []).append(float((told == truth[asked]).float().mean()))
    return {
        name: {"mean": round(fmean(found), 4), "spread": round(stdev(found) if len(found) > 1 else 0.0, 4)}
        for name, found in hits.items()
    }


def _trained(
    model: CategoryModel,
    parts: Parts,
    photos: Sequence[Photo],
    features: Tensor,
    truth: Tensor,
    known: Tensor,
    steps: int,
) -> CategoryModel:
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.05, fused=True)
    model.train()
    for _ in range(steps):
        rows = known[torch.randint(len(known), (min(len(known), 4 * _BATCH),))]
        forget = torch.rand(2) < _FORGET if parts.photo and parts.words else torch.zeros(2, dtype=torch.bool)
        shown = replace(parts, words=parts.words and not forget[0], price=parts.price and not forget[1])
        scores = _scores(model, shown, photos, features, rows)
        loss = functional.cross_entropy(scores, truth[rows], label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return model.eval()


def _scores(model: CategoryModel, parts: Parts, photos: Sequence[Photo], features: Tensor, rows: Tensor) -> Tensor:
    texts = [_shown(photos[row].text, parts) for row in rows.tolist()]
    return model(features[rows] if parts.photo else None, texts)


def _shown(text: ProductText, parts: Parts) -> ProductText:
    said = replace(text, category="") if parts.words else ProductText(price=text.price, currency=text.currency)
    return said if parts.price else replace(said, price=None)


def _category(photo: Photo) -> str:
    return photo.text.category
