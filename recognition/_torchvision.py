"""The one door to torchvision, which makes its import work beside a CPU-only torch; used by cnn.py and training.

torchvision wheels of the package index link their C++ operators to CUDA. Where that library cannot be loaded, the
import of torchvision fails because it registers Python functions on operators that do not exist. The two schemas it
needs are then declared here, without a kernel: nothing of ours calls them. Where the operators load, this does
nothing. (Never import, catch and retry: a failed import leaves half-registered modules.)
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


def _operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    libraries = sorted(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


def _declare_operators() -> torch.library.Library:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    return library


# Referenced for the life of the process: the declarations go when the library object goes.
DECLARED: torch.library.Library | None = None if _operators_load() else _declare_operators()

from torchvision.datasets import CIFAR10  # noqa: E402  (after the declarations)
from torchvision.models import get_model, get_model_weights  # noqa: E402

__all__ = ["CIFAR10", "get_model", "get_model_weights"]
