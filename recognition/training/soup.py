"""Averages the networks of two bundles that began alike; between one `fit` and the next, and optional.

    python -m recognition.training soup --bundle LEADS --other BUNDLE --data … --out BUNDLE

A network that was trained far to tell labels has forgotten some of what finds products that it never saw; one that was
trained little has not, and tells labels badly. Between the two lie weights that do nearly as well as either at what it
is good at (WiSE-FT and model soups, Wortsman et al., 2022). How much the other bundle counts is chosen on the photos
held out to calibrate. Convolutions are averaged with their batch norms folded in: statistics of two different runs
have no meaningful mean. Words, gate and classifiers stay those of the bundle that leads, so a short `fit` from the
soup, with the same data and `--backbone-rate 0`, should follow: they learn the new network, and are calibrated.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from recognition.bundle import Bundle, load_bundle, save_bundle
from recognition.decide import Calibration, Thresholds
from recognition.fusion import ProductEncoder
from recognition.recogniser import load_model
from recognition.training.cache import Cache, open_cache
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.folding import FoldedNorms
from recognition.training.loop import float_tensors
from recognition.training.options import add_data, photos_of
from recognition.training.plan import cache_side
from recognition.training.record import Record, read_record, training_of
from recognition.training.validate import held_out_score

PARTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # what the other bundle may count; the one that leads counts the rest
_IMAGE = "image."


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `soup` to the commands of `python -m recognition.training`."""
    parser = commands.add_parser("soup", help="average the networks of two bundles that began with the same weights")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="leads; its words and labels stay")
    parser.add_argument("--other", type=Path, required=True, metavar="DIR", help="the one that is mixed in")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new bundle, not calibrated")
    parser.add_argument("--version", help="name of the bundle (default: the folder's name)")
    add_data(parser)
    parser.set_defaults(run_command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    first, other = load_bundle(options.bundle), load_bundle(options.other)
    photos = photos_of(options)
    cache = open_cache(photos, options.out.with_name(f"{options.out.name}.cache"), cache_side(first.preprocessing.size))
    scores = soup(first, other, photos, cache, options.out, options.version or options.out.name)
    for part, score in scores.items():
        console.print(f"{part:.0%} of {other.version}: {score:.1%} held out", highlight=False)


def soup(
    first: Bundle, other: Bundle, photos: Sequence[Photo], cache: Cache, out: Path, version: str
) -> dict[float, float]:
    """Write the bundle of the best mixture; returns the score (as in validate.py) of every part that was tried.

    Raises DataError when the bundles are of different networks, or no photo is held out to calibrate.
    """
    if (first.arch, first.dim) != (other.arch, other.dim):
        raise DataError(f"{first.version} and {other.version} are different networks: their weights have no mean.")
    asked = [row for row, photo in enumerate(photos) if photo.role == "calibrate"]
    if not asked:
        raise DataError("No photo is held out to calibrate: there is nothing to choose by.")
    (model, norms), (mixed_in, _) = _folded(first), _folded(other)
    ours, theirs = float_tensors(model), float_tensors(mixed_in)
    mixtures = {part: mixture(ours, theirs, part) for part in PARTS}
    scores = {
        part: held_out_score(model, tensors, photos, cache, first.preprocessing) for part, tensors in mixtures.items()
    }
    best = best_part(scores)
    tensors = norms.restore(mixtures[best], "image.backbone.")
    bundle = replace(
        first, version=version, calibration=Calibration(), thresholds=Thresholds(), subject=None, metrics={}
    )
    told = (
        f"The mean of `{first.version}` and `{other.version}`, which counts {best:.0%}, chosen on {len(asked)} held-"
        f"out photos. `{first.version}`: {_story(first)}\n\n`{other.version}`: {_story(other)}"
    )
    card = f"# Bundle {version}\n\nNot calibrated: it is where a training begins.\n\n## Training\n\n{told}\n"
    learnt = [read_record(each.weights_path.parent).trained_on for each in (first, other)]
    record = Record(training=told, trained_on=None if None in learnt else frozenset().union(*filter(None, learnt)))
    save_bundle(
        bundle, {name: tensor.contiguous().numpy() for name, tensor in tensors.items()}, card, out, record.as_json()
    )
    return scores


def mixture(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], part: float) -> dict[str, Tensor]:
    """Tensors by name: those of the photo's network averaged, `theirs` counting `part`; all others are `ours`."""
    return {
        name: torch.lerp(tensor, theirs[name], part) if name.startswith(_IMAGE) else tensor
        for name, tensor in ours.items()
    }


def best_part(scores: Mapping[float, float]) -> float:
    """The part with the highest score; of equal ones the largest, which forgets least."""
    return max(scores, key=lambda part: (scores[part], part))


def _folded(bundle: Bundle) -> tuple[ProductEncoder, FoldedNorms]:
    """The network of a bundle with its norms folded, and the way back."""
    model = load_model(bundle).eval()
    model.subject = None  # it knows one backbone; that of a mixture is another
    return model, FoldedNorms(model.image.backbone)


def _story(bundle: Bundle) -> str:
    return training_of(bundle.weights_path.parent) or "its card does not say how it was trained."
