"""Photos and tables as merchants really have them: what is read, what is held out, and every sentence of refusal."""

import math
import os
from collections import Counter
from pathlib import Path

import pytest

from recognition.text import ProductText
from recognition.training.cache import open_cache
from recognition.training.data import DataSet, check_trainable, held_out_fold, read_photos
from recognition.training.errors import DataError
from recognition.training.leaks import without_leaks
from recognition.training.tables import read_rows
from tests.training_data import PRODUCT_COLUMNS, balls, draw_ball, shop, write_table

PHOTO_COLUMNS = ("path", "labels", "title", "price", "split")


def photos_of(path: Path, **options):
    return read_photos([DataSet("data", path, **options)])


def table(root: Path, *rows: dict[str, str], columns=PHOTO_COLUMNS) -> Path:
    """A photo table beside `red.png` and `blue.png`."""
    for colour in ("red", "blue"):
        draw_ball(root / f"{colour}.png", colour, 1)
    return write_table(root / "photos.csv", rows, columns)


def test_a_folder_a_label(folder):
    photos = photos_of(folder)
    assert Counter(photo.label for photo in photos) == {"red": 8, "green": 8, "blue": 8}
    assert {photo.text for photo in photos if photo.label == "red"} == {ProductText(title="red")}
    held = {photo.path.name: photo.role for photo in photos if photo.label == "red" and photo.role != "train"}
    assert held == {"7.jpg": "report", "6.jpg": "calibrate"}  # the last by name
    assert {photo.stored for photo in photos if photo.role == "train"} == {True}
    assert {photo.stored for photo in photos if photo.role != "train"} == {False}
    assert photos == photos_of(folder)


def test_folders_inside_each_other_are_coarse_and_fine(tmp_path):
    for coarse, fine in (("fruit", "apple"), ("fruit", "plum"), ("milk", "oat_milk"), ("other", "apple")):
        balls(tmp_path / coarse / fine, ("red",), 4)
        for photo in (tmp_path / coarse / fine / "red").iterdir():
            photo.rename(photo.parent.parent / photo.name)
        (tmp_path / coarse / fine / "red").rmdir()
    found = {(photo.label, photo.coarse) for photo in photos_of(tmp_path)}
    assert found == {("fruit/apple", "fruit"), ("plum", "fruit"), ("oat_milk", "milk"), ("other/apple", "other")}
    assert ProductText(title="oat milk") in {photo.text for photo in photos_of(tmp_path)}


def test_splits_of_a_folder(tmp_path):
    for split, count in (("train", 8), ("val", 2), ("test", 3)):
        balls(tmp_path / split, ("red", "blue"), count)
    assert Counter(photo.role for photo in photos_of(tmp_path)) == {"train": 16, "calibrate": 4, "report": 6}
    roles = read_photos([DataSet("data", tmp_path)], {"val": "train", "test": "calibrate"})
    assert Counter(photo.role for photo in roles) == {"train": 20, "calibrate": 6}


def test_val_alone_is_reported_and_training_photos_calibrate(tmp_path):
    for split, count in (("train", 8), ("val", 2)):
        balls(tmp_path / split, ("red", "blue"), count)
    assert Counter(photo.role for photo in photos_of(tmp_path)) == {"train": 14, "calibrate": 2, "report": 4}


def test_a_photo_table(tmp_path):
    path = table(
        tmp_path,
        {"path": "red.png", "labels": "toys|red", "title": "Red ball", "price": "9.50", "split": "train"},
        {"path": "blue.png", "labels": "toys|blue_one", "split": "test"},
    )
    red, blue = photos_of(path)
    assert (red.label, red.coarse, red.text, red.role) == ("red", "toys", ProductText("Red ball", price=9.5), "train")
    assert (blue.label, blue.text, blue.role) == ("blue_one", ProductText("blue one"), "report")
    assert red.where == f"{path}, line 2"
    assert photos_of(tmp_path) == photos_of(path)


def test_kinds_are_not_products(tmp_path):
    kinds = photos_of(balls(tmp_path), kinds=True)
    assert len({photo.product for photo in kinds}) == len(kinds) == 24
    assert not any(photo.stored for photo in kinds)


def test_views_of_a_shop_are_left_out(toys):
    photos = photos_of(toys)
    held = [photo for photo in photos if photo.role != "train"]
    assert len(photos) == 24 and len({photo.product for photo in held}) == len(held) == 6
    assert not any(photo.stored for photo in held)
    assert {photo.label for photo in photos} == {None}
    assert photos[0].product == "data/toys/red"


def test_whole_products_are_left_out(toys):
    roles: dict[str, list[str]] = {}
    for photo in photos_of(toys, whole=True):
        roles.setdefault(photo.product, []).append(photo.role)
    for seen in roles.values():
        assert seen == ["train"] * 4 or (seen[0] == "gallery" and len(set(seen[1:])) == 1 and "train" not in seen)
    assert {seen[0] for seen in roles.values()} == {"train", "gallery"}


