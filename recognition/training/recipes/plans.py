"""The settings of the CIFAR-10 recipes, one plan each; training.py follows them, networks.py builds what they name.

The two small networks are what a beginner's tutorial trains, with nothing added. The others follow Jordan, "94% on
CIFAR-10 in 3.29 seconds on a single GPU" (2024): whitening, label smoothing, flips that alternate, shifted photos,
Lookahead, a rate that rises and falls in straight lines, several views of each test photo. Rates are for the mean
loss of a batch.
"""

from dataclasses import dataclass
from typing import Literal

TUTORIAL = 0.6849  # test accuracy that the tutorial reports: the better of its two networks, ten epochs
OPTIMISERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True)
class Plan:
    """How to train on CIFAR-10.

    `widths`: channels of the three blocks; `depth`: convolutions in each (fast network only). `side`: photos are
    enlarged to so many pixels (fine-tuning only). `head_rate`: of the new classifier, `bias_rate`: of the norms'
    biases, both as multiples of `rate`. `start` and `end`: the rate at both ends as a share of its peak, which is
    reached after `peak` of the steps; None: the rate stays. `lookahead`: steps between two averages (0: none).
    `views`: photos of a test photo whose scores are averaged: 1 (itself), 2 (and mirrored), 6 (and both shifted).
    `tutorial_test_accuracy`: what the tutorial reports of such a network (None: it has none); no setting, a result to
    be put beside ours.
    """

    network: Literal["two-blocks", "three-blocks", "fast", "mobilenet_v2"]
    epochs: int = 10
    batch: int = 64
    optimiser: str = "adam"
    rate: float = 1e-3
    head_rate: float = 1.0
    bias_rate: float = 1.0
    decay: float = 0.0
    momentum: float = 0.9
    peak: float | None = None
    start: float = 0.2
    end: float = 0.07
    smoothing: float = 0.0
    flip: bool = False
    shift: int = 0
    cutout: int = 0
    lookahead: int = 0
    views: int = 1
    widths: tuple[int, int, int] = (64, 256, 256)
    depth: int = 2
    side: int = 32
    seed: int = 1
    tutorial_test_accuracy: float | None = None


_FAST = Plan(
    network="fast",
    epochs=24,
    batch=1000,
    optimiser="sgd",
    rate=1.5,
    bias_rate=64.0,
    decay=1.33e-3,
    momentum=0.85,
    peak=0.23,
    smoothing=0.2,
    flip=True,
    shift=2,
    lookahead=5,
    views=6,
)

PLANS: dict[str, tuple[str, Plan]] = {
    "cifar10-two-blocks": (
        "two convolutions, three linear layers; ten epochs",
        Plan(network="two-blocks", tutorial_test_accuracy=TUTORIAL),
    ),
    "cifar10-three-blocks": (
        "three convolutions, dropout; ten epochs",
        Plan(network="three-blocks", tutorial_test_accuracy=TUTORIAL),
    ),
    "cifar10": ("our recipe from nothing, about an hour on one CPU core that is fast in bfloat16", _FAST),
    "cifar10-wide": (
        "the same, wider and deeper, for a GPU",
        Plan(
            **vars(_FAST) | {"epochs": 45, "rate": 1.2, "widths": (128, 512, 512), "depth": 3, "shift": 4, "cutout": 12}
        ),
    ),
    "cifar10-finetuned": (
        "MobileNetV2 from ImageNet weights at 128 px, about a quarter of an hour an epoch on one CPU core",
        Plan(
            network="mobilenet_v2",
            epochs=10,
            optimiser="adamw",
            rate=3e-4,
            head_rate=10.0,
            decay=0.05,
            peak=0.1,
            end=0.01,
            smoothing=0.1,
            flip=True,
            shift=3,
            cutout=6,
            lookahead=5,
            views=6,
            side=128,
        ),
    ),
}
