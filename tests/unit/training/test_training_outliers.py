"""Classifiers are told to be undecided about photos that show nothing of theirs, and about no others."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recognition.fusion import ProductEncoder
from recognition.text import ProductText
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.losses import ProductProxies, label_losses, label_sets, targets_of
from recognition.training.sampling import Sampler


def photo(source: str, label: str | None, product: str) -> Photo:
    return Photo(Path(f"{source}/{product}.jpg"), source, f"{source}/{product}", "train", ProductText(), product, label)


PHOTOS = [
    photo("fruit", "apple", "a"),
    photo("fruit", "pear", "b"),
    photo("tools", "saw", "c"),
    photo("tools", "axe", "d"),
    photo("shop", None, "e"),
    photo("shop", None, "f"),
]


@pytest.mark.parametrize(
    ("closed", "outliers"),
    [((), {"fruit": [2, 3], "tools": [0, 1]}), (("fruit",), {"fruit": [2, 3, 4, 5], "tools": [0, 1]})],
)
def test_which_photos_are_outliers(closed, outliers):
    torch.manual_seed(2)
    sets = label_sets(PHOTOS)
    model, proxies = ProductEncoder("mobilenet_v3_small", 16, sets), ProductProxies(PHOTOS, 16)
    features = torch.randn(len(PHOTOS), model.image.width)
    losses = label_losses(model, proxies, features, targets_of(PHOTOS, sets, proxies), closed)
    expected = sum(
        -torch.log_softmax(model.heads(features, name)[0][rows], -1).mean() for name, rows in outliers.items()
    )
    assert losses["outlier"].item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize(
    ("shares", "places"),
    [({}, {"fruit": 4, "tools": 4, "shop": 4}), ({"fruit": 0.5}, {"fruit": 6, "tools": 4, "shop": 4})],
)
def test_shares_are_parts_of_a_batch(shares, places):
    batch = next(Sampler(PHOTOS, 12, 1, shares).epoch(0))
    sources = [PHOTOS[row].source for row in [*batch.single, *batch.pairs]]
    assert {source: sources.count(source) for source in places} == places


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ({"cars": 0.5}, "--share names cars: no photo of it is trained on"),
        ({"fruit": 0.7, "shop": 0.3}, "leaves nothing for tools"),
    ],
)
def test_shares_that_do_not_fit(shares, sentence):
    with pytest.raises(DataError, match=sentence):
        Sampler(PHOTOS, 12, 1, shares)


def test_nothing_is_left_to_train_on():
    with pytest.raises(DataError, match="no photos left to train on"):
        Sampler([replace(each, role="copy") for each in PHOTOS], 12, 1)
