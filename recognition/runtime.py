"""What runs the backbone when photos are served; between cnn.py, which builds and folds it, and recogniser.py.

On a CPU, in float32, ONNX Runtime does: the same features to five digits, at 1.8 times PyTorch's speed
(docs/decisions/engine.md). PyTorch runs it on CUDA, in bfloat16, and wherever the other cannot or comes out different;
gradients and training always belong to PyTorch.
"""

import io
import logging
import warnings
from collections.abc import Callable
from typing import TypeAlias

import onnxruntime
import torch
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
    """The same by ONNX Runtime. Raises RuntimeError where the exported network computes something else."""

    def __init__(self, encoder: ImageEncoder, size: int, *, spin: bool = False) -> None:
        """`spin`: threads that wait for their next part keep their core busy: quicker where nobody else wants it."""
        plain = PyTorch(encoder).eval()
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = torch.get_num_threads()
        settings.log_severity_level = 3  # errors, which are raised as well
        # A worker has other threads, which decode: spinning would take the cores from them.
        settings.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
        self._session = onnxruntime.InferenceSession(
            exported(plain, has_map=bool(encoder.map_width), size=size), settings, providers=["CPUExecutionProvider"]
        )
        self._compare(plain, size)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        features, *seen = self._session.run(None, {"pixels": pixels.contiguous().numpy()})
        return torch.from_numpy(features), torch.from_numpy(seen[0]) if seen else None

    def _compare(self, plain: nn.Module, size: int) -> None:
        """What was recorded for one batch must hold for others: another number of photos, of another size."""
        for count, side in ((1, size), (3, size), (1, size + 64)):
            pixels = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
            with torch.inference_mode():
                wanted, given = plain(pixels), self(pixels)
            for one, other in zip(wanted, given, strict=True):
                if one is not None and (other is None or (one - other).abs().max() > _TOLERANCE * one.abs().max()):
                    raise RuntimeError(f"the exported network differs for {count} photos of {side} pixels")


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
