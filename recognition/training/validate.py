"""How good the averaged weights are on photos held out to calibrate; after every epoch of loop.py, to stop early."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recognition.bundle import Preprocessing
from recognition.fusion import ProductEncoder
from recognition.training.cache import Cache
from recognition.training.data import Photo
from recognition.training.start import photo_features


def held_out_score(
    model: ProductEncoder, average: Mapping[str, Tensor], photos: Sequence[Photo], cache: Cache, look: Preprocessing
) -> float:
    """Mean over the data sets: share of labels told rightly, or of views whose product is nearest; 0 where none is.

    A data set of products is searched among all of its stored photos.
    """
    asked = [row for row, photo in enumerate(photos) if photo.role == "calibrate"]
    stored: dict[str, list[int]] = {photos[row].source: [] for row in asked if photos[row].label is None}
    for row, photo in enumerate(photos):
        if photo.stored and photo.source in stored:
            stored[photo.source].append(row)
    if not asked:
        return 0.0
    averaged = copy.deepcopy(model).eval()
    averaged.load_state_dict(dict(average), strict=False)
    backbone = averaged.image.backbone
    device = next(averaged.parameters()).device
    hits: dict[str, list[bool]] = {}
    with torch.inference_mode():
        asked_features = photo_features(backbone, cache, asked, look).to(device)
        shops = {
            source: averaged.image.project(photo_features(backbone, cache, rows, look).to(device))
            for source, rows in stored.items()
            if rows
        }
        for row, features in zip(asked, asked_features, strict=True):
            photo = photos[row]
            if photo.label is not None and photo.source in averaged.heads.fine:
                hits.setdefault(photo.source, []).append(_label_is_right(averaged, features, photo))
            elif photo.label is None and photo.source in shops:
                nearest = int((shops[photo.source] @ averaged.image.project(features[None])[0]).argmax())
                found = photos[stored[photo.source][nearest]]
                hits.setdefault(photo.source, []).append(found.product == photo.product)
    return sum(sum(right) / len(right) for right in hits.values()) / max(1, len(hits))


def _label_is_right(model: ProductEncoder, features: Tensor, photo: Photo) -> bool:
    fine, _ = model.heads(features[None], photo.source)
    return model.label_sets[photo.source].fine[int(fine.argmax())] == photo.label
