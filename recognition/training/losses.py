"""What the network is told to do, as numbers to make small; called by loop.py for every batch.

Labels shape the features through a classifier a label set, with smoothed labels, fine and coarse (Szegedy et al.,
2016), and the vectors through a cosine classifier over products (normalised softmax, Wang et al., 2017). Views of one
thing attract each other (supervised contrastive loss, Khosla et al., 2020), and so do photos and texts of one thing
(symmetric InfoNCE, Radford et al., 2021). A classifier is also told to be undecided about photos of other label sets
(outlier exposure, Hendrycks et al., 2019): that is what UNKNOWN rests on. And vectors stay near those of the starting
weights (feature distillation, Romero et al., 2015): a few thousand photos must not take away what the network knew of
products that they do not show.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from recognition.bundle import LabelSet, SimilarityWeights
from recognition.fusion import ProductEncoder
from recognition.training.data import Photo
from recognition.training.sampling import Texts

TEMPERATURE = 0.1
_COSINE_SCALE = 16.0
_SMOOTHING = 0.1

# Chosen once by reason, not searched: labels and views lead, text must not bend the space of the photos.
_WEIGHTS = {
    "fine": 1.0,
    "coarse": 0.5,
    "outlier": 0.3,
    "product": 0.5,
    "views": 1.0,
    "stored": 0.5,
    "beside": 0.5,
    "words": 0.1,
    "found": 0.1,
    "kept": 1.0,
}


def label_sets(photos: Sequence[Photo]) -> dict[str, LabelSet]:
    """The label sets of the photos to train on; a label without a coarse one is its own where others have one."""
    sets = {}
    for source in dict.fromkeys(photo.source for photo in photos):
        parents = {
            photo.label: photo.coarse
            for photo in photos
            if photo.source == source and photo.role == "train" and photo.label is not None
        }
        if len(parents) < 2:
            continue
        fine = sorted(parents)
        if not any(parents.values()):
            sets[source] = LabelSet(tuple(fine))
            continue
        named = [parents[label] or label for label in fine]
        coarse = sorted(set(named))
        sets[source] = LabelSet(tuple(fine), tuple(coarse), tuple(coarse.index(name) for name in named))
    return sets


class ProductProxies(nn.Module):
    """One direction a product for the vectors to lie near; of training only, not part of a bundle."""

    def __init__(self, photos: Sequence[Photo], dim: int) -> None:
        super().__init__()
        self.names = _names((photo.source, photo.product) for photo in photos if photo.role == "train" and photo.stored)
        self.weights = nn.ParameterDict(
            {source: nn.Parameter(torch.randn(len(names), dim) * dim**-0.5) for source, names in self.names.items()}
        )

    def forward(self, vectors: Tensor, source: str) -> Tensor:
        """Unit vectors [N, D] to the scores of a data set's products [N, P]."""
        return _COSINE_SCALE * vectors @ functional.normalize(self.weights[source], dim=-1).T


@dataclass(frozen=True, eq=False)
class Targets:
    """What is true of a batch of N photos.

    fine, coarse, proxies: by data set, float32 [N, number of names], rows of zeros where a photo has none;
    products, words: int64 [N], equal where the thing, or its text, is the same.
    """

    fine: dict[str, Tensor]
    coarse: dict[str, Tensor]
    proxies: dict[str, Tensor]
    products: Tensor
    words: Tensor

    def to(self, device: torch.device) -> "Targets":
        """The same targets on a device."""
        return self._map(lambda each: each.to(device))

    def of(self, rows: Sequence[int]) -> "Targets":
        """The targets of some photos of the batch."""
        return self._map(lambda each: each[list(rows)])

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Targets":
        fine, coarse, proxies = (
            {name: change(each) for name, each in named.items()} for named in (self.fine, self.coarse, self.proxies)
        )
        return Targets(fine, coarse, proxies, change(self.products), change(self.words))

    def mixed(self, order: Tensor, share: float) -> "Targets":
        """The targets of photos of which `share` shows the photo itself and the rest the one at `order` (int64 [N])."""

        def mix(targets: dict[str, Tensor]) -> dict[str, Tensor]:
            return {name: share * each + (1 - share) * each[order] for name, each in targets.items()}

        return Targets(mix(self.fine), mix(self.coarse), mix(self.proxies), self.products, self.words)


def targets_of(photos: Sequence[Photo], sets: Mapping[str, LabelSet], proxies: ProductProxies) -> Targets:
    """The targets of a batch, unmixed."""
    return Targets(
        fine={name: _one_hot(photos, name, known.fine, "label") for name, known in sets.items()},
        coarse={name: _one_hot(photos, name, known.coarse, "coarse") for name, known in sets.items() if known.coarse},
        proxies={name: _one_hot(photos, name, known, "product") for name, known in proxies.names.items()},
        products=_grouped([photo.product for photo in photos]),
        words=_grouped([photo.words for photo in photos]),
    )


