"""The training loop; follows a plan.py over data, cache, sampling, augmentation and losses; before export.py.

Batch norms are folded into the convolutions before them (folding.py). The weights that count are a moving average over
the steps. Every epoch ends with a look at the photos held out to calibrate and a checkpoint (checkpoints.py); a run
that was killed goes on after its last whole epoch.
"""

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from recognition.bundle import Preprocessing
from recognition.fusion import ProductEncoder
from recognition.training.augment import LABELS, VIEWS, Augment, mix_photos
from recognition.training.cache import Cache
from recognition.training.checkpoints import (
    Checkpoint,
    read_before,
    read_checkpoint,
    read_facts,
    write_checkpoint,
    write_start,
)
from recognition.training.data import Photo
from recognition.training.errors import DataError, Diverged
from recognition.training.folding import FoldedNorms
from recognition.training.losses import (
    ProductProxies,
    label_losses,
    label_sets,
    targets_of,
    view_losses,
    weighted_sum,
)
from recognition.training.photo_list import check_photos
from recognition.training.plan import Plan, best_precision
from recognition.training.record import training_of
from recognition.training.sampling import Rows, Sampler, draw_texts
from recognition.training.start import is_bundle, photo_features, start_model, start_preprocessing, start_projection
from recognition.training.validate import held_out_score

# Photos that go through the backbone at a time on a CPU: activations of a whole batch would not stay in its cache. The
# losses still see the whole batch, and with frozen batch norms the result is the same.
_CHUNK = 16


