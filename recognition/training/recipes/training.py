"""Trains a network on CIFAR-10 as its plan says, epoch by epoch, and measures it; after networks.py, the last step.

Every epoch ends with a checkpoint; a run that was killed goes on after its last whole epoch. The test photos are looked
at after every epoch to show how far training is, and nothing is chosen by them: the result is that of the last epoch.
"""

import json
import math
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from recognition.training.errors import DataError, Diverged
from recognition.training.loop import gradient_norm, time_left
from recognition.training.plan import has_fast_bfloat16
from recognition.training.recipes.cifar import Cifar, Part
from recognition.training.recipes.networks import build
from recognition.training.recipes.plans import Plan

_CHECKPOINT, _RESULT = "checkpoint.pt", "result.json"
_TEST_BATCH = 250
_SAY_EVERY = 60.0  # seconds between two lines within an epoch


class Training:
    """One run in a folder: fresh, or taken up where its last epoch ended."""

    def __init__(
        self, name: str, plan: Plan, data: Cifar, folder: Path, *, device: str, precision: str, weights: str | None
    ) -> None:
        """`precision`: "float32", "bfloat16", or "auto" (bfloat16 on GPUs and CPUs that are fast in it: on a CPU with
        matrix units 967 photos a second, in float32 about 235). Raises DataError."""
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.plan, self.folder, self.names = name, plan, folder, data.names
        self.device = torch.device(device)
        fast = "bfloat16" if has_fast_bfloat16(self.device) else "float32"
        self.precision = fast if precision == "auto" else precision
        self.weights = Path(weights).name if weights else None
        self.network = build(plan, len(data.names), data.train, weights).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.train, self.test = data.train.to(self.device), data.test.to(self.device)
        self.batch = min(plan.batch, len(self.train.labels))
        self.steps = len(self.train.labels) // self.batch
        self.optimiser = _optimiser(self.network, plan)
        self.slow = _tensors(self.network) if plan.lookahead else {}
        self.epochs: list[dict[str, float]] = []
        self._resume()

    def fit(self, console: Console) -> dict[str, Any]:
        """Train the epochs that are missing, measure, write result.json and return it. Raises Diverged."""
        while len(self.epochs) < self.plan.epochs:
            started = time.monotonic()
            loss = self._train_epoch(console)
            seconds = time.monotonic() - started
            self._check_weights()
            if self.slow and len(self.epochs) + 1 == self.plan.epochs:
                self._put(self.slow)
            done = {"loss": loss, "test_accuracy": self.accuracy(1), "seconds": seconds}
            self.epochs.append({name: round(value, 4) for name, value in done.items()})
            self._checkpoint()
            speed = self.steps * self.batch / seconds
            left = time_left(seconds, self.plan.epochs - len(self.epochs))
            console.print(
                f"epoch {len(self.epochs)}/{self.plan.epochs}  loss {loss:.3f}  test {done['test_accuracy']:.2%}  "
                f"{seconds:.0f} s  {speed:.0f} photos/s{left}",
                highlight=False,
            )
        result = self._result()
        (self.folder / _RESULT).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        return result

    def accuracy(self, views: int) -> float:
        """Share of the test photos told rightly, each seen in 1, 2 or 6 views."""
        self.network.eval()
        right = 0
        with torch.inference_mode(), self._cast():
            for at in range(0, len(self.test.labels), _TEST_BATCH):
                photos = self.test.photos[at : at + _TEST_BATCH].float() / 255
                told = scores(self.network, photos, views).argmax(1)
                right += int((told == self.test.labels[at : at + _TEST_BATCH]).sum())
        return right / len(self.test.labels)

    def _train_epoch(self, console: Console) -> float:
        """The mean loss of one epoch. Random numbers depend on the seed and the epoch alone."""
        epoch = len(self.epochs)
        torch.manual_seed(self.plan.seed * 1000 + epoch)  # dropout
        self.network.train()
        total, said = 0.0, time.monotonic()
        for step, (photos, labels) in enumerate(batches(self.train, self.plan, self.batch, epoch)):
            self._set_rates(epoch * self.steps + step)
            with self._cast():
                told = self.network(photos)
            loss = functional.cross_entropy(told.float(), labels, label_smoothing=self.plan.smoothing)
            value = loss.item()
            if not math.isfinite(value):
                raise self._diverged("loss", step)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if not math.isfinite(gradient_norm(self.network)):
                raise self._diverged("gradient", step)
            self.optimiser.step()
            self._look_ahead(epoch * self.steps + step + 1)
            total += value
            if time.monotonic() - said > _SAY_EVERY:
                said = time.monotonic()
                console.print(
                    f"epoch {epoch + 1}: step {step + 1}/{self.steps}  loss {total / (step + 1):.3f}", highlight=False
                )
        return total / self.steps

    def _check_weights(self) -> None:
        """Raises Diverged where the last step of an epoch left weights that are no numbers: no loss has seen them."""
        if not all(torch.isfinite(tensor).all() for tensor in _tensors(self.network, copy=False).values()):
            raise self._diverged("network", self.steps - 1)

    def _diverged(self, what: str, step: int) -> Diverged:
        done = len(self.epochs)
        kept = f"the checkpoint of epoch {done} is kept" if done else "there is no checkpoint yet"
        return Diverged(
            f"The {what} is no number at step {step + 1} of epoch {done + 1}; {kept} in {self.folder}. "
            "Try a lower --rate."
        )

    def _cast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _set_rates(self, step: int) -> None:
        """Up in a straight line, then down in one (Smith's one cycle, 2018, as Jordan uses it)."""
        plan, done = self.plan, step / (self.plan.epochs * self.steps)
        if plan.peak is None:
            return
        if done < plan.peak:
            factor = plan.start + (1 - plan.start) * done / plan.peak
        else:
            factor = 1 - (1 - plan.end) * (done - plan.peak) / (1 - plan.peak)
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * factor

    def _look_ahead(self, step: int) -> None:
        """Every few steps the weights move to their slow average (Lookahead, Zhang et al., 2019).

        The average follows at once in the beginning and ever more slowly towards the end, as published by Jordan.
        """
        if not self.slow or step % self.plan.lookahead:
            return
        keep = 0.95**5 * (step / (self.plan.epochs * self.steps)) ** 3
        with torch.no_grad():
            for name, tensor in _tensors(self.network, copy=False).items():
                self.slow[name].lerp_(tensor, 1 - keep)
        self._put(self.slow)

    def _put(self, tensors: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in _tensors(self.network, copy=False).items():
                tensor.copy_(tensors[name])

    def _resume(self) -> None:
        path = self.folder / _CHECKPOINT
        if not path.exists():
            return
        kept = torch.load(path, map_location=self.device, weights_only=True)
        if kept["plan"] != _facts(self.plan) or kept["names"] != list(self.names):
            raise DataError(f"{self.folder} holds a run with other settings: choose those, or another folder.")
        self.network.load_state_dict(kept["network"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.slow, self.epochs = kept["slow"], kept["epochs"]

    def _checkpoint(self) -> None:
        """Written beside the old one, then put in its place: a kill at any moment loses one epoch."""
        part = self.folder / f"{_CHECKPOINT}.part"
        kept = {
            "plan": _facts(self.plan),
            "names": list(self.names),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "slow": self.slow,
            "epochs": self.epochs,
        }
        torch.save(kept, part)
        part.replace(self.folder / _CHECKPOINT)

    def _result(self) -> dict[str, Any]:
        on_gpu = self.device.type == "cuda"
        trained = len(self.epochs) * self.steps * self.batch
        seconds = sum(epoch["seconds"] for epoch in self.epochs)
        return {
            "recipe": self.name,
            "starting_weights": self.weights,
            "test_accuracy": round(self.accuracy(self.plan.views), 4),
            "test_accuracy_of_one_view": round(self.accuracy(1), 4),
            "tutorial_test_accuracy": self.plan.tutorial_test_accuracy,
            "photos": {"train": len(self.train.labels), "test": len(self.test.labels)},
            "train_seconds": round(seconds, 1),
            "photos_per_second": round(trained / seconds, 1),
            "device": torch.cuda.get_device_name(self.device) if on_gpu else processor(),
            "threads": torch.get_num_threads(),
            "precision": self.precision,
            "torch": torch.__version__,
            "parameters": sum(each.numel() for each in self.network.parameters()),
            "plan": _facts(self.plan),
            "epochs": self.epochs,
        }


def batches(part: Part, plan: Plan, size: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch, changed as the plan says: photos float32 [size, 3, 32, 32] in 0..1, labels [size]."""
    count = len(part.labels)
    # Each photo is mirrored in every other epoch, so that two epochs show all photos both ways (Jordan, 2024).
    first = torch.rand(count, generator=torch.Generator().manual_seed(plan.seed)) < 0.5
    mirrored = (first if epoch % 2 else ~first) if plan.flip else torch.zeros_like(first)
    chance = torch.Generator().manual_seed(plan.seed * 1000 + epoch)
    order = torch.randperm(count, generator=chance)
    for at in range(0, count - size + 1, size):
        rows = order[at : at + size]
        turned = mirrored[rows].to(part.labels.device)[:, None, None, None]
        rows = rows.to(part.labels.device)
        photos = part.photos[rows].float() / 255
        photos = torch.where(turned, photos.flip(3), photos)
        if plan.shift:
            photos = shifted(photos, plan.shift, chance)
        if plan.cutout:
            photos = with_hole(photos, plan.cutout, chance)
        yield photos, part.labels[rows]


def shifted(photos: Tensor, most: int, chance: torch.Generator) -> Tensor:
    """Photos [N, C, H, W] moved by up to `most` pixels in each direction; what comes into view is mirrored."""
    count, _, height, width = photos.shape
    padded = functional.pad(photos, (most,) * 4, "reflect")
    moves = torch.randint(2 * most + 1, (2, count), generator=chance).to(photos.device)
    rows = moves[0, :, None] + torch.arange(height, device=photos.device)
    columns = moves[1, :, None] + torch.arange(width, device=photos.device)
    which = torch.arange(count, device=photos.device)
    return padded.permute(0, 2, 3, 1)[which[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def with_hole(photos: Tensor, side: int, chance: torch.Generator) -> Tensor:
    """Photos [N, C, H, W] with a grey square of `side` pixels somewhere in each (Cutout, DeVries and Taylor, 2017)."""
    count, _, height, width = photos.shape
    top = torch.randint(height - side + 1, (count,), generator=chance).to(photos.device)[:, None]
    left = torch.randint(width - side + 1, (count,), generator=chance).to(photos.device)[:, None]
    y, x = torch.arange(height, device=photos.device), torch.arange(width, device=photos.device)
    inside = ((y >= top) & (y < top + side))[:, :, None] & ((x >= left) & (x < left + side))[:, None, :]
    return torch.where(inside[:, None], 0.5, photos)


def scores(network: nn.Module, photos: Tensor, views: int) -> Tensor:
    """Mean scores [N, L] over the views of photos [N, 3, H, W]: themselves and mirrored, and both moved by a pixel."""

    def both_ways(seen: Tensor) -> Tensor:
        return (network(seen).float() + network(seen.flip(3)).float()) / 2

    if views == 1:
        return network(photos).float()
    if views == 2:
        return both_ways(photos)
    padded = functional.pad(photos, (1,) * 4, "reflect")
    up, down = padded[:, :, :-2, :-2], padded[:, :, 2:, 2:]
    return both_ways(photos) / 2 + (both_ways(up) + both_ways(down)) / 4


def _optimiser(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Biases of norms, the new classifier and everything else learn at rates of their own."""
    norms = [id(module.bias) for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    heads = [id(each) for name, each in network.named_parameters() if name.startswith("network.head.")]
    groups: dict[float, list[nn.Parameter]] = {}
    for each in network.parameters():
        if each.requires_grad:
            factor = plan.bias_rate if id(each) in norms else plan.head_rate if id(each) in heads else 1.0
            groups.setdefault(factor, []).append(each)
    parameters = [
        {"params": members, "lr": plan.rate * factor, "top": plan.rate * factor, "weight_decay": plan.decay / factor}
        for factor, members in groups.items()
    ]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(parameters, momentum=plan.momentum, nesterov=plan.momentum > 0)
    return (torch.optim.AdamW if plan.optimiser == "adamw" else torch.optim.Adam)(parameters)


def _tensors(network: nn.Module, *, copy: bool = True) -> dict[str, Tensor]:
    """What training moves: floating-point weights and statistics, by name."""
    found = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
    return {name: tensor.clone() for name, tensor in found.items()} if copy else found


def _facts(plan: Plan) -> dict[str, Any]:
    """The settings of a plan, as a checkpoint and a result keep them; what others report is none."""
    settings = asdict(plan) | {"widths": list(plan.widths)}
    del settings["tutorial_test_accuracy"]
    return settings


def processor() -> str:
    """The processor's name as Linux knows it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores, {names[0]}" if names else platform.machine()
