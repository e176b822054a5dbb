"""Words to BM25 sparse vectors, without knowing the language; both engines store and ask the same numbers.

Terms are made here and handed to ``qdrant_edge.Bm25`` ready: no stemmer and no stop words, because both would serve
one language and harm the others. The engine multiplies in the inverse document frequency.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, StopwordsSet, TokenizerType

AVERAGE_TERMS = 32.0  # of a product's text; BM25's length normalisation turns around it

_WORD, _UNSPACED, _JOINER, _GAP = range(4)
_ACCENTS = re.compile("[\u0300-\u036f]")
_JOINERS = frozenset("-_/.+#'’‐–")
# Scripts written without spaces (and Hangul, whose particles stick to the word): searched by pairs of characters.
_UNSPACED_BLOCKS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x11FF),  # Hangul Jamo
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # ideographs
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),  # Hangul
    (0xF900, 0xFAFF),
    (0x20000, 0x323AF),
)


@dataclass(frozen=True)
class SparseWords:
    """A sparse vector: term hashes and their weights, equally long."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@lru_cache(maxsize=256)  # the photos of a product come one after the other, with the same words
def document_words(text: str) -> SparseWords | None:
    """The stored side, weighted by term frequency; None where the text holds no term."""
    sparse = _bm25().embed_document(" ".join(_terms(text, singles=True)))
    return SparseWords(tuple(sparse.indices), tuple(sparse.values)) if sparse.indices else None


def query_words(text: str) -> SparseWords | None:
    """The asking side, each term once; None where the text holds no term."""
    sparse = _bm25().embed_query(" ".join(_terms(text, singles=False)))
    return SparseWords(tuple(sparse.indices), tuple(sparse.values)) if sparse.indices else None


@cache
def _bm25() -> Bm25:
    return Bm25(
        Bm25Config(
            tokenizer=TokenizerType.Whitespace,
            stemmer=DisabledStemmer(),
            stopwords=StopwordsSet(),
            lowercase=False,
            avg_len=AVERAGE_TERMS,
        )
    )


def _terms(text: str, *, singles: bool) -> Iterator[str]:
    """Case- and accent-folded terms.

    ``AB-12/x`` gives its parts and ``ab12x``, so that an article number is found however it is punctuated.
    Unspaced scripts give pairs of characters, and single ones too where ``singles`` is set or there is only one: any
    stretch of two characters or more of a stored word finds it, with no dictionary that must know the word.
    """
    for word in _fold(text).split():
        if word.isascii() and word.isalnum():  # most words by far
            yield word
        else:
            yield from _parts(word, singles=singles)


def _parts(text: str, *, singles: bool) -> Iterator[str]:
    for is_gap, chunk in itertools.groupby(text, lambda c: _kind(c) == _GAP):
        if is_gap:
            continue
        parts: list[str] = []
        for kind, run_ in itertools.groupby(chunk, _kind):
            run = "".join(run_)
            if kind == _WORD:
                parts.append(run)
            elif kind == _UNSPACED:
                yield from (run[i : i + 2] for i in range(len(run) - 1))
                if singles or len(run) == 1:
                    yield from run
        yield from parts
        if len(parts) > 1:
            yield "".join(parts)


def _fold(text: str) -> str:
    """Full-width to plain, case folded, Latin, Greek and Cyrillic accents dropped (other scripts keep their marks)."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold())))


@lru_cache(maxsize=8192)
def _kind(char: str) -> int:
    code = ord(char)
    if any(first <= code <= last for first, last in _UNSPACED_BLOCKS):
        return _UNSPACED
    if char in _JOINERS:
        return _JOINER
    return _WORD if unicodedata.category(char)[0] in "LMN" else _GAP
