"""The photo's half of the model: pixels to a unit vector; after photos.py (pixels), beside text.py, before fusion.py.

Any classification network of torchvision serves as the backbone, by name: its last linear layer is taken off and what
fed it (the pooled features) is projected to the shared space. On a device the network can be folded (batch
normalisation into the convolutions) and run in bfloat16; the projection always stays float32.
"""

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn import functional

from recognition._torchvision import get_model
from recognition.errors import BundleError


class ImageEncoder(nn.Module):
    """`backbone` (pixels [N, 3, S, S], normalised, to pooled features [N, F]) and `projection` (F to dim)."""

    def __init__(self, arch: str, dim: int) -> None:
        """Raises BundleError where torchvision has no such network or it has no linear layer at its end."""
        super().__init__()
        self.backbone, width = _headless(arch)
        self.width = width
        self.projection = nn.Linear(width, dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels [N, 3, S, S] to unit vectors float32 [N, dim]."""
        return self.project(self.backbone(pixels))

    def project(self, features: Tensor) -> Tensor:
        """Pooled features [N, F] to unit vectors float32 [N, dim]; features are set to length 1 first."""
        return functional.normalize(self.projection(functional.normalize(features.float(), dim=-1)), dim=-1)

    def fold(self, dtype: torch.dtype) -> None:
        """Make the backbone ready to serve: evaluation, batch norms folded, channels last, in `dtype`. No way back."""
        backbone = fuse(self.backbone.eval()) if _has_batch_norm(self.backbone) else self.backbone.eval()
        self.backbone = backbone.to(dtype=dtype, memory_format=torch.channels_last)


def _headless(arch: str) -> tuple[nn.Module, int]:
    """A torchvision network without its last linear layer, untrained, and the width of what it gives instead."""
    try:
        network = get_model(arch, weights=None)
    except ValueError as error:
        raise BundleError(f"The bundle names an unknown network: {arch}.") from error
    linears = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise BundleError(f"The network {arch} has no linear layer at its end.")
    parent, _, child = linears[-1].rpartition(".")
    width = network.get_submodule(linears[-1]).in_features
    setattr(network.get_submodule(parent), child, nn.Identity())
    return network, int(width)


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
