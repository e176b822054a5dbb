"""The photo's half of the model: pixels to a unit vector; after photos.py (pixels), beside text.py, before fusion.py.

Any classification network of torchvision serves as the backbone, by name: its last linear layer is taken off and what
fed it (the pooled features) is projected to the shared space. On a device the network can be folded (batch
normalisation into the convolutions) and run in bfloat16; the projection always stays float32.
"""

import threading
from collections import Counter
from collections.abc import Callable

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
        self._map_name, self._map_call, self.map_width = _find_map(self.backbone)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pixels [N, 3, S, S] to unit vectors float32 [N, dim]."""
        return self.project(self.backbone(pixels))

    def see(self, pixels: Tensor, *, differentiable: bool = False) -> tuple[Tensor, Tensor]:
        """Normalised pixels [N, 3, S, S] to pooled features [N, F] and the feature map [N, C, h, w] they come from.

        `differentiable` cuts the graph at the map: gradients of what follows reach the map and go no further.
        Raises BundleError for a network without such a map (transformers).
        """
        if self._map_name is None:
            raise BundleError("This network has no feature map to look at.")
        seen: list[Tensor] = []
        caller = threading.get_ident()

        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor | None:
            if threading.get_ident() != caller:
                return None  # another thread sees photos at the same time, by the same module
            last = len(seen) + 1 == self._map_call  # a residual block calls its one ReLU several times
            seen.append(output.detach().requires_grad_() if differentiable and last else output)
            return seen[-1]

        handle = self.backbone.get_submodule(self._map_name).register_forward_hook(keep)
        try:
            return self.backbone(pixels), seen[self._map_call - 1]
        finally:
            handle.remove()

    def project(self, features: Tensor) -> Tensor:
        """Pooled features [N, F] to unit vectors float32 [N, dim]; features are set to length 1 first."""
        return functional.normalize(self.projection(functional.normalize(features.float(), dim=-1)), dim=-1)

    def fold(self, dtype: torch.dtype) -> None:
        """Make the backbone ready to serve: evaluation, batch norms folded, channels last, in `dtype`. No way back."""
        folded = _folded(self.backbone.eval())
        self._map_name, self._map_call, self.map_width = _find_map(folded.float())
        self.backbone = folded.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


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


def _find_map(backbone: nn.Module) -> tuple[str | None, int, int]:
    """The last module that gives a map [N, C, h, w] of more than one cell: its name, which of its calls in a forward
    that is (from 1), and C; None, 0 and 0 without one."""
    found: list[tuple[str, int, int]] = []
    calls: Counter[str] = Counter()

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            calls[name] += 1
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
                found.append((name, calls[name], output.shape[1]))

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in backbone.named_modules() if name]
    training = backbone.training
    place = next(backbone.parameters()).device
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, 3, 96, 96, device=place))
    except RuntimeError:  # a network of a fixed size, a vision transformer: nothing to look at
        return None, 0, 0
    finally:
        backbone.train(training)
        for handle in handles:
            handle.remove()
    return found[-1] if found else (None, 0, 0)


def convolutions_with_norm(network: nn.Module) -> list[tuple[str, str]]:
    """The names of each convolution whose only reader is a batch norm, and of that norm."""
    traced = fx.symbolic_trace(network)
    modules = dict(traced.named_modules())
    pairs = []
    for node in traced.graph.nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        before = node.args[0]
        convolution = modules.get(str(before.target)) if before.op == "call_module" else None
        if isinstance(convolution, nn.Conv2d) and len(before.users) == 1:
            pairs.append((str(before.target), str(node.target)))
    return pairs


def _folded(network: nn.Module) -> nn.Module:
    """The same function without the batch norms that follow a convolution: their scale goes into its weights."""
    traced = fx.symbolic_trace(network)
    modules = dict(traced.named_modules())
    pairs = {norm: convolution for convolution, norm in convolutions_with_norm(network)}
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and node.target in pairs:
            before = node.args[0]
            folded = fuse_conv_bn_eval(modules[pairs[node.target]], modules[node.target])
            traced.set_submodule(pairs[node.target], folded)
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced
