"""Training from end to end on drawn photos: a real fit, killed and taken up again, exported, loaded and asked."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from recognition.recogniser import Recogniser
from recognition.text import ProductText
from recognition.training.__main__ import main
from recognition.training.cache import open_cache
from recognition.training.data import DataSet, read_photos
from recognition.training.errors import Diverged
from recognition.training.label_calibration import fit_labels, judge_labels
from recognition.training.loop import Run, float_tensors, time_left
from recognition.training.photo_list import as_in_run
from recognition.training.plan import Plan, best_precision
from recognition.training.start import start_model, start_preprocessing
from recognition.training.validate import held_out_score
from tests.training_data import balls, write_table

ROOT = Path(__file__).parents[3]


def facts_of(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


@pytest.fixture(scope="module")
def fitted(toys, small, tmp_path_factory):
    """The bundle of a tiny shop; its run lies beside it."""
    out = tmp_path_factory.mktemp("fitted") / "tiny"
    assert main(small(toys, out)) == 0
    return out


def test_a_run_leaves_one_checkpoint_and_curves(fitted):
    run = fitted.with_name("tiny.run")
    facts = facts_of(run)
    assert (facts["epochs_done"], facts["best"], len(facts["scores"])) == (2, "epoch-2", 2)
    assert [path.name for path in run.glob("epoch-*")] == ["epoch-2"]
    assert list((run / "curves").iterdir())


def test_training_changes_the_weights_and_keeps_the_statistics(fitted):
    run = fitted.with_name("tiny.run")
    start, average = load_file(run / "start.safetensors"), load_file(run / "epoch-2" / "average.safetensors")
    assert start.keys() == average.keys()
    changed = {name for name, tensor in average.items() if not torch.equal(tensor, start[name])}
    assert {"image.projection.weight", "gate.score.0.weight", "text.table.weight"} <= changed
    assert not any(name.endswith(("running_mean", "running_var")) for name in changed)


def test_without_a_rate_the_photos_network_stays(folder, small, tmp_path):
    assert main(small(folder, tmp_path / "bundle", "--backbone-rate", "0")) == 0
    run = tmp_path / "bundle.run"
    start, average = load_file(run / "start.safetensors"), load_file(run / "epoch-2" / "average.safetensors")
    changed = {name.partition(".")[0] for name, tensor in average.items() if not torch.equal(tensor, start[name])}
    assert changed == {"text", "gate", "heads"}
    assert (
        "Words, gate and classifiers trained, the photo's network not: 2" in (tmp_path / "bundle/card.md").read_text()
    )


def test_the_bundle_of_a_shop(fitted, toys):
    recogniser = Recogniser.load(fitted)
    bundle = recogniser.bundle
    assert (bundle.version, bundle.arch, bundle.preprocessing.size) == ("tiny", "mobilenet_v3_small", 64)
    assert bundle.labels == {}
    assert bundle.similarity.image + bundle.similarity.fused == 1.0
    assert 0 < bundle.thresholds.review <= bundle.thresholds.sure <= 1
    decoded = recogniser.prepare((toys / "toys" / "red-0.png").read_bytes())
    assert recogniser.forward(decoded.pixels[None], [ProductText("red ball")]).fused.shape == (1, 256)
    card = (fitted / "card.md").read_text()
    assert "tiny" in card and str(fitted.parent) not in card and str(toys) not in card


def test_a_killed_run_goes_on_and_ends_the_same(fitted, toys, small, tmp_path):
    """Killed after its first checkpoint, the process is started again and ends with the very same weights."""
    arguments = small(toys, tmp_path / "tiny")
    script = (
        "import os, sys; from recognition.training import loop; from recognition.training.__main__ import main\n"
        "save = loop.Run._checkpoint\n"
        "def kill(self):\n    save(self)\n    os.kill(os.getpid(), 9)\n"
        "loop.Run._checkpoint = kill\n"
        "main(sys.argv[1:])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script, *arguments], env=environment, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert facts_of(tmp_path / "tiny.run")["epochs_done"] == 1
    assert not (tmp_path / "tiny").exists()
    assert main(arguments) == 0
    ours, theirs = (
        load_file(path / "epoch-2" / "average.safetensors")
        for path in (tmp_path / "tiny.run", fitted.with_name("tiny.run"))
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)


def test_a_run_from_before_a_setting_existed_goes_on(fitted, toys, small, tmp_path, capsys):
    """Its settings are those that were the only ones then; another value is another run."""
    shutil.copytree(fitted.with_name("tiny.run"), tmp_path / "tiny.run")
    facts = facts_of(tmp_path / "tiny.run")
    del facts["plan"]["mirror"]
    (tmp_path / "tiny.run" / "run.json").write_text(json.dumps(facts))
    assert main(small(toys, tmp_path / "tiny", "--no-mirror")) == 2
    assert main(small(toys, tmp_path / "tiny")) == 0
    assert "2 of 2 epochs are done" in capsys.readouterr().out


def test_a_run_goes_on_on_another_device_in_its_own_precision(fitted, toys, small, tmp_path, capsys):
    """Begun on a GPU and in bfloat16, as runs said it before; "auto" is what it came to then."""
    shutil.copytree(fitted.with_name("tiny.run"), tmp_path / "tiny.run")
    facts = facts_of(tmp_path / "tiny.run")
    assert facts["plan"].pop("precision") == "float32"
    facts["plan"] |= {"device": "cuda:1", "bfloat16": True}
    (tmp_path / "tiny.run" / "run.json").write_text(json.dumps(facts))
    assert main(small(toys, tmp_path / "tiny", "--precision", "float32")) == 2
    assert "holds a run with other settings" in capsys.readouterr().out
    assert main(small(toys, tmp_path / "tiny", "--epochs", "3")) == 0
    plan = facts_of(tmp_path / "tiny.run")["plan"]
    assert (plan["precision"], plan["device"]) == ("bfloat16", "cpu")


def test_precision_where_nobody_chose(monkeypatch):
    """On a CPU with matrix units, whole convolutions are faster in bfloat16 and those of a channel are not."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert [best_precision(arch, cpu) for arch in ("resnet50", "convnext_tiny", "efficientnet_v2_s")] == [
        "bfloat16"
    ] * 3
    assert best_precision("mobilenet_v2", cpu) == "float32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": False})
    assert best_precision("resnet50", cpu) == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert best_precision("mobilenet_v2", torch.device("cuda")) == "bfloat16"


