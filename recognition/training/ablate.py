"""What words and price are worth beside the photo, and what they cost when they are bad; of a bundle, after export.py.

Held-out photos look for their products in a shop of stored photos, as the service compares them. In the first block the
shop's texts are damaged, as in a bad spreadsheet, and a photo alone asks. In the second the shop is as it should be,
and the question is a photo with a text, which is damaged. A text that is missing or wrong must not make the answer
worse than the photo alone gives it: the last lines say whether it does.
"""

import csv
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import torch
from rich.console import Console
from rich.table import Table

from recognition.recogniser import Recogniser
from recognition.text import ProductText, encode_texts
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.evaluate import asked_and_stored
from recognition.training.ranking import Answer, Embedded, Products, Vectors, embed, shops

Recalls = dict[str, dict[str, float]]

IMAGE, TEXT, WHOLE = "photo only", "text only", "fused"
_BAD = ("text missing", "whole text wrong")  # must not lose against the photo alone


@dataclass(frozen=True)
class Spoiled:
    """The text of a photo after damage; `other` is another product of the same shop, `stranger` one of another brand,
    `translated` the title and category in Chinese where there are some."""

    photo: Photo
    other: ProductText
    stranger: ProductText
    translated: tuple[str, str] | None

    def in_chinese(self) -> ProductText:
        """Chinese title and category; the brand stays as it is, the English description goes."""
        if self.translated is None:
            return self.photo.text
        return replace(self.photo.text, title=self.translated[0], category=self.translated[1], description="")


DAMAGE: dict[str, Callable[[Spoiled], ProductText | None]] = {
    WHOLE: lambda it: it.photo.text,
    "title missing": lambda it: replace(it.photo.text, title=""),
    "price missing": lambda it: replace(it.photo.text, price=None),
    "brand wrong": lambda it: replace(it.photo.text, brand=it.stranger.brand),
    "whole text wrong": lambda it: it.other,
    "text in Chinese": Spoiled.in_chinese,
    "text missing": lambda it: None,
}


def ablate(
    recogniser: Recogniser, photos: Sequence[Photo], chinese: Mapping[str, tuple[str, str]] | None = None
) -> dict[str, dict[str, Recalls]]:
    """Recall@1 and recall@5 by block ("stored", "asked"), row and data set; "mean" is the mean over the data sets.

    `chinese`: title and category by product, as `read_titles` gives them. Raises DataError when nothing is held out
    from a shop that stores photos.
    """
    rows = [row for row in DAMAGE if chinese or row != "text in Chinese"]
    embedded = embed(recogniser, asked_and_stored(photos))
    figures: dict[str, dict[str, Recalls]] = {"stored": {}, "asked": {}}
    for source, shop in shops(embedded):
        asked = embedded.where([each.source == source and _is_held_out(each) for each in embedded.photos])
        if not asked.photos:
            continue
        for block, row, scores in _compared(recogniser, shop, asked, rows, chinese or {}):
            figures[block].setdefault(row, {})[source] = _recall(shop, asked, scores)
    if not figures["asked"]:
        raise DataError("No photo is held out from a shop that stores photos: there is nothing to ask.")
    for rows_of_block in figures.values():
        for recalls in rows_of_block.values():
            recalls["mean"] = {
                name: round(fmean(recall[name] for recall in recalls.values()), 4) for name in ("recall@1", "recall@5")
            } | {"queries": sum(recall["queries"] for recall in recalls.values())}
    return figures


def losses(figures: Mapping[str, Mapping[str, Recalls]]) -> list[str]:
    """A sentence for each block and each way in which a text can be bad: does it cost recall@1?"""
    sentences = []
    for block, rows in figures.items():
        alone = rows[IMAGE]["mean"]["recall@1"]
        for row in _BAD:
            gain = rows[row]["mean"]["recall@1"] - alone
            verdict = "loses to" if gain < 0 else "does not lose to"
            sentences.append(
                f"{row} ({block}): fused {verdict} the photo only "
                f"({rows[row]['mean']['recall@1']:.1%} against {alone:.1%}, {100 * gain:+.1f} points)"
            )
    return sentences


