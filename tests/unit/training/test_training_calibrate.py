"""A finished bundle is fitted to other photos: what changes, what stays, what is refused, and what its card says."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

from recognition.bundle import load_bundle, save_bundle
from recognition.recogniser import Recogniser
from recognition.training.__main__ import main
from recognition.training.data import DataSet, read_photos
from recognition.training.label_calibration import fit_labels, judge_labels
from recognition.training.record import contents, read_record
from tests.training_data import shop

LICENCE = ("--licence", "colours=drawn, CC0")


@pytest.fixture(scope="module")
def fitted(folder, small, tmp_path_factory):
    """A bundle that tells three colours, not trained on mirror images, then made too sure; its run is gone."""
    out = tmp_path_factory.mktemp("calibrate") / "tiny"
    assert main(small(f"colours={folder}", out, "--no-mirror", "--epochs", "1", *LICENCE)) == 0
    shutil.rmtree(out.with_name("tiny.run"))
    bundle, tensors = load_bundle(out), load_arrays(out / "weights.safetensors")
    tensors["heads.fine.colours.weight"] *= 40
    save_bundle(bundle, tensors, (out / "card.md").read_text(), out, read_record(out).as_json())
    return out


def command(bundle, out, *more: str) -> list[str]:
    return ["calibrate", "--bundle", str(bundle), "--out", str(out), "--threads", "1", *more]


def told(capsys) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_probabilities_are_those_of_the_photos_and_the_network_stays(fitted, others, tmp_path, capsys):
    assert main(command(fitted, tmp_path / "ours", "--data", f"colours={others}", "--mirrored-views")) == 0
    before, after = load_bundle(fitted), load_bundle(tmp_path / "ours")
    assert (before.mirrored, after.mirrored, after.version) == (False, True, "tiny")
    one, two = load_file(before.weights_path), load_file(after.weights_path)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    recogniser = Recogniser.load(tmp_path / "ours", threads=1)
    photos = read_photos([DataSet("colours", others)])
    judged = judge_labels(recogniser, photos)["colours"]
    pixels = np.stack([recogniser.prepare(photo.path.read_bytes()).pixels for photo in judged.photos])
    both = (_scores(recogniser, pixels) + _scores(recogniser, np.ascontiguousarray(pixels[:, :, ::-1]))) / 2
    torch.testing.assert_close(judged.fine, both, atol=1e-4, rtol=1e-4)
    again = fit_labels(before.labels["colours"], judged.where([photo.role == "calibrate" for photo in judged.photos]))
    known = after.labels["colours"]
    assert (known.temperature, known.known) == pytest.approx((again.temperature, again.known), abs=1e-3)
    assert known != before.labels["colours"]
    assert after.metrics["measured_on"] == "tiny" and after.metrics["labels"]["colours"]["report"]["photos"] == 3
    assert "does not say which photos" not in told(capsys)


def _scores(recogniser, pixels):
    with torch.inference_mode():
        return recogniser.model.heads.fine["colours"](recogniser._see(pixels).features.float())


def test_the_card_and_the_record_tell_it(fitted, others, tmp_path):
    assert main(command(fitted, tmp_path / "ours", "--data", f"colours={others}", "--mirrored-views")) == 0
    before, after = (folder.joinpath("card.md").read_text() for folder in (fitted, tmp_path / "ours"))
    assert "Labels are judged by the photo and its mirror image" in after and "mirror image" not in before
    assert "| colours: drawn, CC0 | 18 | 0 | 3 | 3 |" in before and "trained on" in before
    assert after.partition("## Measured")[0] == before.partition("## Measured")[0]
    assert read_record(tmp_path / "ours") == read_record(fitted)


def test_photos_that_were_trained_on_are_refused(fitted, folder, tmp_path, capsys):
    """Cross-validation reports others than those that this bundle held out."""
    given = ["--data", f"colours={folder}", "--fold", "1/4"]
    assert main(command(fitted, tmp_path / "ours", *given)) == 2
    assert "error: The bundle was trained on 3 of the photos held out here: " in told(capsys)
    assert not (tmp_path / "ours").exists()
    assert main(command(fitted, tmp_path / "ours", "--data", f"colours={folder}")) == 0


def test_a_bundle_without_a_record_says_so_and_keeps_its_card(fitted, others, tmp_path, capsys):
    shutil.copytree(fitted, tmp_path / "old")
    (tmp_path / "old" / "record.json").unlink()
    assert main(command(tmp_path / "old", tmp_path / "ours", "--data", f"colours={others}")) == 0
    assert "note: the bundle does not say which photos it was trained on." in told(capsys)
    before, after = (read_record(tmp_path / name) for name in ("old", "ours"))
    assert before == after and before.trained_on is None
    assert after.photos == {"colours": {"train": 18, "gallery": 0, "calibrate": 3, "report": 3}}
    assert after.training == read_record(fitted).training


def test_what_a_bundle_was_trained_on_is_on_record(fitted, folder):
    record = read_record(fitted)
    photos = read_photos([DataSet("colours", folder)])
    assert record.trained_on == contents(photo.path for photo in photos if photo.role == "train")
    assert len(record.trained_on) == 18
    facts = json.loads((fitted / "record.json").read_text())
    assert str(folder) not in json.dumps(facts)


def test_verdicts_are_fitted_to_a_shop_and_labels_stay(fitted, tmp_path):
    data = shop(tmp_path / "shops", "corner")
    assert main(command(fitted, tmp_path / "ours", "--data", str(data), "--version", "corner")) == 0
    before, after = load_bundle(fitted), load_bundle(tmp_path / "ours")
    assert after.version == "corner" and after.labels == before.labels
    assert after.calibration.calibrated and after.calibration != before.calibration
    assert after.metrics["decisions"]["known"]["queries"] > 0 and after.metrics["labels"] == {}
    assert "| shops: licence not stated | 0 | 18 | " in (tmp_path / "ours" / "card.md").read_text()


@pytest.mark.parametrize("given", ["shops", "shops=", "other=CC0", "shops=a\nb"])
def test_a_licence_of_no_data_set(fitted, toys, tmp_path, capsys, given):
    assert main(command(fitted, tmp_path / "ours", "--data", f"shops={toys}", "--licence", given)) == 2
    assert "NAME=TEXT is what it wants, NAME that of a data set." in told(capsys)
    assert not (tmp_path / "ours").exists()


def test_photos_that_show_nothing_of_the_bundle(fitted, others, tmp_path, capsys):
    assert main(command(fitted, tmp_path / "ours", "--data", f"others={others}", "--kinds", "others")) == 2
    nothing = "Nothing of tiny can be fitted to these photos: none is held out to calibrate whose label it knows (its "
    assert f"{nothing}label sets are colours; --data NAME=PATH names one) or whose product" in told(capsys)
    assert not (tmp_path / "ours").exists()


def test_what_sure_is_to_mean_has_its_limits(fitted, toys, folder, tmp_path, capsys):
    given = ["--data", f"shops={toys}", "--data", f"colours={folder}", "--own-shop"]
    assert main(command(fitted, tmp_path / "ours", *given)) == 2
    assert "--own-shop is for the photos of one shop; here photos are stored of colours, shops." in told(capsys)
    assert main(command(fitted, tmp_path / "ours", *given[:2], "--sure-precision", "95")) == 2
    assert "--sure-precision 95.0: a share between 0 and 1" in told(capsys)
    assert not (tmp_path / "ours").exists()
    assert main(command(fitted, tmp_path / "ours", *given[:2], "--own-shop", "--sure-precision", "0.4")) == 0


def test_other_views_need_photos_of_every_label_set(fitted, tmp_path, capsys):
    data = shop(tmp_path / "shops", "corner")
    assert main(command(fitted, tmp_path / "ours", "--data", str(data), "--mirrored-views")) == 2
    assert "error: No photo is held out to calibrate colours: its probabilities would not hold" in told(capsys)
    assert not (tmp_path / "ours").exists()
