"""The training loop; after data, cache, sampling, augmentation and losses, before export.py.

Batch-norm statistics stay as the starting weights have them: batches mix very different photos, and a frozen network
part evaluates exactly as it trains. The weights that count are a moving average over the steps. Every epoch ends with
a checkpoint; a run that was killed goes on after its last whole epoch.
"""

import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from recognition.bundle import Preprocessing
from recognition.fusion import ProductEncoder
from recognition.training.augment import Augment
from recognition.training.cache import Cache
from recognition.training.data import DataError, Photo
from recognition.training.losses import Heads, batch_losses, targets_of
from recognition.training.sampling import PairSampler, draw_texts
from recognition.training.start import start_model, start_preprocessing, start_projection

RUN_FILE, START, AVERAGE = "run.json", "start.safetensors", "average.safetensors"
_MODEL, _HEADS, _OPTIMISER = "model.safetensors", "heads.safetensors", "optimiser.pt"

# Photos that go through the backbone at a time: activations stay in the CPU's cache, two to three times faster than a
# whole batch. The losses still see the whole batch, and with frozen batch norms the result is the same.
_CHUNK = 8


@dataclass(frozen=True)
class Plan:
    """How to train. Learning rates are the peaks of a cosine with a short warm-up; `weights` as in start.py."""

    weights: str
    arch: str = "mobilenet_v2"
    dim: int = 256
    size: int = 192
    epochs: int = 12
    batch: int = 64
    backbone_rate: float = 2e-4
    rate: float = 1e-3
    decay: float = 0.02
    average: float = 0.99
    bfloat16: bool = False
    seed: int = 1


