"""Networks for photos of 32 px: two small ones, a fast one, MobileNetV2; after plans.py, before training.py.

All take photos float32 [N, 3, 32, 32] in 0..1 and give scores float32 [N, L].
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.training.folding import FoldedNorms
from recognition.training.recipes.cifar import Part
from recognition.training.recipes.plans import Plan
from recognition.training.start import start_model, start_preprocessing

_SCALE = 1 / 9  # of the fast network's scores, as published: its last layer may then start large
_PATCHES = 5000  # photos whose patches the whitening is computed from
_NORM_MOMENTUM = 0.4  # statistics follow quickly, because Lookahead moves the weights in leaps


class Normalised(nn.Module):
    """A network behind the normalisation of its pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor, side: int | None = None) -> None:
        """`mean`, `std` float32 [3], of pixels in 0..1; `side`: photos are enlarged to so many pixels first."""
        super().__init__()
        self.network, self.side = network, side
        self.register_buffer("mean", mean[:, None, None])
        self.register_buffer("std", std[:, None, None])

    def forward(self, photos: Tensor) -> Tensor:
        if self.side is not None:
            photos = functional.interpolate(photos, size=(self.side, self.side), mode="bilinear", align_corners=False)
        ready = (photos - self.mean) / self.std
        return self.network(ready.contiguous(memory_format=torch.channels_last))


class TwoBlocks(nn.Sequential):
    """Two convolutions with pooling and three linear layers (after LeNet-5, LeCun et al., 1998)."""

    def __init__(self, labels: int) -> None:
        super().__init__(
            *(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            *(nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, labels)),
        )


class ThreeBlocks(nn.Sequential):
    """Three convolutions with pooling, and two linear layers with dropout."""

    def __init__(self, labels: int) -> None:
        blocks = [
            layer
            for channels, wider in ((3, 32), (32, 64), (64, 128))
            for layer in (nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        ]
        head = [nn.Linear(128 * 4 * 4, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, labels)]
        super().__init__(*blocks, nn.Flatten(), nn.Dropout(0.25), *head)


class Block(nn.Module):
    """`depth` convolutions of one width, the first followed by pooling; the third adds to what the first gave."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        sources = [channels, *[width] * (depth - 1)]
        self.convolutions = nn.ModuleList(_handing_on(source, width) for source in sources)
        self.norms = nn.ModuleList(_shifting_norm(width) for _ in range(depth))

    def forward(self, seen: Tensor) -> Tensor:
        first = functional.gelu(self.norms[0](functional.max_pool2d(self.convolutions[0](seen), 2)))
        result = first
        for place in range(1, len(self.norms)):
            inner = self.norms[place](self.convolutions[place](result))
            result = functional.gelu(inner + first if place == 2 else inner)
        return result


def _handing_on(channels: int, width: int) -> nn.Conv2d:
    """A convolution that starts by handing on what it is given: the first steps already see a photo, not noise."""
    convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight[:channels])
    return convolution


def _shifting_norm(width: int) -> nn.BatchNorm2d:
    """A batch norm that learns where to shift to, not how to scale."""
    norm = nn.BatchNorm2d(width, momentum=_NORM_MOMENTUM)
    norm.weight.requires_grad_(False)
    return norm


class Fast(nn.Module):
    """Whitening, three blocks, a linear layer (the network of Jordan, 2024)."""

    def __init__(self, labels: int, plan: Plan, photos: Tensor) -> None:
        """`photos` float32 [N, 3, 32, 32], normalised: the whitening is computed from their patches."""
        super().__init__()
        filters = whitening(photos)
        self.whiten = nn.Conv2d(3, len(filters), 2)
        with torch.no_grad():
            self.whiten.weight.copy_(filters)
            nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]  # it has one
        self.whiten.weight.requires_grad_(False)
        channels = (len(filters), *plan.widths)
        self.blocks = nn.Sequential(*(Block(channels[place], channels[place + 1], plan.depth) for place in range(3)))
        self.head = nn.Linear(plan.widths[-1], labels, bias=False)

    def forward(self, photos: Tensor) -> Tensor:
        maps = self.blocks(functional.gelu(self.whiten(photos)))
        return self.head(maps.amax((2, 3))) * _SCALE


def whitening(photos: Tensor, floor: float = 5e-4) -> Tensor:
    """Filters float32 [24, 3, 2, 2] that make 2 x 2 patches of photos [N, 3, H, W] uncorrelated, each with both signs.

    They are the principal directions of the patches, divided by their spread: no direction starts louder than another.
    """
    patches = functional.unfold(photos, 2).transpose(1, 2).flatten(0, 1)
    spread, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (directions / (spread + floor).sqrt()).T.flip(0).reshape(-1, 3, 2, 2)
    return torch.cat([filters, -filters])


class FineTuned(nn.Module):
    """A backbone that knows ImageNet, its norms folded, and a new classifier."""

    def __init__(self, labels: int, arch: str, weights: str) -> None:
        """Raises DataError where the weights do not fit."""
        super().__init__()
        image = start_model(arch, 8, weights).image
        self.backbone = image.backbone
        FoldedNorms(self.backbone)
        self.head = nn.Linear(image.width, labels)
        nn.init.zeros_(self.head.weight)

    def forward(self, photos: Tensor) -> Tensor:
        return self.head(functional.dropout(self.backbone(photos).float(), 0.2, self.training))


def build(plan: Plan, labels: int, train: Part, weights: str | None) -> Normalised:
    """The network of a plan for so many labels, ready to train. Raises DataError where the weights do not fit."""
    torch.manual_seed(plan.seed)
    if plan.network == "mobilenet_v2":
        look = start_preprocessing(plan.network, str(weights), plan.side)
        network = FineTuned(labels, plan.network, str(weights))
        return Normalised(network, torch.tensor(look.mean), torch.tensor(look.std), plan.side)
    sample = train.photos[:: max(1, len(train.photos) // _PATCHES)].float() / 255
    std, mean = torch.std_mean(sample, dim=(0, 2, 3))
    if plan.network == "fast":
        return Normalised(Fast(labels, plan, (sample - mean[:, None, None]) / std[:, None, None]), mean, std)
    small: Callable[[int], nn.Module] = TwoBlocks if plan.network == "two-blocks" else ThreeBlocks
    return Normalised(small(labels), mean, std)
