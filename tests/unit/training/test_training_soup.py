"""Two bundles become one: of one network the mean is that network, and the part is chosen on held-out photos."""

import pytest
import torch
from safetensors.torch import load_file

from recognition.bundle import load_bundle
from recognition.recogniser import Recogniser
from recognition.training.__main__ import main
from recognition.training.record import training_of
from recognition.training.soup import PARTS, best_part, mixture
from recognition.training.start import start_model


@pytest.fixture(scope="module")
def siblings(folder, small, tmp_path_factory):
    """Two bundles of the same photos and starting weights, with other seeds."""
    home = tmp_path_factory.mktemp("siblings")
    for name, seed in (("first", "1"), ("second", "2")):
        assert main(small(folder, home / name, "--seed", seed, "--backbone-rate", "0.01")) == 0
    return home / "first", home / "second"


def soup(first, other, folder, out) -> int:
    arguments = ["soup", "--bundle", first, "--other", other, "--data", folder, "--out", out]
    return main([*(str(each) for each in arguments), "--threads", "1"])


def test_a_mixture_lies_on_the_line_between_the_photos_networks():
    ours = {"image.a": torch.zeros(2), "heads.b": torch.zeros(2)}
    mixed = mixture(ours, {"image.a": torch.tensor([4.0, -8.0])}, 0.25)
    assert mixed["image.a"].tolist() == [1.0, -2.0]
    assert mixed["heads.b"] is ours["heads.b"]


def test_of_equal_scores_the_largest_part_is_taken():
    assert best_part({0.0: 0.5, 0.1: 0.7, 0.3: 0.7, 0.5: 0.6}) == 0.3


def test_a_bundle_mixed_with_itself_sees_what_it_saw(siblings, folder, tmp_path):
    first, _ = siblings
    assert soup(first, first, folder, tmp_path / "soup") == 0
    before, after = (Recogniser.load(each, threads=1) for each in (first, tmp_path / "soup"))
    pixels = before.prepare(next(folder.rglob("*.jpg")).read_bytes()).pixels[None]
    seen, seen_again = (each.forward(pixels, [None]).image for each in (before, after))
    torch.testing.assert_close(torch.from_numpy(seen), torch.from_numpy(seen_again), atol=2e-3, rtol=0)


def test_a_soup_is_not_calibrated_and_keeps_words_and_labels(siblings, folder, tmp_path, capsys):
    first, second = siblings
    assert soup(first, second, folder, tmp_path / "soup") == 0
    said = capsys.readouterr().out
    assert all(f"{part:.0%} of second: " in said for part in PARTS)
    bundle, leading = load_bundle(tmp_path / "soup"), load_bundle(first)
    assert (bundle.version, bundle.calibration.calibrated, bundle.metrics) == ("soup", False, {})
    assert bundle.labels == leading.labels
    tensors, own = load_file(bundle.weights_path), load_file(leading.weights_path)
    kept = [name for name in own if name.startswith(("text.", "gate.", "heads."))]
    assert len(kept) > 5 and all(torch.equal(tensors[name], own[name]) for name in kept)


def test_a_training_from_a_soup_takes_its_classifiers_over(siblings, folder, tmp_path):
    first, second = siblings
    assert soup(first, second, folder, tmp_path / "soup") == 0
    bundle = load_bundle(tmp_path / "soup")
    tensors = load_file(bundle.weights_path)
    model = start_model(bundle.arch, bundle.dim, str(tmp_path / "soup"), bundle.labels)
    assert torch.equal(model.heads.fine["balls"].weight, tensors["heads.fine.balls.weight"].float())


def test_a_card_tells_the_whole_story(siblings, folder, small, tmp_path):
    """What the two bundles of a soup began with stands in the card of what was trained from the soup."""
    first, second = siblings
    assert soup(first, second, folder, tmp_path / "soup") == 0
    assert main([*small(folder, tmp_path / "last"), "--weights", str(tmp_path / "soup"), "--seed", "3"]) == 0
    training = training_of(tmp_path / "last")
    assert "Starting weights: `soup`. All layers trained: 2 epochs" in training
    assert "How `soup` came about: The mean of `first` and `second`, which counts" in training
    assert training.count("Starting weights: `mobilenet_v3_small.safetensors`") == 2
    assert [f"seed {number}" in training for number in (1, 2, 3)] == [True] * 3


def test_classifiers_of_other_labels_are_new(siblings):
    first, _ = siblings
    bundle = load_bundle(first)
    other = {"balls": type(bundle.labels["balls"])(("cyan", "pink"))}
    model = start_model(bundle.arch, bundle.dim, str(first), other)
    assert model.heads.fine["balls"].weight.shape[0] == 2


def test_two_networks_have_no_mean(siblings, folder, small, tmp_path, capsys):
    other = tmp_path / "large"
    assert main([*small(folder, other), "--weights", "bundles/default", "--arch", "mobilenet_v2"]) == 0
    assert soup(siblings[0], other, folder, tmp_path / "soup") == 2
    assert "first and large are different networks: their weights have no mean." in capsys.readouterr().out
    assert not (tmp_path / "soup").exists()
