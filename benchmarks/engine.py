"""What runs the network fastest on this CPU: PyTorch eager, folded, compiled, in bfloat16, ONNX Runtime, OpenVINO.

The default bundle's network from pixels to vectors and things, photos a second at batches of 1, 8 and 32, and CPU time
a photo, which other work on the machine disturbs less. Accuracy against eager float32: the least cosine of the photo
vectors, and for how many of the sample catalogue's customer photos another product comes first. OpenVINO is no
dependency: it is measured where it is installed (pip install openvino). `--quick` leaves out torch.compile.
What this decided: docs/decisions/engine.md.

    python benchmarks/engine.py [--quick] [--json FILE] [--threads N]
"""

import importlib.util
import os
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from charts import bars
from torch import Tensor

from config.env import load_env
from recognition.fusion import ProductEncoder
from recognition.recogniser import Recogniser, load_model
from recognition.runtime import Network, OnnxRuntime, Pixels, PyTorch, exported, session

BATCHES = (1, 8, 32)

CPU = torch.device("cpu")

See = Callable[[Pixels], Tensor]  # photos to their vectors


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads (default: all cores)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = common.report(options.quick) | {"threads": options.threads}
    recogniser = Recogniser.load(load_env().bundle, device="cpu", precision="float32")
    stored, asked = (photos(recogniser, folder, options.quick) for folder in ("photos", "customer"))
    told: dict[str, dict[str, Any]] = {}
    wanted = None
    for name, make in runtimes(recogniser).items():
        if options.quick and "compile" in name:
            continue
        started = time.perf_counter()
        try:
            see = make()
            see(asked[:1])
        except Exception as error:  # a runtime that this machine cannot run is named with its reason
            told[name] = {"absent": f"{type(error).__name__}: {error}"[:300]}
            print(f"{name:28s} absent: {told[name]['absent']}")
            continue
        ready = time.perf_counter() - started
        vectors = [embed(see, some) for some in (stored, asked)]
        wanted = wanted or vectors
        told[name] = {"ready_s": round(ready, 2), **accuracy(vectors, wanted), **speed(see, asked, options.quick)}
        print(f"{name:28s} {told[name]}", flush=True)
    best = {name: each["photos_per_second"]["8"] for name, each in told.items() if "absent" not in each}
    plot = bars(f"Photos a second at batches of 8, {options.threads} threads", best)
    common.write("engine", figures | {"runtimes": told}, options.json, {"speeds": plot})


def runtimes(recogniser: Recogniser) -> dict[str, Callable[[], See]]:
    """Each way, made when its turn comes."""
    look = recogniser.bundle.preprocessing
    size, folded = look.size, Network(recogniser.model, look, torch.float32).eval()
    ways: dict[str, Callable[[], See]] = {
        "PyTorch, as trained": lambda: by_pytorch(Network(plain(recogniser), look, torch.float32)),
        "PyTorch, folded": lambda: by_pytorch(folded),
        "PyTorch, folded, frozen": lambda: frozen(folded, size),
        "torch.compile": lambda: by_pytorch(torch.compile(folded, dynamic=False)),
        "PyTorch, folded, bfloat16": lambda: by_pytorch(in_bfloat16(recogniser)),
        "torch.compile, bfloat16": lambda: by_pytorch(torch.compile(in_bfloat16(recogniser), dynamic=False)),
        "ONNX Runtime, a photo each": lambda: vectors_of(OnnxRuntime(folded, size)),
        "ONNX Runtime, shared layers": lambda: shared(folded, size),
        "ONNX Runtime, spinning": lambda: shared(folded, size, spin=True),
    }
    for hint in ("f32", "bf16"):
        ways[f"OpenVINO, {hint}"] = partial(openvino, folded, size, hint)
    return ways


def by_pytorch(network: Network) -> See:
    """PyTorch, eager or compiled."""
    return vectors_of(PyTorch(network, CPU))


def vectors_of(run: PyTorch | OnnxRuntime) -> See:
    """Only the vectors of what it sees."""
    return lambda pixels: run(pixels).vectors


def plain(recogniser: Recogniser) -> ProductEncoder:
    """The model with its batch norms, channels first."""
    return load_model(recogniser.bundle).eval().requires_grad_(False)


def frozen(network: Network, size: int) -> See:
    """Traced, frozen and optimised for inference."""
    with torch.no_grad():
        traced = torch.jit.trace(network, torch.zeros(8, size, size, 3, dtype=torch.uint8))
        return by_pytorch(torch.jit.optimize_for_inference(torch.jit.freeze(traced)))


def in_bfloat16(recogniser: Recogniser) -> Network:
    """The folded network in bfloat16."""
    model = deepcopy(recogniser.model)
    model.image.backbone.to(torch.bfloat16)
    return Network(model, recogniser.bundle.preprocessing, torch.bfloat16).eval()


def shared(network: Network, size: int, *, spin: bool = False) -> See:
    """All threads share every layer of a batch. ``spin``: those that wait for their part keep their core busy."""
    ran = session(exported(network, size), torch.get_num_threads(), spin=spin)
    return lambda pixels: torch.from_numpy(ran.run(["vectors"], {"pixels": pixels})[0])


def openvino(network: Network, size: int, hint: str) -> See:
    """By OpenVINO, from the same ONNX that ONNX Runtime is given."""
    if not importlib.util.find_spec("openvino"):
        raise ModuleNotFoundError("openvino is not installed")
    from openvino import Core  # noqa: PLC0415 - measured where it is there

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(exported(network, size))
        settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        compiled = Core().compile_model(str(path), "CPU", settings)

    return lambda pixels: torch.from_numpy(compiled(pixels)["vectors"].copy())


def photos(recogniser: Recogniser, folder: str, quick: bool) -> Pixels:
    """Photos of the sample catalogue, decoded: uint8 [N, S, S, 3]."""
    files = common.photo_files(common.ROOT / "sample" / folder, 40 if quick else 1000)
    return np.stack([recogniser.prepare(file.read_bytes()).pixels for file in files])


def embed(see: See, pixels: Pixels) -> np.ndarray:
    """Photo vectors [N, dim]."""
    with torch.inference_mode():
        return torch.cat([see(pixels[at : at + 8]) for at in range(0, len(pixels), 8)]).float().numpy()


def accuracy(vectors: list[np.ndarray], wanted: list[np.ndarray]) -> dict[str, float]:
    """How far the vectors are from float32's, and what that changes for a search among the stored photos."""
    (stored, asked), (right_stored, right) = vectors, wanted
    changed = (asked @ stored.T).argmax(1) != (right @ right_stored.T).argmax(1)
    return {"least_cosine": float((asked * right).sum(1).min()), "first_changed": int(changed.sum()), "of": len(asked)}


def speed(see: See, pixels: Pixels, quick: bool) -> dict[str, dict[str, float]]:
    """The fastest of several goes: photos a second, and CPU milliseconds a photo."""
    speeds, cpu = {}, {}
    for batch in BATCHES:
        part = pixels[:batch]
        with torch.inference_mode():
            see(part)
            goes = [timed(see, part) for _ in range(5 if quick else max(10, 400 // batch))]
        speeds[str(batch)] = round(batch / min(wall for wall, _ in goes), 1)
        cpu[str(batch)] = round(1000 * min(busy for _, busy in goes) / batch, 2)
    return {"photos_per_second": speeds, "cpu_ms_per_photo": cpu}


def timed(see: See, part: Pixels) -> tuple[float, float]:
    started, busy = time.perf_counter(), time.process_time()
    see(part)
    return time.perf_counter() - started, time.process_time() - busy


if __name__ == "__main__":
    main()
