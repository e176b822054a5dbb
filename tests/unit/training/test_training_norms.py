"""Folded batch norms compute what they did before, and come back as the usual tensors of the same function."""

import pytest
import torch
from torch import nn

from recognition._torchvision import get_model
from recognition.training.folding import FoldedNorms


def lively(arch: str) -> nn.Module:
    """A network whose norms are not the identity, ready to evaluate."""
    torch.manual_seed(3)
    network = get_model(arch, weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("arch", ["mobilenet_v2", "resnet18", "mobilenet_v3_small"])
def test_folding_and_restoring_change_nothing(arch):
    photos = torch.randn(2, 3, 64, 64)
    network, folded, restored = lively(arch), lively(arch), get_model(arch, weights=None).eval()
    norms = FoldedNorms(folded)
    left = [module for module in folded.modules() if isinstance(module, nn.BatchNorm2d)]
    assert not left
    tensors = {f"net.{name}": tensor for name, tensor in folded.state_dict().items()}
    standard = norms.restore(tensors, "net.")
    missing, unexpected = restored.load_state_dict(
        {name.removeprefix("net."): tensor for name, tensor in standard.items()}, strict=False
    )
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    with torch.inference_mode():
        expected = network(photos)
        torch.testing.assert_close(folded(photos), expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(restored(photos), expected, atol=1e-4, rtol=1e-4)


def test_folded_biases_are_trained():
    network = lively("resnet18")
    FoldedNorms(network)
    assert all(
        module.bias is not None and module.bias.requires_grad
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    )


def test_a_norm_without_a_convolution_before_it_stays():
    """DenseNet normalises first: such norms keep their statistics and their tensors."""
    photos = torch.randn(1, 3, 64, 64)
    network, folded = lively("densenet121"), lively("densenet121")
    norms = FoldedNorms(folded)
    kept = {name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert kept and "features.norm0" not in kept
    assert set(network.state_dict()) - set(norms.restore(folded.state_dict(), "")) <= {
        f"{name}.num_batches_tracked" for name, _ in network.named_modules()
    }
    with torch.inference_mode():
        torch.testing.assert_close(folded(photos), network(photos), atol=1e-4, rtol=1e-4)
