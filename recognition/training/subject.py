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
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn import functional

from recognition.boxes import Boxes, letterbox, middle_square, overlaps, to_frame
from recognition.bundle import Bundle, Subject, save_bundle
from recognition.proposals import Proposals, SubjectHead, points, proposals_of
from recognition.recogniser import Recogniser
from recognition.training.data import share
from recognition.training.errors import DataError
from recognition.training.scenes import (
    Layout,
    ProductPhotos,
    Scene,
    Thing,
    compose,
    read_backgrounds,
    read_products,
    read_rgb,
    read_thing,
)

_ONE_CHOOSES = 6  # one training product in so many is kept for choosing thresholds
_NEAR: tuple[tuple[Layout, float], ...] = (("subject", 0.5), ("filled", 0.3), ("room", 0.1), ("empty", 0.1))
_WIDE: tuple[tuple[Layout, float], ...] = (("room", 0.45), ("shelf", 0.35), ("subject", 0.1), ("empty", 0.1))
_SHAPES = ((448, 336), (336, 448), (448, 448), (448, 300))
_PHOTO_BACKGROUND = 0.75  # share of scenes in front of a photo
_MOST_BACKGROUNDS = 600
_CARD_SECTION = "## Finding things"


@dataclass(frozen=True)
class Plan:
    """How the head is trained: scenes seen as one photo (`near`) and as a whole (`wide`), and rounds over them all."""

    near: int = 2400
    wide: int = 2000
    chosen_on: int = 300  # scenes of each of the two kinds on which thresholds are chosen
    rounds: int = 12
    batch: int = 24
    rate: float = 2e-3
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Seen:
    """Scenes as the backbone saw them, all at one size.

    `maps` float16 [S, C, h, w]; `kinds` int8 [S, h*w]: 1 where a thing's middle part is, 0 elsewhere, -1 where it is
    better not asked; `wanted` float32 [S, h*w, 4]: the box of that thing. `boxes`: S arrays of all boxes [N, 4].
    """

    maps: NDArray[np.float16]
    kinds: NDArray[np.int8]
    wanted: Boxes
    boxes: list[Boxes]


class Studio:
    """Composes scenes out of products and backgrounds; each number makes the same scene again."""

    def __init__(self, products: Sequence[ProductPhotos], backgrounds: Sequence[Path], seed: int) -> None:
        """Reads every photo of the products. Raises DataError where there are none."""
        if not products:
            raise DataError("There are no products to compose scenes of.")
        self._seed = seed
        read = [read_thing(photo, product.name) for product in products for photo in product.photos]
        self.cut_outs = [thing for thing in read if thing.cut_out] or read
        self.things: list[Thing] = read
        chosen = Random(seed).sample(list(backgrounds), min(len(backgrounds), _MOST_BACKGROUNDS))
        self._backgrounds = [read_rgb(path, 288) for path in chosen]

    def scene(self, number: int, layout: Layout, size: tuple[int, int]) -> Scene:
        """Scene `number` of this layout and size; mostly cut-outs, on shelves and filled photos also whole photos."""
        dice = Random(f"{self._seed}/{number}/{layout}")
        things = self.things if layout in ("shelf", "filled") else self.cut_outs
        some = [dice.choice(things) for _ in range(12)]
        behind = dice.choice(self._backgrounds) if self._backgrounds and dice.random() < _PHOTO_BACKGROUND else None
        return compose(dice.getrandbits(32), layout, some, behind, size)


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
    add_subject(options.bundle, products, read_backgrounds(options.backgrounds), options.out, plan, console)


def add_subject(
    folder: Path,
    products: Sequence[ProductPhotos],
    backgrounds: Sequence[Path],
    out: Path,
    plan: Plan,
    console: Console,
) -> Bundle:
    """Train the head on the bundle in `folder` and write it, with the head, to `out`. Raises DataError, BundleError."""
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
    return _write(folder, recogniser.bundle, head, subject, out)


def train_head(recogniser: Recogniser, studio: Studio, plan: Plan, console: Console) -> SubjectHead:
    """A trained head for this backbone."""
    near = see_scenes(recogniser, studio, _NEAR, plan.near, near=True, console=console)
    wide = see_scenes(recogniser, studio, _WIDE, plan.wide, near=False, console=console)
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