def read_titles(path: Path) -> dict[str, tuple[str, str]]:
    """Chinese title and category by product ("shop/sku"), of a CSV with these columns. Raises DataError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["product"]: (row["title"], row["category"]) for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no table with product, title and category: {error}.") from error


def show(figures: Mapping[str, Mapping[str, Recalls]], console: Console) -> None:
    """The tables and the sentences."""
    titles = {
        "stored": "the shop's texts, a photo alone asks",
        "asked": "the texts asked with the photo, the shop as it is",
    }
    for block, rows in figures.items():
        sources = list(next(iter(rows.values())))
        table = Table(title=f"Damaged: {titles[block]} (recall@1 / recall@5)")
        for heading in ("", *sources):
            table.add_column(heading, no_wrap=True)
        for row, recalls in rows.items():
            cells = [f"{recalls[name]['recall@1']:.1%} / {recalls[name]['recall@5']:.1%}" for name in sources]
            table.add_row(row, *cells)
        console.print(table)
    for sentence in losses(figures):
        console.print(sentence, highlight=False, soft_wrap=True)


def _is_held_out(photo: Photo) -> bool:
    return photo.role in ("calibrate", "report")


def _compared(
    recogniser: Recogniser,
    shop: Embedded,
    asked: Embedded,
    rows: Sequence[str],
    chinese: Mapping[str, tuple[str, str]],
) -> Iterator[tuple[str, str, Vectors]]:
    """Block, row and scores [asked, stored] of everything that is compared in one shop, one after the other: each may
    be as large as all that is else in memory."""
    weights = recogniser.bundle.similarity
    photo_alone = asked.image @ shop.image.T
    words_alone = recogniser.forward_text([photo.text for photo in asked.photos]) @ shop.fused.T
    yield from (("stored", IMAGE, photo_alone), ("asked", IMAGE, photo_alone), ("asked", TEXT, words_alone))
    shop_texts, asked_texts = (_spoil(each.photos, shop.photos, chinese) for each in (shop, asked))
    for row in rows:
        stored = _fused(recogniser, shop.image, [DAMAGE[row](text) for text in shop_texts])
        yield "stored", row, weights.image * photo_alone + weights.fused * (asked.image @ stored.T)
        query = _fused(recogniser, asked.image, [DAMAGE[row](text) for text in asked_texts])
        yield "asked", row, weights.image * photo_alone + weights.fused * (query @ shop.fused.T)


def _spoil(photos: Sequence[Photo], shop: Sequence[Photo], chinese: Mapping[str, tuple[str, str]]) -> list[Spoiled]:
    """What damage needs to know; the same for all photos of a product, whenever it is asked."""
    texts = {photo.product: photo.text for photo in shop}
    spoiled = []
    for photo in photos:
        chance = random.Random(photo.product)
        others = [text for product, text in texts.items() if product != photo.product] or [photo.text]
        strangers = [text for text in others if text.brand != photo.text.brand] or [ProductText(brand="Another brand")]
        translated = chinese.get("/".join(photo.product.split("/")[-2:]))
        spoiled.append(Spoiled(photo, chance.choice(others), chance.choice(strangers), translated))
    return spoiled


def _fused(recogniser: Recogniser, image: Vectors, texts: Sequence[ProductText | None]) -> Vectors:
    """Photo vectors [N, D] fused with other texts than they were embedded with."""
    with torch.inference_mode():
        vectors = torch.from_numpy(image).to(recogniser.device)
        fused, _ = recogniser.model.fuse(vectors, encode_texts(texts).to(recogniser.device))
    return fused.float().cpu().numpy()


def _recall(shop: Embedded, asked: Embedded, scores: Vectors) -> dict[str, float]:
    products = Products([photo.product for photo in shop.photos])
    answers = [
        Answer(photo.source, photo.product, products.best(row)) for photo, row in zip(asked.photos, scores, strict=True)
    ]
    return {
        "queries": len(answers),
        "recall@1": round(sum(answer.rank == 0 for answer in answers) / len(answers), 4),
        "recall@5": round(sum(answer.rank is not None for answer in answers) / len(answers), 4),
    }