def label_losses(
    model: ProductEncoder,
    proxies: ProductProxies,
    features: Tensor,
    targets: Targets,
    closed: Collection[str] = (),
) -> dict[str, Tensor]:
    """The losses that can be told of mixed photos: features float32 [N, F] of N photos.

    `closed`: label sets of which no photo of any other data set shows anything. For the others only photos of other
    label sets are outliers: a shop may well sell what a label names.
    """
    vectors = model.image.project(features)
    zero = features.sum() * 0
    losses = {"fine": zero, "coarse": zero, "outlier": zero, "product": zero}
    labelled = sum((target.sum(1) for target in targets.fine.values()), torch.zeros(len(features)).to(features))
    for name, target in targets.fine.items():
        fine, coarse = model.heads(features, name)
        losses["fine"] = losses["fine"] + _cross_entropy(fine, target)
        if coarse is not None:
            losses["coarse"] = losses["coarse"] + _cross_entropy(coarse, targets.coarse[name])
        outlier = (target.sum(1) == 0) & ((labelled > 0) | (name in closed))
        if outlier.any():
            losses["outlier"] = losses["outlier"] - torch.log_softmax(fine[outlier], -1).mean()
    for name, target in targets.proxies.items():
        losses["product"] = losses["product"] + _cross_entropy(proxies(vectors, name), target)
    return losses


def view_losses(
    model: ProductEncoder, features: Tensor, texts: Texts, targets: Targets, before: Tensor
) -> dict[str, Tensor]:
    """The losses between photos, and between photos and texts: features float32 [N, F] of N unmixed photos.

    `before`: the vectors [N, D] that the starting weights gave the same photos, unchanged.
    """
    vectors = model.image.project(features)
    other = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    same_product = (targets.products[:, None] == targets.products) & other
    return {
        "views": contrast(vectors @ vectors.T, same_product, other),
        **text_losses(model, vectors, texts, targets),
        "kept": 1 - (vectors * before).sum(-1).mean(),
    }


def text_losses(model: ProductEncoder, vectors: Tensor, texts: Texts, targets: Targets) -> dict[str, Tensor]:
    """The losses between photos and texts: unit vectors float32 [N, D] of N photos.

    "stored" and "beside" are of the scores that serve: a photo asks, alone or with a text beside it, and finds photos
    stored with texts.
    """
    stored, _ = model.fuse(vectors, texts.stored)
    beside, _ = model.fuse(vectors, texts.beside)
    asked, _ = model.fuse(None, texts.asked)
    other = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    same_product = (targets.products[:, None] == targets.products) & other
    same_words = targets.words[:, None] == targets.words
    known = ~texts.invented  # words without a meaning are found as words (BM25), not by vectors
    told = texts.told & known
    alike, weights = vectors @ vectors.T, SimilarityWeights()
    return {
        "stored": _both_ways(weights.image * alike + weights.fused * vectors @ stored.T, same_product, other),
        "beside": _both_ways(weights.image * alike + weights.fused * beside @ stored.T, same_product, other),
        "words": _both_ways(vectors[known] @ asked[known].T, same_words[known][:, known]),
        "found": _both_ways(stored[told] @ asked[told].T, same_words[told][:, told]),
    }


def weighted_sum(losses: Mapping[str, Tensor]) -> Tensor:
    """All losses in one number."""
    return torch.stack([_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()


def contrast(scores: Tensor, positive: Tensor, allowed: Tensor | None = None) -> Tensor:
    """InfoNCE with several positives: cosines [N, M] of queries with what is stored, bool masks [N, M].

    A query without a positive is left out. `allowed` masks what a query is compared with at all (a photo is not
    compared with itself); None: everything.
    """
    scores = scores / TEMPERATURE
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -1e4)
    gain = torch.log_softmax(scores, dim=-1)
    number = positive.sum(-1)
    usable = number > 0
    mean = (gain * positive).sum(-1)[usable] / number[usable]
    return -mean.mean() if usable.any() else scores.sum() * 0


def _both_ways(scores: Tensor, positive: Tensor, allowed: Tensor | None = None) -> Tensor:
    turned = None if allowed is None else allowed.T
    return (contrast(scores, positive, allowed) + contrast(scores.T, positive.T, turned)) / 2


def _cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """Mean smoothed cross-entropy over the photos that have a target, weighted by their share of the batch."""
    smooth = target * (1 - _SMOOTHING) + target.sum(1, keepdim=True) * _SMOOTHING / target.shape[1]
    return -(smooth * torch.log_softmax(scores, -1)).sum() / len(target)


def _one_hot(photos: Sequence[Photo], source: str, names: Sequence[str], attribute: str) -> Tensor:
    places = {name: place for place, name in enumerate(names)}
    target = torch.zeros(len(photos), len(names))
    for row, photo in enumerate(photos):
        if photo.source == source:
            value = getattr(photo, attribute) or (photo.label if attribute == "coarse" else None)
            if value in places:
                target[row, places[value]] = 1
    return target


def _names(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for source, name in pairs:
        found.setdefault(source, set()).add(name)
    return {source: sorted(names) for source, names in sorted(found.items()) if len(names) > 1}


def _grouped(names: Sequence[str]) -> Tensor:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])
