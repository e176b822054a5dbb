"""Training from end to end on generated photos: a real fit, killed and taken up again, exported and served."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from recognition._torchvision import get_model
from recognition.bundle import SimilarityWeights
from recognition.decide import Calibration, Similarity
from recognition.recogniser import Recogniser
from recognition.text import ProductText
from recognition.training.__main__ import main
from recognition.training.augment import Augment
from recognition.training.cache import SIDE, open_cache, studio_mask
from recognition.training.calibrate import expected_calibration_error, fit_calibration, fit_thresholds, least_threshold
from recognition.training.data import DataError, Sources, read_photos
from recognition.training.export import Choice, careful
from recognition.training.losses import contrast
from recognition.training.ranking import Answer, group
from recognition.training.sampling import PairSampler, draw_texts, shorten

COLOURS = ("red", "green", "blue", "orange", "purple", "black")
COLUMNS = ("sku", "title", "brand", "category", "price", "currency", "description", "images")


def draw(path: Path, colour: str, seed: int, plain: bool = False) -> None:
    """A coloured disc on white, or on noise."""
    rng = np.random.default_rng(seed)
    ground = np.full((90, 120, 3), 255, np.uint8) if plain else rng.integers(0, 256, (90, 120, 3), np.uint8)
    image = Image.fromarray(ground)
    left, top = (int(value) for value in rng.integers(10, 40, 2))
    ImageDraw.Draw(image).ellipse((left, top, left + 45, top + 45), fill=colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def write_rows(path: Path, rows: list[dict[str, str]], columns: tuple[str, ...] = COLUMNS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def shop(root: Path, name: str = "toys") -> Path:
    """Six products, four photos each, the first on white."""
    rows = []
    for number, colour in enumerate(COLOURS):
        images = [f"{name}/{colour}-{view}.png" for view in range(4)]
        for view, image in enumerate(images):
            draw(root / image, colour, 10 * number + view, plain=view == 0)
        rows.append(
            {"sku": colour, "title": f"{colour} ball", "brand": "Roundly", "price": "9.50", "images": "|".join(images)}
        )
    write_rows(root / name / "products.csv", rows)
    return root


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors on threads that wait for each other are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def catalogues(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("catalogues"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v3_small.safetensors"
    tensors = {
        name: tensor.half()
        for name, tensor in get_model("mobilenet_v3_small", weights=None).state_dict().items()
        if tensor.is_floating_point()
    }
    save_file(tensors, path)
    return path


def fit_arguments(catalogues: Path, weights: Path, out: Path) -> list[str]:
    return [
        *("fit", "--catalogues", str(catalogues), "--weights", str(weights), "--out", str(out)),
        *("--arch", "mobilenet_v3_small", "--size", "64", "--epochs", "2", "--batch", "8"),
        *("--threads", "1"),
    ]


def epochs_done(run: Path) -> int:
    return json.loads((run / "run.json").read_text())["epochs_done"]


@pytest.fixture(scope="module")
def run(catalogues, weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    assert main(fit_arguments(catalogues, weights, out)) == 0
    return out


def test_a_run_leaves_one_checkpoint_and_curves(run):
    assert epochs_done(run) == 2
    assert [path.name for path in run.glob("epoch-*")] == ["epoch-2"]
    assert list((run / "curves").iterdir())


def test_training_changes_the_weights_and_keeps_the_batch_norms(run):
    start, average = load_file(run / "start.safetensors"), load_file(run / "epoch-2" / "average.safetensors")
    assert start.keys() == average.keys()
    changed = {name for name, tensor in average.items() if not torch.equal(tensor, start[name])}
    assert "image.projection.weight" in changed and "gate.score.0.weight" in changed
    assert not any(name.endswith(("running_mean", "running_var")) for name in changed)


def test_a_killed_run_goes_on_and_ends_the_same(run, catalogues, weights, tmp_path):
    """Killed after its first checkpoint, the process is started again and ends with the very same weights."""
    arguments = [sys.executable, "-m", "recognition.training", *fit_arguments(catalogues, weights, tmp_path / "run")]
    script = (
        "import os, sys; from recognition.training import loop; from recognition.training.__main__ import main\n"
        "save = loop.Run._checkpoint\n"
        "def kill(self):\n    save(self)\n    os.kill(os.getpid(), 9)\n"
        "loop.Run._checkpoint = kill\n"
        "main(sys.argv[1:])"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", script, *arguments[3:]], env=environment, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    assert epochs_done(tmp_path / "run") == 1
    assert main(arguments[3:]) == 0
    assert epochs_done(tmp_path / "run") == 2
    ours, theirs = (load_file(path / "epoch-2" / "average.safetensors") for path in (tmp_path / "run", run))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)


def test_a_run_of_other_settings_is_not_continued(run, catalogues, weights, capsys):
    assert main([*fit_arguments(catalogues, weights, run), "--seed", "9"]) == 2
    assert "other settings" in capsys.readouterr().out
    assert epochs_done(run) == 2


def test_export_and_evaluate(run, catalogues, tmp_path, capsys):
    out, data = tmp_path / "bundle", ["--catalogues", str(catalogues), "--threads", "1"]
    assert main(["export", "--run", str(run), "--out", str(out), "--version", "2026-01-01-tiny", *data]) == 0
    recogniser = Recogniser.load(out)
    bundle = recogniser.bundle
    assert (bundle.version, bundle.arch) == ("2026-01-01-tiny", "mobilenet_v3_small")
    assert bundle.preprocessing.size in (64, 96)
    assert bundle.similarity.image + bundle.similarity.fused == 1.0
    assert 0 < bundle.thresholds.review <= bundle.thresholds.sure <= 1
    assert bundle.thresholds.similar <= bundle.thresholds.same
    decoded = recogniser.prepare((catalogues / "toys" / "red-0.png").read_bytes())
    assert recogniser.forward(decoded.pixels[None], [ProductText("red ball")]).fused.shape == (1, 256)
    card = (out / "card.md").read_text()
    assert "2026-01-01-tiny" in card and "python -m recognition.training export" in card
    assert str(tmp_path) not in card and str(catalogues) not in card
    assert main(["evaluate", "--bundle", str(out), "--json", str(tmp_path / "figures.json"), *data]) == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    reported = sum(photo.role == "report" for photo in read_photos(Sources(catalogues=catalogues)))
    assert figures["retrieval"]["catalogue"]["queries"] == reported
    assert figures["retrieval"] == bundle.metrics["retrieval"]


def test_export_of_an_unfinished_run(tmp_path, catalogues, capsys):
    arguments = ["export", "--run", str(tmp_path), "--out", str(tmp_path / "b"), "--version", "x"]
    assert main([*arguments, "--catalogues", str(catalogues), "--threads", "1"]) == 2
    assert "no run with a finished epoch" in capsys.readouterr().out


def test_weights_of_another_network(catalogues, weights, tmp_path, capsys):
    assert main([*fit_arguments(catalogues, weights, tmp_path / "run"), "--arch", "resnet18"]) == 2
    assert "do not fit the network resnet18" in " ".join(capsys.readouterr().out.split())


def test_no_data(weights, tmp_path, capsys):
    assert main(["fit", "--weights", str(weights), "--out", str(tmp_path), "--threads", "1"]) == 2
    assert "no photos to train on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"sku": "a", "images": "toys/none.png"}, "line 2: there is no photo"),
        ({"sku": "a", "price": "cheap", "images": "toys/red-0.png"}, "line 2: 'cheap' is no price"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, sentence):
    draw(tmp_path / "toys" / "red-0.png", "red", 1)
    write_rows(tmp_path / "toys" / "products.csv", [row])
    with pytest.raises(DataError, match=sentence):
        read_photos(Sources(catalogues=tmp_path))


def test_missing_columns_are_named(tmp_path):
    write_rows(tmp_path / "toys" / "products.csv", [], ("sku", "title", "brand", "images"))
    with pytest.raises(DataError, match="no column category, currency, description, price"):
        read_photos(Sources(catalogues=tmp_path))


def test_a_photo_that_cannot_be_decoded_is_named(tmp_path):
    root = shop(tmp_path / "shops")
    (root / "toys" / "blue-1.png").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"blue-1\.png cannot be decoded"):
        open_cache(read_photos(Sources(catalogues=root)), tmp_path / "cache")


def test_roles_are_fixed_and_disjoint(catalogues):
    photos = read_photos(Sources(catalogues=catalogues))
    assert photos == read_photos(Sources(catalogues=catalogues))
    held = [photo for photo in photos if photo.role != "train"]
    assert len(photos) == 24 and len({photo.product for photo in held}) == len(held) == 6
    assert not any(photo.stored for photo in held)


def test_rendered_products_are_held_out_whole(tmp_path):
    root = shop(tmp_path, "renders")
    for path in (root / "renders").iterdir():
        path.rename(root / path.name)
    rows = list(csv.DictReader((root / "products.csv").read_text(encoding="utf-8").splitlines()))
    write_rows(root / "products.csv", [row | {"images": row["images"].replace("renders/", "")} for row in rows])
    roles: dict[str, list[str]] = {}
    for photo in read_photos(Sources(renders=root)):
        roles.setdefault(photo.product, []).append(photo.role)
    for seen in roles.values():
        assert seen == ["train"] * 4 or (seen[0] == "gallery" and len(set(seen[1:])) == 1 and "train" not in seen)
    assert {seen[0] for seen in roles.values()} == {"train", "gallery"}
    unseen = read_photos(Sources(renders=root, unseen=root))
    assert {photo.role for photo in unseen if photo.source == "unseen"} == {"gallery", "calibrate", "report"}


def test_own_folders_of_photos(tmp_path):
    for colour in COLOURS[:2]:
        for view in range(3):
            draw(tmp_path / f"{colour}_ball" / f"{view}.jpg", colour, view)
    photos = read_photos(Sources(photos=tmp_path))
    assert {photo.text.title for photo in photos} == {"red ball", "green ball"}
    assert sorted(photo.role == "train" for photo in photos) == [False, False, True, True, True, True]


def test_studio_mask():
    rgb = np.full((40, 60, 3), 240, np.uint8)
    rgb[10:30, 20:40] = (200, 30, 30)
    rgb[15:20, 25:30] = 240  # a white hole inside belongs to the product
    mask, plain = studio_mask(rgb)
    assert plain
    assert (mask[10:30, 20:40] == 255).all()
    assert mask.sum() == 255 * 400
    noise = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    assert studio_mask(noise)[1] is False


def test_augmentation(catalogues, tmp_path):
    photos = read_photos(Sources(catalogues=catalogues))
    cache = open_cache(photos, tmp_path)
    assert cache.pixels.shape == (24, SIDE, SIDE, 4)
    assert [bool(plain) for plain in cache.studio[:4]] == [True, False, False, False]
    batch = [torch.from_numpy(part[:8]) for part in (cache.pixels.copy(), cache.boxes, cache.studio)]
    first, again, other = (Augment(48, torch.Generator().manual_seed(seed))(*batch) for seed in (1, 1, 2))
    assert first.shape == (8, 3, 48, 48)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.min() >= 0 and first.max() <= 1 and torch.isfinite(first).all()


def test_batches_are_pairs_of_one_thing(catalogues):
    photos = read_photos(Sources(catalogues=catalogues))
    sampler = PairSampler(photos, 8, 1)
    batches = list(sampler.epoch(3))
    assert batches == list(sampler.epoch(3)) != list(sampler.epoch(4))
    assert len(batches) == sampler.steps == 2
    for batch in batches:
        for left, right in zip(batch[::2], batch[1::2], strict=True):
            assert photos[left].product == photos[right].product and left != right
            assert photos[left].role == photos[right].role == "train"


def test_shortened_texts_always_say_something():
    rng = random.Random(1)
    text = ProductText("Red stoneware mug", "Kiln", "Kitchen", "Holds 350 ml", 12.0, "EUR")
    seen = {shorten(text, rng) for _ in range(200)}
    assert len(seen) > 50 and all(short.title for short in seen)
    assert all(shorten(ProductText(category="dress"), rng).category == "dress" for _ in range(50))


def test_invented_words_are_the_same_for_one_thing(catalogues):
    photos = read_photos(Sources(catalogues=catalogues))[:8]
    drawn = [draw_texts(photos, random.Random(seed)) for seed in range(6)]
    for texts in drawn:
        flags = texts.invented.tolist()
        assert flags[:4] in ([True] * 4, [False] * 4) and flags[4:] in ([True] * 4, [False] * 4)
    assert len({tuple(texts.invented.tolist()) for texts in drawn}) > 1


def test_contrast_is_exact():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    positive = torch.tensor([[True, False], [False, False]])
    allowed = torch.ones(2, 2, dtype=torch.bool)
    expected = torch.log(1 + torch.exp(torch.tensor(-10.0)))
    assert contrast(queries, queries, positive, allowed) == pytest.approx(expected.item())
    assert contrast(queries, queries, torch.zeros_like(positive), allowed) == 0


def test_grouping_by_product():
    products = np.array(["a", "b", "a", "c", "b", "d", "e", "f"])
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], np.float32)
    found = group(products, scores)
    assert [(item.product_id, item.votes) for item in found] == [("a", 2), ("b", 2), ("c", 1), ("d", 1), ("e", 1)]
    assert [round(item.similarity, 4) for item in found] == [0.9, 0.8, 0.6, 0.4, 0.3]


def test_the_careful_choice():
    def choice(step: float, mix: float, recall: float) -> Choice:
        return Choice(step, 64, SimilarityWeights(mix, 1 - mix), recall, 0.03)

    choices = [choice(0.0, 0.5, 0.70), choice(0.5, 0.25, 0.75), choice(0.5, 0.5, 0.74), choice(1.0, 0.25, 0.76)]
    assert careful(choices) == choices[2]
    assert careful(choices[:1]) == choices[0]


def made_up_answers(rng: random.Random) -> tuple[list[Answer], list[Answer]]:
    """Known photos lie near 0.8 and mostly ahead, unknown ones near 0.5 and level."""
    known, unknown = [], []
    for _ in range(300):
        right = rng.random() < 0.85
        high, low = Similarity("t" if right else "x", rng.gauss(0.8, 0.06), 3), Similarity("y", rng.gauss(0.5, 0.06), 1)
        known.append(Answer("shop", "t", sorted([high, low], key=lambda item: -item.similarity)))
        level = [Similarity(name, rng.gauss(0.5, 0.06), 1) for name in "xy"]
        unknown.append(Answer("shop", None, sorted(level, key=lambda item: -item.similarity)))
    return known, unknown


def test_calibration_learns_what_counts():
    known, unknown = made_up_answers(random.Random(1))
    calibration = fit_calibration(known, unknown)
    assert calibration.calibrated and calibration.background == pytest.approx(0.53, abs=0.03)
    thresholds = fit_thresholds(known, unknown, calibration)
    assert 0 < thresholds.review <= thresholds.sure and thresholds.similar <= thresholds.same


def test_nothing_to_calibrate_with_stays_a_guess():
    known, _ = made_up_answers(random.Random(2))
    assert fit_calibration([], []) == Calibration()
    assert not fit_calibration([answer for answer in known if answer.rank == 0], []).calibrated


def test_calibration_error_and_threshold_are_exact():
    chances, right = np.array([0.95, 0.95, 0.15, 0.15]), np.array([1.0, 0.0, 0.0, 0.0])
    assert expected_calibration_error(chances, right, np.ones(4)) == pytest.approx((0.45 + 0.15) / 2)
    scores, hits = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])
    assert least_threshold(scores, hits, np.ones(4), 1.0) == 0.8
    assert least_threshold(scores, hits, np.ones(4), 0.75) == 0.6
    assert least_threshold(scores, ~hits, np.ones(4), 0.9) == 1.0


@pytest.mark.shared
def test_the_splits_of_the_real_data():
    """The reported photos of the data sets beside the repository, as the card counts them."""
    root = os.environ.get("VITRINE_TEST_DATA")
    if not root:
        pytest.skip("VITRINE_TEST_DATA names no folder with grocery/, clothing/ and catalogues/")
    data = Path(root)
    photos = read_photos(Sources(data / "grocery", data / "clothing", data / "catalogues"))
    counts = {
        source: [sum(photo.source == source and photo.role == role for photo in photos) for role in ("train", "report")]
        for source in ("grocery", "clothing", "catalogue")
    }
    assert counts == {"grocery": [2426, 296], "clothing": [3068, 341], "catalogue": [534, 40]}
    held = {photo.path for photo in photos if photo.role != "train"}
    assert not held & {photo.path for photo in photos if photo.role == "train"}