def see_scenes(
    recogniser: Recogniser,
    studio: Studio,
    layouts: Sequence[tuple[Layout, float]],
    count: int,
    *,
    near: bool,
    console: Console,
) -> Seen:
    """Compose scenes and run them through the backbone: `near` at the served size, else as whole photos."""
    side = recogniser.bundle.preprocessing.size
    maps, boxes, started = [], [], time.perf_counter()
    for number in range(count):
        dice = Random(number)
        (layout,) = dice.choices([name for name, _ in layouts], [weight for _, weight in layouts])
        scene = studio.scene(number, layout, (2 * side, 2 * side) if near else dice.choice(_SHAPES))
        pixels, framed = as_seen(recogniser, scene, near=near)
        with torch.inference_mode():
            _, seen = recogniser.model.image.see(recogniser.pixels_to_input(pixels[None]))
        maps.append(seen[0].float().contiguous().numpy().astype(np.float16))
        boxes.append(framed)
        if (number + 1) % 200 == 0 or number + 1 == count:
            rate = (number + 1) / (time.perf_counter() - started)
            console.print(f"{number + 1} of {count} {'near' if near else 'wide'} scenes, {rate:.0f} a second")
    height, width = maps[0].shape[-2:]
    targets = [targets_of(each, height, width) for each in boxes]
    return Seen(np.stack(maps), np.stack([kind for kind, _ in targets]), np.stack([box for _, box in targets]), boxes)


def as_seen(recogniser: Recogniser, scene: Scene, *, near: bool) -> tuple[NDArray[np.uint8], Boxes]:
    """A scene through the door that photos come in by (JPEG, decoded, resized), and its boxes in parts of the pixels."""
    data = jpeg_of(scene.image)
    width, height = scene.image.size
    if near:
        frame = middle_square(width, height, recogniser.bundle.preprocessing.crop)
        return recogniser.prepare(data).pixels, to_frame(scene.boxes, frame)
    return recogniser.prepare_whole(data).pixels, to_frame(scene.boxes, letterbox(width, height))


def jpeg_of(image: Image.Image) -> bytes:
    """A picture as the bytes of a photo."""
    file = BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def targets_of(boxes: Boxes, height: int, width: int) -> tuple[NDArray[np.int8], Boxes]:
    """What the head should say at each point of a map: kinds [h*w] and boxes [h*w, 4] (see Seen).

    The middle half of a thing is where it is found, and always the cell of its very middle; on the rest of it the head
    may say what it likes. Where things lie over each other, the smaller one is meant.
    """
    middles = points(height, width, torch.device("cpu")).numpy()
    kinds = np.zeros(len(middles), np.int8)
    wanted = np.zeros((len(middles), 4), np.float32)
    sizes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for box in boxes[np.argsort(-sizes)]:
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        away = np.abs(middles - middle)
        inner = (away <= half / 2).all(1)
        column, row = np.minimum((middle * [width, height]).astype(int), [width - 1, height - 1])
        inner[row * width + column] = True
        kinds[(away <= half).all(1) & ~inner] = -1
        kinds[inner], wanted[inner] = 1, box
    return kinds, wanted


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


# Choosing the thresholds ---------------------------------------------------------------------------------------------

_SCORES = tuple(round(0.1 + 0.05 * step, 2) for step in range(15))
_SMALL = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


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
    recogniser.bundle = replace(recogniser.bundle, subject=Subject(score=_SCORES[0]))
    wide = see_scenes(recogniser, studio, _WIDE, plan.chosen_on, near=False, console=console)
    score, best = best_score(head, wide)
    console.print(f"many items: score {score}, F1 {best:.3f} at an overlap of a half", highlight=False)
    recogniser.bundle = replace(recogniser.bundle, subject=Subject(score=score))
    small, sure, recall = best_subject(recogniser, studio, products, plan.chosen_on)
    console.print(f"main subject: at most {small} of the square, score {sure}, recall@1 {recall:.3f}", highlight=False)
    return Subject(score=score, small=small, sure=sure)


def best_score(head: SubjectHead, seen: Seen) -> tuple[float, float]:
    """The least score whose proposals have the best F1, and that F1."""
    with torch.inference_mode():
        logits, boxes = head(torch.from_numpy(seen.maps))
    found = list(proposals_of(logits, boxes, least=_SCORES[0], overlap=Subject.overlap, limit=50))
    figures = [(_f1(found, seen.boxes, least), least) for least in _SCORES]
    best = max(figures)
    return best[1], best[0]


def _f1(found: Sequence[Proposals], wanted: Sequence[Boxes], least: float) -> float:
    right = proposed = there = 0
    for proposals, boxes in zip(found, wanted, strict=True):
        kept = proposals.boxes[proposals.scores >= least]
        right += matches(kept, boxes)
        proposed += len(kept)
        there += len(boxes)
    return 2 * right / max(1, proposed + there)


