"""What runs the network when photos are served; between fusion.py, which has its parts, and recogniser.py.

On a CPU, in float32, ONNX Runtime does, from the pixels to the vector: the same to five digits, at twice PyTorch's
speed (docs/decisions/engine.md). PyTorch runs it on CUDA, in bfloat16, and wherever the other cannot or comes out
different; gradients and training always belong to PyTorch.
"""

import io
import logging
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recognition.bundle import Preprocessing
from recognition.fusion import ProductEncoder

Pixels: TypeAlias = NDArray[np.uint8]

_TOLERANCE = 1e-3  # relative to the largest value; both runtimes round differently in the sixth digit
_NAMES = ("features", "vectors", "grid")

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the network makes of N photos: pooled `features` [N, F], unit `vectors` float32 [N, dim], and the `grid` of
    the head that finds things, float32 [N, 5, h, w]; None without such a head."""

    features: Tensor
    vectors: Tensor
    grid: Tensor | None = None


class See(Protocol):
    """What runs a network. ``lanes``: so many threads may call it at once, and keep its processor busy if they do.
    ``batches``: whether it sees several photos faster together than one by one."""

    lanes: int
    batches: bool

    def __call__(self, pixels: Pixels) -> Seen:
        """Pixels uint8 [N, S, S, 3] to what the network makes of them."""


class Network(nn.Module):
    """All that a model computes of a photo alone, from pixels as they were decoded. Its backbone is folded."""

    mean: Tensor
    scale: Tensor

    def __init__(self, model: ProductEncoder, look: Preprocessing, dtype: torch.dtype) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.register_buffer("mean", torch.tensor(look.mean).mul(255)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(look.std).mul(255).reciprocal()[None, :, None, None])

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [N, S, S, 3] to the backbone's input [N, 3, S, S], channels last."""
        return ((pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale).to(self.dtype)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Pixels uint8 [N, S, S, 3] to the fields of `Seen`, without those that the model has not."""
        image, subject = self.model.image, self.model.subject
        if subject is None:
            features = image.backbone(self.normalised(pixels))
            return features, image.project(features)
        features, seen = image.see(self.normalised(pixels))
        return features, image.project(features), subject.grid(seen)


def on_device(pixels: Pixels, device: torch.device) -> Tensor:
    """Pixels as a tensor; to CUDA from pinned memory, so that the copy overlaps."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels))
    return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch


def fastest(network: Network, *, device: torch.device, size: int) -> See:
    """What runs a network the fastest there. `size`: the pixels S that are usual; others are served too. Uses torch's
    number of threads."""
    if device.type != "cpu" or network.dtype != torch.float32:
        return PyTorch(network, device)
    try:
        return OnnxRuntime(network, size)
    except Exception as error:  # exporter and runtime raise whatever a network makes them stumble upon
        log.warning("PyTorch runs the network, ONNX Runtime cannot: %s", error)
        return PyTorch(network, device)


class PyTorch:
    """The network itself, which one thread runs: on CUDA a device is one queue, on a CPU its layers share the cores."""

    lanes, batches = 1, True

    def __init__(self, network: Network, device: torch.device) -> None:
        self._network, self._device = network, device

    def __call__(self, pixels: Pixels) -> Seen:
        return Seen(*self._network(on_device(pixels, self._device)))


class OnnxRuntime:
    """The same by ONNX Runtime. Raises RuntimeError where the exported network computes something else.

    One photo has all threads, which share every layer. Of several photos, in one call or in calls at once, a thread
    takes each one whole: nobody waits for another at every layer, which costs most where other processes want the cores
    too, and a batch saves nothing on a CPU. No thread spins while it waits: a worker has others, which decode.
    """

    batches = False

    def __init__(self, network: Network, size: int) -> None:
        file = exported(network, size)
        self.lanes = torch.get_num_threads()
        self._each = session(file, 1)
        self._shared = session(file, self.lanes) if self.lanes > 1 else self._each
        self._threads = ThreadPoolExecutor(self.lanes, "network")
        self._calls, self._counting = 0, threading.Lock()
        self._compare(network, size)

    def __call__(self, pixels: Pixels) -> Seen:
        pixels = np.ascontiguousarray(pixels)
        with self._calling() as alone:
            if len(pixels) > 1:
                answers = self._threads.map(self._one, np.split(pixels, len(pixels)))
                parts = [np.concatenate(part) for part in zip(*answers, strict=True)]
            else:
                parts = self._shared.run(None, {"pixels": pixels}) if alone else self._one(pixels)
        return Seen(*map(torch.from_numpy, parts))

    def _one(self, photo: Pixels) -> list[NDArray[np.float32]]:
        return self._each.run(None, {"pixels": photo})

    @contextmanager
    def _calling(self) -> Iterator[bool]:
        """One more call is under way; whether it is the only one, and all threads are free."""
        with self._counting:
            self._calls += 1
            alone = self._calls == 1
        try:
            yield alone
        finally:
            with self._counting:
                self._calls -= 1

    def _compare(self, network: Network, size: int) -> None:
        """What was recorded for one batch must hold for others: another number of photos, of another size."""
        dice = np.random.default_rng(0)
        for count, side in ((1, size), (3, size), (1, size + 64)):
            pixels = dice.integers(0, 256, (count, side, side, 3), np.uint8)
            with torch.inference_mode():
                wanted, given = network(torch.from_numpy(pixels)), self(pixels)
            for name, right in zip(_NAMES, wanted, strict=False):
                if (right - getattr(given, name)).abs().max() > _TOLERANCE * right.abs().max():
                    raise RuntimeError(f"the exported network differs for {count} photos of {side} pixels: {name}")


def session(network: bytes, threads: int, *, spin: bool = False) -> onnxruntime.InferenceSession:
    """A network made ready. ``spin``: threads that wait for their next part keep their core busy."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3  # errors, which are raised as well
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return onnxruntime.InferenceSession(network, settings, providers=["CPUExecutionProvider"])


def exported(network: Network, size: int) -> bytes:
    """The network as ONNX, for any number of photos of any size."""
    names, file = [*_NAMES[: 2 if network.model.subject is None else 3]], io.BytesIO()
    free = {name: {0: "photos"} for name in names} | {"pixels": {0: "photos", 1: "height", 2: "width"}}
    if "grid" in free:
        free["grid"] |= {2: "rows", 3: "columns"}
    with warnings.catch_warnings():
        # The exporter by tracing is to go one day; its successor needs two more packages and ten times as long.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            file,  # type: ignore[arg-type]  # takes a file as well as a path
            dynamo=False,
            input_names=["pixels"],
            output_names=names,
            dynamic_axes=free,
        )
    return file.getvalue()