def test_a_fold_is_a_run_of_names(folder):
    photos = photos_of(folder)
    folds = [held_out_fold(photos, fold, 3) for fold in (1, 2, 3)]
    reported = [
        [photo.path.name for photo in fold if photo.role == "report" and photo.label == "red"] for fold in folds
    ]
    assert reported == [["0.jpg", "1.jpg", "7.jpg"], ["2.jpg", "3.jpg", "7.jpg"], ["4.jpg", "5.jpg", "7.jpg"]]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"path": "red.png", "labels": ""}, "line 2: the photo red.png has no label."),
        ({"path": "none.png", "labels": "red"}, "line 2: there is no photo none.png."),
        ({"path": "", "labels": "red"}, "line 2: there is no photo named."),
        ({"path": "red.png", "labels": "red", "price": "nan"}, "line 2: 'nan' is no price."),
        ({"path": "red.png", "labels": "red", "price": "-3"}, "line 2: '-3' is no price."),
        ({"path": "red.png", "labels": "red", "price": "cheap"}, "line 2: 'cheap' is no price."),
        ({"path": "red.png", "labels": "red", "split": "later"}, "line 2: 'later' is no split; train, val or test is."),
    ],
)
def test_a_bad_line_of_a_photo_table_is_named(tmp_path, row, sentence):
    path = table(tmp_path, row, {"path": "blue.png", "labels": "blue"})
    with pytest.raises(DataError) as refused:
        photos_of(path)
    assert str(refused.value) == f"{path}, {sentence}"


def test_all_bad_lines_are_named_at_once_and_ten_are_shown(tmp_path):
    path = table(tmp_path, *[{"path": f"none-{number}.png", "labels": "red"} for number in range(12)])
    with pytest.raises(DataError) as refused:
        photos_of(path)
    sentences = str(refused.value).splitlines()
    assert sentences[:2] == [f"{path}, line {line}: there is no photo none-{line - 2}.png." for line in (2, 3)]
    assert (len(sentences), sentences[-1]) == (11, "and 2 more")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"sku": "", "images": "red.png"}, "line 2: the product has no sku."),
        ({"sku": "a", "images": "none.png"}, "line 2: there is no photo none.png."),
        ({"sku": "a", "images": "red.png", "price": "inf"}, "line 2: 'inf' is no price."),
    ],
)
def test_a_bad_line_of_a_product_table_is_named(tmp_path, row, sentence):
    draw_ball(tmp_path / "red.png", "red", 1)
    path = write_table(tmp_path / "products.csv", [row], PRODUCT_COLUMNS)
    with pytest.raises(DataError) as refused:
        photos_of(path)
    assert str(refused.value) == f"{path}, {sentence}"


def test_tables_that_are_none(tmp_path):
    other = write_table(tmp_path / "other.csv", [{"name": "a", "size": "1"}], ("name", "size"))
    with pytest.raises(DataError, match=r"neither the columns path and label .* it has name, size\."):
        read_rows(other)
    empty = write_table(tmp_path / "empty.csv", [], PHOTO_COLUMNS)
    with pytest.raises(DataError, match=r"empty\.csv has no rows\."):
        read_rows(empty)
    (tmp_path / "latin.csv").write_bytes("path,label\nr\xe4d.png,r\xe4d\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv cannot be read"):
        read_rows(tmp_path / "latin.csv")
    with pytest.raises(DataError, match=r"There is no folder or CSV file .*nowhere\."):
        read_rows(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match=r"There are no photos in .*: put them into a folder a label\."):
        photos_of(tmp_path)


def test_an_empty_label_folder(tmp_path):
    (balls(tmp_path) / "yellow").mkdir()
    with pytest.raises(DataError) as refused:
        photos_of(tmp_path)
    assert str(refused.value) == f"The folder {tmp_path / 'yellow'} has no photos: a label needs some."


def test_one_label_only(tmp_path):
    with pytest.raises(DataError) as refused:
        check_trainable(photos_of(balls(tmp_path, ("red",))))
    assert str(refused.value) == "All photos of data have the one label 'red': there is nothing to tell apart."


def test_a_held_out_label_that_nothing_is_trained_on(tmp_path):
    rows = [{"path": f"{colour}.png", "labels": colour, "split": "train"} for colour in ("red", "blue")]
    path = table(tmp_path, *rows, {"path": "red.png", "labels": "pink", "split": "test"})
    with pytest.raises(DataError) as refused:
        check_trainable(photos_of(path))
    assert str(refused.value) == f"{path}, line 4: no photo with the label 'pink' is there to train on."


def test_nothing_to_train_on(tmp_path):
    with pytest.raises(DataError) as refused:
        check_trainable(photos_of(balls(tmp_path / "test").parent))
    assert str(refused.value) == "There are no photos to train on: name at least one data set that has some."