def test_time_left():
    said = [time_left(seconds, epochs) for seconds, epochs in ((90, 0), (5, 2), (90, 3), (1800, 5), (60, 59))]
    assert said == ["", "  <1 min left", "  4 min left", "  2 h 30 min left", "  59 min left"]


@pytest.mark.parametrize("more", [("--seed", "9"), ("--rate", "0.001"), ("--optimiser", "sgd"), ("--batch", "4")])
def test_a_run_of_other_settings_is_not_continued(fitted, toys, small, capsys, more):
    before = facts_of(fitted.with_name("tiny.run"))
    assert main(small(toys, fitted, *more)) == 2
    assert "holds a run with other settings" in capsys.readouterr().out
    assert facts_of(fitted.with_name("tiny.run")) == before


def test_a_run_with_other_photos_is_not_continued(fitted, toys, small, tmp_path, capsys):
    """Held-out products instead of held-out views: the same photos, used for something else."""
    run = shutil.copytree(fitted.with_name("tiny.run"), tmp_path / "tiny.run")
    before = {path: path.read_bytes() for path in run.glob("*.*")}
    assert main(small(f"{toys.name}={toys}", tmp_path / "tiny", "--whole", toys.name)) == 2
    said = capsys.readouterr().out
    assert f"{run} holds a run with other photos: the " in said and "Choose those, or another folder." in said
    assert {path: path.read_bytes() for path in run.glob("*.*")} == before
    assert not (tmp_path / "tiny").exists()
    (run / "photos.csv").unlink()
    assert main(small(toys, tmp_path / "tiny")) == 2
    assert f"{run} does not say which photos its run used: it has no photos.csv." in capsys.readouterr().out


def facts_of_bundle(bundle: Path) -> dict:
    """What a bundle says, but for its name."""
    facts = json.loads((bundle / "bundle.json").read_text())
    assert facts["metrics"].pop("measured_on") == facts.pop("version")
    return facts


def test_export_measures_on_the_photos_that_the_run_held_out(fitted, toys, tmp_path):
    """Whatever its command line says: here that other products are held out, whole."""
    given = ["--data", f"{toys.name}={toys}", "--whole", toys.name, "--threads", "1"]
    assert main(["export", "--run", str(fitted.with_name("tiny.run")), "--out", str(tmp_path / "other"), *given]) == 0
    assert facts_of_bundle(tmp_path / "other") == facts_of_bundle(fitted)
    tables = [(bundle / "card.md").read_text().split("## Training")[0] for bundle in (tmp_path / "other", fitted)]
    assert tables[0].split("used for")[1] == tables[1].split("used for")[1]


