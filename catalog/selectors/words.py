"""How a shopper's words are read: a slip of the pen as the word of the catalogue it must mean, and with synonyms.

Called when a search by words is made; what it adds is sent to the workers beside the words themselves, which stay, so
nothing that they find is lost. Spelling follows Norvig ("How to Write a Spelling Corrector", 2007): the most frequent
word of the merchant's own catalogue that is one edit away.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import cast
from uuid import UUID

from django.core.cache import cache

from catalog.models import Merchant, Synonyms
from catalog.selectors.product import product_list

KEPT_SECONDS = 300  # a new product's words correct spelling a few minutes later; they are found at once
PRODUCTS_READ = 100_000
WORDS_KEPT = 30_000
SHORTEST = 4  # of shorter words one edit makes too many others
SPELLED = 16  # words of a search whose spelling is looked at; the others are searched as they stand

_WORD = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"[^\W\d_]+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # scripts without spaces: no words

Reading = dict[str, str]  # {"word", "read_as", "because": "spelling" | "synonym"}


@dataclass(frozen=True)
class Vocabulary:
    """A catalogue's words with how many products have each, the letters in them, and how long the longest one is."""

    words: dict[str, int]
    letters: str
    longest: int


def words_read(*, merchant: Merchant, words: str) -> list[Reading]:
    """What else these words are searched by. One query, and two for a merchant whose words were not read lately."""
    written = folded(words)
    if not written:
        return []
    known = cast(Vocabulary, cache.get_or_set(f"spelling:{merchant.pk}", lambda: _vocabulary(merchant), KEPT_SECONDS))
    meant = ((word, _nearest(word, known)) for word in islice(dict.fromkeys(written), SPELLED))
    slips = [{"word": word, "read_as": near, "because": "spelling"} for word, near in meant if near]
    text = " ".join([*written, *(slip["read_as"] for slip in slips)])
    return slips + list(_synonyms(merchant.pk, text))


def words_sent(words: str, readings: Iterable[Reading]) -> str:
    """The words as the workers get them: as they were written, and then what else they are read as."""
    return " ".join([words, *(each["read_as"] for each in readings)])


def folded(text: str) -> list[str]:
    """The words in a text without case, accents and marks, as the index tells them apart."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return _WORD.findall(unicodedata.normalize("NFC", "".join(c for c in plain if not "\u0300" <= c <= "\u036f")))


def _vocabulary(merchant: Merchant) -> Vocabulary:
    """The catalogue's most frequent words."""
    texts = product_list(merchant=merchant).order_by().values_list("title", "brand", "category")[:PRODUCTS_READ]
    counts = Counter(chain.from_iterable(set(folded(" ".join(each))) for each in texts.iterator()))
    words = {word: count for word, count in counts.most_common(WORDS_KEPT) if _is_spelled(word)}
    return Vocabulary(words, "".join(sorted(set(chain.from_iterable(words)))), max(map(len, words), default=0))


def _is_spelled(word: str) -> bool:
    """Not a number, an article number or a script without spaces."""
    return len(word) >= SHORTEST - 1 and bool(_PLAIN.fullmatch(word)) and not _UNSPACED.search(word)


def _nearest(word: str, known: Vocabulary) -> str:
    """The word of the catalogue that this one must mean; empty where it is one itself, or none is near."""
    if not SHORTEST <= len(word) <= known.longest + 1 or word in known.words or not _is_spelled(word):
        return ""
    near = {edited for edited in _edits(word, known.letters) if edited in known.words}
    return min(near, key=lambda each: (-known.words[each], each), default="")


def _edits(word: str, letters: Iterable[str]) -> Iterator[str]:
    """Everything one slip away: a letter too many, two swapped, one wrong, one missing."""
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in letters:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]


def _synonyms(merchant_id: UUID, text: str) -> Iterator[Reading]:
    """The other words of every set of which one is in the text."""
    for words in (
        Synonyms.objects.filter(merchant=merchant_id).order_by("created_at", "pk").values_list("words", flat=True)
    ):
        there = [word for word in words if _is_in(" ".join(folded(word)), text)]
        if there:
            others = (word for word in words if word not in there)
            yield from ({"word": there[0], "read_as": other, "because": "synonym"} for other in others)


def _is_in(phrase: str, text: str) -> bool:
    """Whole words in a row, or any stretch of a script that puts no spaces between words."""
    return phrase in text if _UNSPACED.search(phrase) else f" {phrase} " in f" {text} "
