"""The photos of a run: what its folder keeps of them, and every difference that is refused."""

import shutil
from dataclasses import replace

import pytest

from recognition.training.data import DataSet, read_photos
from recognition.training.errors import DataError
from recognition.training.photo_list import as_in_run, check_photos, write_photos
from tests.training_data import balls, draw_ball


@pytest.fixture
def photos(tmp_path):
    """Eight photos: two labels of four."""
    return read_photos([DataSet("balls", balls(tmp_path / "balls", ("red", "blue"), 4))])


@pytest.fixture
def run(photos, tmp_path):
    """The folder of a run with them."""
    (tmp_path / "run").mkdir()
    write_photos(photos, tmp_path / "run")
    return tmp_path / "run"


def refusal(check, photos, run) -> str:
    with pytest.raises(DataError) as refused:
        check(photos, run)
    start, end = f"{run} holds a run with other photos: ", ". Choose those, or another folder."
    assert str(refused.value).startswith(start) and str(refused.value).endswith(end)
    return str(refused.value)[len(start) : -len(end)]


def test_what_the_folder_keeps(photos, run):
    size = photos[0].path.stat().st_size
    lines = (run / "photos.csv").read_text().splitlines()
    assert lines[:2] == [
        "data,photo,bytes,label,coarse,role,product,stored",
        f"balls,blue/0.jpg,{size},blue,,train,balls/blue,yes",
    ]
    assert len(lines) == 9
    check_photos(photos, run)
    assert as_in_run(photos, run) == photos


def test_the_data_may_have_moved(photos, run, tmp_path):
    moved = shutil.copytree(tmp_path / "balls", tmp_path / "elsewhere" / "balls")
    check_photos(read_photos([DataSet("balls", moved)]), run)


@pytest.mark.parametrize("check", [check_photos, as_in_run])
def test_other_photos_are_refused(photos, run, check):
    assert refusal(check, photos[:-1], run) == "balls/red/3.jpg is no longer there"
    more = replace(photos[0], name="blue/new.jpg")
    assert refusal(check, [*photos, more], run) == "balls/blue/new.jpg was not there"
    assert refusal(check, [*photos, photos[0]], run) == "balls/blue/0.jpg was not there"
    other = [photos[0], replace(photos[1], label="green"), *photos[2:]]
    assert refusal(check, other, run) == "the label of balls/blue/1.jpg is 'green' and was 'blue'"
    size = photos[2].path.stat().st_size
    photos[2].path.write_bytes(photos[2].path.read_bytes() + b"0")
    assert refusal(check, photos, run) == f"the bytes of balls/blue/2.jpg is '{size + 1}' and was '{size}'"


def test_other_roles_are_refused_for_training_and_corrected_for_export(photos, run):
    assert [photo.role for photo in photos[:4]] == ["train", "train", "train", "report"]
    trained = [replace(photo, role="train", stored=True) for photo in photos]
    assert refusal(check_photos, trained, run) == "the role of balls/blue/3.jpg is 'train' and was 'report'"
    assert as_in_run(trained, run) == photos
    kinds = [replace(photo, product=f"balls/{photo.name}", stored=False) for photo in photos]
    assert (
        refusal(check_photos, kinds, run)
        == "the product of balls/blue/0.jpg is 'balls/blue/0.jpg' and was 'balls/blue'"
    )
    assert as_in_run(kinds, run) == photos


def test_another_order_is_refused_for_training_and_corrected_for_export(photos, run):
    """Rows of arrays are photos by their number."""
    assert refusal(check_photos, photos[::-1], run) == "balls/red/3.jpg is at another place"
    assert as_in_run(photos[::-1], run) == photos


def test_one_file_in_two_rows(photos, tmp_path):
    """Two products share a photo: each row keeps its own role."""
    draw_ball(tmp_path / "balls" / "x.jpg", "red", 1)
    shared = [replace(photos[0], label=None, role=role, product=f"balls/{role}") for role in ("train", "report")]
    (tmp_path / "other").mkdir()
    write_photos(shared, tmp_path / "other")
    assert as_in_run([replace(photo, role="train") for photo in shared], tmp_path / "other") == shared