def test_export_with_the_figures_of_a_sibling(fitted, toys, tmp_path):
    given = ["--data", f"{toys.name}={toys}", "--threads", "1", "--calibrated-like", str(fitted)]
    assert main(["export", "--run", str(fitted.with_name("tiny.run")), "--out", str(tmp_path / "last"), *given]) == 0
    last, sibling = (json.loads((bundle / "bundle.json").read_text()) for bundle in (tmp_path / "last", fitted))
    assert (last.pop("version"), sibling.pop("version")) == ("last", "tiny")
    assert last == sibling and last["metrics"]["measured_on"] == "tiny"


def test_export_of_a_run_that_held_out_by_look(folder, small, tmp_path):
    given = f"balls={folder}"
    assert main(small(given, tmp_path / "look", "--hold-out", "look", "--epochs", "1")) == 0
    again = ["export", "--run", str(tmp_path / "look.run"), "--out", str(tmp_path / "again"), "--data", given]
    assert main([*again, "--threads", "1"]) == 0
    assert facts_of_bundle(tmp_path / "again") == facts_of_bundle(tmp_path / "look")
    held = [photo.name for photo in read_photos([DataSet("balls", folder)]) if photo.role == "report"]
    reported = facts_of_bundle(tmp_path / "again")["metrics"]["labels"]["balls"]["report"]["photos"]
    assert reported > len(held) == 3


def test_nothing_is_left_to_train_on(small, tmp_path, capsys):
    """All training photos are reported as well: one sentence, and no run."""
    for split in ("train", "test"):
        balls(tmp_path / "data" / split, ("red", "blue"), 2)
    assert main(small(tmp_path / "data", tmp_path / "out")) == 2
    said = capsys.readouterr().out
    assert said.count("not trained on: ") == 4
    assert "error: There are no photos to train on: 4 are copies of held-out ones." in said
    assert [path.name for path in (tmp_path / "out.run").iterdir()] == ["cache"]


def test_a_folder_of_photos_becomes_a_bundle_that_knows_its_labels(folder, small, tmp_path):
    """Three colours, from starting weights that know photos: the classifier tells all held-out ones."""
    out = tmp_path / "colours"
    more = (
        "--weights",
        str(ROOT / "bundles" / "default"),
        "--arch",
        "mobilenet_v2",
        "--epochs",
        "12",
        "--rate",
        "0.01",
    )
    assert main(small(f"colours={folder}", out, *more)) == 0
    recogniser = Recogniser.load(out, threads=1)
    known = recogniser.bundle.labels["colours"]
    assert (known.fine, known.coarse) == (("blue", "green", "red"), ())
    for colour in known.fine:
        pixels = recogniser.prepare((folder / colour / "7.jpg").read_bytes()).pixels[None]
        odds = recogniser.classify(pixels)["colours"].fine
        assert odds.shape == (1, 3) and odds.sum().item() == pytest.approx(1, abs=1e-5)
        assert known.fine[int(odds.argmax())] == colour
    assert recogniser.bundle.metrics["labels"]["colours"]["report"]["fine"] == 1.0


@pytest.mark.parametrize(("more", "mirrored"), [((), True), (("--no-mirror",), False)])
def test_photos_are_judged_mirrored_as_they_were_trained(folder, small, tmp_path, more, mirrored):
    """Temperature and threshold are fitted to the scores that are served."""
    assert main(small(f"colours={folder}", tmp_path / "out", "--epochs", "1", *more)) == 0
    recogniser = Recogniser.load(tmp_path / "out", threads=1)
    assert recogniser.bundle.mirrored is mirrored
    photos = as_in_run(read_photos([DataSet("colours", folder)]), tmp_path / "out.run")
    judged = judge_labels(recogniser, photos)["colours"]
    pixels = np.stack([recogniser.prepare(photo.path.read_bytes()).pixels for photo in judged.photos])
    torch.testing.assert_close(judged.fine, recogniser.label_scores(pixels)["colours"], atol=1e-4, rtol=1e-4)
    known = recogniser.bundle.labels["colours"]
    again = fit_labels(known, judged.where([photo.role == "calibrate" for photo in judged.photos]))
    assert (again.temperature, again.known) == pytest.approx((known.temperature, known.known), abs=1e-3)


def test_a_bundle_of_products_alone_has_nothing_to_mirror(fitted):
    assert "mirrored" not in json.loads((fitted / "bundle.json").read_text())


