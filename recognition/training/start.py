"""The network before its first step: starting weights, and a projection that already finds products.

The projection starts as the principal components of the starting features of the training photos, each divided by the
square root of its spread (half whitening): retrieval is then as good as with the raw features from the first step on,
and fine-tuning has a good place to stay close to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from recognition._torchvision import get_model, get_model_weights
from recognition.bundle import LabelSet, Preprocessing, load_bundle
from recognition.fusion import ProductEncoder
from recognition.training.augment import middle_square
from recognition.training.cache import Cache
from recognition.training.errors import DataError

DEFAULT_WEIGHTS = "DEFAULT"


def is_bundle(weights: str) -> bool:
    """Whether the starting weights are a bundle: everything of it is trained further, the projection too."""
    return weights != DEFAULT_WEIGHTS and Path(weights).is_dir()


def start_model(arch: str, dim: int, weights: str, labels: Mapping[str, LabelSet] | None = None) -> ProductEncoder:
    """A model with a trained backbone and a classifier for each label set.

    `weights`: a safetensors file, a bundle's folder (everything of it is taken over, but for classifiers of other
    labels), or "DEFAULT" to download torchvision's own. Raises DataError where they do not fit the network.
    """
    model = ProductEncoder(arch, dim, labels)
    if is_bundle(weights):
        _take_over(model, Path(weights))
        return model
    backbone = model.image.backbone
    if weights == DEFAULT_WEIGHTS:
        tensors = get_model(arch, weights=weights).state_dict()
    else:
        try:
            tensors = {name: tensor.float() for name, tensor in load_file(Path(weights)).items()}
        except (OSError, SafetensorError) as error:
            raise DataError(f"The starting weights {weights} cannot be read: {error}.") from error
    _fill(backbone, tensors, weights, arch)
    return model


def _take_over(model: ProductEncoder, folder: Path) -> None:
    bundle = load_bundle(folder)
    tensors = {name: tensor.float() for name, tensor in load_file(bundle.weights_path).items()}
    known = [
        name
        for name, labels in model.label_sets.items()
        if name in bundle.labels and bundle.labels[name].names == labels.names
    ]
    heads = [f"heads.{kind}.{name}" for name in known for kind in ("fine", "coarse")]
    modules = dict(model.named_modules())
    for part in ("image", "text", "gate", *(head for head in heads if head in modules)):
        own = {name.removeprefix(f"{part}."): each for name, each in tensors.items() if name.startswith(f"{part}.")}
        _fill(modules[part], own, str(folder), "that was asked for")


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], weights: str, arch: str) -> None:
    expected = module.state_dict()
    fitting = {name: tensor for name, tensor in tensors.items() if name in expected}
    missing = {name for name in expected if not name.endswith("num_batches_tracked")} - set(fitting)
    if missing or any(expected[name].shape != tensor.shape for name, tensor in fitting.items()):
        raise DataError(f"The starting weights {weights} do not fit the network {arch}.")
    module.load_state_dict(fitting, strict=False)


def start_preprocessing(arch: str, weights: str, size: int) -> Preprocessing:
    """What the starting weights expect: the bundle's or torchvision's own statistics, or [-1, 1] for a file."""
    if weights == DEFAULT_WEIGHTS:
        look = get_model_weights(arch).DEFAULT.transforms()
        return Preprocessing(size=size, mean=tuple(look.mean), std=tuple(look.std))
    if is_bundle(weights):
        return replace(load_bundle(Path(weights)).preprocessing, size=size)
    return Preprocessing(size=size)


def start_projection(model: ProductEncoder, cache: Cache, rows: Sequence[int], look: Preprocessing) -> None:
    """Set the projection from the features of these cached photos (half-whitened principal components)."""
    features = photo_features(model.image.backbone, cache, rows, look)
    units = functional.normalize(features.double(), dim=-1)
    mean = units.mean(0)
    _, spread, components = torch.linalg.svd(units - mean, full_matrices=False)
    dim = model.image.projection.out_features
    if len(spread) < dim:  # fewer photos than dimensions: the rest keeps its random start, small
        return
    matrix = components[:dim] / spread[:dim, None].sqrt()
    matrix = matrix / matrix.norm(dim=1).mean()
    with torch.no_grad():
        model.image.projection.weight.copy_(matrix)
        model.image.projection.bias.copy_(-(matrix @ mean))


def photo_features(backbone: nn.Module, cache: Cache, rows: Sequence[int], look: Preprocessing) -> Tensor:
    """Pooled features float32 [N, F], on the CPU, of the middle squares of cached photos: what serving would see."""
    device = next(backbone.parameters()).device
    mean, std = (torch.tensor(value)[None, :, None, None] for value in (look.mean, look.std))
    training, parts = backbone.training, []
    with torch.inference_mode():
        for at in range(0, len(rows), 32):
            chosen = list(rows[at : at + 32])
            pixels, boxes = torch.from_numpy(cache.pixels[chosen]), torch.from_numpy(cache.boxes[chosen])
            inputs = ((middle_square(pixels, boxes, look.size) - mean) / std).to(device)
            parts.append(backbone.eval()(inputs.contiguous(memory_format=torch.channels_last)).float().cpu())
    backbone.train(training)
    return torch.cat(parts)
