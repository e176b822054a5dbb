"""A bundle on disk: what is written is read again, and nothing damaged or foreign is ever served."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from recognition.bundle import Bundle, LabelSet, Preprocessing, SimilarityWeights, load_bundle, save_bundle
from recognition.decide import Calibration, Thresholds
from recognition.errors import BundleError

BUNDLE = Bundle(
    version="2026-01-01-test",
    arch="mobilenet_v2",
    preprocessing=Preprocessing(size=64, mean=(0.1, 0.2, 0.3)),
    similarity=SimilarityWeights(0.25, 0.75),
    thresholds=Thresholds(sure=0.8),
    calibration=Calibration(calibrated=True, intercept=-1.5),
    labels={"grocery": LabelSet(("Äpple", "苹果", "Leek"), ("Fruit", "Vegetable"), (0, 0, 1), 1.5, 0.2)},
    metrics={"retrieval": {"grocery": {"recall@1": 0.5}}},
)
TENSORS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array([7], np.int64)}


@pytest.fixture
def folder(tmp_path):
    save_bundle(BUNDLE, TENSORS, "# Card\n", tmp_path / "bundles" / "default")
    return tmp_path / "bundles" / "default"


def refused(folder, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence) as caught:
        load_bundle(folder)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def change(folder, **values) -> None:
    path = folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_round_trip(folder):
    bundle = load_bundle(folder)
    assert len(bundle.weights_sha256) == 64
    assert bundle.weights_path == folder / "weights.safetensors"
    for name in ("version", "arch", "dim", "preprocessing", "similarity", "thresholds", "calibration", "labels"):
        assert getattr(bundle, name) == getattr(BUNDLE, name)
    assert bundle.metrics == BUNDLE.metrics
    assert (folder / "card.md").read_text() == "# Card\n"


def test_mirror_images_are_told_only_where_they_are_seen(folder):
    """A release that does not know them reads every other bundle."""
    assert "mirrored" not in json.loads((folder / "bundle.json").read_text())
    assert load_bundle(folder).mirrored is False
    save_bundle(replace(BUNDLE, mirrored=True), TENSORS, "", folder)
    assert json.loads((folder / "bundle.json").read_text())["mirrored"] is True
    assert load_bundle(folder).mirrored is True
    change(folder, mirrored="yes")
    refused(folder, "mirrored is 'yes', neither true nor false")


def test_files_can_be_read_by_others_and_nothing_else_is_left(folder):
    assert sorted(path.name for path in folder.parent.iterdir()) == ["default"]
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "weights.safetensors": 0o644,
        "bundle.json": 0o644,
        "card.md": 0o644,
    }


def test_saving_replaces_the_whole_folder(folder):
    (folder / "old.txt").write_text("old")
    save_bundle(Bundle(version="b", arch="resnet18"), TENSORS, "", folder)
    assert load_bundle(folder).version == "b"
    assert not (folder / "old.txt").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["default"]


def test_a_failed_save_leaves_the_old_bundle(folder):
    with pytest.raises(TypeError):
        save_bundle(Bundle(version="b", arch="x", metrics={"bad": object()}), TENSORS, "", folder)
    assert load_bundle(folder).version == BUNDLE.version
    assert [path.name for path in folder.parent.iterdir()] == ["default"]


@pytest.mark.parametrize("name", ["bundle.json", "weights.safetensors"])
def test_missing_files(folder, name):
    (folder / name).unlink()
    refused(folder, name)


def test_no_folder(tmp_path):
    refused(tmp_path / "nowhere", "no bundle")


def test_damaged_weights(folder):
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)
    refused(folder, "checksum")


@pytest.mark.parametrize("version", [0, 1, "2", None])
def test_another_format(folder, version):
    change(folder, format=version)
    refused(folder, "format")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00"])
def test_no_json(folder, text):
    (folder / "bundle.json").write_text(text)
    refused(folder, "bundle.json")


@pytest.mark.parametrize(
    "values",
    [
        {"preprocessing": None},
        {"preprocessing": {"size": 64}},
        {"thresholds": {"unknown": 1}},
        {"calibration": []},
        {"extra": 1},
    ],
)
def test_wrong_fields(folder, values):
    change(folder, **values)
    refused(folder, "incomplete or wrong")


@pytest.mark.parametrize(
    ("part", "values", "sentence"),
    [
        ("thresholds", {"sure": "0.9"}, "thresholds.sure is '0.9', not a finite number from 0 to 1"),
        ("thresholds", {"review": 1.5}, "thresholds.review is 1.5, not a finite number from 0 to 1"),
        ("thresholds", {"same": None}, "thresholds.same is None, not a finite number from -1 to 1"),
        ("thresholds", {"sure_by_category": {"Tea": True}}, "thresholds.sure_by_category is True, not a finite number"),
        ("preprocessing", {"size": -5}, "preprocessing.size is -5, not a whole number from 1 to 65536"),
        ("preprocessing", {"size": 64.5}, "preprocessing.size is 64.5, not a whole number"),
        ("preprocessing", {"std": [0.5, 0, 0.5]}, "preprocessing.std is 0, not a finite number above 0"),
        ("calibration", {"margin": float("nan")}, "calibration.margin is nan, not a finite number"),
        ("calibration", {"calibrated": 1}, "calibration.calibrated is 1, neither true nor false"),
        ("similarity", {"fused": -0.5}, "similarity.fused is -0.5, not a finite number from 0 to 1"),
    ],
)
def test_values_that_no_bundle_has(folder, part, values, sentence):
    facts = json.loads((folder / "bundle.json").read_text())
    change(folder, **{part: facts[part] | values})
    refused(folder, re.escape(sentence))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"dim": 0}, "dim is 0, not a whole number from 1 to 65536"),
        ({"version": 7}, "version is 7, not a text"),
        ({"subject": {"side": 448, "score": 2}}, "subject.score is 2, not a finite number from 0 to 1"),
        ({"labels": {"a": {"fine": ["x"], "coarse": [], "parents": [], "temperature": 0}}},
         "labels.a.temperature is 0, not a finite number above 0"),
    ],
)  # fmt: skip
def test_other_values_that_no_bundle_has(folder, values, sentence):
    change(folder, **values)
    refused(folder, re.escape(sentence))


def test_a_missing_field(folder):
    path = folder / "bundle.json"
    facts = json.loads(path.read_text())
    del facts["arch"]
    path.write_text(json.dumps(facts))
    refused(folder, "arch")


def test_an_unsaved_bundle_has_no_weights():
    with pytest.raises(BundleError, match="never saved"):
        _ = BUNDLE.weights_path
