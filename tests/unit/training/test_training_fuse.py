"""Words and gate trained again on a finished run: the photo's network and the labels stay, the fused vectors move."""

import pytest
import torch
from safetensors.torch import load_file

from recognition.bundle import load_bundle
from recognition.training import fuse
from recognition.training.__main__ import main
from tests.training_data import balls


@pytest.fixture(scope="module")
def fitted(toys, small, tmp_path_factory):
    """The bundle of a tiny shop; its run lies beside it."""
    out = tmp_path_factory.mktemp("fitted") / "tiny"
    assert main(small(toys, out)) == 0
    return out


def command(run, data, out) -> list[str]:
    return ["fuse", "--run", str(run), "--data", str(data), "--out", str(out), "--threads", "1"]


def test_only_words_and_gate_change_and_the_bundle_is_measured(fitted, toys, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuse, "STEPS", 100)
    assert main(command(fitted.with_name("tiny.run"), toys, tmp_path / "fused")) == 0
    assert "step 100/100  stored " in capsys.readouterr().out
    before, after = (load_file(load_bundle(each).weights_path) for each in (fitted, tmp_path / "fused"))
    assert before.keys() == after.keys()
    changed = {name.partition(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"text", "gate"}
    bundle = load_bundle(tmp_path / "fused")
    assert bundle.metrics["measured_on"] == "fused"
    assert bundle.calibration.calibrated
    assert bundle.metrics.keys() == load_bundle(fitted).metrics.keys() >= {"retrieval", "words", "decisions"}


def test_it_can_be_repeated(fitted, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(fuse, "STEPS", 5)
    for name in ("one", "two"):
        assert main(command(fitted.with_name("tiny.run"), toys, tmp_path / name)) == 0
    one, two = (load_bundle(tmp_path / name).weights_sha256 for name in ("one", "two"))
    assert one == two


def test_a_run_without_products_has_nothing_to_fuse(small, tmp_path, capsys):
    data = balls(tmp_path / "balls")
    assert main(small(data, tmp_path / "bundle", "--kinds", "balls")) == 0
    assert main(command(tmp_path / "bundle.run", data, tmp_path / "fused")) == 2
    assert "Fewer than two products with a text are there to train on" in capsys.readouterr().out


def test_a_folder_without_a_run(toys, tmp_path, capsys):
    assert main(command(tmp_path, toys, tmp_path / "fused")) == 2
    assert "holds no run with a finished epoch." in capsys.readouterr().out
