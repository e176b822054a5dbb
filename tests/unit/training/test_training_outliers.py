"""Classifiers are told to be undecided about photos that show nothing of theirs, and about no others."""

from pathlib import Path

import pytest
import torch

from recognition.fusion import ProductEncoder
from recognition.text import ProductText
from recognition.training.data import Photo
from recognition.training.losses import ProductProxies, label_losses, label_sets, targets_of


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
