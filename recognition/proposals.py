"""Where things are in a photo, whatever they are: a small detection head over the backbone's last feature map.

After cnn.py, whose map it reads; before boxes.py, which sorts its proposals out. It is used twice: on the map that the
vectors of a photo come from anyway (the main subject), and on the map of the whole photo, seen larger (many items).

One point of the map is one anchor: it says how surely a thing's middle lies there, and how far its four edges are
(FCOS, Tian et al., 2019). The score learns the overlap that its own box reaches (quality focal loss, Li et al., 2020),
so the best-scored box is the best-placed one. One level of the pyramid only: stride 32 is coarse, but the map is
already paid for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recognition.boxes import Boxes, keep_best

_BEFORE = 200  # of the points of a large map, so many of the best are compared with each other
_LONGEST = 4.0  # of an edge's distance, as a logarithm of cells: 55 cells, more than any map has


@dataclass(frozen=True, eq=False)
class Proposals:
    """What was found in one frame, the best first: `boxes` [N, 4] in parts of the frame, `scores` [N] in 0..1."""

    boxes: Boxes
    scores: NDArray[np.float32]


class PointNorm(nn.Module):
    """Layer normalisation over the channels of each point of a map [N, C, h, w].

    Not over the map (group normalisation): a thing would then score less the more other things are in the photo, and
    otherwise on a map of another size.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """The same shape, each point with mean 0 and variance 1 before scale and shift."""
        return self.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SubjectHead(nn.Module):
    """A 1x1 convolution to `width` channels, two 3x3 convolutions, and five values a point."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        last = nn.Conv2d(width, 5, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            PointNorm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            PointNorm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            PointNorm(width),
            nn.ReLU(),
            last,
        )
        nn.init.normal_(last.weight, std=0.01)
        # At first nothing is a thing (prior of 1 %), and a thing is three cells wide.
        last.bias = nn.Parameter(torch.tensor([-math.log(99.0), *[math.log(1.5)] * 4]))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps [N, C, h, w] to score logits [N, h*w] and boxes [N, h*w, 4] in parts of the frame, not cut at 0 and 1.

        Always float32: the maps of a bfloat16 backbone are widened first.
        """
        return self.read(self.grid(maps))

    def grid(self, maps: Tensor) -> Tensor:
        """Maps [N, C, h, w] to the five values of each point, float32 [N, 5, h, w]: what is computed; `read` reads."""
        return self.layers(maps.float())

    @staticmethod
    def read(grid: Tensor) -> tuple[Tensor, Tensor]:
        """The values of `grid` as score logits and boxes."""
        height, width = grid.shape[-2:]
        found = grid.flatten(2).transpose(1, 2)
        reach = found[..., 1:].clamp(max=_LONGEST).exp()
        middles = points(height, width, grid.device)
        cells = torch.tensor([width, height], device=grid.device)
        boxes = torch.cat([middles - reach[..., :2] / cells, middles + reach[..., 2:] / cells], -1)
        return found[..., 0], boxes


def points(height: int, width: int, device: torch.device) -> Tensor:
    """The middles of the cells of a map, row by row, as x and y in 0..1: [h*w, 2]."""
    y, x = torch.meshgrid(
        (torch.arange(height, device=device) + 0.5) / height, (torch.arange(width, device=device) + 0.5) / width,
        indexing="ij",
    )  # fmt: skip
    return torch.stack([x.flatten(), y.flatten()], -1)


def best_of(logits: Tensor, boxes: Tensor) -> Tensor:
    """The best proposal of each photo: [N, 5] (left, top, right, bottom within 0..1, score)."""
    score, at = logits.max(1)
    box = boxes[torch.arange(len(boxes), device=boxes.device), at].clamp(0, 1)
    return torch.cat([box, score.sigmoid()[:, None]], 1)


def proposals_of(logits: Tensor, boxes: Tensor, *, least: float, overlap: float, limit: int) -> Iterator[Proposals]:
    """The proposals of each photo that score at least `least`, no two overlapping by more than `overlap`."""
    scores = logits.sigmoid().float().cpu().numpy()
    places = boxes.clamp(0, 1).float().cpu().numpy()
    for score, place in zip(scores, places, strict=True):
        chosen = np.argsort(-score)[:_BEFORE]
        chosen = chosen[score[chosen] >= least]
        kept = chosen[keep_best(place[chosen], score[chosen], overlap=overlap, limit=limit)]
        yield Proposals(place[kept], score[kept])
