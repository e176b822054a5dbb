"""Trains words and gate once more, on photo vectors that stand still; after a `fit` of products with texts.

    python -m recognition.training fuse --run DIR --data … --out BUNDLE

In a batch of `fit` a handful of products meet, and texts that tell a few apart fail among many. Here the photo's
network does not change, so its vectors are computed once, three to a photo (as it is, and in two augmented views), and
a batch is 64 products that cost next to nothing. The bundle is calibrated and measured anew.
"""

import argparse
import json
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from recognition.bundle import Preprocessing
from recognition.fusion import ProductEncoder
from recognition.training.augment import VIEWS, Augment, middle_square
from recognition.training.cache import Cache, open_cache
from recognition.training.checkpoints import look_of, read_run
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.export import export
from recognition.training.loop import float_tensors, normalised
from recognition.training.losses import ProductProxies, targets_of, text_losses, weighted_sum
from recognition.training.options import add_data, add_licences, add_sure, licences_of, photos_of, sure_of
from recognition.training.photo_list import as_in_run
from recognition.training.plan import cache_side
from recognition.training.sampling import draw_texts

STEPS, PRODUCTS, RATE, DECAY = 400, 64, 3e-3, 0.05
_PHOTOS = 4  # of a product; more of them teach nothing about its text
_VIEWS = 2  # augmented, beside the photo as it is
_LEARN = ("text.", "gate.")


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `fuse` to the commands of `python -m recognition.training`."""
    parser = commands.add_parser("fuse", help="train words and gate on the finished photo network of a run")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="the folder that fit left")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="replaced whole")
    parser.add_argument("--version", help="name of the bundle (default: the folder's name)")
    parser.add_argument("--seed", type=int, default=1)
    add_data(parser)
    add_licences(parser)
    add_sure(parser)
    parser.set_defaults(run_command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    facts, tensors = read_run(options.run)
    plan, photos = facts["plan"], photos_of(options)
    model = ProductEncoder(plan["arch"], plan["dim"]).eval()
    model.load_state_dict(tensors, strict=False)  # the classifiers are left out: they have no part in this
    model.image.fold(torch.float32)
    cache = open_cache(photos, options.run / "cache", cache_side(plan["size"]))
    learned = learn_words(model, as_in_run(photos, options.run), cache, look_of(facts), options.seed, console)
    step = (
        f"Words and gate were then trained alone (`fuse`): {STEPS} steps of {PRODUCTS} products, seed {options.seed}."
    )
    version = options.version or options.out.name
    told = licences_of(options)
    bundle = export(
        options.run,
        photos,
        options.out,
        version,
        None,
        console,
        learned,
        steps=[step],
        licences=told,
        sure=sure_of(options),
    )
    console.print_json(json.dumps(bundle.metrics))


def learn_words(
    model: ProductEncoder, photos: Sequence[Photo], cache: Cache, look: Preprocessing, seed: int, console: Console
) -> dict[str, NDArray[np.float32]]:
    """Train words and gate of a model on the stored training photos; returns their tensors by name.

    Raises DataError when fewer than two of their products have a text.
    """
    things: dict[str, list[int]] = defaultdict(list)
    for number, photo in enumerate(photos):
        if photo.role == "train" and photo.stored and photo.text.has_words():
            things[photo.product].append(number)
    if len(things) < 2:
        raise DataError("Fewer than two products with a text are there to train on: there is nothing to fuse.")
    rng = random.Random(seed)
    torch.manual_seed(seed)
    rows = [row for views in things.values() for row in rng.sample(views, min(_PHOTOS, len(views)))]
    places = {row: place for place, row in enumerate(rows)}
    chosen = [[row for row in views if row in places] for views in things.values()]
    vectors = _views(model, cache, rows, look, seed)
    learning = [tensor for name, tensor in model.named_parameters() if name.startswith(_LEARN)]
    optimiser = torch.optim.AdamW(learning, lr=RATE, weight_decay=DECAY)
    proxies = ProductProxies([], vectors.shape[-1])
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min((step + 1) / 30, 0.5 * (1 + math.cos(math.pi * step / STEPS)))
        picked = [_two(views, rng) for views in rng.sample(chosen, min(PRODUCTS, len(chosen)))]
        pairs = [place for pair in picked for place in pair]
        batch = [photos[row] for row, _ in pairs]
        shown = torch.stack([vectors[view, places[row]] for row, view in pairs])
        losses = text_losses(model, shown, draw_texts(batch, rng), targets_of(batch, {}, proxies))
        total = weighted_sum(losses)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        optimiser.step()
        if (step + 1) % 100 == 0:
            said = " ".join(f"{name} {loss.item():.3f}" for name, loss in losses.items())
            console.print(f"step {step + 1}/{STEPS}  {said}", highlight=False)
    return {name: tensor.numpy() for name, tensor in float_tensors(model).items() if name.startswith(_LEARN)}


def _two(views: Sequence[int], rng: random.Random) -> list[tuple[int, int]]:
    """Two looks (photo, view) at one product: at two photos where it has them, else the photo and a view of it."""
    if len(views) == 1:
        return [(views[0], 0), (views[0], rng.randint(1, _VIEWS))]
    return [(row, rng.randint(0, _VIEWS)) for row in rng.sample(views, 2)]


def _views(model: ProductEncoder, cache: Cache, rows: Sequence[int], look: Preprocessing, seed: int) -> Tensor:
    """Unit vectors float32 [1 + views, N, D] of cached photos: as they are, and augmented."""
    augment = Augment(look.size, torch.Generator().manual_seed(seed), VIEWS)
    parts = []
    with torch.inference_mode():
        for at in range(0, len(rows), 32):
            chosen = list(rows[at : at + 32])
            shown = [torch.from_numpy(part[chosen]) for part in vars(cache).values()]
            pixels, boxes, _ = shown
            looks = [middle_square(pixels, boxes, look.size), *(augment(*shown) for _ in range(_VIEWS))]
            inputs = normalised(torch.cat(looks), look).contiguous(memory_format=torch.channels_last)
            parts.append(model.image(inputs).unflatten(0, (1 + _VIEWS, len(chosen))))
    return torch.cat(parts, dim=1).clone()
