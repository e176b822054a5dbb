"""The settings of a training run; made by options.py (a command line) or tune.py (a search), followed by loop.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

OPTIMISERS = ("adamw", "adam", "sgd")
PRECISIONS = ("auto", "float32", "bfloat16")

# Networks of whole convolutions. On a CPU with matrix units (AMX), forward and backward of a photo took ResNet-50 86 to
# 108 ms in bfloat16 and 249 to 265 in float32; MobileNetV2, whose convolutions are a channel deep, 43 and 37 to 43.
_DENSE = ("resnet", "resnext", "wide_resnet", "efficientnet", "convnext")


@dataclass(frozen=True)
class Plan:
    """How to train. Learning rates are the peaks of a cosine with a short warm-up; `weights` as in start.py.

    A `backbone_rate` of 0 leaves the photo's network as it is: only words, gate and classifiers learn.
    `mix`: chance that a batch's labelled photos are mixed. `average`: what the moving average keeps at each step.
    `patience`: epochs without a better score on the photos held out to calibrate before the run ends (0: never).
    `mirror`: photos are also shown mirrored; wrong where left and right mean different things (arrows, writing).
    `precision`: one of PRECISIONS; a run keeps what "auto" came to when it began.
    `shares`: what part of a batch a data set gets (default: by the square root of its size). `closed`: label sets of
    which no photo of another data set shows anything, so that all of those teach their classifiers what is UNKNOWN.
    """

    weights: str
    arch: str = "mobilenet_v2"
    dim: int = 256
    size: int = 192
    epochs: int = 16
    batch: int = 48
    optimiser: str = "adamw"
    backbone_rate: float = 3e-4
    rate: float = 3e-3
    decay: float = 0.05
    dropout: float = 0.2
    mix: float = 0.5
    mirror: bool = True
    average: float = 0.998
    patience: int = 0
    precision: str = "auto"
    device: str = "cpu"
    seed: int = 1
    shares: Mapping[str, float] = field(default_factory=dict)
    closed: tuple[str, ...] = ()


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 faster than in float32: GPUs that have it, and CPUs with matrix units."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def best_precision(arch: str, device: torch.device) -> str:
    """What "auto" comes to."""
    pays = device.type == "cuda" or arch.startswith(_DENSE)
    return "bfloat16" if pays and has_fast_bfloat16(device) else "float32"


def cache_side(size: int) -> int:
    """Side of the cached photos for a training size: somewhat more, so that a crop is seldom blown up."""
    return 32 * round(size * 1.3 / 32)
