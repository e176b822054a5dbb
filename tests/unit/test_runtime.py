"""What runs the backbone: ONNX Runtime where it computes the same, PyTorch everywhere else."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recognition.cnn import ImageEncoder
from recognition.runtime import OnnxRuntime, fastest

CPU = torch.device("cpu")
SIZE = 64


@pytest.fixture(scope="module", params=["mobilenet_v2", "resnet18"])
def encoder(request):
    torch.manual_seed(0)
    encoder = ImageEncoder(request.param, 256)
    encoder.backbone.train()(torch.randn(8, 3, SIZE, SIZE))  # norms that do something
    encoder.fold(torch.float32)
    return encoder


def test_onnx_runtime_sees_what_pytorch_sees(encoder):
    see = fastest(encoder, device=CPU, dtype=torch.float32, size=SIZE)
    assert isinstance(see, OnnxRuntime)
    for count, height, width in ((1, SIZE, SIZE), (5, SIZE, SIZE), (2, 96, 128)):
        pixels = torch.randn(count, 3, height, width).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            for given, wanted in zip(see(pixels), encoder.see(pixels), strict=True):
                assert given.shape == wanted.shape
                assert (given - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_bfloat16_and_cuda_belong_to_pytorch(encoder):
    assert not isinstance(fastest(encoder, device=CPU, dtype=torch.bfloat16, size=SIZE), OnnxRuntime)
    assert not isinstance(fastest(encoder, device=torch.device("cuda"), dtype=torch.float32, size=SIZE), OnnxRuntime)


class Mean(nn.Module):
    """A network without a map, of which a recording for two photos tells nothing about others."""

    def __init__(self, honest):
        super().__init__()
        self.honest = honest

    def forward(self, pixels):
        return pixels.mean((2, 3)) * (1 if self.honest or len(pixels) == 2 else 2)


def test_a_network_without_a_map_gives_features_alone():
    see = fastest(SimpleNamespace(map_width=0, backbone=Mean(True)), device=CPU, dtype=torch.float32, size=8)
    assert isinstance(see, OnnxRuntime)
    features, seen = see(torch.full((3, 3, 8, 8), 2.0))
    assert (features.tolist(), seen) == ([[2.0] * 3] * 3, None)


def test_a_network_that_comes_out_different_stays_with_pytorch(caplog):
    with caplog.at_level(logging.WARNING):
        see = fastest(SimpleNamespace(map_width=0, backbone=Mean(False)), device=CPU, dtype=torch.float32, size=8)
    assert "the exported network differs for 1 photos of 8 pixels" in caplog.text
    assert see(torch.ones(3, 3, 8, 8))[0].tolist() == [[2.0] * 3] * 3
