"""Trains the head that finds things, on the frozen backbone of a finished bundle; after export.py, and optional.

    python -m recognition.training subject --bundle DIR --data DIR [--data DIR] --backgrounds DIR --out DIR

Scenes are composed (scenes.py), seen once by the backbone, and their maps kept in memory; the head then learns from
the maps alone, which takes minutes on two cores. Nothing else of the bundle changes, so its version stays too: photos
that are stored under it need not be embedded again. Thresholds are chosen on scenes of other products than the head
learnt from, and none of them on the products that benchmarks/scenes.py reports.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn import functional

from recognition.bundle import Bundle, Subject, save_bundle
from recognition.proposals import SubjectHead
from recognition.recogniser import Recogniser
from recognition.training.card import write_card
from recognition.training.data import share
from recognition.training.record import read_record
from recognition.training.scenes import ProductPhotos, read_backgrounds, read_products
from recognition.training.studio import NEAR, WIDE, Seen, Studio, see_scenes
from recognition.training.subject_choice import SCORES, best_score, best_subject

_ONE_CHOOSES = 6  # one training product in so many is kept for choosing thresholds


@dataclass(frozen=True)
class Plan:
    """How the head is trained: scenes seen as one photo (`near`) and as a whole (`wide`), and rounds over them all."""

    near: int = 2400
    wide: int = 2000
    chosen_on: int = 200  # scenes of each of the two kinds on which thresholds are chosen
    rounds: int = 12
    batch: int = 24
    rate: float = 2e-3
    seed: int = 1


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `subject` to the commands of `python -m recognition.training`."""
    parser = commands.add_parser("subject", help="train the head that finds things, and write the bundle with it")
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="the bundle whose backbone is used")
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="DIR",
                        help="a folder with a products.csv, or of shops with one each; may be repeated")  # fmt: skip
    parser.add_argument("--backgrounds", type=Path, action="append", default=[], metavar="DIR",
                        help="a folder of photos to put behind the products; may be repeated")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the new bundle, replaced whole")
    parser.add_argument("--near", type=int, default=Plan.near, help="scenes seen as one photo")
    parser.add_argument("--wide", type=int, default=Plan.wide, help="scenes seen as a whole, for many items")
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    parser.set_defaults(run_command=_run)


def _run(options: argparse.Namespace, console: Console) -> None:
    products = [product for folder in options.data for product in read_products(folder)]
    plan = Plan(near=options.near, wide=options.wide, rounds=options.rounds, seed=options.seed)
    data, behind = (
        ", ".join(folder.resolve().name for folder in given) for given in (options.data, options.backgrounds)
    )
    source = f"cut-out product photos of {data}, before {f'photos of {behind}' if behind else 'drawn grounds'}"
    backgrounds = read_backgrounds(options.backgrounds)
    add_subject(options.bundle, products, backgrounds, options.out, plan, console, source)


def add_subject(
    folder: Path,
    products: Sequence[ProductPhotos],
    backgrounds: Sequence[Path],
    out: Path,
    plan: Plan,
    console: Console,
    source: str = "cut-out product photos",
) -> Bundle:
    """Train the head on the bundle in `folder` and write it, with the head, to `out`; `source`: what scenes are made
    of, for the card. Raises DataError, BundleError."""
    torch.manual_seed(plan.seed)
    recogniser = Recogniser.load(folder, device="cpu", precision="float32")
    recogniser.model.subject, recogniser.bundle = None, replace(recogniser.bundle, subject=Subject())
    learning = [product for product in products if not product.held_out]
    choosing = [product for product in learning if share(f"choose/{product.name}", _ONE_CHOOSES) == 0]
    kept = {product.name for product in choosing}
    teacher = Studio([product for product in learning if product.name not in kept], backgrounds, plan.seed)
    judge = Studio(choosing, backgrounds, plan.seed + 1)
    head = train_head(recogniser, teacher, plan, console)
    subject = choose(recogniser, head, judge, choosing, plan, console)
    return _write(folder, recogniser.bundle, head, subject, out, source)


