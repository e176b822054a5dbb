"""What runs the backbone when photos are served; between cnn.py, which builds and folds it, and recogniser.py.

On a CPU, in float32, ONNX Runtime does: the same features to five digits, at 1.8 times PyTorch's speed
(docs/decisions/engine.md). PyTorch runs it on CUDA, in bfloat16, and wherever the other cannot or comes out different;
gradients and training always belong to PyTorch.
"""

import io
import logging
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recognition.cnn import ImageEncoder

See: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor | None]]

_TOLERANCE = 1e-3  # relative to the largest value; both runtimes round differently in the sixth digit

log = logging.getLogger(__name__)


def fastest(encoder: ImageEncoder, *, device: torch.device, dtype: torch.dtype, size: int) -> See:
    """A folded encoder's `see`: normalised pixels [N, 3, S, S] to features [N, F] and map [N, C, h, w], or None for a
    network without one. `size`: the pixels S that are usual; others are served too. Uses torch's number of threads."""
    if device.type != "cpu" or dtype != torch.float32:
        return PyTorch(encoder)
    try:
        return OnnxRuntime(encoder, size)
    except Exception as error:  # exporter and runtime raise whatever a network makes them stumble upon
        log.warning("PyTorch runs the network, ONNX Runtime cannot: %s", error)
        return PyTorch(encoder)


class PyTorch(nn.Module):
    """The encoder itself."""

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self._encoder = encoder

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `fastest`."""
        if self._encoder.map_width:
            return self._encoder.see(pixels)
        return self._encoder.backbone(pixels), None


class OnnxRuntime:
    """The same by ONNX Runtime. Raises RuntimeError where the exported network computes something else.

    One photo has all threads, which share every layer. Of several photos each thread takes the next one whole: nobody
    waits for another at every layer, which costs most where other processes want the cores too, and a batch saves
    nothing on a CPU. No thread spins while it waits: a worker has others, which decode.
    """

    def __init__(self, encoder: ImageEncoder, size: int) -> None:
        plain = PyTorch(encoder).eval()
        network = exported(plain, has_map=bool(encoder.map_width), size=size)
        threads = torch.get_num_threads()
        self._each = session(network, 1)
        self._shared = session(network, threads) if threads > 1 else self._each
        self._threads = ThreadPoolExecutor(threads, "network")
        self._compare(plain, size)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        photos = pixels.contiguous().numpy()
        if len(photos) == 1:
            features, *seen = self._shared.run(None, {"pixels": photos})
        else:
            answers = self._threads.map(self._one, np.split(photos, len(photos)))
            features, *seen = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return torch.from_numpy(features), torch.from_numpy(seen[0]) if seen else None

    def _one(self, photo: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return self._each.run(None, {"pixels": photo})

    def _compare(self, plain: nn.Module, size: int) -> None:
        """What was recorded for one batch must hold for others: another number of photos, of another size."""
        for count, side in ((1, size), (3, size), (1, size + 64)):
            pixels = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                wanted, given = plain(pixels), self(pixels)
            for one, other in zip(wanted, given, strict=True):
                if one is not None and (other is None or (one - other).abs().max() > _TOLERANCE * one.abs().max()):
                    raise RuntimeError(f"the exported network differs for {count} photos of {side} pixels")


def session(network: bytes, threads: int, *, spin: bool = False) -> onnxruntime.InferenceSession:
    """A network made ready. ``spin``: threads that wait for their next part keep their core busy."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3  # errors, which are raised as well
    settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    return onnxruntime.InferenceSession(network, settings, providers=["CPUExecutionProvider"])


def exported(plain: nn.Module, *, has_map: bool, size: int) -> bytes:
    """The network as ONNX, for any number of photos of any size."""
    names, file = ["features", "map"] if has_map else ["features"], io.BytesIO()
    free = {name: {0: "photos"} for name in names} | {"pixels": {0: "photos", 2: "height", 3: "width"}}
    with warnings.catch_warnings():
        # The exporter by tracing is to go one day; its successor needs two more packages and ten times as long.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            plain,
            (torch.zeros(2, 3, size, size),),
            file,  # type: ignore[arg-type]  # takes a file as well as a path
            dynamo=False,
            input_names=["pixels"],
            output_names=names,
            dynamic_axes=free,
        )
    return file.getvalue()
