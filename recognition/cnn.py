"""The photo's half of the model: pixels to a unit vector; after photos.py (pixels), beside text.py, before fusion.py.

Any classification network of torchvision serves as the backbone, by name: its last linear layer is taken off and what
fed it (the pooled features) is projected to the shared space. On a device the network can be folded (batch
normalisation into the convolutions) and run in bfloat16; the projection always stays float32.
"""

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
        folded = _folded(self.backbone.eval()).to(dtype=dtype)
        self.backbone = folded.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


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


def _folded(network: nn.Module) -> nn.Module:
    """The same function without the batch norms that follow a convolution: their scale goes into its weights."""
    traced = fx.symbolic_trace(network)
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        convolution = modules.get(str(before.target)) if before.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and len(before.users) == 1:
            traced.set_submodule(str(before.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced
