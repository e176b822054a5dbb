"""From cached pixels to a batch: masks, augmentation, mixing, sampling, and what is said about each photo."""

import random
from collections import Counter

import numpy as np
import pytest
import torch

from recognition.text import ProductText
from recognition.training.augment import LABELS, VIEWS, Augment, Strength, middle_square, mix_photos
from recognition.training.cache import open_cache, studio_mask
from recognition.training.data import DataSet, read_photos
from recognition.training.sampling import Sampler, draw_texts, shorten


@pytest.fixture(scope="module")
def mixed(toys, folder):
    """A shop (products) and a folder (labels) as one list of photos."""
    return read_photos([DataSet("toys", toys), DataSet("balls", folder)])


def test_studio_mask():
    rgb = np.full((40, 60, 3), 240, np.uint8)
    rgb[10:30, 20:40] = (200, 30, 30)
    rgb[15:20, 25:30] = 240  # a white hole inside belongs to the product
    mask, plain = studio_mask(rgb)
    assert plain
    assert (mask[10:30, 20:40] == 255).all()
    assert mask.sum() == 255 * 400
    noise = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    assert studio_mask(noise)[1] is False


def test_cache_is_made_once(toys, tmp_path):
    photos = read_photos([DataSet("toys", toys)])
    cache = open_cache(photos, tmp_path, 64)
    assert cache.pixels.shape == (24, 64, 64, 4)
    assert [bool(plain) for plain in cache.studio[:4]] == [True, False, False, False]
    np.testing.assert_allclose(cache.boxes[0], (0, 8 / 64, 1, 56 / 64))  # 120 x 90 pixels in a square
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    open_cache(photos, tmp_path, 64)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == made


@pytest.mark.parametrize("strength", [LABELS, VIEWS])
def test_augmentation_can_be_repeated(toys, tmp_path, strength):
    cache = open_cache(read_photos([DataSet("toys", toys)]), tmp_path, 64)
    batch = [torch.from_numpy(part[:8]) for part in (cache.pixels.copy(), cache.boxes, cache.studio)]
    first, again, other = (Augment(48, torch.Generator().manual_seed(seed), strength)(*batch) for seed in (1, 1, 2))
    assert first.shape == (8, 3, 48, 48)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.min() >= 0 and first.max() <= 1 and torch.isfinite(first).all()


def test_photos_are_mirrored_only_where_that_is_asked_for():
    """The left half is bright: with no other change, it is at the right in mirrored photos alone."""
    pixels = torch.full((40, 32, 32, 4), 255, dtype=torch.uint8)
    pixels[:, :, 16:, :3] = 0
    boxes, studio = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(40, 4), torch.zeros(40, dtype=torch.bool)
    for chance, sides in ((0.0, {True}), (1.0, {False}), (0.5, {True, False})):
        photos = Augment(32, torch.Generator().manual_seed(1), Strength(flip=chance, clean=1.0))(pixels, boxes, studio)
        left, right = photos[..., :8].mean((1, 2, 3)), photos[..., 24:].mean((1, 2, 3))
        assert set((left > right).tolist()) == sides


def test_middle_square():
    """A wide photo loses its sides, keeps its height, and nothing else happens to it."""
    pixels = torch.zeros(1, 64, 64, 4, dtype=torch.uint8)
    pixels[0, 16:48, :, 0] = torch.arange(64, dtype=torch.uint8) * 4  # 64 x 32 pixels, red grows to the right
    boxes = torch.tensor([[0.0, 0.25, 1.0, 0.75]])
    square = middle_square(pixels, boxes, 32)
    assert square.shape == (1, 3, 32, 32)
    expected = (torch.arange(16, 48) * 4 / 255)[None].expand(32, 32)
    torch.testing.assert_close(square[0, 0], expected)
    assert square[0, 1:].abs().max() == 0