def test_labels_and_photos_that_all_are_copies(tmp_path):
    """Blue is trained on with one photo, which is also reported: after the copies are dropped nothing teaches it."""
    seen = [{"path": f"{colour}.png", "labels": colour, "split": "train"} for colour in ("red", "green", "blue")]
    draw_ball(tmp_path / "green.png", "green", 1)
    path = table(tmp_path, *seen, {"path": "blue.png", "labels": "blue", "split": "test"})
    photos, _ = without_leaks(photos_of(path))
    with pytest.raises(DataError) as refused:
        check_trainable(photos)
    assert str(refused.value) == f"{path}, line 4: no photo with the label 'blue' is there to train on."
    held = [row | {"split": "test"} for row in seen]
    photos, _ = without_leaks(photos_of(table(tmp_path, *seen, *held)))
    with pytest.raises(DataError) as refused:
        check_trainable(photos)
    assert str(refused.value) == "There are no photos to train on: 3 are copies of held-out ones."


def test_a_view_that_two_products_share_is_left_out_of_one(tmp_path):
    """Of A the shared photo is held out (by the hash of its name), of B the other one: rows, not paths."""
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        draw_ball(tmp_path / name, "red", number)
    rows = [{"sku": "A", "images": "a.png|b.png"}, {"sku": "B", "images": "b.png|c.png"}]
    photos = photos_of(write_table(tmp_path / "products.csv", rows, PRODUCT_COLUMNS))
    held = [(photo.product, photo.name) for photo in photos if photo.role != "train"]
    assert held == [("data/A", "b.png"), ("data/B", "c.png")]
    assert [photo.stored for photo in photos] == [True, False, True, False]


def test_a_name_is_the_path_within_the_data_set(tmp_path, monkeypatch):
    """It does not change when the data is named from elsewhere, nor do the products of kinds."""
    balls(tmp_path / "balls", ("red", "blue"), 4)
    absolute = photos_of(tmp_path / "balls", kinds=True)
    monkeypatch.chdir(tmp_path)
    relative = photos_of(Path("balls"), kinds=True)
    assert [photo.name for photo in absolute][:2] == ["blue/0.jpg", "blue/1.jpg"]
    assert [photo.product for photo in absolute][:2] == ["data/blue/0.jpg", "data/blue/1.jpg"]
    assert [(photo.name, photo.product) for photo in relative] == [(photo.name, photo.product) for photo in absolute]


def test_two_sets_of_one_name(folder, tmp_path):
    other = balls(tmp_path / "balls")
    with pytest.raises(DataError, match="Two data sets have the same name: balls, balls"):
        read_photos([DataSet("balls", folder), DataSet("balls", other)])


def test_photos_that_cannot_be_decoded_are_named(tmp_path):
    root = shop(tmp_path / "shops")
    (root / "toys" / "blue-1.png").write_bytes(b"no photo")
    (root / "toys" / "red-0.png").write_bytes((root / "toys" / "red-0.png").read_bytes()[:300])
    with pytest.raises(DataError) as refused:
        open_cache(photos_of(root), tmp_path / "cache", 64)
    red, blue = str(refused.value).splitlines()
    assert red.startswith(f"{root / 'toys' / 'products.csv'}, line 2: red-0.png cannot be decoded (")
    assert blue.startswith(f"{root / 'toys' / 'products.csv'}, line 4: blue-1.png cannot be decoded (")
    draw_ball(root / "toys" / "blue-1.png", "blue", 1)
    draw_ball(root / "toys" / "red-0.png", "red", 1)
    assert open_cache(photos_of(root), tmp_path / "cache", 64).pixels.shape == (24, 64, 64, 4)


def test_a_price_is_a_number_or_nothing(tmp_path):
    path = table(tmp_path, {"path": "red.png", "labels": "a", "price": "0"}, {"path": "blue.png", "labels": "b"})
    prices = [row.text.price for row in read_rows(path)]
    assert prices == [0.0, None] and not any(math.isnan(price) for price in prices if price is not None)


@pytest.mark.shared
def test_the_splits_of_the_real_data():
    """The photos of the data sets beside the repository, as the card counts them."""
    root = os.environ.get("VITRINE_TEST_DATA")
    if not root:
        pytest.skip("VITRINE_TEST_DATA names no folder with grocery/, clothing/ and catalogues/")
    data = Path(root)
    sets = [
        DataSet("grocery", data / "grocery"),
        DataSet("clothing", data / "clothing", kinds=True),
        DataSet("catalogues", data / "catalogues"),
    ]
    photos = read_photos(sets)
    check_trainable(photos)
    reported = Counter(photo.source for photo in photos if photo.role == "report")
    assert reported == {"grocery": 296, "clothing": 341, "catalogues": 40}
    held = {photo.path for photo in photos if photo.role != "train"}
    assert not held & {photo.path for photo in photos if photo.role == "train"}
