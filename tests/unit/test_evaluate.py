"""`evaluate`: figures on numbers worked out by hand, and whole runs where every right answer is known beforehand."""

import csv
import json
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recognition.bundle import Bundle, LabelSet, Preprocessing, save_bundle
from recognition.decide import Calibration
from recognition.fusion import ProductEncoder
from recognition.recogniser import Recogniser
from recognition.training.__main__ import main
from recognition.training.calibrate import expected_calibration_error
from recognition.training.errors import DataError
from recognition.training.figures import (
    area_under_curve,
    average_precision,
    brier,
    calibration_error,
    coverage,
    log_loss,
    mean,
    rejection,
    reliability,
    share,
    wilson,
)
from recognition.training.findings import KEYS
from recognition.training.names import Names, name_key
from recognition.training.plots import matrix_plot, reliability_plot, scores_plot
from recognition.training.questions import Truth, choose_label_sets, read_questions, truth_in
from tests.drawing import draw

SIZE = 64
FINE = ("Anjou", "Conference", "Granny-Smith", "Royal-Gala")
COARSE = ("Apple", "Pear")
PARENTS = (1, 1, 0, 0)
BRIE = 7  # the drawing of a thing that the bundle does not know


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors on threads that wait for each other are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# Photos: a thing is a drawing, its photos are slightly different cuts of it