def train_head(recogniser: Recogniser, studio: Studio, plan: Plan, console: Console) -> SubjectHead:
    """A trained head for this backbone."""
    near = see_scenes(recogniser, studio, NEAR, plan.near, near=True, console=console)
    wide = see_scenes(recogniser, studio, WIDE, plan.wide, near=False, console=console)
    head = SubjectHead(recogniser.model.image.map_width, Subject.width)
    optimiser = torch.optim.AdamW(head.parameters(), lr=plan.rate, weight_decay=0.01)
    steps = plan.rounds * (_batches(near, plan.batch) + _batches(wide, plan.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, total_steps=steps, pct_start=0.1)
    for number in range(plan.rounds):
        started, losses = time.perf_counter(), []
        for seen, rows in _shuffled((near, wide), plan.batch, plan.seed + number):
            loss = head_loss(head, seen, rows)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        seconds = time.perf_counter() - started
        console.print(f"round {number + 1} of {plan.rounds}: loss {np.mean(losses):.3f}, {seconds:.0f} s")
    return head.eval()


def head_loss(head: SubjectHead, seen: Seen, rows: NDArray[np.int64]) -> Tensor:
    """Quality focal loss of the scores plus generalised IoU loss of the boxes, over the things of these scenes."""
    logits, boxes = head(torch.from_numpy(seen.maps[rows]))
    kinds, wanted = torch.from_numpy(seen.kinds[rows]), torch.from_numpy(seen.wanted[rows])
    found = kinds == 1
    union, generalised = _ious(boxes[found], wanted[found])
    quality = torch.zeros_like(logits)
    quality[found] = union.detach().clamp(0, 1)
    asked = kinds >= 0
    far = (logits.sigmoid() - quality).abs().pow(2)
    scores = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none") * far
    count = max(1, int(found.sum()))
    return (scores[asked].sum() + 2 * (1 - generalised).sum()) / count


def _ious(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union of boxes [N, 4], pair by pair, and its generalised form (Rezatofighi et al., 2019)."""

    def area(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp(min=0).prod(-1)

    shared = area(torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:]))
    union = area(one[:, :2], one[:, 2:]) + area(other[:, :2], other[:, 2:]) - shared
    hull = area(torch.minimum(one[:, :2], other[:, :2]), torch.maximum(one[:, 2:], other[:, 2:]))
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def _batches(seen: Seen, size: int) -> int:
    return -(-len(seen.maps) // size)


def _shuffled(sets: Sequence[Seen], size: int, seed: int) -> Iterator[tuple[Seen, NDArray[np.int64]]]:
    """All scenes of all sets in random batches, each of one set (their maps differ in size)."""
    random = np.random.default_rng(seed)
    batches = [
        (seen, rows)
        for seen in sets
        for rows in np.array_split(random.permutation(len(seen.maps)), _batches(seen, size))
    ]
    for at in random.permutation(len(batches)):
        yield batches[at]


def choose(
    recogniser: Recogniser,
    head: SubjectHead,
    studio: Studio,
    products: Sequence[ProductPhotos],
    plan: Plan,
    console: Console,
) -> Subject:
    """The thresholds that do best on scenes and photos of products that the head did not learn from.

    `score`: best F1 of boxes at an overlap of a half. `small` and `sure`: best recall@1, small subjects and ordinary
    photos counting the same; of equals, the ones that cut out least.
    """
    recogniser.model.subject = head
    recogniser.bundle = replace(recogniser.bundle, subject=Subject(score=SCORES[0]))
    wide = see_scenes(recogniser, studio, WIDE, plan.chosen_on, near=False, console=console)
    score, best = best_score(head, wide)
    console.print(f"many items: score {score}, F1 {best:.3f} at an overlap of a half", highlight=False)
    recogniser.bundle = replace(recogniser.bundle, subject=Subject(score=score))
    small, sure, recall = best_subject(recogniser, studio, products, plan.chosen_on)
    console.print(f"main subject: at most {small} of the square, score {sure}, recall@1 {recall:.3f}", highlight=False)
    return Subject(score=score, small=small, sure=sure)


def _write(folder: Path, bundle: Bundle, head: SubjectHead, subject: Subject, out: Path, source: str) -> Bundle:
    """The bundle with this head in place of any it had; version, vectors and all else stay."""
    tensors = {name: tensor for name, tensor in load_file(folder / "weights.safetensors").items()
               if not name.startswith("subject.")}  # fmt: skip
    tensors |= {f"subject.{name}": tensor.detach().numpy() for name, tensor in head.state_dict().items()}
    section = (
        f"A detection head over the last feature map, trained on scenes composed of {source}. "
        f"Chosen on scenes of other products: items from a score of {subject.score:g}; a main subject "
        f"is cut out when it covers at most {subject.small:.0%} of the square with a score of {subject.sure:g}. "
        "Figures: `python benchmarks/scenes.py`."
    )
    found, record = replace(bundle, subject=subject, path=None), replace(read_record(folder), finding=section)
    return save_bundle(found, tensors, write_card(found, record), out, record.as_json())
