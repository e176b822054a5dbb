"""Which terms BM25 sees: any language, article numbers in any punctuation."""

import pytest

from recognition.index._words import _terms, document_words, query_words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Red mugs, the RED ones", ["red", "mugs", "the", "red", "ones"]),
        ("Café Straße Ёлка", ["cafe", "strasse", "елка"]),
        ("ＡＢ１２", ["ab12"]),
        ("AB-12/x", ["ab", "12", "x", "ab12x"]),
        ("men's 3.5 l", ["men", "s", "mens", "3", "5", "35", "l"]),
        ("保温杯", ["保温", "温杯"]),
        ("杯 mug", ["杯", "mug"]),
        ("iPhone手机壳Pro", ["手机", "机壳", "iphone", "pro", "iphonepro"]),
        ("がぎ", ["がぎ"]),
        ("हिन्दी", ["हिन्दी"]),
        (" ,;! ", []),
    ],
)
def test_terms(text, terms):
    assert list(_terms(text, singles=False)) == terms


def test_documents_also_hold_single_characters():
    assert list(_terms("保温", singles=True)) == ["保温", "保", "温"]


def test_same_term_same_index_on_both_sides():
    stored, asked = document_words("red red mug"), query_words("MUG")
    assert set(asked.indices) < set(stored.indices)
    assert asked.values == (1.0,)
    assert len(stored.values) == 2


def test_no_term_no_vector():
    assert document_words("") is None
    assert query_words("!?") is None
