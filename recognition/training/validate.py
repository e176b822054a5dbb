"""How good the averaged weights are on photos held out to calibrate; after every epoch of loop.py, to stop early."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recognition.bundle import Preprocessing
from recognition.fusion import ProductEncoder
from recognition.training.augment import middle_square
from recognition.training.cache import Cache
from recognition.training.data import Photo

_BATCH = 32


def held_out_score(
    model: ProductEncoder, average: Mapping[str, Tensor], photos: Sequence[Photo], cache: Cache, look: Preprocessing
) -> float:
    """Mean over the data sets: share of labels told rightly, or of views whose product is nearest; 0 where none is.

    A data set of products is searched among all of its stored photos.
    """
    asked = [row for row, photo in enumerate(photos) if photo.role == "calibrate"]
    shops = {photos[row].source for row in asked if photos[row].label is None}
    stored = [row for row, photo in enumerate(photos) if photo.stored and photo.source in shops]
    if not asked:
        return 0.0
    averaged = copy.deepcopy(model).eval()
    averaged.load_state_dict(dict(average), strict=False)
    with torch.inference_mode():
        asked_features = _features(averaged, asked, cache, look)
        stored_vectors = averaged.image.project(_features(averaged, stored, cache, look)) if stored else None
        hits: dict[str, list[bool]] = {}
        for row, features in zip(asked, asked_features, strict=True):
            photo = photos[row]
            if photo.label is not None and photo.source in averaged.heads.fine:
                hits.setdefault(photo.source, []).append(_label_is_right(averaged, features, photo))
            elif photo.label is None and stored_vectors is not None:
                scores = stored_vectors @ averaged.image.project(features[None])[0]
                same_shop = torch.tensor([photos[other].source == photo.source for other in stored])
                nearest = stored[int(scores.cpu().masked_fill(~same_shop, -2.0).argmax())]
                hits.setdefault(photo.source, []).append(photos[nearest].product == photo.product)
    return sum(sum(found) / len(found) for found in hits.values()) / max(1, len(hits))


def _label_is_right(model: ProductEncoder, features: Tensor, photo: Photo) -> bool:
    fine, _ = model.heads(features[None], photo.source)
    return model.label_sets[photo.source].fine[int(fine.argmax())] == photo.label


def _features(model: ProductEncoder, rows: Sequence[int], cache: Cache, look: Preprocessing) -> Tensor:
    """Pooled features [N, F] of cached photos, the middle square of each."""
    device = next(model.parameters()).device
    mean, std = (torch.tensor(value)[None, :, None, None] for value in (look.mean, look.std))
    parts = []
    for at in range(0, len(rows), _BATCH):
        chosen = list(rows[at : at + _BATCH])
        pixels, boxes = torch.from_numpy(cache.pixels[chosen]), torch.from_numpy(cache.boxes[chosen])
        inputs = (middle_square(pixels, boxes, look.size) - mean) / std
        inputs = inputs.to(device).contiguous(memory_format=torch.channels_last)
        parts.append(model.image.backbone(inputs).float())
    return torch.cat(parts)
