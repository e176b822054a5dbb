"""Words and prices to table rows: the same on every machine, for any script, and for nothing at all."""

import pytest
import torch

from recognition.text import BUCKETS, ProductText, TextEncoder, buckets, encode_texts, price_features, words


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(3)
    return TextEncoder(32).eval()


def vectors(encoder, *texts):
    with torch.inference_mode():
        return encoder(encode_texts(texts))


def test_words_are_normalised():
    assert words("Große ＭＵＧ, 0.5 L!") == ["grosse", "mug", "0", "5", "l"]
    assert words("snake_case SKU-12a") == ["snake", "case", "sku", "12a"]
    assert words(" \n…") == []


def test_chinese_is_split_from_latin():
    assert words("红色马克杯mug 350ml") == ["红色马克杯", "mug", "350ml"]


def test_length_limits():
    assert len(words("a " * 1000)) == 200
    assert len(words("x" * 1000)[0]) == 40


def test_hashes_are_fixed():
    """Written down once: another machine, another run, another PYTHONHASHSEED must give the same rows."""
    assert buckets("mug") == (18228, 21951, 30761, 4962, 14654, 15026)
    assert len(buckets("马克杯")) == 5
    assert all(0 <= row < BUCKETS for row in buckets("headphones"))


def test_price_features():
    assert price_features(None) == [0.0] * 8
    assert price_features(-1.0) == price_features(float("nan")) == price_features(float("inf")) == [0.0] * 8
    assert price_features(0.0) == [1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    assert price_features(9.0)[1] == pytest.approx(0.25)


def test_has_words():
    assert ProductText(brand="Daybird").has_words()
    assert not ProductText(title="—", price=3.0).has_words()


def test_empty_texts_are_zero(encoder):
    spoken, priced = vectors(encoder, None, ProductText(), ProductText(title="!?"))
    assert torch.count_nonzero(spoken) == torch.count_nonzero(priced) == 0


def test_unit_vectors(encoder):
    spoken, priced = vectors(encoder, ProductText("Red mug", price=9.5, currency="EUR"), None, ProductText("马克杯"))
    assert spoken.norm(dim=1).tolist() == pytest.approx([1.0, 0.0, 1.0])
    assert priced.norm(dim=1).tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_a_text_does_not_depend_on_its_neighbours(encoder):
    text = ProductText("Red mug", brand="Kiln", category="Kitchen", description="Stoneware, 350 ml", price=12.0)
    alone, _ = vectors(encoder, text)
    among, _ = vectors(encoder, None, ProductText("Blue chair"), text, ProductText())
    assert torch.allclose(alone[0], among[2], atol=1e-6)


@pytest.mark.parametrize(
    ("near", "far"),
    [("stoneware mugs red", "leather satchel brown"), ("红色杯", "蓝牙耳机"), ("SKU-MUG-101", "CHR-777")],
)
def test_untrained_words_still_meet_themselves(encoder, near, far):
    wanted = {"stoneware mugs red": "red stoneware mug", "红色杯": "红色马克杯", "SKU-MUG-101": "mug 101"}[near]
    spoken, _ = vectors(encoder, ProductText(wanted), ProductText(near), ProductText(far))
    assert spoken[0] @ spoken[1] > spoken[0] @ spoken[2] + 0.2


def test_currency_changes_the_price(encoder):
    _, priced = vectors(encoder, ProductText(price=10.0, currency="EUR"), ProductText(price=10.0, currency="jpy"))
    assert priced[0] @ priced[1] < 0.999
