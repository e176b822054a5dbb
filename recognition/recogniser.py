"""The model at work: prepare (CPU threads), forward (the device), vectors out; called by a worker, feeds the index.

`prepare` decodes one photo and may run in any number of threads while `look` keeps the device busy with the photos
before. `look` and `forward` belong to as many threads at a time as `lanes` says. Pixels travel as uint8 and are
normalised on the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from recognition import photos
from recognition.boxes import areas, as_box, letterbox, middle_square, square_round, to_photo
from recognition.bundle import Bundle, Subject, load_bundle
from recognition.containment import Decoder
from recognition.errors import BundleError
from recognition.fusion import ProductEncoder
from recognition.labels import LabelOdds, label_odds
from recognition.photos import Box, DecodedPhoto, PhotoLimits
from recognition.proposals import Proposals, best_of, proposals_of
from recognition.runtime import Network, OnnxRuntime, Seen, fastest, on_device
from recognition.text import ProductText, encode_texts

Vectors = NDArray[np.float32]

_WARM_UP_BATCHES = (1, 8, 32)
_MOST_ITEMS = 24  # of one photo
_LIMITS = PhotoLimits()


@dataclass(frozen=True, eq=False)
class Looks:
    """What N photos show: `image`, unit vectors float32 [N, dim].

    `subject` float32 [N, 5]: the best-placed thing of each photo (left, top, right, bottom in parts of the pixels that
    were shown, and its score); all of them with the score 0 where the bundle cannot find things, or nobody asked.
    """

    image: Vectors
    subject: Vectors


@dataclass(frozen=True, eq=False)
class Embeddings(Looks):
    """The same, and the unit vectors float32 [N, dim] of photo, words and price together."""

    fused: Vectors


class Recogniser:
    """A loaded bundle on one device. `decoder` decodes: here, or where it can do no harm (`containment.Decoders`)."""

    def __init__(
        self,
        bundle: Bundle,
        model: ProductEncoder,
        device: torch.device,
        dtype: torch.dtype,
        decoder: Decoder = photos,
    ) -> None:
        self.bundle = bundle
        self.decoder = decoder
        self.device = device
        self.dtype = dtype
        self.model = model.eval().requires_grad_(False).to(device)
        self.model.image.fold(dtype)
        look = bundle.preprocessing
        self.threads = torch.get_num_threads()  # what runs the network has so many
        self._network = Network(self.model, look, dtype).to(device)
        self._see = fastest(self._network, device=device, size=look.size)

    @property
    def lanes(self) -> int:
        """So many threads may run the network at once, and keep the device busy if they do."""
        return self._see.lanes

    @property
    def batches(self) -> bool:
        """Whether the device sees several photos faster together than one by one."""
        return self._see.batches

    @classmethod
    def load(
        cls,
        bundle_dir: Path,
        *,
        device: str = "auto",
        threads: int | None = None,
        precision: str = "auto",
        decoder: Decoder = photos,
    ) -> "Recogniser":
        """Load and verify a bundle. Raises BundleError where it must not be served.

        `device`: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1"… `threads`: CPU threads of torch for the
        whole process (cores divided by worker processes). `precision`: "auto" (bfloat16 on CUDA that
        has it), "float32" or "bfloat16".
        """
        if threads is not None:
            torch.set_num_threads(threads)
        bundle = load_bundle(bundle_dir)
        model = load_model(bundle)
        place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        dtype = _best_dtype(place) if precision == "auto" else getattr(torch, precision)
        return cls(bundle, model, place, dtype, decoder)

    def prepare(self, data: bytes, region: Box | None = None, limits: PhotoLimits = _LIMITS) -> DecodedPhoto:
        """Decode one photo as this bundle wants it; thread-safe. Raises PhotoError."""
        look = self.bundle.preprocessing
        return self.decoder.decode_photo(data, size=look.size, crop=look.crop, region=region, limits=limits)

    def prepare_whole(self, data: bytes, limits: PhotoLimits = _LIMITS) -> DecodedPhoto:
        """Decode all of one photo as `propose` wants it: a letterbox; thread-safe. Raises PhotoError, ValueError."""
        return self.decoder.decode_whole(data, size=self._finder.side, limits=limits)

    def prepare_regions(
        self, data: bytes, regions: Sequence[Box], limits: PhotoLimits = _LIMITS
    ) -> list[NDArray[np.uint8]]:
        """Cut regions out of one photo as `forward` wants them; thread-safe. Raises PhotoError."""
        look = self.bundle.preprocessing
        return self.decoder.decode_regions(data, regions, size=look.size, crop=look.crop, limits=limits)

    def look(self, pixels: NDArray[np.uint8], *, subject: bool = True) -> Looks:
        """Pixels uint8 [N, S, S, 3] to the vectors of the photos alone and, where asked for, their main subjects.

        Out of device memory halves the batch and goes on; it is raised only when a single photo does not fit.
        """
        if not len(pixels):
            return Looks(np.zeros((0, self.bundle.dim), np.float32), np.zeros((0, 5), np.float32))
        return Looks(*_in_halves(lambda part: self._look(pixels[part], subject), len(pixels)))

    def forward(self, pixels: NDArray[np.uint8], texts: Sequence[ProductText | None]) -> Embeddings:
        """Pixels uint8 [N, S, S, 3] and N texts (None: not known) to all vectors. Memory as in `look`."""
        if len(pixels) != len(texts):
            raise ValueError(f"{len(pixels)} photos came with {len(texts)} texts")
        looks = self.look(pixels)
        return Embeddings(looks.image, looks.subject, self.fuse(looks.image, texts))

    def propose(self, pixels: NDArray[np.uint8]) -> list[Proposals]:
        """Whole photos uint8 [N, side, side, 3] (`prepare_whole`) to the things found in each, in parts of the square.

        Raises ValueError for a bundle without a head that finds things.
        """
        finder = self._finder
        with torch.inference_mode():
            logits, boxes = self._things_of(self._see(pixels))
        found = proposals_of(logits, boxes, least=finder.score, overlap=finder.overlap, limit=_MOST_ITEMS)
        return list(found)

    def fuse(self, image: Vectors, texts: Sequence[ProductText | None]) -> Vectors:
        """Photo vectors [N, dim], as `look` made them now or once, and their products' texts of today (None: not known)
        to fused vectors [N, dim]."""
        if not len(image):
            return np.zeros((0, self.bundle.dim), np.float32)
        with torch.inference_mode():
            fused, _ = self.model.fuse(torch.from_numpy(image).to(self.device), encode_texts(texts).to(self.device))
        return _to_numpy(fused)

    def forward_text(self, texts: Sequence[ProductText]) -> Vectors:
        """Words (and prices) alone to unit vectors [N, dim] comparable with `fused`; zeros where a text is empty."""
        if not texts:
            return np.zeros((0, self.bundle.dim), np.float32)
        with torch.inference_mode():
            fused, _ = self.model.fuse(None, encode_texts(texts).to(self.device))
        return _to_numpy(fused)

    def classify(self, pixels: NDArray[np.uint8]) -> dict[str, LabelOdds]:
        """Pixels uint8 [N, S, S, 3] to the probabilities of every label set of the bundle, by its name."""
        scores = self.label_scores(pixels)
        return {name: label_odds(scores[name], known) for name, known in self.bundle.labels.items()}

    def label_scores(self, pixels: NDArray[np.uint8]) -> dict[str, Tensor]:
        """Pixels uint8 [N, S, S, 3] to the scores of each set's fine classifier [N, L], which `classify` judges by."""
        with torch.inference_mode():
            features = self.label_features(pixels)
            return {name: self.model.heads.fine[name](features) for name in self.bundle.labels}

    def label_features(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Pixels uint8 [N, S, S, 3] to what the classifiers are shown of each photo, float32 [N, F].

        Classifiers are linear: the mean of the features of a photo and its mirror image has the mean of their scores.
        """
        with torch.inference_mode():
            features = self._see(pixels).features.float()
            if self.bundle.mirrored:
                features = (features + self._see(np.ascontiguousarray(pixels[:, :, ::-1])).features.float()) / 2
            return features

    def cut_round(self, found: Vectors, width: int, height: int) -> Box:
        """The square to cut out of a photo (its upright size in pixels) for one row of `Embeddings.subject`."""
        frame = middle_square(width, height, self.bundle.preprocessing.crop)
        (box,) = to_photo(found[None, :4], frame)
        return square_round(as_box(box), width, height, self._finder.margin)

    def main_subject(self, found: Vectors, width: int, height: int) -> Box | None:
        """The square round a photo's main subject, where that is small and sure; None: look at the whole photo."""
        finder = self.bundle.subject
        if finder is None or found[4] < finder.sure or areas(found[None, :4])[0] > finder.small:
            return None
        return self.cut_round(found, width, height)

    def things(self, found: Proposals, width: int, height: int, region: Box | None = None) -> list[tuple[Box, Box]]:
        """What `propose` found, in the photo (its upright size in pixels): each thing's box, and the square to cut out.

        With a `region`, only things whose middle lies in it.
        """
        boxes = [as_box(box) for box in to_photo(found.boxes, letterbox(width, height))]
        inside = [box for box in boxes if region is None or _middle_in(box, region)]
        return [(box, square_round(box, width, height, self._finder.margin)) for box in inside]

    def leave_cores_free(self) -> None:
        """For a process that only serves: one thread for PyTorch where ONNX Runtime runs the network. What is left to
        it is too small to share, and threads of its own that wait for work spin on cores that others need."""
        if isinstance(self._see, OnnxRuntime):
            torch.set_num_threads(1)

    def warm_up(self) -> None:
        """Run the batch sizes that will be served once, so that the first request does not pay for it."""
        size = self.bundle.preprocessing.size
        for count in _WARM_UP_BATCHES:
            self.forward(np.zeros((count, size, size, 3), np.uint8), [ProductText(title="warm up", price=1.0)] * count)

    def pixels_to_input(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Pixels uint8 [N, S, S, 3] to the backbone's input [N, 3, S, S] on the device, normalised, channels last."""
        return self._network.normalised(on_device(pixels, self.device))

    @property
    def _finder(self) -> Subject:
        if self.bundle.subject is None:
            raise ValueError(f"the bundle {self.bundle.version} has no head that finds things")
        return self.bundle.subject

    def _look(self, pixels: NDArray[np.uint8], subject: bool) -> tuple[Vectors, ...]:
        with torch.inference_mode():
            seen = self._see(pixels)
            found = (
                best_of(*self._things_of(seen)) if subject and seen.grid is not None else torch.zeros(len(pixels), 5)
            )
        return _to_numpy(seen.vectors), _to_numpy(found)

    def _things_of(self, seen: Seen) -> tuple[Tensor, Tensor]:
        """The scores and boxes of a network that has a head for them."""
        return self.model.subject.read(seen.grid)  # type: ignore[union-attr, arg-type]  # whoever asks has looked


def load_model(bundle: Bundle) -> ProductEncoder:
    """The network of a bundle, filled with its tensors, on the CPU. Raises BundleError where they do not fit it."""
    model, path = ProductEncoder(bundle.arch, bundle.dim, bundle.labels, bundle.subject), bundle.weights_path
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise BundleError(f"{path} is no safetensors file: {error}.") from error
    expected = {name: tensor.shape for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        raise BundleError(f"The tensors of {path} do not fit the network that the bundle names.")
    model.load_state_dict(tensors, strict=False)
    return model


def _middle_in(box: Box, region: Box) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return region[0] <= x <= region[2] and region[1] <= y <= region[3]


def _best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on CUDA that has it; float32 elsewhere.

    On a CPU bfloat16 would take the network away from ONNX Runtime, which is faster in float32, on processors with
    matrix units (AMX) as well (docs/decisions/engine.md).
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if able else torch.float32


def _in_halves(run: Callable[[slice], tuple[Vectors, ...]], count: int, start: int = 0) -> tuple[Vectors, ...]:
    """Run `count` items from `start` as one batch, or, where memory does not suffice, as two halves."""
    try:
        return run(slice(start, start + count))
    except RuntimeError as error:
        if count == 1 or not _out_of_memory(error):
            raise
    half = count // 2
    left, right = _in_halves(run, half, start), _in_halves(run, count - half, start + half)
    return tuple(np.concatenate(parts) for parts in zip(left, right, strict=True))


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def _to_numpy(vectors: Tensor) -> Vectors:
    return vectors.float().cpu().numpy()
