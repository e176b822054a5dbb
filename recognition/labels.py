"""What kinds of thing a bundle knows by name: one classifier a label set; beside cnn.py, whose features it reads.

A shop's own products are found by comparing vectors, and need no training. Labels are the other way: names that
training knew (81 groceries, 10 kinds of garment, the folders of one's own photos). Each set has fine labels and may
have coarse ones; a fine label belongs to one coarse label.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recognition.bundle import LabelSet


class LabelHeads(nn.Module):
    """A linear classifier for each label set, over the pooled features."""

    def __init__(self, width: int, sets: Mapping[str, LabelSet]) -> None:
        super().__init__()
        self.fine = nn.ModuleDict({name: nn.Linear(width, len(known.fine)) for name, known in sets.items()})
        self.coarse = nn.ModuleDict(
            {name: nn.Linear(width, len(known.coarse)) for name, known in sets.items() if known.coarse}
        )

    def forward(self, features: Tensor, name: str) -> tuple[Tensor, Tensor | None]:
        """Features [N, F] to the scores of one set: fine [N, L] and coarse [N, K] (None where it has no coarse)."""
        return self.fine[name](features), self.coarse[name](features) if name in self.coarse else None


@dataclass(frozen=True, eq=False)
class LabelOdds:
    """Calibrated probabilities of one label set for N photos: fine [N, L], coarse [N, K] (None: no coarse labels)."""

    fine: Tensor
    coarse: Tensor | None


def label_odds(scores: Tensor, known: LabelSet) -> LabelOdds:
    """Scores [N, L] of the fine classifier to probabilities (temperature scaling, Guo et al., 2017).

    A coarse label is as likely as its fine labels together, so that the two never contradict each other; the coarse
    classifier only helps training.
    """
    fine = torch.softmax(scores.float() / known.temperature, dim=-1)
    if not known.coarse:
        return LabelOdds(fine, None)
    summed = torch.zeros(len(fine), len(known.coarse), device=fine.device)
    return LabelOdds(fine, summed.index_add_(1, torch.tensor(known.parents, device=fine.device), fine))
