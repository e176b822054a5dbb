"""A product's words and price as vectors; beside cnn.py (the photo) and before fusion.py (which weighs the parts).

Words are cut into subword n-grams and hashed into an embedding table (Bojanowski et al., "Enriching Word Vectors with
Subword Information", 2017; hashing trick: Weinberger et al., 2009). No vocabulary: any language, SKU or brand works,
and words that training never saw still meet themselves, because their rows keep their random starting values. Text in
Chinese, Japanese and Korean, which puts no spaces between words, is cut into single characters and pairs. Hashes are
CRC-32, so a vector is the same on every machine.
"""

import math
import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

BUCKETS = 32_768  # rows of the table; FastText's 2 million would not fit a bundle of a few megabytes
WIDTH = 64  # values a row
PRICE_FEATURES = 8

_FIELDS = ("title", "brand", "category", "description")
_MAX_WORDS = 200  # of a field; a longer description adds nothing
_MAX_WORD_LENGTH = 40
_WIDE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0002ebef"
_WORD = re.compile(rf"[{_WIDE}]+|[^\W_{_WIDE}]+")
_IS_WIDE = re.compile(rf"[{_WIDE}]")


@dataclass(frozen=True)
class ProductText:
    """What is known of a product besides its photos; also a shopper's words (as `title`)."""

    title: str = ""
    brand: str = ""
    category: str = ""
    description: str = ""
    price: float | None = None
    currency: str | None = None

    def has_words(self) -> bool:
        """Whether any field holds a letter or a digit."""
        return any(_WORD.search(getattr(self, field)) for field in _FIELDS)


def words(text: str) -> list[str]:
    """Normalised words (NFKC, case folded) in order, at most 200; a run of CJK characters is one word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [match[:_MAX_WORD_LENGTH] for match in _WORD.findall(folded)[:_MAX_WORDS]]


@lru_cache(maxsize=65_536)
def buckets(word: str) -> tuple[int, ...]:
    """The table rows of one word: the word itself and its 3- to 5-grams, or single characters and pairs if CJK."""
    if _IS_WIDE.match(word):
        grams = [*word, *(word[at : at + 2] for at in range(len(word) - 1))]
    else:
        marked = f"<{word}>"
        grams = [marked, *(marked[at : at + n] for n in (3, 4, 5) for at in range(len(marked) - n + 1))]
    return tuple(zlib.crc32(gram.encode()) % BUCKETS for gram in dict.fromkeys(grams))


def price_features(price: float | None) -> list[float]:
    """Price on a log scale, coarse to fine, with a leading "present" flag; zeros where there is none.

    Sines and cosines at several scales let a linear layer tell 9 from 11 as well as 9 from 900.
    """
    if price is None or not math.isfinite(price) or price < 0:
        return [0.0] * PRICE_FEATURES
    level = math.log10(1 + price)
    waves = [wave(level * scale) for scale in (1.5, 3.0, 6.0) for wave in (math.sin, math.cos)]
    return [1.0, level / 4, *waves]


@dataclass(frozen=True)
class TextBatch:
    """Texts as tensors. B texts, G hashed n-grams in all.

    ids, fields int64 [G]; shares float32 [G] (what a gram counts within its field); offsets int64 [B];
    prices float32 [B, 8]; currencies int64 [B]; has_words, has_price bool [B].
    """

    ids: Tensor
    fields: Tensor
    shares: Tensor
    offsets: Tensor
    prices: Tensor
    currencies: Tensor
    has_words: Tensor
    has_price: Tensor

    def to(self, device: torch.device) -> "TextBatch":
        """The same batch on a device."""
        return TextBatch(*(tensor.to(device) for tensor in vars(self).values()))


def encode_texts(texts: Sequence[ProductText | None]) -> TextBatch:
    """Hash texts (None counts as empty) into one batch; runs on the CPU."""
    ids: list[int] = []
    fields: list[int] = []
    shares: list[float] = []
    offsets: list[int] = []
    known = [text or ProductText() for text in texts]
    for text in known:
        offsets.append(len(ids))
        for field, name in enumerate(_FIELDS):
            found = words(getattr(text, name))
            for word in found:
                rows = buckets(word)
                ids.extend(rows)
                fields.extend([field] * len(rows))
                # A long word counts as much as a short one, a long description no more than ten words do.
                shares.extend([1.0 / math.sqrt(len(rows) * max(1.0, len(found) / 10))] * len(rows))
    return TextBatch(
        ids=torch.tensor(ids, dtype=torch.long),
        fields=torch.tensor(fields, dtype=torch.long),
        shares=torch.tensor(shares, dtype=torch.float32),
        offsets=torch.tensor(offsets, dtype=torch.long),
        prices=torch.tensor([price_features(text.price) for text in known], dtype=torch.float32),
        currencies=torch.tensor([_currency_row(text.currency) for text in known], dtype=torch.long),
        has_words=torch.tensor([text.has_words() for text in known]),
        has_price=torch.tensor([price_features(text.price)[0] == 1.0 for text in known]),
    )


def _currency_row(currency: str | None) -> int:
    return zlib.crc32(f"currency:{(currency or '').upper()}".encode()) % BUCKETS


class TextEncoder(nn.Module):
    """Texts to unit vectors [B, dim] of their words and of their price, in the space of the photos' vectors."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(BUCKETS, WIDTH, mode="sum", include_last_offset=False)
        self.field_weights = nn.Parameter(torch.tensor([1.0, 1.0, 0.7, 0.5]))
        self.straight = nn.Linear(WIDTH, dim, bias=False)
        last = nn.Linear(2 * WIDTH, dim, bias=False)
        self.bent = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), last)
        self.price = nn.Sequential(nn.Linear(PRICE_FEATURES + WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, dim))
        nn.init.normal_(self.table.weight, std=WIDTH**-0.5)
        nn.init.orthogonal_(self.straight.weight)
        nn.init.zeros_(last.weight)

    def forward(self, batch: TextBatch) -> tuple[Tensor, Tensor]:
        """Unit vectors of the words and of the price, both float32 [B, dim]; zero where a text has none."""
        weights = functional.softplus(self.field_weights)[batch.fields] * batch.shares
        bag = functional.normalize(self.table(batch.ids, batch.offsets, per_sample_weights=weights), dim=-1)
        spoken = functional.normalize(self.straight(bag) + self.bent(bag), dim=-1)
        currency = self.table.weight[batch.currencies]
        priced = functional.normalize(self.price(torch.cat([batch.prices, currency], dim=-1)), dim=-1)
        return spoken * batch.has_words[:, None], priced * batch.has_price[:, None]