class Run:
    """One training run in a folder: fresh, or taken up where its last epoch ended."""

    def __init__(self, plan: Plan, photos: Sequence[Photo], cache: Cache, folder: Path) -> None:
        """Raises DataError when the folder holds a run of another plan or of other photos, roles or labels, or the
        starting weights do not fit."""
        folder.mkdir(parents=True, exist_ok=True)
        self.device = torch.device(plan.device)
        plan = replace(plan, precision=_precision(plan, folder, self.device))
        self.plan, self.photos, self.cache, self.folder = plan, photos, cache, folder
        self.look = start_preprocessing(plan.arch, plan.weights, plan.size)
        self.sampler = Sampler(photos, plan.batch, plan.seed, plan.shares)
        self.labels = label_sets(photos)
        if unknown := set(plan.closed) - set(self.labels):
            raise DataError(f"--closed names {', '.join(sorted(unknown))}: there is no such label set.")
        torch.manual_seed(plan.seed)
        self.model = start_model(plan.arch, plan.dim, plan.weights, self.labels)
        self.folded = FoldedNorms(self.model.image.backbone)
        self.model.image.requires_grad_(plan.backbone_rate > 0)
        self.proxies = ProductProxies(photos, plan.dim).to(self.device)
        self.model.to(self.device).image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = _optimiser(self.model, self.proxies, plan)
        self.before = torch.zeros(0)  # vectors [P, D] of all photos by the starting weights
        self.average: dict[str, Tensor] = {}
        self.scores: list[float] = []
        self.epoch = self._resume()

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the score stopped rising."""
        return self.epoch >= self.plan.epochs or self._has_stalled()

    def fit(self, console: Console, after_epoch: Callable[[int, float], None] | None = None) -> None:
        """Train the epochs that are still missing. `after_epoch` is told each epoch (from 1) and its held-out score;
        what it raises ends the run, whose checkpoint is already written.

        Raises Diverged when a loss, a gradient or a weight is no number: the last checkpoint is kept and named.
        """
        with SummaryWriter(str(self.folder / "curves")) as curves:
            while not self.finished:
                started = time.monotonic()
                means = self._train_epoch()
                self._check_average()
                seconds = time.monotonic() - started
                speed = self.sampler.steps * self.sampler.batch / seconds
                self.epoch += 1
                score = held_out_score(self.model, self.average, self.photos, self.cache, self.look)
                self.scores.append(score)
                self._checkpoint()
                for name, value in (means | {"photos_per_second": speed, "held_out": score}).items():
                    curves.add_scalar(name, value, self.epoch)
                losses = " ".join(f"{name} {value:.3f}" for name, value in means.items())
                left = time_left(time.monotonic() - started, self.plan.epochs - self.epoch)
                line = (
                    f"epoch {self.epoch}/{self.plan.epochs}  held out {score:.1%}  {losses}  {speed:.0f} photos/s{left}"
                )
                console.print(line, highlight=False, soft_wrap=True)
                if after_epoch:
                    after_epoch(self.epoch, score)

    def _has_stalled(self) -> bool:
        patience = self.plan.patience
        return bool(patience and self.scores and self.epoch - _best(self.scores) >= patience)

    def _train_epoch(self) -> dict[str, float]:
        rng = random.Random(f"batches/{self.plan.seed}/{self.epoch}")
        seed = torch.Generator().manual_seed(self.plan.seed * 1000 + self.epoch)
        torch.manual_seed(self.plan.seed * 1000 + self.epoch)  # dropout
        sums: dict[str, float] = {}
        self.model.train()
        _freeze_batch_norms(self.model)
        for step, (rows, photos) in enumerate(self._batches(seed)):
            self._set_rates(self.epoch * self.sampler.steps + step)
            for name, value in self._step(rows, photos, rng, step).items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / self.sampler.steps for name, value in sums.items()}

    def _batches(self, seed: torch.Generator) -> Iterator[tuple[Rows, Tensor]]:
        """The batches of this epoch with their augmented photos, each made while the one before is trained on.

        One thread makes them, in order, so that a run can be repeated; it computes on one core.
        """
        labels, views = (
            Augment(self.plan.size, seed, strength if self.plan.mirror else replace(strength, flip=0.0))
            for strength in (LABELS, VIEWS)
        )

        def photos(rows: Rows) -> Tensor:
            return torch.cat([self._augmented(rows.single, labels), self._augmented(rows.pairs, views)])

        with ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(1)) as ahead:
            waiting: tuple[Rows, Future[Tensor]] | None = None
            for rows in self.sampler.epoch(self.epoch):
                coming = (rows, ahead.submit(photos, rows))
                if waiting:
                    yield waiting[0], waiting[1].result()
                waiting = coming
            if waiting:
                yield waiting[0], waiting[1].result()

    def _step(self, rows: Rows, photos: Tensor, rng: random.Random, step: int) -> dict[str, float]:
        batch = [self.photos[row] for row in [*rows.single, *rows.pairs]]
        targets = targets_of(batch, self.labels, self.proxies)
        views = list(range(len(batch)))
        if len(rows.single) > 1 and rng.random() < self.plan.mix:
            photos, order, share = mix_photos(photos, len(rows.single), rng)
            targets, views = targets.mixed(order, share), views[len(rows.single) :]
        features = self._features(photos)
        losses = label_losses(self.model, self.proxies, features, targets.to(self.device), self.plan.closed)
        if views:
            texts = draw_texts([batch[view] for view in views], rng)
            before = self.before[[*rows.single, *rows.pairs]][views].to(self.device)
            losses |= view_losses(
                self.model, features[views], texts.to(self.device), targets.of(views).to(self.device), before
            )
        total = weighted_sum(losses)
        if not math.isfinite(total.item()):
            raise self._diverged("loss", step)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        if not math.isfinite(norm.item() + gradient_norm(self.proxies)):
            raise self._diverged("gradient", step)
        self.optimiser.step()
        self._move_average(self.epoch * self.sampler.steps + step)
        return {name: loss.item() for name, loss in losses.items()} | {"total": total.item()}

    def _check_average(self) -> None:
        """Raises Diverged where the last step of an epoch left weights that are no numbers: no loss has seen them."""
        if not all(torch.isfinite(tensor).all() for tensor in self.average.values()):
            raise self._diverged("average of the weights", self.sampler.steps - 1)

    def _diverged(self, what: str, step: int) -> Diverged:
        kept = f"the checkpoint of epoch {self.epoch} is kept" if self.epoch else "there is no checkpoint yet"
        return Diverged(
            f"The {what} is no number at step {step + 1} of epoch {self.epoch + 1}; {kept} in {self.folder}. "
            "Try a lower --rate or --backbone-rate."
        )

    def _augmented(self, rows: list[int], augment: Augment) -> Tensor:
        if not rows:
            return torch.zeros(0, 3, self.plan.size, self.plan.size)
        pixels, boxes, studio = (torch.from_numpy(part[rows]) for part in vars(self.cache).values())
        return augment(pixels, boxes, studio)

    def _features(self, photos: Tensor) -> Tensor:
        """Photos in 0..1 to pooled features float32 [N, F], with dropout."""
        inputs = normalised(photos, self.look).to(self.device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.precision == "bfloat16"):
            chunks = inputs.split(_CHUNK if self.device.type == "cpu" else len(inputs))
            features = torch.cat([self.model.image.backbone(chunk) for chunk in chunks])
        return nn.functional.dropout(features.float(), self.plan.dropout)

    def _move_average(self, step: int) -> None:
        """At first the average follows quickly, so that a short run is not held at its start."""
        keep = min(self.plan.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, tensor in float_tensors(self.model).items():
                self.average[name].lerp_(tensor, 1 - keep)

    def _set_rates(self, step: int) -> None:
        total = self.plan.epochs * self.sampler.steps
        warm = min(100, total // 10 + 1)
        factor = min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * step / total)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * max(factor, 0.01)

    def _resume(self) -> int:
        """Load the last checkpoint, or make the starting point; returns the number of finished epochs.

        A run may be given more or fewer epochs than it was begun with, and go on elsewhere; everything else must be as
        it was.
        """
        facts = read_facts(self.folder)
        if facts is None:
            self._begin()
            return 0
        free = {"epochs": self.plan.epochs, "device": self.plan.device}
        if _kept_settings(facts) | free != _settings(self.plan):
            raise DataError(f"{self.folder} holds a run with other settings: choose those, or another folder.")
        check_photos(self.photos, self.folder)
        kept = read_checkpoint(self.folder, facts, self.device)
        self.model.load_state_dict(kept.model, strict=False)
        if self.proxies.names:
            self.proxies.load_state_dict(kept.proxies)
        self.optimiser.load_state_dict(kept.optimiser)
        self.average, self.before, self.scores = kept.average, read_before(self.folder), facts["scores"]
        return int(facts["epochs_done"])

    def _begin(self) -> None:
        """The first projection, and what the run keeps of its beginning."""
        rows = [row for row, photo in enumerate(self.photos) if photo.role == "train"]
        if not is_bundle(self.plan.weights):
            start_projection(self.model, self.cache, rows, self.look)
        self.before = self._vectors()
        weights = float_tensors(self.model)
        self.average = {name: tensor.clone() for name, tensor in weights.items()}
        write_start(self.folder, self.photos, self._standard(weights), self.before)

    def _vectors(self) -> Tensor:
        """Unit vectors [P, D] of all photos as they are, by the present weights."""
        features = photo_features(self.model.image.backbone, self.cache, range(len(self.photos)), self.look)
        with torch.inference_mode():
            return self.model.image.project(features.to(self.device)).cpu()

    def _standard(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors as a bundle has them, on the CPU."""
        restored = self.folded.restore(tensors, "image.backbone.")
        return {name: tensor.contiguous().cpu() for name, tensor in restored.items()}

    def _checkpoint(self) -> None:
        best = _best(self.scores) if self.plan.patience else self.epoch
        facts = {
            "plan": asdict(self.plan),
            "look": asdict(self.look),
            "began_with": training_of(Path(self.plan.weights)) if is_bundle(self.plan.weights) else "",
            "labels": {name: asdict(known) for name, known in self.labels.items()},
            "checkpoint": f"epoch-{self.epoch}",
            "best": f"epoch-{best}",
            "scores": self.scores,
            "epochs_done": self.epoch,
        }
        weights, proxies = float_tensors(self.model), float_tensors(self.proxies)
        checkpoint = Checkpoint(weights, proxies, self.average, self.optimiser.state_dict())
        write_checkpoint(self.folder, checkpoint, self._standard(self.average), facts)


