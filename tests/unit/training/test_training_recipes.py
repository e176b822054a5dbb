"""The recipes on a handful of photos: whitening, views, shifts by hand, and every recipe from its command line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from recognition.training.__main__ import main
from recognition.training.errors import DataError
from recognition.training.recipes.cifar import Part, open_cifar
from recognition.training.recipes.networks import Block, build, whitening
from recognition.training.recipes.plans import PLANS, Plan
from recognition.training.recipes.training import Training, batches, scores, shifted, with_hole
from tests.training_data import shop, untrained_weights

COLOURS = {"dark": 40, "light": 210}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos of 32 px: dark ones and light ones, twenty of each to train on, five to test."""
    root = tmp_path_factory.mktemp("cifar")
    rng = np.random.default_rng(1)
    for part, count in (("train", 20), ("test", 5)):
        for label, level in COLOURS.items():
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(level, 25, (32, 32, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / label / f"{number:02}.png")
    return root


@pytest.fixture(scope="module")
def starting_weights(tmp_path_factory):
    return untrained_weights(tmp_path_factory.mktemp("weights") / "mobilenet_v2.safetensors", "mobilenet_v2")


def test_photos_as_arrays(photos):
    data = open_cifar(photos)
    assert data.names == ("dark", "light")
    assert (data.train.photos.shape, data.train.photos.dtype) == ((40, 3, 32, 32), torch.uint8)
    assert data.train.labels.tolist() == [0] * 20 + [1] * 20 and data.test.labels.tolist() == [0] * 5 + [1] * 5
    first = np.asarray(Image.open(photos / "train" / "dark" / "00.png"))
    assert torch.equal(data.train.photos[0].permute(1, 2, 0), torch.from_numpy(first.copy()))
    again = open_cifar(photos)  # from the cache
    assert torch.equal(again.train.photos, data.train.photos) and torch.equal(again.test.labels, data.test.labels)


def test_folders_that_are_no_cifar(tmp_path):
    with pytest.raises(DataError, match="There are no photos to train on"):
        open_cifar(tmp_path)
    for label in ("a", "b"):
        for part in ("train", "test"):
            (tmp_path / part / label).mkdir(parents=True)
            Image.new("RGB", (40, 32)).save(tmp_path / part / label / "0.png")
    with pytest.raises(DataError, match=r"0\.png has 40 x 32 pixels; this recipe is for 32 x 32\."):
        open_cifar(tmp_path)
    (tmp_path / "train" / "a" / "0.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"0\.png cannot be decoded"):
        open_cifar(tmp_path)


def test_whitening_makes_patches_uncorrelated():
    torch.manual_seed(1)
    rough = torch.randn(50, 3, 16, 16)
    smooth = functional.avg_pool2d(rough, 3, 1) + 0.1 * torch.randn(50, 3, 14, 14)
    filters = whitening(smooth, floor=0.0)
    assert filters.shape == (24, 3, 2, 2) and torch.equal(filters[:12], -filters[12:])
    seen = functional.conv2d(smooth, filters[:12]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(seen @ seen.T / seen.shape[1], torch.eye(12), atol=1e-3, rtol=0)


def test_a_block_starts_by_handing_on_what_it_is_given():
    block = Block(4, 6, depth=3).eval()
    given = torch.rand(2, 4, 8, 8)
    for convolution in block.convolutions:
        shown = given if convolution is block.convolutions[0] else torch.rand(2, 6, 8, 8)
        torch.testing.assert_close(convolution(shown)[:, :4], shown[:, :4])
    assert block(given).shape == (2, 6, 4, 4)


def test_shifted_photos_show_what_was_there():
    photos = torch.arange(2 * 8 * 8).reshape(2, 1, 8, 8).float()
    places = set()
    for seed in range(30):
        moved = shifted(photos, 1, torch.Generator().manual_seed(seed))
        assert moved.shape == photos.shape
        corner = int(moved[0, 0, 1, 1]) - int(photos[0, 0, 1, 1])
        places.add(corner)
        down, right = divmod(corner + 9, 8)
        torch.testing.assert_close(moved[0, 0, 1:7, 1:7], photos[0, 0, down : down + 6, right : right + 6])
    assert places == {down * 8 + right for down in (-1, 0, 1) for right in (-1, 0, 1)}


def test_a_hole_covers_its_square():
    covered = with_hole(torch.zeros(5, 3, 16, 16), 6, torch.Generator().manual_seed(1))
    assert (covered == 0.5).sum((1, 2, 3)).tolist() == [3 * 36] * 5


def test_every_photo_is_mirrored_in_every_other_epoch():
    """One bright column at the left of each photo: it is left in one epoch and right in the next."""
    photos = torch.zeros(12, 3, 32, 32, dtype=torch.uint8)
    photos[:, :, :, 0] = 255
    part, plan = Part(photos, torch.arange(12)), Plan(network="fast", flip=True)
    sides = []
    for epoch in range(4):
        seen = {}
        for shown, labels in batches(part, plan, 4, epoch):
            seen |= dict(zip(labels.tolist(), (shown[:, 0, 0, 0] == 1).tolist(), strict=True))
        sides.append([seen[number] for number in range(12)])
    assert sides[0] == sides[2] == [not side for side in sides[1]] == [not side for side in sides[3]]
    assert {True, False} == set(sides[0])


def test_views_are_averaged():
    class LeftEdge(nn.Module):
        def forward(self, photos):
            return photos[:, 0, 0, :1]

    photos = torch.arange(4.0).expand(1, 3, 4, 4)
    assert scores(LeftEdge(), photos, 1).item() == 0
    assert scores(LeftEdge(), photos, 2).item() == 1.5
    # Moved by a pixel, mirrored at the edge: columns 1 0 1 2 and 1 2 3 2.
    assert scores(LeftEdge(), photos, 6).item() == (1.5 + ((1 + 2) / 2 + (1 + 2) / 2) / 2) / 2


@pytest.mark.parametrize("name", ["cifar10-two-blocks", "cifar10-three-blocks", "cifar10", "cifar10-wide"])
def test_sizes_of_the_networks(name):
    _, plan = PLANS[name]
    part = Part(torch.randint(0, 256, (20, 3, 32, 32), dtype=torch.uint8), torch.zeros(20, dtype=torch.long))
    network = build(plan, 10, part, None)
    weights = sum(parameter.numel() for parameter in network.parameters())
    expected = {"cifar10-two-blocks": 62_006, "cifar10-three-blocks": 620_362, "cifar10": 1_972_792}
    if name in expected:
        assert weights == expected[name]
    network.eval()
    with torch.inference_mode():
        assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["cifar10-two-blocks", "cifar10-three-blocks", "cifar10", "cifar10-finetuned"])
def test_a_recipe_runs_and_goes_on(name, photos, tmp_path, capsys, starting_weights):
    given = ["recipe", name, "--data", str(photos), "--out", str(tmp_path), "--threads", "1", "--device", "cpu"]
    given += ["--batch", "20", *(["--weights", str(starting_weights)] if name == "cifar10-finetuned" else [])]
    assert main([*given, "--epochs", "1"]) == 0
    first = json.loads((tmp_path / "result.json").read_text())
    assert main([*given, "--epochs", "1"]) == 0
    assert "1 of 1 epochs are done" in capsys.readouterr().out
    second = json.loads((tmp_path / "result.json").read_text())
    assert second == first
    assert (first["recipe"], first["photos"], len(first["epochs"])) == (name, {"train": 40, "test": 10}, 1)
    assert 0 <= first["test_accuracy"] <= 1.0 and "tutorial_test_accuracy" not in first["plan"]
    small = name in ("cifar10-two-blocks", "cifar10-three-blocks")  # the tutorial has these two and reports the better
    assert first["tutorial_test_accuracy"] == (0.6849 if small else None)
    assert main([*given, "--epochs", "2"]) == 2
    assert "holds a run with other settings" in capsys.readouterr().out


def test_a_killed_recipe_ends_the_same(photos, tmp_path, monkeypatch):
    """The checkpoint of the second of three epochs is put back as a kill would leave it."""
    given = ["recipe", "cifar10", "--data", str(photos), "--threads", "1", "--device", "cpu", "--batch", "20"]
    assert main([*given, "--epochs", "3", "--out", str(tmp_path / "whole")]) == 0
    from_start = torch.load(tmp_path / "whole" / "checkpoint.pt", weights_only=True)

    def kill(self):
        save(self)
        if len(self.epochs) == 2:
            raise KeyboardInterrupt

    save = Training._checkpoint
    monkeypatch.setattr(Training, "_checkpoint", kill)
    with pytest.raises(KeyboardInterrupt):
        main([*given, "--epochs", "3", "--out", str(tmp_path / "killed")])
    monkeypatch.undo()
    assert main([*given, "--epochs", "3", "--out", str(tmp_path / "killed")]) == 0
    taken_up = torch.load(tmp_path / "killed" / "checkpoint.pt", weights_only=True)
    for name, tensor in from_start["network"].items():
        torch.testing.assert_close(taken_up["network"][name], tensor, atol=1e-5, rtol=1e-5)


def test_a_recipe_that_diverges(photos, tmp_path, capsys):
    given = ["recipe", "cifar10-two-blocks", "--data", str(photos), "--out", str(tmp_path), "--optimiser", "sgd"]
    assert main([*given, "--rate", "1e30", "--batch", "10", "--threads", "1", "--device", "cpu"]) == 3
    assert "The loss is no number at step 2 of epoch 1" in capsys.readouterr().out


def test_a_recipe_whose_gradient_is_no_number_keeps_its_checkpoint(photos, tmp_path, capsys, monkeypatch):
    """After the first epoch what flows back is no number, while the loss still is one."""

    def go_wrong(self):
        save(self)
        next(self.network.parameters()).register_hook(lambda slope: slope * float("nan"))

    save = Training._checkpoint
    monkeypatch.setattr(Training, "_checkpoint", go_wrong)
    given = ["recipe", "cifar10-two-blocks", "--data", str(photos), "--out", str(tmp_path), "--batch", "20"]
    assert main([*given, "--epochs", "2", "--threads", "1", "--device", "cpu"]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "The gradient is no number at step 1 of epoch 2; the checkpoint of epoch 1 is kept" in said
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(kept["epochs"]) == 1
    assert all(torch.isfinite(tensor).all() for tensor in kept["network"].values())


def test_fusion(tmp_path, weights, capsys):
    """Colour decides the category here and the words name it: words tell all, the price of each is its own."""
    data = shop(tmp_path / "shops", views=2)
    given = ["recipe", "fusion", "--data", str(data), "--out", str(tmp_path / "out"), "--weights", str(weights)]
    assert main([*given, "--arch", "mobilenet_v3_small", "--size", "64", "--steps", "5", "--threads", "1"]) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["categories"], result["products"], result["photos"]) == (2, 6, 12)
    assert (result["starting_weights"], result["size"], result["steps"]) == (weights.name, 64, 5)
    assert (result["threads"], result["precision"], result["torch"]) == (1, "float32", torch.__version__)
    assert result["train_seconds"] > 0 and result["device"]
    assert list(result["accuracy"]) == [
        "photo",
        "words",
        "price",
        "photo + words + price",
        "fused, words and price missing",
    ]
    assert all(0 <= figure["mean"] <= 1 for figure in result["accuracy"].values())
    assert "photo + words + price" in capsys.readouterr().out