def test_mixed_photos_say_how_much_of_each_is_seen():
    """Each photo is one grey: the mean of a mixed one tells its share."""
    greys = torch.linspace(0, 1, 8)
    photos = greys[:, None, None, None].expand(8, 3, 16, 16).contiguous()
    ways = set()
    for seed in range(20):
        mixed, order, share = mix_photos(photos, 6, random.Random(seed))
        assert 0 <= share <= 1
        assert sorted(order[:6].tolist()) == list(range(6))
        assert order[6:].tolist() == [6, 7] and torch.equal(mixed[6:], photos[6:])
        torch.testing.assert_close(mixed.mean((1, 2, 3))[:6], (share * greys + (1 - share) * greys[order])[:6])
        ways.add(len(mixed[:6].flatten(1).unique(dim=1)[0]))
    assert len(ways) > 1  # both mixup (one grey a photo) and CutMix (two)
    assert torch.equal(photos[0], torch.zeros(3, 16, 16))  # the given photos are left alone


def test_a_batch_has_labelled_photos_and_pairs(mixed):
    sampler = Sampler(mixed, 16, seed=1)
    batches = list(sampler.epoch(3))
    assert batches == list(sampler.epoch(3)) != list(sampler.epoch(4))
    assert len(batches) == sampler.steps == 2
    for rows in batches:
        assert {mixed[row].source for row in rows.single} == {"balls"}
        assert {mixed[row].source for row in rows.pairs} == {"toys"}
        assert {mixed[row].role for row in rows.single + rows.pairs} == {"train"}
        assert len(rows.single) == len(rows.pairs) == sampler.batch / 2
        for left, right in zip(rows.pairs[::2], rows.pairs[1::2], strict=True):
            assert mixed[left].product == mixed[right].product and left != right


def test_shares_of_a_batch(mixed):
    rows = next(Sampler(mixed, 16, seed=1, shares={"balls": 3.0, "toys": 1.0}).epoch(0))
    assert (len(rows.single), len(rows.pairs)) == (12, 4)


def test_every_labelled_photo_comes_once_in_a_round(folder):
    photos = read_photos([DataSet("balls", folder)])
    sampler = Sampler(photos, 6, seed=1)
    seen = Counter(row for rows in sampler.epoch(0) for row in rows.single)
    assert seen == Counter(row for row, photo in enumerate(photos) if photo.role == "train")


def test_shortened_texts_always_say_something():
    rng = random.Random(1)
    text = ProductText("Red stoneware mug", "Kiln", "Kitchen", "Holds 350 ml", 12.0, "EUR")
    seen = {shorten(text, rng) for _ in range(200)}
    assert len(seen) > 50 and all(short.title for short in seen)
    assert all(shorten(ProductText(category="dress"), rng).category == "dress" for _ in range(50))


def test_invented_words_are_the_same_for_one_thing(toys):
    photos = read_photos([DataSet("toys", toys)])[:8]
    drawn = [draw_texts(photos, random.Random(seed)) for seed in range(6)]
    for texts in drawn:
        flags = texts.invented.tolist()
        assert flags[:4] in ([True] * 4, [False] * 4) and flags[4:] in ([True] * 4, [False] * 4)
    assert len({tuple(texts.invented.tolist()) for texts in drawn}) > 1


def test_texts_are_missing_wrong_or_right(toys):
    """Of 8 photos of two products 200 times: a text is told when it is there and of the photo's own product."""
    photos = read_photos([DataSet("toys", toys)])[:8]
    drawn = [draw_texts(photos, random.Random(seed)) for seed in range(200)]
    told = torch.cat([texts.told for texts in drawn]).float().mean()
    missing = 1 - torch.cat([texts.stored.has_words | texts.stored.has_price for texts in drawn]).float().mean()
    assert told == pytest.approx(0.35 + 0.5 / 2, abs=0.04)  # half of the "other" texts are the product's own
    assert missing == pytest.approx(0.15, abs=0.03)
    assert all(texts.asked.has_words.all() for texts in drawn)
    assert not any((texts.told & ~texts.stored.has_words).any() for texts in drawn)