def float_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The floating-point tensors of a module by name (batch-norm counters are left out), contiguous, no gradients."""
    tensors = module.state_dict()
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items() if tensor.is_floating_point()}


def time_left(seconds: float, epochs: int) -> str:
    """How long so many epochs take, each as long as the last one, for the end of a line; "" after the last."""
    if not epochs:
        return ""
    minutes = round(seconds * epochs / 60)
    hours, rest = divmod(minutes, 60)
    return f"  {hours} h {rest:02} min left" if hours else f"  {minutes or '<1'} min left"


def gradient_norm(module: nn.Module) -> float:
    """The length of all its gradients together; 0 where it has none."""
    return nn.utils.get_total_norm([each.grad for each in module.parameters() if each.grad is not None]).item()


def _settings(plan: Plan) -> dict[str, Any]:
    """A plan as run.json holds it."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    return settings


def _kept_settings(facts: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run; one from before a setting existed had its default."""
    kept = dict(facts["plan"])
    if "bfloat16" in kept:
        kept["precision"] = "bfloat16" if kept.pop("bfloat16") else "float32"
    return _settings(Plan(weights="")) | kept


def _precision(plan: Plan, folder: Path, device: torch.device) -> str:
    """What the plan says; "auto" is what the run in this folder was begun with, or what is best here."""
    if plan.precision != "auto":
        return plan.precision
    facts = read_facts(folder)
    return str(_kept_settings(facts)["precision"]) if facts else best_precision(plan.arch, device)


def normalised(photos: Tensor, look: Preprocessing) -> Tensor:
    """Photos [N, 3, S, S] in 0..1 as the network wants them."""
    mean, std = (torch.tensor(value)[None, :, None, None] for value in (look.mean, look.std))
    return (photos - mean) / std


def _best(scores: Sequence[float]) -> int:
    """The epoch (from 1) with the highest score, the earliest of several."""
    return max(range(len(scores)), key=lambda place: (scores[place], -place)) + 1


def _optimiser(model: ProductEncoder, proxies: ProductProxies, plan: Plan) -> torch.optim.Optimizer:
    """The trained backbone learns slowly, so that it keeps what it knows; everything new learns fast.

    Biases (the folded norms among them) do not decay.
    """
    backbone = list(model.image.backbone.parameters())
    new = [*model.text.parameters(), *model.gate.parameters(), *model.heads.parameters(), *proxies.parameters()]
    groups = [
        ([each for each in backbone if each.ndim > 1], plan.backbone_rate, plan.decay),
        ([each for each in backbone if each.ndim <= 1], plan.backbone_rate, 0.0),
        (list(model.image.projection.parameters()), plan.backbone_rate, plan.decay),
        (new, plan.rate, plan.decay),
    ]
    parameters = [
        {"params": members, "lr": rate, "peak": rate, "weight_decay": decay}
        for members, rate, decay in groups
        if members
    ]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(parameters, momentum=0.9, nesterov=True)
    return (torch.optim.AdamW if plan.optimiser == "adamw" else torch.optim.Adam)(parameters)


def _freeze_batch_norms(model: nn.Module) -> None:
    """Norms that could not be folded keep their statistics."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
