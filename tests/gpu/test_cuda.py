"""The model on CUDA: the vectors of the CPU within what bfloat16 rounds off, and batches that do not fit are halved."""

import numpy as np
import pytest
import torch

from recognition.recogniser import Recogniser
from recognition.text import ProductText
from tests.worker import bundle_folder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

TEXTS = [ProductText(f"thing {number}", price=1.0 + number, currency="EUR") for number in range(12)]


@pytest.fixture(scope="module")
def pixels():
    coarse = np.random.default_rng(1).integers(0, 256, (12, 8, 8, 3), np.uint8)
    return coarse.repeat(24, 1).repeat(24, 2)


@pytest.fixture(scope="module")
def expected(pixels):
    return Recogniser.load(bundle_folder(), device="cpu").forward(pixels, TEXTS)


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.9999), ("auto", 0.98)])
def test_cuda_gives_the_vectors_of_the_cpu(pixels, expected, precision, least):
    on_cuda = Recogniser.load(bundle_folder(), device="cuda", precision=precision)
    assert (on_cuda.lanes, on_cuda.batches) == (1, True)
    found = on_cuda.forward(pixels, TEXTS)
    for name in ("image", "fused"):
        assert (getattr(found, name) * getattr(expected, name)).sum(1).min() > least


def test_a_batch_that_does_not_fit_is_halved(pixels, monkeypatch):
    on_cuda = Recogniser.load(bundle_folder(), device="cuda")
    whole, sizes, see = on_cuda.look(pixels), [], on_cuda._see

    def crowded(some):
        sizes.append(len(some))
        if len(some) > 3:
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
        return see(some)

    monkeypatch.setattr(on_cuda, "_see", crowded)
    halves = on_cuda.look(pixels)
    assert sizes == [12, 6, 3, 3, 6, 3, 3]
    assert (halves.image * whole.image).sum(1).min() > 0.999
