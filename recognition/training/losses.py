"""What the network is told to do, as numbers to make small; called by loop.py for every batch.

Labels shape the vectors through a cosine classifier (normalised softmax, Wang et al., 2017); coarse kinds only shape
the features below, so that two dresses stay two dresses. Views of one thing attract each other (supervised contrastive
loss, Khosla et al., 2020), and so do photos and texts of one thing (symmetric InfoNCE, Radford et al., 2021).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.fusion import ProductEncoder
from recognition.training.data import Photo
from recognition.training.sampling import Texts

TEMPERATURE = 0.1
_COSINE_SCALE = 16.0
_SMOOTHING = 0.1
_NO_LABEL = -1

# Chosen once by reason, not searched: the metric parts lead, text must not bend the space of the photos.
_WEIGHTS = {"label": 0.5, "kind": 0.3, "views": 1.0, "fused": 0.5, "words": 0.2, "found": 0.2}


class Heads(nn.Module):
    """The classifiers of training; they are not part of a bundle."""

    def __init__(self, photos: Sequence[Photo], dim: int, width: int) -> None:
        super().__init__()
        self.labels = _names((photo.source, photo.label) for photo in photos if photo.role == "train")
        self.kinds = _names((photo.source, photo.kind) for photo in photos if photo.role == "train")
        self.label_weights = nn.ParameterDict(
            {source: nn.Parameter(torch.randn(len(names), dim) * dim**-0.5) for source, names in self.labels.items()}
        )
        self.kind_layers = nn.ModuleDict({source: nn.Linear(width, len(names)) for source, names in self.kinds.items()})

    def losses(self, targets: "Targets", vectors: Tensor, features: Tensor) -> dict[str, Tensor]:
        """Mean cross-entropy over the data sets in the batch: "label" (vectors) and "kind" (features)."""
        zero = vectors.sum() * 0
        label, kind = zero, zero
        for source, weight in self.label_weights.items():
            logits = _COSINE_SCALE * vectors @ functional.normalize(weight, dim=-1).T
            label = label + _cross_entropy(logits, targets.labels[source])
        scaled = functional.normalize(features, dim=-1) * features.shape[-1] ** 0.5
        for source, layer in self.kind_layers.items():
            kind = kind + _cross_entropy(layer(scaled), targets.kinds[source])
        return {"label": label, "kind": kind}


@dataclass(frozen=True, eq=False)
class Targets:
    """What is true of a batch of N photos. labels, kinds: by data set, int64 [N], -1 where there is none;
    products, words: int64 [N], equal where the thing, or its text, is the same."""

    labels: dict[str, Tensor]
    kinds: dict[str, Tensor]
    products: Tensor
    words: Tensor


def targets_of(photos: Sequence[Photo], heads: Heads) -> Targets:
    """The targets of a batch."""

    def numbers(names: dict[str, list[str]], attribute: str) -> dict[str, Tensor]:
        return {
            source: torch.tensor(
                [
                    known.index(value)
                    if photo.source == source and (value := getattr(photo, attribute)) is not None
                    else _NO_LABEL
                    for photo in photos
                ]
            )
            for source, known in names.items()
        }

    return Targets(
        labels=numbers(heads.labels, "label"),
        kinds=numbers(heads.kinds, "kind"),
        products=_grouped([photo.product for photo in photos]),
        words=_grouped([photo.words for photo in photos]),
    )


def batch_losses(
    model: ProductEncoder, heads: Heads, features: Tensor, texts: Texts, targets: Targets
) -> dict[str, Tensor]:
    """All losses of a batch by name, and their weighted sum as "total"; `features` float32 [N, F] of N photos."""
    vectors = model.image.project(features)
    fused, _ = model.fuse(vectors, texts.stored)
    asked, _ = model.fuse(None, texts.asked)
    losses = heads.losses(targets, vectors, features)
    other = ~torch.eye(len(vectors), dtype=torch.bool)
    same_product = (targets.products[:, None] == targets.products) & other
    same_words = targets.words[:, None] == targets.words
    known = ~texts.invented
    losses["views"] = contrast(vectors, vectors, same_product, other)
    losses["fused"] = _both_ways(vectors, fused, same_product, other)
    losses["words"] = _both_ways(vectors[known], asked[known], same_words[known][:, known], allowed=None)
    losses["found"] = _both_ways(fused, asked, same_words & texts.stored.has_words[:, None], allowed=None)
    losses["total"] = torch.stack([_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
    return losses


def contrast(queries: Tensor, stored: Tensor, positive: Tensor, allowed: Tensor) -> Tensor:
    """InfoNCE with several positives: queries [N, D], stored [M, D], bool masks [N, M].

    A query without a positive is left out. `allowed` masks what a query is compared with at all (a photo is not
    compared with itself).
    """
    scores = (queries @ stored.T / TEMPERATURE).masked_fill(~allowed, -1e4)
    gain = torch.log_softmax(scores, dim=-1)
    number = positive.sum(-1)
    usable = number > 0
    mean = (gain * positive).sum(-1)[usable] / number[usable]
    return -mean.mean() if usable.any() else queries.sum() * 0


def _both_ways(left: Tensor, right: Tensor, positive: Tensor, allowed: Tensor | None) -> Tensor:
    allowed = torch.ones_like(positive) if allowed is None else allowed
    return (contrast(left, right, positive, allowed) + contrast(right, left, positive.T, allowed.T)) / 2


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the labelled photos, weighted by their share of the batch; zero where the batch has none."""
    total = functional.cross_entropy(
        logits, target, ignore_index=_NO_LABEL, label_smoothing=_SMOOTHING, reduction="sum"
    )
    return total / len(target)


def _names(pairs: Iterable[tuple[str, str | None]]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for source, name in pairs:
        if name is not None:
            found.setdefault(source, set()).add(name)
    return {source: sorted(names) for source, names in sorted(found.items()) if len(names) > 1}


def _grouped(names: Sequence[str]) -> Tensor:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])
