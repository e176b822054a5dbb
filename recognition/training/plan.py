"""The settings of a training run; made by options.py (a command line) or tune.py (a search), followed by loop.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OPTIMISERS = ("adamw", "adam", "sgd")


@dataclass(frozen=True)
class Plan:
    """How to train. Learning rates are the peaks of a cosine with a short warm-up; `weights` as in start.py.

    A `backbone_rate` of 0 leaves the photo's network as it is: only words, gate and classifiers learn.
    `mix`: chance that a batch's labelled photos are mixed. `average`: what the moving average keeps at each step.
    `patience`: epochs without a better score on the photos held out to calibrate before the run ends (0: never).
    `mirror`: photos are also shown mirrored; wrong where left and right mean different things (arrows, writing).
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
    bfloat16: bool = False
    device: str = "cpu"
    seed: int = 1
    shares: Mapping[str, float] = field(default_factory=dict)
    closed: tuple[str, ...] = ()


def cache_side(size: int) -> int:
    """Side of the cached photos for a training size: somewhat more, so that a crop is seldom blown up."""
    return 32 * round(size * 1.3 / 32)
