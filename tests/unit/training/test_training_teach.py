"""The classifiers of a finished bundle learn the photos held out until then: what changes, what stays, what is told."""

import pytest
import torch
from safetensors.torch import load_file

from recognition.bundle import load_bundle
from recognition.recogniser import Recogniser
from recognition.training import teach
from recognition.training.__main__ import main
from recognition.training.data import DataSet, read_photos
from recognition.training.label_calibration import judge_labels
from recognition.training.record import contents, read_record


@pytest.fixture(scope="module")
def fitted(folder, small, tmp_path_factory):
    """A bundle that tells three colours."""
    out = tmp_path_factory.mktemp("teach") / "tiny"
    assert main(small(f"colours={folder}", out, "--epochs", "1")) == 0
    return out


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(teach, "STEPS", 60)


def command(name, bundle, data, out, *more: str) -> list[str]:
    return [name, "--bundle", str(bundle), "--data", data, "--out", str(out), "--threads", "1", *more]


def test_only_the_classifiers_learn_and_are_judged_before(fitted, others, tmp_path, capsys):
    data = f"colours={others}"
    assert main(command("teach", fitted, data, tmp_path / "taught")) == 0
    held = [photo for photo in read_photos([DataSet("colours", others)]) if photo.role in ("train", "calibrate")]
    assert f"colours: taught {len(held)} photos" in capsys.readouterr().out
    before, after = load_bundle(fitted), load_bundle(tmp_path / "taught")
    one, two = load_file(before.weights_path), load_file(after.weights_path)
    assert one.keys() == two.keys()
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed == {"heads.fine.colours.weight", "heads.fine.colours.bias"}
    assert (after.version, after.thresholds, after.calibration) == ("tiny", before.thresholds, before.calibration)
    # Temperatures and figures are those that the bundle earns with these photos before it learns them.
    assert main(command("calibrate", fitted, data, tmp_path / "judged")) == 0
    judged = load_bundle(tmp_path / "judged")
    assert after.labels == judged.labels
    figures = {name: roles["calibrate"] for name, roles in judged.metrics["labels"].items()}
    assert {name: roles["calibrate"] for name, roles in after.metrics["labels"].items()} == figures


def test_what_was_taught_is_told_better(fitted, others, tmp_path):
    assert main(command("teach", fitted, f"colours={others}", tmp_path / "taught")) == 0
    photos = read_photos([DataSet("colours", others)])

    def loss(folder):
        judged = judge_labels(Recogniser.load(folder, threads=1), [each for each in photos if each.role == "calibrate"])
        return float(torch.nn.functional.cross_entropy(judged["colours"].fine, judged["colours"].truth))

    assert loss(tmp_path / "taught") < loss(fitted)


def test_card_and_record_tell_it_and_nobody_measures_by_it_again(fitted, others, tmp_path, capsys):
    assert main(command("teach", fitted, f"colours={others}", tmp_path / "taught", "--version", "tiny-2")) == 0
    photos = read_photos([DataSet("colours", others)])
    learnt = contents(photo.path for photo in photos if photo.role in ("train", "calibrate"))
    before, record = read_record(fitted), read_record(tmp_path / "taught")
    assert record.trained_on == before.trained_on | learnt
    card = " ".join((tmp_path / "taught" / "card.md").read_text().split())
    assert "# Bundle tiny-2 " in card
    assert f"The classifiers were then taught alone (`teach`): {len(learnt)} photos of colours" in card
    assert "sibling `tiny before teach` (same settings) had held out" in card
    capsys.readouterr()
    assert main(command("calibrate", tmp_path / "taught", f"colours={others}", tmp_path / "no")) == 2
    assert "The bundle was trained on" in capsys.readouterr().out
    assert not (tmp_path / "no").exists()


def test_a_label_set_without_held_out_photos_is_refused(fitted, others, tmp_path, capsys):
    assert main(command("teach", fitted, f"things={others}", tmp_path / "no")) == 2
    told = " ".join(capsys.readouterr().out.split())
    assert "No photo is held out to calibrate colours: what it learns could not be judged." in told
    assert not (tmp_path / "no").exists()