def test_a_csv_with_coarse_labels_becomes_a_bundle(small, tmp_path):
    balls(tmp_path, ("red", "green", "blue", "black"), 6)
    rows = [
        {"path": f"{colour}/{view}.jpg", "labels": f"{'dark' if colour == 'black' else 'bright'}|{colour}"}
        for colour in ("red", "green", "blue", "black")
        for view in range(6)
    ]
    table = write_table(tmp_path / "all.csv", rows, ("path", "labels"))
    assert main(small(table, tmp_path / "out")) == 0
    recogniser = Recogniser.load(tmp_path / "out")
    known = recogniser.bundle.labels["all"]
    assert known.fine == ("black", "blue", "green", "red")
    assert (known.coarse, known.parents) == (("bright", "dark"), (1, 0, 0, 0))
    odds = recogniser.classify(recogniser.prepare((tmp_path / "red" / "0.jpg").read_bytes()).pixels[None])["all"]
    assert odds.fine.shape == (1, 4) and odds.coarse.shape == (1, 2)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw"])
def test_every_optimiser_trains(folder, small, tmp_path, optimiser):
    assert main(small(folder, tmp_path / "out", "--optimiser", optimiser, "--epochs", "1")) == 0
    state = torch.load(tmp_path / "out.run" / "epoch-1" / "optimiser.pt", weights_only=True)
    kept = {name for each in state["state"].values() for name in each}
    assert kept == ({"momentum_buffer"} if optimiser == "sgd" else {"step", "exp_avg", "exp_avg_sq"})


def test_a_run_that_does_not_get_better_stops_and_its_best_epoch_is_exported(folder, small, tmp_path):
    """Rates of zero: the first epoch stays the best, and two later ones are waited for."""
    still = ("--rate", "0", "--backbone-rate", "0", "--epochs", "9", "--patience", "2")
    assert main(small(folder, tmp_path / "out", *still)) == 0
    facts = facts_of(tmp_path / "out.run")
    assert (facts["epochs_done"], facts["best"]) == (3, "epoch-1")
    assert len(set(facts["scores"])) == 1
    assert sorted(path.name for path in (tmp_path / "out.run").glob("epoch-*")) == ["epoch-1", "epoch-3"]


def test_a_diverging_run_stops_and_keeps_what_it_had(folder, small, tmp_path, capsys):
    """One good epoch, then the same run goes on with weights that have grown out of all numbers."""
    out, run = tmp_path / "out", tmp_path / "out.run"
    wild = ("--optimiser", "sgd", "--rate", "1e30", "--backbone-rate", "1e30")
    assert main(small(folder, out, *wild)) == 3
    said = capsys.readouterr().out
    assert "The loss is no number at step 2 of epoch 1; there is no checkpoint yet" in said
    assert not out.exists() and not (run / "run.json").exists()


