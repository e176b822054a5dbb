"""Batch norms out of the way while training; used by loop.py, undone where weights are written.

Batches mix shelves, garments and studio shots, so the norms' statistics stay those of the starting weights. A frozen
norm is one multiplication and one addition a channel: both go into the convolution before it, whose weights and new
bias are then trained. On two CPU cores that was 1.4 to 1.5 times as fast, and it fine-tuned better than moving
statistics did (docs/decisions/training.md).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from recognition.cnn import convolutions_with_norm


class FoldedNorms:
    """The folded norms of one backbone, and the way back to its usual tensors."""

    def __init__(self, backbone: nn.Module) -> None:
        """Fold in place, in evaluation mode: the network computes what it did before. Other norms stay as they are."""
        self._pairs: list[tuple[str, str, float]] = []
        for conv_name, norm_name in convolutions_with_norm(backbone.eval()):
            conv: Any = backbone.get_submodule(conv_name)
            norm: Any = backbone.get_submodule(norm_name)
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            conv.bias.requires_grad_(True)  # it took this from the bias that was not there
            backbone.set_submodule(norm_name, nn.Identity())
            self._pairs.append((conv_name, norm_name, norm.eps))

    def restore(self, tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
        """Tensors by name as the network with norms has them; the norms do nothing but add what they learned."""
        restored = dict(tensors)
        for conv_name, norm_name, eps in self._pairs:
            bias = restored.pop(f"{prefix}{conv_name}.bias")
            restored |= {
                f"{prefix}{norm_name}.weight": torch.ones_like(bias),
                f"{prefix}{norm_name}.bias": bias,
                f"{prefix}{norm_name}.running_mean": torch.zeros_like(bias),
                f"{prefix}{norm_name}.running_var": torch.full_like(bias, 1 - eps),
            }
        return restored
