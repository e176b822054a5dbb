"""What text is worth: the table over a real bundle, and each way of damaging a text."""

import json
from pathlib import Path

import pytest

from recognition.recogniser import Recogniser
from recognition.text import ProductText
from recognition.training.__main__ import main
from recognition.training.ablate import DAMAGE, Spoiled, ablate, losses, read_titles
from recognition.training.data import DataSet, Photo, read_photos
from recognition.training.errors import DataError
from recognition.training.ranking import embed
from tests.training_data import write_table
from tests.worker import bundle_folder

MUG = ProductText("Red mug", "Kiln", "Kitchen", "Holds 350 ml", 12.0, "EUR")
LAMP = ProductText("Desk lamp", "Lumo", "Light", "", 80.0, "EUR")


def test_damage():
    photo = Photo(Path("x.jpg"), "shop", "shop/mug", "report", MUG, "shop/mug")
    spoiled = Spoiled(photo, other=LAMP, stranger=LAMP, translated=("红色马克杯", "厨房"))
    assert {row: damage(spoiled) for row, damage in DAMAGE.items()} == {
        "fused": MUG,
        "title missing": ProductText("", "Kiln", "Kitchen", "Holds 350 ml", 12.0, "EUR"),
        "price missing": ProductText("Red mug", "Kiln", "Kitchen", "Holds 350 ml", None, "EUR"),
        "brand wrong": ProductText("Red mug", "Lumo", "Kitchen", "Holds 350 ml", 12.0, "EUR"),
        "whole text wrong": LAMP,
        "text in Chinese": ProductText("红色马克杯", "Kiln", "厨房", "", 12.0, "EUR"),
        "text missing": None,
    }


def test_the_table_of_a_bundle(toys, tmp_path, capsys):
    chinese = [{"product": f"toys/{colour}", "title": "球", "category": "玩具"} for colour in ("red", "blue")]
    titles = write_table(tmp_path / "titles.csv", chinese, ("product", "title", "category"))
    given = ["ablate", "--bundle", str(bundle_folder()), "--data", f"shop={toys}", "--chinese", str(titles)]
    assert main([*given, "--json", str(tmp_path / "figures.json"), "--threads", "1", "--device", "cpu"]) == 0
    found = json.loads((tmp_path / "figures.json").read_text())
    stored, asked = found["recall"]["stored"], found["recall"]["asked"]
    assert list(stored) == ["photo only", *DAMAGE]
    assert list(asked) == ["photo only", "text only", *DAMAGE]
    for rows in (stored, asked):
        for recalls in rows.values():
            assert list(recalls) == ["shop", "mean"]
            assert recalls["shop"] == recalls["mean"] and recalls["shop"]["queries"] == 6
            assert 0 <= recalls["shop"]["recall@1"] <= recalls["shop"]["recall@5"] <= 1
    # A stored photo without a text has its own vector as the fused one: asking it is asking the photo.
    assert stored["text missing"] == stored["photo only"] == asked["photo only"]
    # A query without a text is a photo alone: the shop is as it should be.
    assert asked["text missing"] == stored["fused"]
    said = capsys.readouterr().out
    assert len(found["verdicts"]) == 4 and all(sentence in said for sentence in found["verdicts"])


def test_verdicts():
    def rows(**recalls: float) -> dict:
        return {name.replace("_", " "): {"mean": {"recall@1": value}} for name, value in recalls.items()}

    figures = {"stored": rows(photo_only=0.8, text_missing=0.8, whole_text_wrong=0.75)}
    assert losses(figures) == [
        "text missing (stored): fused does not lose to the photo only (80.0% against 80.0%, +0.0 points)",
        "whole text wrong (stored): fused loses to the photo only (75.0% against 80.0%, -5.0 points)",
    ]


def test_nothing_to_ask(folder, tmp_path):
    photos = [photo for photo in read_photos([DataSet("balls", folder)]) if photo.role == "train"]
    recogniser = Recogniser.load(bundle_folder(), device="cpu", threads=1)
    with pytest.raises(DataError, match="there is nothing to ask"):
        ablate(recogniser, photos)


def test_nothing_is_stored(folder):
    """Kinds are no products, so no shop stores them: there is no vector at all."""
    photos = read_photos([DataSet("balls", folder, kinds=True)])
    recogniser = Recogniser.load(bundle_folder(), device="cpu", threads=1)
    with pytest.raises(DataError) as refused:
        ablate(recogniser, photos)
    assert str(refused.value) == "No photo is held out from a shop that stores photos: there is nothing to ask."
    nothing = embed(recogniser, [])
    assert (nothing.photos, nothing.image.shape, nothing.fused.shape) == ([], (0, 256), (0, 256))


def test_a_photo_that_a_worker_refuses_is_named(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    photo = Photo(tmp_path / "x.png", "shop", "shop/mug", "report", MUG, "shop/mug", where="products.csv, line 2")
    with pytest.raises(DataError) as refused:
        embed(Recogniser.load(bundle_folder(), device="cpu", threads=1), [photo])
    assert str(refused.value) == (
        f"products.csv, line 2: {tmp_path / 'x.png'}: The PNG file is damaged: its header cannot be read."
    )


def test_the_titles_of_the_repository():
    """One Chinese title for each held-out product, with a character of Chinese in each."""
    titles = read_titles(Path(__file__).parents[3] / "benchmarks" / "data" / "chinese_titles.csv")
    assert len(titles) == 91
    for title, category in titles.values():
        assert any("\u4e00" <= letter <= "\u9fff" for letter in title), title
        assert category


def test_a_table_without_titles(tmp_path):
    path = write_table(tmp_path / "x.csv", [{"product": "a"}], ("product",))
    with pytest.raises(DataError, match=r"x\.csv is no table with product, title and category"):
        read_titles(path)