def matches(found: Boxes, wanted: Boxes, overlap: float = 0.5) -> int:
    """How many wanted boxes [M, 4] are met by a found one [N, 4] of their own, the found ones taken in their order."""
    return sum(place is not None for place in met_by(found, wanted, overlap))


def met_by(found: Boxes, wanted: Boxes, overlap: float = 0.5) -> list[int | None]:
    """For each found box the place of the wanted box that it meets, each wanted box met once; None: a false one."""
    table = overlaps(found, wanted)
    met: list[int | None] = []
    for row in table:
        at = int(row.argmax()) if len(row) else -1
        hit = at >= 0 and row[at] >= overlap
        met.append(at if hit else None)
        if hit:
            table[:, at] = 0
    return met


def best_subject(
    recogniser: Recogniser, studio: Studio, products: Sequence[ProductPhotos], count: int
) -> tuple[float, float, float]:
    """`small`, `sure`, and the mean recall@1 that they reach."""
    names = np.array([product.name for product in products])
    stored = _vectors(recogniser, [product.photos[0].read_bytes() for product in products])[0]
    side = 2 * recogniser.bundle.preprocessing.size
    scenes = [studio.scene(number, "subject", (side, side)) for number in range(count)]
    small = [(jpeg_of(scene.image), scene.products[0]) for scene in scenes if scene.products]
    ordinary = [(photo.read_bytes(), product.name) for product in products for photo in product.photos[1:]]
    asked = [_both(recogniser, stored, names, group) for group in (small, ordinary) if group]
    figures = [
        (np.mean([_recall(group, share_, sure) for group in asked]), -share_, sure)
        for share_ in _SMALL
        for sure in _SCORES[4:]
    ]
    recall, share_, sure = max(figures)
    return -share_, sure, float(recall)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Photos asked: area and score of their subject [N], and whether whole and crop find the product, bool [N]."""

    area: NDArray[np.float32]
    score: NDArray[np.float32]
    whole: NDArray[np.bool_]
    crop: NDArray[np.bool_]


def _both(
    recogniser: Recogniser, stored: NDArray[np.float32], names: NDArray[np.str_], asked: Sequence[tuple[bytes, str]]
) -> _Asked:
    photos = [data for data, _ in asked]
    right = np.array([name for _, name in asked])
    whole, subject = _vectors(recogniser, photos)
    cut = _vectors(recogniser, photos, subject)[0]
    area = np.prod(subject[:, 2:4] - subject[:, :2], axis=1)
    hits = [names[(vectors @ stored.T).argmax(1)] == right for vectors in (whole, cut)]
    return _Asked(area, subject[:, 4], *hits)


def _recall(asked: _Asked, small: float, sure: float) -> float:
    cut = (asked.area <= small) & (asked.score >= sure)
    return float(np.where(cut, asked.crop, asked.whole).mean())


def _vectors(
    recogniser: Recogniser, photos: Sequence[bytes], subjects: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Image vectors and main subjects of photos, or of the subjects cut out of them."""
    vectors, found = [], []
    for number, data in enumerate(photos):
        pixels = recogniser.prepare(data)
        if subjects is not None:
            region = recogniser.cut_round(subjects[number], pixels.width, pixels.height)
            pixels = recogniser.prepare(data, region)
        one = recogniser.forward(pixels.pixels[None], [None])
        vectors.append(one.image[0])
        found.append(one.subject[0])
    return np.stack(vectors), np.stack(found)


# Writing the bundle --------------------------------------------------------------------------------------------------


def _write(folder: Path, bundle: Bundle, head: SubjectHead, subject: Subject, out: Path) -> Bundle:
    """The bundle with this head in place of any it had; version, vectors and all else stay."""
    tensors = {name: tensor for name, tensor in load_file(folder / "weights.safetensors").items()
               if not name.startswith("subject.")}  # fmt: skip
    tensors |= {f"subject.{name}": tensor.detach().numpy() for name, tensor in head.state_dict().items()}
    card = (folder / "card.md").read_text(encoding="utf-8").partition(_CARD_SECTION)[0].rstrip()
    section = (
        f"\n\n{_CARD_SECTION}\n\nA detection head over the last feature map, trained on scenes composed from cut-out "
        f"product photos. Chosen on scenes of other products: items from a score of {subject.score:g}; a main subject "
        f"is cut out when it covers at most {subject.small:.0%} of the square with a score of {subject.sure:g}. "
        "Figures: `python benchmarks/scenes.py`.\n"
    )
    return save_bundle(replace(bundle, subject=subject, path=None), tensors, card + section, out)