class Run:
    """One training run in a folder: fresh, or taken up where its last epoch ended."""

    def __init__(self, plan: Plan, photos: Sequence[Photo], cache: Cache, folder: Path) -> None:
        """Raises DataError when the folder holds a run of another plan, or the starting weights do not fit."""
        folder.mkdir(parents=True, exist_ok=True)
        self.plan, self.photos, self.cache, self.folder = plan, photos, cache, folder
        self.look = start_preprocessing(plan.arch, plan.weights, plan.size)
        self.sampler = PairSampler(photos, plan.batch, plan.seed)
        torch.manual_seed(plan.seed)
        self.model = start_model(plan.arch, plan.dim, plan.weights)
        self.heads = Heads(photos, plan.dim, self.model.image.width)
        self.optimiser = torch.optim.AdamW(_groups(self.model, self.heads, plan), weight_decay=plan.decay)
        self.average: dict[str, Tensor] = {}
        self.epoch = self._resume()
        if not self.epoch:
            self.average = {name: tensor.clone() for name, tensor in float_tensors(self.model).items()}

    def fit(self, console: Console) -> None:
        """Train the epochs that are still missing."""
        self.model.image.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with SummaryWriter(str(self.folder / "curves")) as curves:
            while self.epoch < self.plan.epochs:
                started = time.monotonic()
                means = self._train_epoch()
                self.epoch += 1
                self._checkpoint()
                speed = self.sampler.steps * self.plan.batch / (time.monotonic() - started)
                for name, value in (means | {"photos_per_second": speed}).items():
                    curves.add_scalar(name, value, self.epoch)
                losses = " ".join(f"{name} {value:.3f}" for name, value in means.items())
                line = f"epoch {self.epoch}/{self.plan.epochs}  {losses}  {speed:.0f} photos/s"
                console.print(line, highlight=False, soft_wrap=True)

    def _train_epoch(self) -> dict[str, float]:
        rng = random.Random(f"texts/{self.plan.seed}/{self.epoch}")
        seed = torch.Generator().manual_seed(self.plan.seed * 1000 + self.epoch)
        augment = Augment(self.plan.size, seed)
        sums: dict[str, float] = {}
        self.model.train()
        self.heads.train()
        _freeze_batch_norms(self.model)
        for step, rows in enumerate(self.sampler.epoch(self.epoch)):
            self._set_rates(self.epoch * self.sampler.steps + step)
            for name, value in self._step(rows, augment, rng).items():
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / self.sampler.steps for name, value in sums.items()}

    def _step(self, rows: list[int], augment: Augment, rng: random.Random) -> dict[str, float]:
        batch = [self.photos[row] for row in rows]
        pixels, boxes, studio = (torch.from_numpy(part[rows]) for part in vars(self.cache).values())
        inputs = _normalised(augment(pixels, boxes, studio), self.look)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.plan.bfloat16):
            chunks = inputs.contiguous(memory_format=torch.channels_last).split(_CHUNK)
            features = torch.cat([self.model.image.backbone(chunk) for chunk in chunks])
        texts, targets = draw_texts(batch, rng), targets_of(batch, self.heads)
        losses = batch_losses(self.model, self.heads, features.float(), texts, targets)
        self.optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        for name, tensor in float_tensors(self.model).items():
            self.average[name].lerp_(tensor.detach(), 1 - self.plan.average)
        return {name: loss.item() for name, loss in losses.items()}

    def _set_rates(self, step: int) -> None:
        total = self.plan.epochs * self.sampler.steps
        warm = min(100, total // 10 + 1)
        factor = min((step + 1) / warm, 0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / total)).item()))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * max(factor, 0.01)

    def _resume(self) -> int:
        """Load the last checkpoint, or make the starting point; returns the number of finished epochs.

        A run may be given more or fewer epochs than it was begun with; everything else must be as it was.
        """
        state_path = self.folder / RUN_FILE
        if not state_path.exists():
            rows = [row for row, photo in enumerate(self.photos) if photo.role == "train"]
            start_projection(self.model, self.cache, rows, self.look)
            save_file(float_tensors(self.model), self.folder / START)
            return 0
        state = json.loads(state_path.read_text())
        if state["plan"] | {"epochs": self.plan.epochs} != asdict(self.plan):
            raise DataError(f"{self.folder} holds a run with other settings: choose those, or another folder.")
        checkpoint = self.folder / state["checkpoint"]
        self.model.load_state_dict(load_file(checkpoint / _MODEL), strict=False)
        self.heads.load_state_dict(load_file(checkpoint / _HEADS))
        self.optimiser.load_state_dict(torch.load(checkpoint / _OPTIMISER, weights_only=True))
        self.average = load_file(checkpoint / AVERAGE)
        return int(state["epochs_done"])

    def _checkpoint(self) -> None:
        """Write a whole new checkpoint, then name it in run.json by a rename: a kill at any moment loses one epoch."""
        checkpoint = self.folder / f"epoch-{self.epoch}"
        checkpoint.mkdir(exist_ok=True)
        save_file(float_tensors(self.model), checkpoint / _MODEL)
        save_file(float_tensors(self.heads), checkpoint / _HEADS)
        save_file(self.average, checkpoint / AVERAGE)
        torch.save(self.optimiser.state_dict(), checkpoint / _OPTIMISER)
        state = {
            "plan": asdict(self.plan),
            "look": asdict(self.look),
            "checkpoint": checkpoint.name,
            "epochs_done": self.epoch,
        }
        part = self.folder / f"{RUN_FILE}.part"
        part.write_text(json.dumps(state, indent=1))
        part.replace(self.folder / RUN_FILE)
        for old in self.folder.glob("epoch-*"):
            if old != checkpoint:
                shutil.rmtree(old)


def float_tensors(module: nn.Module) -> dict[str, Tensor]:
    """The floating-point tensors of a module by name (batch-norm counters are left out), contiguous, no gradients."""
    tensors = module.state_dict()
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items() if tensor.is_floating_point()}


def _groups(model: ProductEncoder, heads: Heads, plan: Plan) -> list[dict[str, object]]:
    """The trained backbone learns slowly, so that it keeps what it knows; everything new learns fast."""
    new = [*model.text.parameters(), *model.gate.parameters(), *heads.parameters()]
    groups = [
        (list(model.image.backbone.parameters()), plan.backbone_rate),
        (list(model.image.projection.parameters()), plan.backbone_rate),
        (new, plan.rate),
    ]
    return [{"params": parameters, "lr": rate, "peak": rate} for parameters, rate in groups]


def _freeze_batch_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _normalised(photos: Tensor, look: Preprocessing) -> Tensor:
    mean, std = (torch.tensor(value)[None, :, None, None] for value in (look.mean, look.std))
    return (photos - mean) / std