def view(thing: int, number: int) -> Image.Image:
    """One photo of a thing."""
    return draw(thing, 200).crop((number, number // 2, 200 - number // 3, 200 - number)).resize((160, 160))


def save(path: Path, thing: int, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    view(thing, number).save(path)
    return path


def fruit(root: Path, split: str, numbers: Iterable[int]) -> Path:
    """Folders as in the Grocery Store Dataset: a split, what kind, the coarse label, the fine label."""
    for label, name in enumerate(FINE):
        for number in numbers:
            save(root / split / "Fruit" / COARSE[PARENTS[label]] / name / f"{name}_{number}.png", label, number)
    return root


def write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def catalogue(root: Path) -> Path:
    """The four fruit as a shop sells them, one photo each."""
    for label, name in enumerate(FINE):
        save(root / f"{name}.png", label, 9)
    rows = [(number, name.replace("-", " "), "Fruit", f"{name}.png") for number, name in enumerate(FINE)]
    return write(root / "products.csv", ("sku", "title", "category", "images"), rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Random weights, but label heads that tell the drawings of the four fruit from each other without fail."""
    folder = tmp_path_factory.mktemp("bundle") / "fruit"
    known = {"fruit": LabelSet(FINE, COARSE, PARENTS), "tools": LabelSet(("hammer", "saw"))}
    torch.manual_seed(2)
    model = ProductEncoder("mobilenet_v3_small", 64, known)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model.image.backbone.train()(torch.randn(8, 3, SIZE, SIZE))
    facts = Bundle(
        "2026-01-01-fruit",
        "mobilenet_v3_small",
        dim=64,
        preprocessing=Preprocessing(size=SIZE),
        calibration=Calibration(True, -8.0, 10.0, 30.0, 0.0, 0.5),
        labels=known,
    )

    def store():
        tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
        save_bundle(facts, tensors, "# Drawn\n", folder)
        return Recogniser.load(folder, device="cpu", precision="float32")

    pixels = np.stack(
        [np.asarray(view(label, number).resize((SIZE, SIZE))) for label in range(4) for number in range(12)]
    )
    looking = store()
    with torch.inference_mode():
        features = looking.model.image.backbone(looking.pixels_to_input(pixels)).double()
    ones = torch.cat([features, torch.ones(len(features), 1)], 1)
    for head, places in (("fine", range(4)), ("coarse", PARENTS)):
        layer = getattr(model.heads, head)["fruit"]
        wanted = 6 * torch.eye(layer.out_features, dtype=torch.double)[[place for place in places for _ in range(12)]]
        solved = ones.T @ torch.linalg.solve(ones @ ones.T + 1e-3 * torch.eye(len(ones)), wanted)
        with torch.no_grad():
            layer.weight.copy_(solved[:-1].T)
            layer.bias.copy_(solved[-1])
    store()
    return folder


def run(bundle: Path, out: Path, *arguments: str) -> dict:
    command = ["evaluate", "--bundle", str(bundle), "--device", "cpu", "--threads", "1", "--json", str(out), *arguments]
    assert main(command) == 0
    return json.loads(out.read_text())


def refused(bundle: Path, capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["evaluate", "--bundle", str(bundle), "--device", "cpu", "--threads", "1", *arguments]) == 2
    return capsys.readouterr().out


# Arithmetic


def test_shares_and_means_of_nothing():
    assert (share([]), mean([]), wilson(0, 0), calibration_error([]), rejection([], [0.1])) == (None,) * 5
    assert (share([True, False, True, True]), mean([1.0, 2.0])) == (0.75, 1.5)


def test_wilson_interval():
    """8 of 10, by the formula with z = 1.96: centre 0.716740, reach 0.226577."""
    assert wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson(5, 5)[1] == 1.0 and wilson(0, 5)[0] == 0.0


def test_calibration_error_by_hand():
    """Fifteen bins: 0.95 and 1.0 share the last one; |0.975 - 0.5| of two photos and |0.5 - 1| of one."""
    bins = reliability([0.95, 1.0, 0.5], [True, False, True])
    assert [(one.count, one.probability, one.right) for one in bins] == [(1, 0.5, 1.0), (2, 0.975, 0.5)]
    assert calibration_error(bins) == pytest.approx((2 * 0.475 + 0.5) / 3)


def test_calibration_error_is_that_of_calibration():
    rng = np.random.default_rng(0)
    chances, right = rng.random(500), rng.random(500) < 0.6
    same = expected_calibration_error(chances, right.astype(float), np.ones(500))
    assert calibration_error(reliability(chances, right)) == pytest.approx(same, abs=1e-12)


def test_brier_and_log_loss():
    odds = np.array([0.7, 0.2, 0.1])
    assert brier(odds, 0) == pytest.approx(0.09 + 0.04 + 0.01)
    assert log_loss(odds, 1) == pytest.approx(1.6094379)
    assert log_loss(np.array([1.0, 0.0]), 1) == pytest.approx(27.6310211)


def test_average_precision_by_hand():
    """Right at places 1 and 3 of four: (1/1 + 2/3) / 2."""
    assert average_precision([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0]) == pytest.approx(5 / 6)
    assert average_precision([0.1, 0.9], [True, False]) == 0.5
    assert average_precision([0.3, 0.4], [False, False]) is None


def test_rejection_at_five_percent():
    """Of 40 known photos two may be rejected: those at 0 and 1, so 0.5 and 1.5 go with them, and 2 does not."""
    found = rejection([float(score) for score in range(40)], [0.5, 1.5, 2.0, 30.0])
    assert (found.threshold, found.rejected) == (2.0, 0.5)
    assert found.area == pytest.approx((39 + 38 + 37.5 + 9.5) / 160)


def test_few_known_photos_reject_nothing_known():
    assert rejection([0.6, 0.9], [0.1, 0.6, 0.7]).rejected == pytest.approx(1 / 3)


def test_equal_scores_tell_nothing():
    found = rejection([0.5] * 20, [0.5] * 5)
    assert (found.rejected, found.area) == (0.0, 0.5)
    assert area_under_curve([1.0, 1.0], [0.0]) == 1.0


def test_coverage_has_a_point_for_every_probability():
    points = coverage([0.9, 0.5, 0.9, 0.2], [True, False, False, True])
    assert points == [(0.5, 0.5), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]


@pytest.mark.parametrize(
    "other", ["Granny-Smith", "granny smith", "GRANNY_SMITH", "Fruit/Apple/Granny-Smith", "Granny–Smith"]
)
def test_names_are_found_however_they_are_spelled(other):
    assert Names(FINE).find(other) == (None if "–" in other else 2)


def test_names_that_are_nothing():
    names = Names(["a b", "A-B", "-"])
    assert [names.find(name) for name in (None, "", "A-B", "a_b", "-", "c")] == [None, None, 1, 0, 2, None]
    assert name_key(" - ") == "-"


# Which photos, which label set


def test_the_split_that_is_asked(tmp_path):
    fruit(fruit(tmp_path / "both", "train", (1,)), "validation", (2,))
    assert read_questions([("both", tmp_path / "both")], None).splits == {"both": "val"}
    fruit(tmp_path / "both", "test", (3, 4))
    asked = read_questions([("both", tmp_path / "both")], None)
    assert (asked.splits, len(asked.questions), asked.notes) == ({"both": "test"}, 8, [])
    fruit(tmp_path / "alone", "train", (1,))
    asked = read_questions([("alone", tmp_path / "alone")], None)
    assert (asked.splits, len(asked.questions)) == ({"alone": "train"}, 4)
    assert asked.notes == [
        "Training photos of alone are asked: a bundle that was trained on them looks better than it is."
    ]
    fruit(tmp_path / "flat", ".", (1,))
    assert read_questions([("flat", tmp_path / "flat")], "test").splits == {"flat": "all"}
    with pytest.raises(DataError, match=r"alone has no photos in the split test; it has train\."):
        read_questions([("alone", tmp_path / "alone")], "test")


def test_the_label_set_that_fits(tmp_path):
    sets = {"fruit": LabelSet(FINE, COARSE, PARENTS), "pears": LabelSet(("anjou", "conference", "rocha"))}
    fruit(tmp_path / "data", "test", (1,))
    asked = read_questions([("data", tmp_path / "data")], None)
    assert choose_label_sets(asked, sets, None) == {"data": "fruit"}
    named = read_questions([("Pears", tmp_path / "data")], None)
    assert choose_label_sets(named, sets, None) == {"Pears": "pears"}
    assert named.notes == ["2 of 4 labels of Pears are in the label set pears."]
    assert choose_label_sets(asked, sets, "pears") == {"data": "pears"}
    assert choose_label_sets(asked, {"tools": LabelSet(("hammer",))}, None) == {}
    with pytest.raises(DataError, match=r"The bundle has no label set cars; it has fruit, pears\."):
        choose_label_sets(asked, sets, "cars")
    with pytest.raises(DataError, match=r"No label of data is in the label set tools\."):
        choose_label_sets(asked, {"tools": LabelSet(("hammer",))}, "tools")


def test_a_photo_that_only_tells_its_coarse_label(tmp_path):
    """The data's own coarse label goes before the set's; a coarse label as a label is neither known nor unknown."""
    known = LabelSet(FINE, COARSE, PARENTS)
    for name in ("Pear/Anjou", "Apple/Conference", "Fruit/Royal Gala", "Fruit/apple", "Apple/Braeburn"):
        save(tmp_path / name / "1.png", 0, 1)
    asked = read_questions([("data", tmp_path)], None)
    truths = {question.row.label: truth_in(question, known, Names(FINE), Names(COARSE)) for question in asked.questions}
    assert truths == {
        "Anjou": Truth(0, 1, False),
        "Conference": Truth(1, 0, False),
        "Royal Gala": Truth(3, 0, False),
        "apple": Truth(None, 0, False),
        "Braeburn": Truth(None, 0, True),
    }


# Whole runs


def test_folders_with_splits_and_unknown_photos(bundle, tmp_path):
    """Twelve photos lie in the right folder, two do not: one in that of another apple, one in that of a pear."""
    root = fruit(fruit(tmp_path / "Fruit", "train", (0,)), "test", (1, 2, 3))
    save(root / "test" / "Fruit" / "Apple" / "Granny-Smith" / "gala.png", 3, 4)
    save(root / "test" / "Fruit" / "Apple" / "Granny-Smith" / "anjou.png", 0, 4)
    for number in range(3):
        save(root / "test" / "Dairy" / "Cheese" / "Brie" / f"{number}.png", BRIE, number)
    report = run(bundle, tmp_path / "report.json", "--data", str(root))
    assert list(report)[:8] == list(KEYS)
    assert (report["photos"], report["known"], report["unknown"]) == (17, 14, 3)
    assert (report["bundle"], report["label_set"], report["splits"]) == ("2026-01-01-fruit", "fruit", {"Fruit": "test"})
    assert (report["fine_top1"], report["coarse_top1"], report["top5"]) == (12 / 14, 13 / 14, 1.0)
    assert report["fine_top1_interval"] == pytest.approx(wilson(12, 14))
    assert report["notes"] == ["4 of 5 labels of Fruit are in the label set fruit."]
    assert report["by_label"]["Granny-Smith"] == {
        "photos": 5,
        "right": 3,
        "fine_top1": 0.6,
        "taken_for": [["Anjou", 1], ["Royal-Gala", 1]],
    }
    wrong = [entry for entry in report["predictions"] if entry["right"] is False]
    assert {
        (Path(entry["path"]).name, entry["true_fine"], entry["fine"], entry["coarse_right"]) for entry in wrong
    } == {
        ("gala.png", "Granny-Smith", "Royal-Gala", True),
        ("anjou.png", "Granny-Smith", "Anjou", False),
    }
    brie = [entry for entry in report["predictions"] if entry["unknown"]]
    assert {(entry["true_fine"], entry["right"], entry["known"]) for entry in brie} == {("Brie", None, False)}
    check_against_predictions(report)


def check_against_predictions(report: dict) -> None:
    """The figures of the classifiers once more, in the plainest way, from the entries of the photos."""
    known = [entry for entry in report["predictions"] if entry["known"]]
    lowest = sorted(entry["unknown_score"] for entry in known)[len(known) // 20]
    away = [entry["unknown_score"] for entry in report["predictions"] if entry["unknown"]]
    assert report["unknown_rejected_at_5_frr"] == sum(score < lowest for score in away) / len(away)
    bins = reliability([entry["probability"] for entry in known], [entry["right"] for entry in known])
    assert report["ece"] == report["ece_labels"] == pytest.approx(calibration_error(bins), abs=1e-5)
    assert all(entry["best"][0] == {"fine": entry["fine"], "probability": entry["probability"]} for entry in known)


def test_a_photo_table_is_read_as_well(bundle, tmp_path):
    """The columns of the Grocery Store Dataset, names spelled otherwise, and one line without a label."""
    rows = []
    for label, name in enumerate(("anjou", "CONFERENCE", "granny smith", "royal_gala")):
        for split, number in (("train", 0), ("val", 1), ("val", 2)):
            path = save(tmp_path / f"{label}-{number}.png", label, number)
            rows.append((path.name, split, label, PARENTS[label], name, COARSE[PARENTS[label]].lower()))
    save(tmp_path / "nameless.png", BRIE, 1)
    rows.append(("nameless.png", "val", "", "", "", ""))
    table = write(tmp_path / "photos.csv", ("path", "split", "fine_id", "coarse_id", "fine", "coarse"), rows)
    report = run(bundle, tmp_path / "report.json", "--data", f"groceries={table}")
    assert (report["photos"], report["known"], report["unknown"]) == (9, 8, 1)
    assert (report["fine_top1"], report["coarse_top1"], report["label_set"]) == (1.0, 1.0, "fruit")
    assert (report["recall_at_1"], report["map"], report["retrieval"]) == (
        1.0,
        1.0,
        {"among": "each other", "photos": 8},
    )
    nearest = {Path(entry["path"]).name: Path(entry["nearest"]["photo"]).name for entry in report["predictions"]}
    assert nearest["0-1.png"] == "0-2.png" and nearest["3-2.png"] == "3-1.png"


def test_without_unknown_photos_and_gallery_nothing_is_said_of_them(bundle, tmp_path):
    report = run(bundle, tmp_path / "report.json", "--data", str(fruit(tmp_path / "data", "test", (1,))))
    assert report["unknown_rejected_at_5_frr"] is None
    assert (report["recall_at_1"], report["recall_at_5"], report["map"]) == (None, None, None)  # one photo of each
    assert (report["fine_top1"], report["unknown"], report["labels"]["unknown_are"]) == (1.0, 0, None)


def test_a_gallery_without_matching_labels_answers_itself(bundle, tmp_path):
    """Products of a shop that no label set knows: found by photo, unknown where the shop does not have them."""
    for thing in range(10, 14):
        save(tmp_path / "shop" / f"{thing}.png", thing, 8)
    rows = [(f"SKU-{thing}", f"Thing {thing}", f"Kind {thing % 2}", f"{thing}.png") for thing in range(10, 14)]
    shop = write(tmp_path / "shop" / "products.csv", ("sku", "title", "category", "images"), rows)
    for thing in range(10, 16):
        save(tmp_path / "data" / f"sku_{thing}" / "a.png", thing, 1)
        save(tmp_path / "data" / f"sku_{thing}" / "b.png", thing, 2)
    report = run(bundle, tmp_path / "report.json", "--data", str(tmp_path / "data"), "--gallery", str(shop))
    assert (report["known"], report["unknown"], report["label_set"]) == (8, 4, None)
    assert (report["fine_top1"], report["recall_at_1"], report["recall_at_5"], report["map"]) == (1.0, 1.0, 1.0, 1.0)
    assert (report["coarse_top1"], report["ece_labels"], report["labels"]) == (1.0, None, None)
    assert report["unknown_rejected_at_5_frr"] == 1.0
    assert report["gallery"]["unknown_are"] == "photos of the data"
    chances = [entry["nearest"]["probability"] for entry in report["predictions"]]
    right = [entry["nearest"]["right"] is True for entry in report["predictions"]]
    assert (
        report["ece"]
        == report["ece_gallery"]
        == pytest.approx(calibration_error(reliability(chances, right)), abs=1e-5)
    )
    first = report["predictions"][0]
    assert (first["true_fine"], first["fine"], first["coarse"]) == ("Thing 10", "Thing 10", "Kind 0")
    assert (first["nearest"]["product"], Path(first["nearest"]["photo"]).name) == ("Thing 10", "10.png")


def test_a_gallery_beside_a_label_set(bundle, tmp_path):
    """Labels stay the classifiers'; without unknown photos each product is taken out and asked for again."""
    data, shop = fruit(tmp_path / "data", "test", (1, 2)), catalogue(tmp_path / "shop")
    report = run(bundle, tmp_path / "report.json", "--data", str(data), "--gallery", str(shop))
    assert (report["fine_top1"], report["label_set"], report["recall_at_1"], report["map"]) == (1.0, "fruit", 1.0, 1.0)
    assert (report["known"], report["unknown"], report["stored_products"]) == (8, 0, 4)
    assert report["gallery"]["unknown_are"] == "known photos whose product was taken out"
    assert report["ece"] == report["ece_labels"] != report["ece_gallery"]
    entries = [entry["nearest"] for entry in report["predictions"]]
    lowest = min(entry["score"] for entry in entries)
    away = [entry["score_without_its_product"] for entry in entries]
    assert report["unknown_rejected_at_5_frr"] == sum(score < lowest for score in away) / 8
    assert report["gallery"]["unknown_auroc"] == area_under_curve([entry["score"] for entry in entries], away)


def test_a_stored_photo_does_not_answer_for_itself(bundle, tmp_path):
    """Data and gallery are one: the photo of a product with one photo alone is unknown, the others find each other."""
    for number in (1, 2):
        save(tmp_path / "shop" / f"a{number}.png", 0, number)
    save(tmp_path / "shop" / "b.png", 1, 1)
    rows = [("A", "Pear a", "a1.png|a2.png"), ("B", "Pear b", "b.png")]
    shop = str(write(tmp_path / "shop" / "products.csv", ("sku", "title", "images"), rows))
    report = run(bundle, tmp_path / "report.json", "--data", shop, "--gallery", shop)
    assert (report["known"], report["unknown"], report["recall_at_1"]) == (2, 1, 1.0)
    nearest = {Path(entry["path"]).name: Path(entry["nearest"]["photo"]).name for entry in report["predictions"]}
    assert (nearest["a1.png"], nearest["a2.png"]) == ("a2.png", "a1.png") and nearest["b.png"] != "b.png"


def test_a_gallery_with_splits_stores_what_is_not_asked(bundle, tmp_path):
    root = fruit(fruit(tmp_path / "data", "train", (5, 6, 7)), "test", (1, 2))
    report = run(bundle, tmp_path / "report.json", "--data", str(root), "--gallery", str(root))
    assert (report["photos"], report["stored_photos"], report["stored_products"]) == (8, 12, 4)
    assert {Path(entry["nearest"]["photo"]).parts[-5] for entry in report["predictions"]} == {"train"}


def test_data_of_another_kind_is_unknown_to_the_labels_of_the_first(bundle, tmp_path):
    known = fruit(tmp_path / "fruit", "test", (1, 2))
    for number in range(2):
        save(tmp_path / "cheese" / f"{number}.png", BRIE, number)  # loose photos without a label
    report = run(bundle, tmp_path / "report.json", "--data", str(known), "--data", f"other={tmp_path / 'cheese'}")
    assert (report["known"], report["unknown"], report["fine_top1"]) == (8, 2, 1.0)
    assert report["by_data"]["other"] == {"photos": 2, "known": 0, "fine_top1": None, "recall_at_1": None}
    assert "its photos are unknown to fruit" in report["notes"][0]


def test_only_retrieval_where_no_label_is_known(bundle, tmp_path, capsys):
    for thing in (20, 21):
        for number in (1, 2):
            save(tmp_path / "data" / f"thing{thing}" / f"{number}.png", thing, number)
    report = run(bundle, tmp_path / "report.json", "--data", str(tmp_path / "data"))
    assert {key: report[key] for key in KEYS} == dict.fromkeys(KEYS) | {
        "recall_at_1": 1.0,
        "recall_at_5": 1.0,
        "map": 1.0,
    }
    assert "only how well photos of one thing find each other is measured" in report["notes"][0]
    assert "recall_at_1" in capsys.readouterr().out


def test_an_unreadable_photo_is_named_and_left_out(bundle, tmp_path, capsys):
    root = fruit(tmp_path / "data", "test", (1,))
    (root / "test" / "Fruit" / "Pear" / "Anjou" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    report = run(bundle, tmp_path / "report.json", "--data", str(root))
    (fault,) = report["unreadable"]
    assert fault.endswith("broken.png: The PNG file is damaged: its header cannot be read.")
    assert (report["photos"], report["fine_top1"]) == (4, 1.0)
    assert "left out:" in (printed := capsys.readouterr().out) and "broken.png" in printed


def test_refusals_are_sentences(bundle, tmp_path, capsys):
    assert f"There is no folder or CSV file {tmp_path}/nowhere." in refused(
        bundle, capsys, "--data", f"{tmp_path}/nowhere"
    )
    (tmp_path / "empty").mkdir()
    assert "There are no photos in" in refused(bundle, capsys, "--data", f"{tmp_path}/empty")
    save(tmp_path / "odd" / "brie" / "1.png", BRIE, 1)
    assert (
        "Nothing can be measured: No label of odd is known to the bundle (its label sets are fruit, tools), and no two "
        "photos show the same thing."
    ) in refused(bundle, capsys, "--data", f"{tmp_path}/odd")
    (tmp_path / "dead" / "brie").mkdir(parents=True)
    (tmp_path / "dead" / "brie" / "1.jpg").write_bytes(b"\xff\xd8\xff")
    assert "No photo can be read." in refused(bundle, capsys, "--data", f"{tmp_path}/dead")
    twice = refused(bundle, capsys, "--data", f"{tmp_path}/odd", "--data", f"{tmp_path}/odd")
    assert "Two data sets have the same name" in twice
    assert "There is no bundle in" in refused(tmp_path, capsys, "--data", f"{tmp_path}/odd")


# The page


class Page(HTMLParser):
    """Counts the tags of a page, collects what it refers to, and checks that tags close in the order they opened."""

    VOID = {"meta", "img", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone(bundle, tmp_path):
    root = fruit(tmp_path / "data", "test", (1, 2))
    save(root / "test" / "Fruit" / "Apple" / "Granny-Smith" / "<gala> & co.png", 3, 4)
    save(root / "test" / "Dairy" / "Brie" / "1.png", BRIE, 1)
    run(bundle, tmp_path / "out" / "report.json", "--data", str(root), "--gallery", str(catalogue(tmp_path / "shop")))
    text = (tmp_path / "out" / "report.html").read_text()
    page = Page(text)
    assert page.tags.count("svg") == 7  # three plots for the labels, three for the gallery, the matrix
    assert page.links and all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert "http" not in text and "prefers-color-scheme: dark" in text
    assert "&lt;gala&gt; &amp; co.png" in text and "<gala>" not in text


def test_a_page_where_only_retrieval_is_measured(bundle, tmp_path):
    for thing in (20, 21):
        for number in (1, 2):
            save(tmp_path / "data" / f"thing{thing}" / f"{number}.png", thing, number)
    report = run(bundle, tmp_path / "report.json", "--data", str(tmp_path / "data"), "--page", str(tmp_path / "a.html"))
    page = Page((tmp_path / "a.html").read_text())
    assert page.tags.count("svg") == 0 and not (tmp_path / "report.html").exists()
    assert report["by_label"] == {}


def test_plots_close_their_tags():
    bins = reliability([0.2, 0.9, 0.95], [False, True, True])
    for plot in (reliability_plot(bins), scores_plot([0.9], [], None), matrix_plot(["a<b", "c"], {("a<b", "c"): 1})):
        assert Page(plot).tags[0] == "svg"
