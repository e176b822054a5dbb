"""Chooses what goes into each batch and what is said about it; between data.py/cache.py and loop.py.

A batch has two parts. Photos with labels come one by one, every photo once in a round. Photos of products come in
pairs: two views of one product where it has two, else the same photo twice (each is augmented on its own). Data sets
are mixed by fixed shares, so that a large one does not drown a small one.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recognition.text import BUCKETS, ProductText, TextBatch, encode_texts
from recognition.training.data import Photo
from recognition.training.errors import DataError

_MISSING, _WRONG = 0.15, 0.5  # chances that a text is not given, or another product's; the rest are right


@dataclass(frozen=True)
class Rows:
    """The photo numbers of one batch: `single` with labels, `pairs` of views (2k and 2k + 1 show one product)."""

    single: list[int]
    pairs: list[int]


class Sampler:
    """Batches of photo numbers: an epoch has as many photos as there are to train on."""

    def __init__(
        self, photos: Sequence[Photo], batch: int, seed: int, shares: Mapping[str, float] | None = None
    ) -> None:
        """`batch`: photos a batch (even). `shares`: what part of a batch a data set gets; the others share the rest
        by the square root of their sizes. Photos with another role than "train" are never drawn.

        Raises DataError where nothing is left to train on or the shares do not fit the data.
        """
        self._seed = seed
        self._labelled: dict[str, list[int]] = defaultdict(list)
        self._things: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, photo in enumerate(photos):
            if photo.role == "train" and photo.label is not None:
                self._labelled[photo.source].append(number)
            elif photo.role == "train":
                self._things[photo.source][photo.product].append(number)
        sizes = {source: len(rows) for source, rows in self._labelled.items()}
        sizes |= {source: sum(map(len, things.values())) for source, things in self._things.items()}
        wanted = _parts(sizes, shares or {})
        total = sum(wanted.values())
        self._places = {source: max(2, 2 * round(batch * share / total / 2)) for source, share in wanted.items()}
        self.batch = sum(self._places.values())
        self.steps = max(1, sum(sizes.values()) // self.batch)

    def epoch(self, epoch: int) -> Iterator[Rows]:
        """The batches of an epoch, the same whenever it is run."""
        rng = random.Random(f"{self._seed}/{epoch}")
        rounds = {source: _endless(rows, rng) for source, rows in sorted(self._labelled.items())}
        for _ in range(self.steps):
            single = [next(rows) for source, rows in rounds.items() for _ in range(self._places[source])]
            pairs: list[int] = []
            for source in sorted(self._things):
                things = list(self._things[source].values())
                weights = [len(thing) ** 0.5 for thing in things]
                for views in rng.choices(things, weights, k=self._places[source] // 2):
                    pairs += rng.sample(views, 2) if len(views) > 1 else views * 2
            yield Rows(single, pairs)


def _parts(sizes: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, float]:
    """What part of a batch each data set gets: the given ones, and the rest by the square root of the sizes."""
    if not sizes:
        raise DataError("There are no photos left to train on.")
    unknown = set(shares) - set(sizes)
    if unknown:
        raise DataError(f"--share names {', '.join(sorted(unknown))}: no photo of it is trained on.")
    rest = {source: size**0.5 for source, size in sizes.items() if source not in shares}
    left = 1 - sum(shares.values())
    if rest and left <= 0:
        raise DataError(f"--share gives away the whole batch and leaves nothing for {', '.join(sorted(rest))}.")
    total = sum(rest.values())
    return dict(shares) | {source: left * part / total for source, part in rest.items()}


def _endless(rows: list[int], rng: random.Random) -> Iterator[int]:
    while True:
        yield from rng.sample(rows, len(rows))


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
    """What is said of N photos: the text that is `stored` with each, the words that are `asked` for alone, and the
    text that is asked for `beside` the photo; all shortened.

    Stored texts and those beside a photo may be missing or those of another product. bool [N]: `told`, the stored text
    is there and right; `invented`, words are made up.
    """

    stored: TextBatch
    asked: TextBatch
    beside: TextBatch
    told: Tensor
    invented: Tensor

    def to(self, device: torch.device) -> "Texts":
        """The same texts on a device."""
        return Texts(*(part.to(device) for part in vars(self).values()))


def draw_texts(photos: Sequence[Photo], rng: random.Random) -> Texts:
    """Texts for a batch. The words of about half the things are exchanged for invented ones.

    A few hundred products teach no vocabulary. Invented words (the same for all photos of a thing, new in every batch)
    teach the gate what to do with words it has never met: follow the photo.
    """
    salts = {photo.words: rng.randrange(1, BUCKETS) for photo in photos}
    chosen = {words: salts[words] if rng.random() < 0.5 else 0 for words in sorted(salts)}

    def spoiled() -> list[Photo | None]:
        """Whose text is given: nobody's, another photo's of the batch, or the photo's own."""
        chances = [rng.random() for _ in photos]
        return [
            None if chance < _MISSING else rng.choice(photos) if chance < _MISSING + _WRONG else photo
            for photo, chance in zip(photos, chances, strict=True)
        ]

    def encode(whose: Sequence[Photo | None]) -> TextBatch:
        texts = [shorten(photo.text, rng) if photo else None for photo in whose]
        return _salted(encode_texts(texts), torch.tensor([chosen[photo.words] if photo else 0 for photo in whose]))

    stored = spoiled()
    right = [owner is not None and owner.words == photo.words for owner, photo in zip(stored, photos, strict=True)]
    texts = encode(stored)
    return Texts(
        stored=texts,
        asked=encode(photos),
        beside=encode(spoiled()),
        told=torch.tensor(right) & texts.has_words,
        invented=torch.tensor([chosen[photo.words] > 0 for photo in photos]),
    )


def _salted(batch: TextBatch, salt: Tensor) -> TextBatch:
    """The same grams hashed to other rows, text by text; salt 0 changes nothing."""
    lengths = torch.diff(batch.offsets, append=torch.tensor([len(batch.ids)]))
    values = vars(batch) | {"ids": (batch.ids + salt.repeat_interleave(lengths)) % BUCKETS}
    return TextBatch(**values)
