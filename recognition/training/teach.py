"""Teaches the classifiers of a finished bundle more photos; after `fit`, `soup`, `fuse` and `calibrate`, and optional.

    python -m recognition.training teach --bundle DIR --data … --out DIR

The photos held out to calibrate have told how good the labels are; after that they are worth more as examples: they are
often of another day or place than those trained on. First they are asked as ever, and temperatures and figures come of
what is answered. Then the classifiers learn them, beside the photos trained on, and nothing else does: vectors, words
and verdicts stay bit by bit, what is stored need not be embedded again, and minutes on a CPU suffice, because features
are computed once for a few views of each photo.

What was learnt can no longer be measured: the figures are those from before (as with `export --calibrated-like`).
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from safetensors.numpy import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from recognition.bundle import Bundle, LabelSet, load_bundle, save_bundle
from recognition.recogniser import Recogniser
from recognition.training.augment import LABELS, Augment, middle_square
from recognition.training.cache import Cache, open_cache
from recognition.training.card import write_card
from recognition.training.data import Photo
from recognition.training.errors import DataError
from recognition.training.label_calibration import fit_labels, judge_labels, label_figures
from recognition.training.options import add_data, add_finished, photos_of, without_copies
from recognition.training.plan import cache_side
from recognition.training.record import Record, contents, counts, read_record

STEPS, BATCH, RATE = 1000, 512, 1e-3
STAY = 1e-4  # how much of the squared distance to where the classifier began counts
_VIEWS = 2  # augmented, beside the photo as it is
_SMOOTHING = 0.1
_CHUNK = 32


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `teach` to the commands of `python -m recognition.training`."""
    parser = commands.add_parser("teach", help="train the classifiers of a finished bundle on the held-out photos too")
    add_finished(parser)
    parser.add_argument("--seed", type=int, default=1)
    add_data(parser)
    parser.set_defaults(run_command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    bundle = load_bundle(options.bundle)
    if options.mirrored_views is not None:
        bundle = replace(bundle, mirrored=options.mirrored_views)
    photos = without_copies(photos_of(options), console)
    cache = open_cache(
        photos, options.out.with_name(f"{options.out.name}.cache"), cache_side(bundle.preprocessing.size)
    )
    record = read_record(options.bundle)
    teach(bundle, record, photos, cache, options.out, console, options.version or bundle.version, options.seed)


def teach(
    bundle: Bundle,
    record: Record,
    photos: Sequence[Photo],
    cache: Cache,
    out: Path,
    console: Console,
    version: str,
    seed: int = 1,
) -> Bundle:
    """Write the bundle to `out`, its classifiers taught the photos with the roles "train" and "calibrate".

    `record`: what is known of the bundle; `cache`: the same photos, decoded. Raises DataError where no photo of one of
    the bundle's label sets is held out to calibrate: nobody could say what its answers are worth.
    """
    recogniser = Recogniser.load(bundle.weights_path.parent, device="cpu", precision="float32")
    recogniser.bundle = bundle
    judged = judge_labels(recogniser, [photo for photo in photos if photo.role == "calibrate"])
    if missing := sorted(set(bundle.labels) - set(judged)):
        raise DataError(f"No photo is held out to calibrate {', '.join(missing)}: what it learns could not be judged.")
    if not judged:
        raise DataError(f"{bundle.version} has no label sets: there is nothing to teach.")
    labels = {name: fit_labels(known, judged[name]) for name, known in bundle.labels.items()}
    tensors, counted = load_file(bundle.weights_path), []
    for name, known in labels.items():
        rows = [row for row, photo in enumerate(photos) if _is_example(photo, name, known)]
        truth = torch.tensor([known.fine.index(str(photos[row].label)) for row in rows])
        keys = [f"heads.fine.{name}.{part}" for part in ("weight", "bias")]
        features = _features(recogniser, cache, rows, seed)
        learned = _learn(features, truth, [torch.from_numpy(tensors[key]).float() for key in keys], seed)
        tensors |= {key: tensor.numpy() for key, tensor in zip(keys, learned, strict=True)}
        counted.append(f"{len(rows)} photos of {name}")
        console.print(f"{name}: taught {len(rows)} photos", highlight=False)
    told = (
        f"The classifiers were then taught alone (`teach`): {', '.join(counted)}, those held out to calibrate among "
        f"them; {STEPS} steps of {BATCH} features, seed {seed}. Their figures and temperatures are from before that."
    )
    fitted = replace(
        bundle,
        version=version,
        labels=labels,
        metrics=dict(bundle.metrics)
        | {"measured_on": f"{bundle.version} before teach", "labels": label_figures(labels, judged)},
        path=None,
    )
    record = _with(record, [photo for photo in photos if photo.source in labels], told)
    return save_bundle(fitted, tensors, write_card(fitted, record), out, record.as_json())


def _is_example(photo: Photo, name: str, known: LabelSet) -> bool:
    return photo.source == name and photo.role in ("train", "calibrate") and photo.label in known.fine


def _features(recogniser: Recogniser, cache: Cache, rows: Sequence[int], seed: int) -> Tensor:
    """What the classifiers are shown of cached photos, float32 [N, 1 + views, F]: as they are, and augmented."""
    size = recogniser.bundle.preprocessing.size
    augment = Augment(size, torch.Generator().manual_seed(seed), LABELS)
    parts = []
    with torch.inference_mode():
        for at in range(0, len(rows), _CHUNK):
            chosen = list(rows[at : at + _CHUNK])
            shown = [torch.from_numpy(part[chosen]) for part in vars(cache).values()]
            looks = [middle_square(shown[0], shown[1], size), *(augment(*shown) for _ in range(_VIEWS))]
            pixels = torch.cat(looks).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
            parts.append(recogniser.label_features(pixels).unflatten(0, (1 + _VIEWS, len(chosen))))
    return torch.cat(parts, dim=1).transpose(0, 1).clone()


def _learn(features: Tensor, truth: Tensor, start: Sequence[Tensor], seed: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear classifier of features [N, V, F], learnt from where it stands and held near to it."""
    weight, bias = (tensor.clone().requires_grad_() for tensor in start)
    optimiser = torch.optim.Adam([weight, bias], RATE)
    chance = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        photos, views = (torch.randint(count, (BATCH,), generator=chance) for count in features.shape[:2])
        scores = features[photos, views] @ weight.T + bias
        loss = (
            cross_entropy(scores, truth[photos], label_smoothing=_SMOOTHING) + STAY * ((weight - start[0]) ** 2).sum()
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return weight.detach(), bias.detach()


def _with(record: Record, photos: Sequence[Photo], told: str) -> Record:
    """The record with these photos taught. They stay counted as calibrated on: that they were, before."""
    learnt = contents(photo.path for photo in photos if photo.role in ("train", "calibrate"))
    known = None if record.trained_on is None else record.trained_on | learnt
    numbers = {
        source: dict(record.photos.get(source, {})) | {role: count[role] for role in ("calibrate", "report")}
        for source, count in counts(photos).items()
    }
    return replace(
        record,
        photos={**record.photos, **numbers},
        training="\n\n".join([record.training, told]),
        trained_on=known,
    )
