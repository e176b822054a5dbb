"""Why two photos are similar: where the network looked, and what photo, words and price gave to the score.

After a match was found by the index; called by a worker for the one candidate that somebody asks about. `look` decodes
(CPU, any thread); `explain` runs forward and a little backward, so it belongs to the thread that owns the device.

The heat map is Grad-CAM (Selvaraju et al., 2017) on a similarity instead of a class: gradient of the similarity with
respect to the last feature map, times the map. It is multiplied cell by cell (HiResCAM, Draelos and Carin, 2020), so
a cell's heat is what this very cell adds, to first order. Three things make it good, measured on photos of the sample
catalogue with another product pasted into them:

- Photos twice as large as the bundle's size: 12 × 12 cells instead of 6 × 6 for the default. The hottest cell was in
  the product's quadrant 60 times of 60 instead of 41.
- Each photo is shown upright and upside down, and the two maps are added. A strided convolution looks a little up and
  left of the middle of its cell: heat lay 0.8 of a cell too far right and 0.6 too low; added, under 0.2.
- The vector's last normalisation is left out: the gradient of a cosine vanishes where both photos are the same.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recognition.boxes import WHOLE, as_box, middle_square, to_photo
from recognition.errors import BundleError
from recognition.photos import Box, DecodedPhoto, PhotoLimits
from recognition.recogniser import Recogniser
from recognition.text import ProductText, encode_texts

FINER = 2  # how much larger than the bundle's size a photo is looked at

PartName = Literal["image", "words", "price"]
NoMap = Literal["", "no_photo", "no_feature_map"]  # why there is no heat map

_LIMITS = PhotoLimits()
_PARTS: tuple[PartName, ...] = ("image", "words", "price")  # in the order of the gate


@dataclass(frozen=True, eq=False)
class Look:
    """One photo as it is compared, uint8 [S, S, 3], and larger for its heat map, uint8 [FINER S, FINER S, 3].

    `box` is the square that both show, in 0..1 of the upright photo.
    """

    pixels: NDArray[np.uint8]
    fine: NDArray[np.uint8]
    box: Box


@dataclass(frozen=True, eq=False)
class HeatMap:
    """`values` float32 [rows, columns] in 0..1 (1: the hottest cell; all 0 where nothing speaks for the match).

    The grid covers `box` (left, top, right, bottom in 0..1) of the upright photo.
    """

    values: NDArray[np.float32]
    box: Box


@dataclass(frozen=True)
class PartScore:
    """One part of the matched photo's fused vector: what the gate let it count (`share`, 0..1), its cosine with the
    query, and what it adds to the fused similarity. All are 0 for a part that the product does not have."""

    share: float
    cosine: float
    contribution: float


@dataclass(frozen=True, eq=False)
class Explained:
    """`image`: cosine of the two photos, None without a query photo. `fused`: cosine of the query with the matched
    photo's fused vector, exactly the sum of the contributions of its `parts`."""

    image: float | None
    fused: float
    parts: dict[PartName, PartScore]
    query_map: HeatMap | None
    matched_map: HeatMap | None
    no_map: NoMap


def look(recogniser: Recogniser, data: bytes, region: Box | None = None, limits: PhotoLimits = _LIMITS) -> Look:
    """Decode a photo in both sizes; thread-safe. Raises PhotoError as `decode_photo` does."""
    seen = recogniser.prepare(data, region, limits)
    wish = recogniser.bundle.preprocessing
    fine = recogniser.decoder.decode_photo(data, size=FINER * wish.size, crop=wish.crop, region=region, limits=limits)
    return Look(seen.pixels, fine.pixels, _shown(seen, region or WHOLE, wish.crop))


def _shown(photo: DecodedPhoto, region: Box, crop: float) -> Box:
    """The square in the middle of the region that was decoded, in 0..1 of the upright photo."""
    left, top, right, bottom = region
    width, height = (right - left) * photo.width, (bottom - top) * photo.height
    square = middle_square(max(1, round(width)), max(1, round(height)), crop)
    return as_box(to_photo(np.array([square], np.float32), region)[0])


def explain(
    recogniser: Recogniser, *, query: Look | None, words: ProductText, matched: Look, product: ProductText
) -> Explained:
    """Compare a query (photo, words or both) with a matched photo and its product's text, as a search does.

    Raises ValueError for a query without photo and words.
    """
    with torch.inference_mode():
        looks = [matched] if query is None else [matched, query]
        photos = recogniser.model.image(recogniser.pixels_to_input(np.stack([each.pixels for each in looks])))
        asked = _direction(recogniser, photos[1:], words)
        fused, parts = _split(recogniser, asked, photos[:1], product)
    if query is None:
        return Explained(None, fused, parts, None, None, "no_photo")
    image = float(photos[0] @ photos[1])
    try:
        maps = _heat(recogniser, query, towards=photos[0]), _heat(recogniser, matched, towards=photos[1])
    except BundleError:  # a transformer: nothing between pixels and vector has rows and columns
        return Explained(image, fused, parts, None, None, "no_feature_map")
    return Explained(image, fused, parts, *maps, "")


def _direction(recogniser: Recogniser, photo: Tensor, words: ProductText) -> Tensor:
    """What a query's fused similarity is measured with: its photo, its words, or half-way between; unit [dim].

    `photo` is [1, dim], or [0, dim] for a search by words. The index asks in the same way.
    """
    units = [photo[0]] if len(photo) else []
    if words.has_words():
        spoken, _ = recogniser.model.fuse(None, encode_texts([words]).to(recogniser.device))
        units.append(spoken[0])
    if not units:
        raise ValueError("a query needs a photo or words")
    return functional.normalize(torch.stack(units).sum(0), dim=0)


def _split(
    recogniser: Recogniser, asked: Tensor, photo: Tensor, product: ProductText
) -> tuple[float, dict[PartName, PartScore]]:
    """The fused similarity, and what each part of the fused vector adds to it.

    The fused vector is `normalise(sum share_i part_i)`, so its cosine with a unit vector q is, exactly, the sum of
    `share_i (q . part_i) / |sum share_i part_i|`. `asked` is [dim], `photo` [1, dim].
    """
    texts = encode_texts([product]).to(recogniser.device)
    fused, shares = recogniser.model.fuse(photo, texts)
    parts = torch.cat([photo, *recogniser.model.text(texts)])
    cosines = parts @ asked
    added = shares[0] * cosines / (shares[0] @ parts).norm()
    rows = zip(_PARTS, shares[0].tolist(), cosines.tolist(), added.tolist(), strict=True)
    return float(fused[0] @ asked), {name: PartScore(*numbers) for name, *numbers in rows}


def _heat(recogniser: Recogniser, seen: Look, towards: Tensor) -> HeatMap:
    """Where this photo is similar to another photo's vector (unit, [dim])."""
    encoder = recogniser.model.image
    goal = towards.clone()  # a tensor of inference mode cannot take part in a gradient
    both_ways = np.stack([seen.fine, seen.fine[::-1, ::-1]])
    with torch.enable_grad():
        features, cells = encoder.see(recogniser.pixels_to_input(both_ways), differentiable=True)
        similarity = encoder.projection(functional.normalize(features.float(), dim=-1)) @ goal
        (gradient,) = torch.autograd.grad(similarity.sum(), cells)
    upright, turned = (gradient.float() * cells.detach().float()).sum(1)
    heat = (upright + turned.flip(0, 1)).relu()
    highest = heat.max().clamp_min(torch.finfo(torch.float32).tiny)
    return HeatMap((heat / highest).cpu().numpy(), seen.box)
