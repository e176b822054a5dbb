"""Fixtures of the training tests: one thread, starting weights that know nothing, and drawn data."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.training_data import balls, shop, untrained_weights


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors on threads that wait for each other are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_weights(tmp_path_factory.mktemp("weights") / "mobilenet_v3_small.safetensors")


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shops with one shop in it."""
    return shop(tmp_path_factory.mktemp("shops"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos, three labels of eight."""
    return balls(tmp_path_factory.mktemp("folder") / "balls")


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other photos of the same labels."""
    return balls(tmp_path_factory.mktemp("others") / "balls", seed=5000)


@pytest.fixture(scope="session")
def small(weights: Path) -> Callable[..., list[str]]:
    """The arguments of a tiny `fit`: two epochs of photos of 64 px."""

    def arguments(data: Path | str, out: Path, *more: str) -> list[str]:
        return [
            *("fit", "--data", str(data), "--weights", str(weights), "--out", str(out), "--device", "cpu"),
            *("--arch", "mobilenet_v3_small", "--size", "64", "--epochs", "2", "--batch", "8", "--threads", "1"),
            *more,
        ]

    return arguments
