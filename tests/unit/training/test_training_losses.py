"""What the network is told, and what is fitted after it: losses, targets, rankings, probabilities, by hand."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from recognition.bundle import LabelSet
from recognition.decide import Calibration, Similarity, Thresholds
from recognition.fusion import ProductEncoder
from recognition.text import ProductText
from recognition.training.calibrate import (
    expected_calibration_error,
    fit_calibration,
    fit_thresholds,
    least_threshold,
    surely_threshold,
)
from recognition.training.data import DataSet, Photo, read_photos
from recognition.training.losses import ProductProxies, contrast, label_losses, label_sets, targets_of, weighted_sum
from recognition.training.ranking import Answer, Products


def photo(label: str | None, coarse: str | None = None, source: str = "a", role: str = "train", **more) -> Photo:
    product = f"{source}/{label}"
    return Photo("x.jpg", source, product, role, ProductText(), product, label, coarse, role == "train", **more)


def test_label_sets():
    photos = [photo("plum", "fruit"), photo("milk"), photo("apple", "fruit"), photo("late", role="report")]
    photos += [photo("red", source="b"), photo("blue", source="b"), photo("only", source="c"), photo(None, source="d")]
    assert label_sets(photos) == {
        "a": LabelSet(("apple", "milk", "plum"), ("fruit", "milk"), (0, 1, 0)),
        "b": LabelSet(("blue", "red")),
    }


def test_targets_and_their_mixture():
    photos = [photo("plum", "fruit"), photo("milk"), photo("red", source="b"), photo("blue", source="b")]
    sets, proxies = label_sets(photos), ProductProxies(photos, 4)
    targets = targets_of(photos, sets, proxies)
    assert targets.fine["a"].tolist() == [[0, 1], [1, 0], [0, 0], [0, 0]]  # milk, plum
    assert targets.coarse["a"].tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]  # fruit, milk
    assert targets.fine["b"].tolist() == [[0, 0], [0, 0], [0, 1], [1, 0]]
    assert set(targets.coarse) == {"a"}
    assert proxies.names == {"a": ["a/milk", "a/plum"], "b": ["b/blue", "b/red"]}
    assert targets.products.tolist() == targets.words.tolist() == [0, 1, 2, 3]
    mixed = targets.mixed(torch.tensor([1, 0, 2, 3]), 0.75)
    assert mixed.fine["a"].tolist() == [[0.25, 0.75], [0.75, 0.25], [0, 0], [0, 0]]
    assert targets.of([2]).fine["b"].tolist() == [[0, 1]]


def test_held_out_products_have_no_proxy(toys):
    photos = read_photos([DataSet("toys", toys, whole=True)])
    stored = {each.product for each in photos if each.role == "train"}
    assert ProductProxies(photos, 4).names == {"toys": sorted(stored)}


def test_label_losses_of_a_network_that_knows_nothing():
    """Scores of zero: each label is as likely as the next, whatever the targets are."""
    photos = [photo("plum", "fruit"), photo("apple", "fruit"), photo("milk"), photo("red", source="b")]
    photos += [photo("blue", source="b")]
    sets = label_sets(photos)
    model, proxies = ProductEncoder("mobilenet_v3_small", 8, sets), ProductProxies(photos, 8)
    for head in [*model.heads.fine.values(), *model.heads.coarse.values()]:
        torch.nn.init.zeros_(head.weight), torch.nn.init.zeros_(head.bias)
    losses = label_losses(model, proxies, torch.randn(5, model.image.width), targets_of(photos, sets, proxies))
    log = torch.log(torch.tensor([3.0, 2.0]))
    assert losses["fine"].item() == pytest.approx((3 * log[0] + 2 * log[1]).item() / 5)
    assert losses["coarse"].item() == pytest.approx((3 * log[1]).item() / 5)
    assert losses["outlier"].item() == pytest.approx((log[0] + log[1]).item())
    expected = losses["fine"] + 0.5 * losses["coarse"] + 0.3 * losses["outlier"] + 0.5 * losses["product"]
    assert weighted_sum(losses).item() == pytest.approx(expected.item())


def test_contrast_is_exact():
    scores = torch.eye(2)
    positive = torch.tensor([[True, False], [False, False]])
    expected = torch.log(1 + torch.exp(torch.tensor(-10.0)))
    assert contrast(scores, positive) == pytest.approx(expected.item())
    assert contrast(scores, positive, torch.tensor([[True, False], [True, True]])) == 0  # compared with itself alone
    assert contrast(scores, torch.zeros_like(positive)) == 0


def test_grouping_by_product():
    products = Products(["a", "b", "a", "c", "b", "d", "e", "f"], {"c": "Cups"})
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], np.float32)
    found = products.best(scores)
    assert [(item.product_id, item.votes) for item in found] == [("a", 2), ("b", 2), ("c", 1), ("d", 1), ("e", 1)]
    assert [round(item.similarity, 4) for item in found] == [0.9, 0.8, 0.6, 0.4, 0.3]
    assert [item.category for item in found] == ["", "", "Cups", "", ""]
    without = products.best(scores, np.array([name not in "ab" for name in "abacbdef"]))
    assert [(item.product_id, item.votes) for item in without] == [("c", 1), ("d", 1), ("e", 1), ("f", 1)]


def test_grouping_fewer_than_five_products():
    """Two products of many photos: the second comes after all of the first, and votes are those of the nearest ten."""
    products = Products(["a"] * 400 + ["b"] * 400)
    scores = np.concatenate([np.full(400, 0.75), np.full(400, 0.5)]).astype(np.float32)
    assert products.best(scores) == [Similarity("a", 0.75, 10), Similarity("b", 0.5, 0)]
    assert products.best(scores, np.zeros(800, bool)) == Products([]).best(scores[:0]) == []


def test_of_equal_scores_the_first_photo_counts():
    scores = np.full(4, 0.5, np.float32)
    assert [item.product_id for item in Products(["d", "b", "a", "b"]).best(scores)] == ["d", "b", "a"]


def made_up_answers(rng: random.Random) -> tuple[list[Answer], list[Answer]]:
    """Known photos lie near 0.8 and mostly ahead, unknown ones near 0.5 and level."""
    known, unknown = [], []
    for _ in range(300):
        right = rng.random() < 0.85
        high, low = Similarity("t" if right else "x", rng.gauss(0.8, 0.06), 3), Similarity("y", rng.gauss(0.5, 0.06), 1)
        known.append(Answer("shop", "t", sorted([high, low], key=lambda item: -item.similarity)))
        level = [Similarity(name, rng.gauss(0.5, 0.06), 1) for name in "xy"]
        unknown.append(Answer("shop", None, sorted(level, key=lambda item: -item.similarity)))
    return known, unknown


def test_calibration_learns_what_counts():
    known, unknown = made_up_answers(random.Random(1))
    calibration = fit_calibration(known, unknown)
    assert calibration.calibrated and calibration.background == pytest.approx(0.53, abs=0.03)
    thresholds = fit_thresholds(known, unknown, calibration)
    assert 0 < thresholds.review <= thresholds.sure and thresholds.similar <= thresholds.same


def test_thresholds_where_no_answer_is_right():
    """Every right product is second: nothing can be SURE, and REVIEW stays where it is by default."""
    wrong = [Similarity("x", 0.9, 3), Similarity("t", 0.8, 1)]
    known = [Answer("shop", "t", wrong)] * 8
    unknown = [Answer("shop", None, [Similarity("x", 0.6, 1), Similarity("y", 0.5, 1)])] * 8
    calibration = fit_calibration(known, unknown)
    assert calibration.calibrated
    thresholds = fit_thresholds(known, unknown, calibration)
    assert (thresholds.sure, thresholds.same) == (1.0, 1.0)
    assert thresholds.review == Thresholds.review == 0.25
    assert thresholds.similar == calibration.background == 0.6


def test_nothing_to_calibrate_with_stays_a_guess():
    known, _ = made_up_answers(random.Random(2))
    assert fit_calibration([], []) == Calibration()
    assert not fit_calibration([answer for answer in known if answer.rank == 0], []).calibrated


def test_sure_is_what_surely_has_the_precision():
    """All right: 25 answers are surely right nine times in ten (25 / (25 + 1.645²)), 24 are not."""
    for count, least in ((24, 1.0), (25, 0.5)):
        scores = np.linspace(0.9, 0.5, count)
        assert surely_threshold(scores, np.ones(count, bool), np.ones(count), 0.9) == least
    scores, right = np.linspace(0.9, 0.5, 80), np.arange(80) < 60
    assert surely_threshold(scores, right, np.ones(80), 0.9) == scores[61]  # 60 of 62: 0.905 at least; 60 of 63: 0.886
    # Ten heavy answers and fifteen that count next to nothing are worth ten.
    assert (
        surely_threshold(np.linspace(0.9, 0.5, 25), np.ones(25, bool), np.r_[np.ones(10), np.full(15, 1e-6)], 0.9) == 1
    )


def test_categories_have_thresholds_of_their_own_only_in_ones_own_shop():
    """What one shop calls tea is another thing in the next."""
    known, unknown = made_up_answers(random.Random(3))
    named = [replace(each, candidates=[replace(one, category="Tea") for one in each.candidates]) for each in known]
    calibration = fit_calibration(named, unknown)
    assert fit_thresholds(named, unknown, calibration, 0.7).sure_by_category == {}
    own = fit_thresholds(named, unknown, calibration, 0.7, own_shop=True)
    assert list(own.sure_by_category) == ["Tea"] and 0.5 <= own.sure_by_category["Tea"] < 1
    assert own.sure <= fit_thresholds(named, unknown, calibration, 0.75).sure


def test_calibration_error_and_threshold_are_exact():
    chances, right = np.array([0.95, 0.95, 0.15, 0.15]), np.array([1.0, 0.0, 0.0, 0.0])
    assert expected_calibration_error(chances, right, np.ones(4)) == pytest.approx((0.45 + 0.15) / 2)
    # 0.70 and 0.79 lie in one of ten bins and in two of fifteen (from 0.667 and from 0.733): 0.30 and 0.79 apart.
    apart = expected_calibration_error(np.array([0.70, 0.79]), np.array([1.0, 0.0]), np.ones(2))
    assert apart == pytest.approx((0.30 + 0.79) / 2)
    scores, hits = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])
    assert least_threshold(scores, hits, np.ones(4), 1.0) == 0.8
    assert least_threshold(scores, hits, np.ones(4), 0.75) == 0.6
    assert least_threshold(scores, ~hits, np.ones(4), 0.9) == 1.0
