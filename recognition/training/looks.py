"""Holds out photos by how they look, to choose between recipes; a stricter sibling of the splits in data.py.

Photos of one label come in series: one shop, one shelf, one afternoon. A split by name or by chance puts neighbours of
one series on both sides, and every recipe then looks perfect (97 % on the groceries where another visit gives 80 %).
So the photos of each label are grouped by the features of the starting weights (spherical k-means, Dhillon and Modha,
2001), and one whole group is held out.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from recognition.training.data import Photo, Role

_GROUPS = 3
_WANTED = 0.27  # share of a label's photos in the held-out group; the nearest is taken
_MOST = 0.5
_STARTS, _ROUNDS = 10, 30


def held_out_by_look(photos: Sequence[Photo], features: Tensor, role: Role, seed: int = 0) -> list[Photo]:
    """The photos, one group of each label's training photos moved to `role`.

    `features`: float32 [N, F] of all N photos, in order. A label whose groups are all larger than half of it keeps its
    photos.
    """
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, photo in enumerate(photos):
        if photo.role == "train" and photo.label is not None:
            rows[photo.source, photo.label].append(number)
    random = torch.Generator().manual_seed(seed)
    held: set[int] = set()
    for members in rows.values():
        if len(members) >= 2 * _GROUPS:
            held |= {members[place] for place in _smallest_fitting(features[members], random)}
    return [replace(photo, role=role, stored=False) if number in held else photo for number, photo in enumerate(photos)]


def _smallest_fitting(features: Tensor, random: torch.Generator) -> list[int]:
    """The places of the group whose size is nearest to the wanted share; none where it is more than half."""
    group = _grouped(functional.normalize(features, dim=1), random)
    sizes = torch.bincount(group, minlength=_GROUPS) / len(features)
    distance = torch.where(sizes > 0, (sizes - _WANTED).abs(), 2.0)
    chosen = int(distance.argmin())
    return [] if sizes[chosen] > _MOST else torch.where(group == chosen)[0].tolist()


def _grouped(units: Tensor, random: torch.Generator) -> Tensor:
    """Spherical k-means, the best of several starts: unit vectors [N, F] to group numbers [N]."""
    best, found = -2.0, torch.zeros(len(units), dtype=torch.long)
    for _ in range(_STARTS):
        centres = units[torch.randperm(len(units), generator=random)[:_GROUPS]]
        for _ in range(_ROUNDS):
            group = (units @ centres.T).argmax(1)
            sums = torch.zeros_like(centres).index_add_(0, group, units)
            empty = torch.bincount(group, minlength=_GROUPS) == 0
            centres = torch.where(empty[:, None], centres, functional.normalize(sums, dim=1))
        fit = (units @ centres.T).amax(1).mean().item()
        if fit > best:
            best, found = fit, (units @ centres.T).argmax(1)
    return found
