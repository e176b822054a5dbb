"""Makes the classifiers' probabilities honest; beside calibrate.py (candidates), before export.py writes the bundle.

One temperature a label set (Guo et al., 2017), and the least probability at which a photo is taken to show one of the
labels at all. Both are fitted on photos held out to calibrate, to the very scores that are served: of a bundle that
sees mirror images too, the averaged ones. Figures on the same photos would flatter the bundle, so they are
cross-fitted: each half is judged by the temperature of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from recognition.bundle import LabelSet
from recognition.labels import label_odds
from recognition.recogniser import Recogniser
from recognition.training.calibrate import expected_calibration_error
from recognition.training.data import Photo, Role, share
from recognition.training.decoding import pixel_batches

_TEMPERATURES = torch.logspace(-1.0, 1.0, 201)  # 0.1 to 10
_MISSED = 0.05  # share of photos with known labels that may be taken for unknown


@dataclass(frozen=True, eq=False)
class Judged:
    """N photos of one label set: scores of its fine classifier [N, L], and their true label [N]."""

    photos: list[Photo]
    fine: Tensor
    truth: Tensor

    def where(self, chosen: Sequence[bool]) -> "Judged":
        """The photos for which `chosen` is true."""
        rows = torch.tensor([row for row, taken in enumerate(chosen) if taken], dtype=torch.long)
        photos = [photo for photo, taken in zip(self.photos, chosen, strict=True) if taken]
        return Judged(photos, self.fine[rows], self.truth[rows])


def judge_labels(recogniser: Recogniser, photos: Sequence[Photo]) -> dict[str, Judged]:
    """Scores of the held-out photos whose labels the bundle knows, by label set."""
    judged = {}
    for name, known in recogniser.bundle.labels.items():
        places = {label: place for place, label in enumerate(known.fine)}
        held = [photo for photo in photos if photo.source == name and photo.role in ("calibrate", "report")]
        asked = [photo for photo in held if photo.label in places]
        if not asked:
            continue
        batches = pixel_batches(recogniser, asked)
        fine = torch.cat([recogniser.label_scores(pixels)[name].cpu() for _, pixels in batches])
        judged[name] = Judged(asked, fine, _truth(asked, places))
    return judged


def fit_labels(known: LabelSet, judged: Judged) -> LabelSet:
    """The label set with a temperature and a threshold fitted on these photos; unchanged where there are none."""
    if not judged.photos:
        return known
    losses = torch.stack([cross_entropy(judged.fine / temperature, judged.truth) for temperature in _TEMPERATURES])
    fitted = replace(known, temperature=round(float(_TEMPERATURES[losses.argmin()]), 4))
    best = label_odds(judged.fine, fitted).fine.amax(1)
    return replace(fitted, known=round(float(torch.quantile(best, _MISSED)), 4))


def label_figures(
    labels: Mapping[str, LabelSet], judged: Mapping[str, Judged]
) -> dict[str, dict[str, dict[str, float]]]:
    """By label set and role: photos, fine and coarse accuracy, share among five, and cross-fitted calibration error."""
    return {
        name: {
            role: _figures(labels[name], part) for role in ("calibrate", "report") if (part := _of(found, role)).photos
        }
        for name, found in judged.items()
    }


def _figures(known: LabelSet, judged: Judged) -> dict[str, float]:
    odds = label_odds(judged.fine, known)
    five = odds.fine.topk(min(5, odds.fine.shape[1])).indices
    figures = {
        "photos": len(judged.photos),
        "fine": _share(odds.fine.argmax(1) == judged.truth),
        "among_five": _share((five == judged.truth[:, None]).any(1)),
        "calibration_error": _cross_fitted_error(known, judged),
    }
    if odds.coarse is not None:
        figures["coarse"] = _share(odds.coarse.argmax(1) == torch.tensor(known.parents)[judged.truth])
    return figures


def _cross_fitted_error(known: LabelSet, judged: Judged) -> float:
    half = [share(f"cross/{photo.path.name}", 2) == 0 for photo in judged.photos]
    other = [not chosen for chosen in half]
    chances, right = [], []
    for fitted_on, asked in ((half, other), (other, half)):
        part = judged.where(asked)
        odds = label_odds(part.fine, fit_labels(known, judged.where(fitted_on))).fine
        chances.append(odds.amax(1).numpy().astype(float))
        right.append((odds.argmax(1) == part.truth).numpy().astype(float))
    found, hits = np.concatenate(chances), np.concatenate(right)
    return round(expected_calibration_error(found, hits, np.ones(len(found))), 4)


def _of(judged: Judged, role: Role) -> Judged:
    return judged.where([photo.role == role for photo in judged.photos])


def _truth(photos: Sequence[Photo], places: Mapping[str, int]) -> Tensor:
    return torch.tensor([places[photo.label] for photo in photos if photo.label is not None])


def _share(values: Tensor) -> float:
    return round(float(values.float().mean()), 4)
