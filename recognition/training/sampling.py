"""Chooses what goes into each batch and what is said about it; between data.py/cache.py and loop.py.

A batch is made of pairs: two different photos of one thing where it has two, else the same photo twice (each is
augmented on its own). Data sets are mixed by fixed shares, so that a large one does not drown a small one.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recognition.text import BUCKETS, ProductText, TextBatch, encode_texts
from recognition.training.data import Photo

_SHARES = {"grocery": 0.3, "clothing": 0.12, "catalogue": 0.28, "renders": 0.3, "photos": 0.3}


class PairSampler:
    """Batches of photo numbers: an epoch has as many photos as there are to train on."""

    def __init__(self, photos: Sequence[Photo], batch: int, seed: int) -> None:
        """`batch`: photos a batch (even); photos with another role than "train" are never drawn."""
        self._pairs = batch // 2
        self._seed = seed
        self._things: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, photo in enumerate(photos):
            if photo.role == "train":
                self._things[photo.source][photo.product].append(number)
        train = sum(photo.role == "train" for photo in photos)
        self.steps = max(1, train // (2 * self._pairs))

    def epoch(self, epoch: int) -> Iterator[list[int]]:
        """The batches of an epoch, the same whenever it is run; numbers 2k and 2k + 1 show one thing."""
        rng = random.Random(f"{self._seed}/{epoch}")
        sources = sorted(self._things)
        for _ in range(self.steps):
            batch: list[int] = []
            for source in rng.choices(sources, [_SHARES[name] for name in sources], k=self._pairs):
                things = list(self._things[source].values())
                (views,) = rng.choices(things, [len(thing) ** 0.5 for thing in things])
                batch += rng.sample(views, 2) if len(views) > 1 else views * 2
            yield batch


def shorten(text: ProductText, rng: random.Random) -> ProductText:
    """A text as a hurried merchant or shopper would give it: words, fields or the price are missing."""

    def keep(chance: float) -> bool:
        return rng.random() < chance

    title = " ".join(word for word in text.title.split() if keep(0.8)) or text.title
    return ProductText(
        title=title,
        brand=text.brand if keep(0.6) else "",
        category=text.category if keep(0.6) or not title else "",
        description=text.description if keep(0.5) else "",
        price=text.price if keep(0.6) else None,
        currency=text.currency,
    )


@dataclass(frozen=True, eq=False)
class Texts:
    """Two shortened texts a photo (as `stored` and as `asked` for), and which are in `invented` words."""

    stored: TextBatch
    asked: TextBatch
    invented: Tensor


def draw_texts(photos: Sequence[Photo], rng: random.Random) -> Texts:
    """Texts for a batch. The words of about half the things are exchanged for invented ones.

    A few hundred products teach no vocabulary. Invented words (the same for all photos of a thing, new in every batch)
    teach the gate what to do with words it has never met: follow the photo, and keep the words findable.
    """
    salts = {photo.words: rng.randrange(1, BUCKETS) for photo in photos}
    chosen = {words: rng.random() < 0.5 for words in sorted(salts)}
    salt = torch.tensor([salts[photo.words] if chosen[photo.words] else 0 for photo in photos])
    stored = [shorten(photo.text, rng) if rng.random() < 0.8 else None for photo in photos]
    asked = [shorten(photo.text, rng) for photo in photos]
    return Texts(_salted(encode_texts(stored), salt), _salted(encode_texts(asked), salt), salt > 0)


def _salted(batch: TextBatch, salt: Tensor) -> TextBatch:
    """The same grams hashed to other rows, text by text; salt 0 changes nothing."""
    lengths = torch.diff(batch.offsets, append=torch.tensor([len(batch.ids)]))
    values = vars(batch) | {"ids": (batch.ids + salt.repeat_interleave(lengths)) % BUCKETS}
    return TextBatch(**values)
