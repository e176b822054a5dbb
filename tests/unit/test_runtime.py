"""What runs the network: ONNX Runtime where it computes the same, PyTorch everywhere else."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from recognition.bundle import Preprocessing, Subject
from recognition.fusion import ProductEncoder
from recognition.runtime import Network, OnnxRuntime, PyTorch, fastest

CPU = torch.device("cpu")
SIZE = 64
LOOK = Preprocessing(size=SIZE)
DICE = np.random.default_rng(0)


@pytest.fixture(scope="module", params=["mobilenet_v2", "resnet18"])
def model(request):
    torch.manual_seed(0)
    model = ProductEncoder(request.param, 256, subject=Subject())
    model.image.backbone.train()(torch.randn(8, 3, SIZE, SIZE))  # norms that do something
    model.image.fold(torch.float32)
    return model.eval()


def photos(count, height=SIZE, width=SIZE):
    return DICE.integers(0, 256, (count, height, width, 3), np.uint8)


def test_onnx_runtime_sees_what_pytorch_sees(model):
    network = Network(model, LOOK, torch.float32)
    see = fastest(network, device=CPU, size=SIZE)
    assert isinstance(see, OnnxRuntime)
    for count, height, width in ((1, SIZE, SIZE), (5, SIZE, SIZE), (2, 96, 128)):
        pixels = photos(count, height, width)
        with torch.inference_mode():
            seen, wanted = see(pixels), PyTorch(network, CPU)(pixels)
        assert wanted.vectors.shape == (count, 256)
        for name in ("features", "vectors", "grid"):
            given, right = getattr(seen, name), getattr(wanted, name)
            assert given.shape == right.shape
            assert (given - right).abs().max() < 1e-4 * right.abs().max()


def test_a_photo_alone_has_all_threads_and_one_beside_others_has_one(model, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    see = fastest(Network(model, LOOK, torch.float32), device=CPU, size=SIZE)
    assert (see.lanes, see.batches) == (2, False)
    pixels, ran = photos(2), []
    each, shared, both = see._each, see._shared, threading.Barrier(2)

    def running(name, session, meet):
        def run(names, given):
            ran.append(name)
            if meet:
                both.wait(10)
            return session.run(names, given)

        return SimpleNamespace(run=run)

    see._each, see._shared = running("each", each, meet=False), running("shared", shared, meet=False)
    alone = [see(pixels[at : at + 1]).vectors for at in range(2)]
    assert ran == ["shared", "shared"]
    ran.clear()
    see._each, see._shared = running("each", each, meet=True), running("shared", shared, meet=True)
    with ThreadPoolExecutor(2) as pool:
        beside = [seen.vectors for seen in pool.map(see, [pixels[:1], pixels[1:]])]
    assert sorted(ran) == ["each", "shared"]
    for one, other in zip(alone, beside, strict=True):
        assert (one - other).abs().max() < 1e-6


def test_a_part_of_an_array_is_seen_as_it_stands(model):
    see = fastest(Network(model, LOOK, torch.float32), device=CPU, size=SIZE)
    pixels = photos(4)
    turned = pixels[:, :, ::-1]
    assert torch.equal(see(turned[1:3]).vectors, see(np.ascontiguousarray(turned[1:3])).vectors)
    assert torch.equal(see(turned[:1]).vectors, see(np.ascontiguousarray(turned[:1])).vectors)


def test_bfloat16_and_cuda_belong_to_pytorch(model):
    assert isinstance(fastest(Network(model, LOOK, torch.bfloat16), device=CPU, size=SIZE), PyTorch)
    cuda = torch.device("cuda")
    see = fastest(Network(model, LOOK, torch.float32), device=cuda, size=SIZE)
    assert isinstance(see, PyTorch)
    assert (see.lanes, see.batches) == (1, True), "one thread brings batches"


def test_a_network_without_a_head_for_things_has_no_grid():
    torch.manual_seed(0)
    model = ProductEncoder("shufflenet_v2_x0_5", 256)
    model.image.fold(torch.float32)
    see = fastest(Network(model.eval(), LOOK, torch.float32), device=CPU, size=SIZE)
    assert isinstance(see, OnnxRuntime)
    seen = see(photos(3))
    assert (seen.vectors.shape, seen.grid) == ((3, 256), None)


class Odd(nn.Module):
    """A backbone of which a recording for two photos tells nothing about others."""

    def forward(self, pixels):
        return pixels.mean((2, 3)) * (1 if len(pixels) == 2 else 2)


def test_a_network_that_comes_out_different_stays_with_pytorch(caplog):
    image = SimpleNamespace(backbone=Odd(), project=lambda features: features + 1)
    look = Preprocessing(mean=(0, 0, 0), std=(1 / 255,) * 3)
    network = Network(SimpleNamespace(image=image, subject=None), look, torch.float32)
    with caplog.at_level(logging.WARNING):
        see = fastest(network, device=CPU, size=8)
    assert "the exported network differs for 1 photos of 8 pixels: features" in caplog.text
    assert see(np.ones((3, 8, 8, 3), np.uint8)).features.tolist() == [[2.0] * 3] * 3