def test_a_later_divergence_keeps_the_last_checkpoint(folder, weights, tmp_path):
    """An infinite rate after a good epoch: the checkpoint of that epoch is named, and still there."""
    photos = read_photos([DataSet("balls", folder)])
    plan = Plan(weights=str(weights), arch="mobilenet_v3_small", size=64, epochs=2, batch=8)
    run = Run(plan, photos, open_cache(photos, tmp_path / "cache", 96), tmp_path / "run")

    def go_wild(_epoch: int, _score: float) -> None:
        for group in run.optimiser.param_groups:
            group["peak"] = 1e30

    with pytest.raises(Exception, match="the checkpoint of epoch 1 is kept") as stopped:
        run.fit(Console(quiet=True), go_wild)
    assert type(stopped.value).__name__ == "Diverged"
    facts = facts_of(tmp_path / "run")
    assert (facts["epochs_done"], facts["checkpoint"]) == (1, "epoch-1")
    kept = load_file(tmp_path / "run" / "epoch-1" / "average.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


@pytest.mark.parametrize("part", ["model.image.projection.weight", "proxies.weights.toys"])
def test_a_gradient_that_is_no_number_keeps_the_last_checkpoint(toys, weights, tmp_path, part):
    """The loss stays a number: only what flows back is none, and no weight has moved by it."""
    photos = read_photos([DataSet("toys", toys)])
    plan = Plan(weights=str(weights), arch="mobilenet_v3_small", size=64, epochs=2, batch=8, mix=0.0)
    run = Run(plan, photos, open_cache(photos, tmp_path / "cache", 96), tmp_path / "run")

    def go_wrong(_epoch: int, _score: float) -> None:
        owner, _, name = part.partition(".")
        dict(getattr(run, owner).named_parameters())[name].register_hook(lambda slope: slope * float("nan"))

    with pytest.raises(Diverged, match="The gradient is no number at step 1 of epoch 2; the checkpoint of epoch 1 is"):
        run.fit(Console(quiet=True), go_wrong)
    assert facts_of(tmp_path / "run")["epochs_done"] == 1
    assert all(torch.isfinite(tensor).all() for tensor in float_tensors(run.model).values())
    kept = load_file(tmp_path / "run" / "epoch-1" / "average.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


def test_weights_that_the_last_step_ruined_are_not_kept(folder, weights, tmp_path):
    """No loss of the epoch has seen them."""
    photos = read_photos([DataSet("balls", folder)])
    plan = Plan(weights=str(weights), arch="mobilenet_v3_small", size=64, epochs=2, batch=8)
    run = Run(plan, photos, open_cache(photos, tmp_path / "cache", 96), tmp_path / "run")
    steps, step = run.sampler.steps, run._step

    def ruin(rows, batch, rng, number):
        done = step(rows, batch, rng, number)
        if run.epoch == 1 and number == steps - 1:
            run.average["image.projection.bias"].fill_(float("inf"))
        return done

    run._step = ruin
    with pytest.raises(Diverged, match=f"The average of the weights is no number at step {steps} of epoch 2; the che"):
        run.fit(Console(quiet=True))
    assert facts_of(tmp_path / "run")["epochs_done"] == 1


def test_the_score_of_an_epoch(folder, weights, tmp_path):
    """Of classifiers that always say the first label, a third of the held-out photos are told rightly."""
    photos = read_photos([DataSet("balls", folder)])
    plan = Plan(weights=str(weights), arch="mobilenet_v3_small", size=64, epochs=1, batch=8)
    cache = open_cache(photos, tmp_path / "cache", 96)
    run = Run(plan, photos, cache, tmp_path / "run")
    average = {name: tensor.clone() for name, tensor in run.average.items()}
    average["heads.fine.balls.weight"].zero_()
    average["heads.fine.balls.bias"].copy_(torch.tensor([1.0, 0.0, 0.0]))
    assert held_out_score(run.model, average, photos, cache, run.look) == pytest.approx(1 / 3)
    trained_on = [photo for photo in photos if photo.role == "train"]
    assert held_out_score(run.model, average, trained_on, cache, run.look) == 0.0


def test_the_score_of_an_epoch_of_two_shops(toys, weights, tmp_path):
    """Each view is asked in its own shop: in the first its very photo is stored as the right product, in the second as
    a wrong one."""
    photos = read_photos([DataSet("right", toys), DataSet("wrong", toys)])
    asked = [photo for photo in photos if photo.role == "calibrate"]
    photos += [
        replace(photo, role="train", stored=True, product=photo.product if photo.source == "right" else "wrong/other")
        for photo in asked
    ]
    model = start_model("mobilenet_v3_small", 32, str(weights))
    look = start_preprocessing("mobilenet_v3_small", str(weights), 64)
    cache = open_cache(photos, tmp_path / "cache", 64)
    assert {photo.source for photo in asked} == {"right", "wrong"}
    assert held_out_score(model, float_tensors(model), photos, cache, look) == 0.5


def test_export_of_a_run_without_an_epoch(toys, tmp_path, capsys):
    arguments = ["export", "--run", str(tmp_path), "--out", str(tmp_path / "b"), "--data", str(toys), "--threads", "1"]
    assert main(arguments) == 2
    assert "holds no run with a finished epoch" in capsys.readouterr().out


def test_weights_that_do_not_fit_or_are_none(toys, small, tmp_path, capsys):
    assert main(small(toys, tmp_path / "out", "--arch", "resnet18")) == 2
    assert "do not fit the network resnet18" in capsys.readouterr().out
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    assert main(small(toys, tmp_path / "other", "--weights", str(tmp_path / "broken.safetensors"))) == 2
    assert "cannot be read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--kinds", "other"), "There is no --data named other."),
        (("--role", "train=report"), "--role train=report: SPLIT is val or test"),
        (("--fold", "4/3"), "--fold 4/3: K/N, such as 2/5, is what it wants."),
        (("--share", "balls=many"), "--share is given as NAME=PART"),
    ],
)
def test_a_wrong_option_is_explained(folder, small, tmp_path, capsys, more, sentence):
    assert main(small(folder, tmp_path / "out", *more)) == 2
    assert sentence in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_one_label_is_refused_before_anything_is_written(small, tmp_path, capsys):
    balls(tmp_path / "one", ("red",))
    assert main(small(tmp_path / "one", tmp_path / "out")) == 2
    assert "All photos of one have the one label 'red': there is nothing to tell apart." in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
