"""Copies of photos across training and measuring: found when drawn, and absent from the real splits."""

import tarfile
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from recognition.text import ProductText
from recognition.training.data import DataSet, Photo, Role, read_photos
from recognition.training.errors import DataError
from recognition.training.leaks import Copy, copies, fingerprints, without_leaks
from tests.drawing import draw

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def save(path: Path, image: Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def photo(path: Path, role: Role) -> Photo:
    return Photo(path, "drawn", path.stem, role, ProductText(), path.stem)


def test_the_same_bytes_and_the_same_look_are_found(tmp_path):
    drawn = [save(tmp_path / f"{number}.png", draw(number)) for number in range(12)]
    held = [
        save(tmp_path / "held" / "same.png", draw(3)),
        save(tmp_path / "held" / "smaller.jpg", draw(5).resize((200, 200)), quality=60),
        save(tmp_path / "held" / "new.png", draw(99)),
    ]
    found = copies(fingerprints(held), fingerprints(drawn))
    assert found[0] == Copy(held[0], drawn[3], "same bytes")
    assert [(copy.first, copy.second, copy.kind) for copy in found[1:]] == [(held[1], drawn[5], "looks the same")]
    assert found[1].bits <= 6 and 0 < found[1].levels <= 20


def test_another_colour_of_one_shape_is_no_copy(tmp_path):
    paths = []
    for colour in ("#b03030", "#3030b0"):
        image = Image.new("RGB", (200, 200), "white")
        ImageDraw.Draw(image).ellipse((80, 80, 120, 120), fill=colour)
        paths.append(save(tmp_path / f"{colour[1:]}.png", image))
    red, blue = (fingerprints([path]) for path in paths)
    assert (red.hashes[0] ^ blue.hashes[0]).bit_count() <= 6  # the hashes alone would call them one
    assert copies(red, blue) == []


def test_exif_orientation_does_not_hide_a_copy(tmp_path):
    upright = save(tmp_path / "upright.png", draw(4))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side, shown after a turn to the right
    lying = save(tmp_path / "lying.jpg", draw(4).transpose(Image.Transpose.ROTATE_90), exif=exif, quality=90)
    assert [copy.kind for copy in copies(fingerprints([lying]), fingerprints([upright]))] == ["looks the same"]


def test_the_copy_for_the_earlier_step_is_not_used(tmp_path):
    roles: dict[str, tuple[int, Role]] = {
        "trained-and-reported": (1, "train"),
        "calibrated-and-reported": (2, "calibrate"),
        "trained-and-calibrated": (3, "train"),
        "trained": (4, "train"),
        "stored": (1, "gallery"),
        "reported-1": (1, "report"),
        "reported-2": (2, "report"),
        "calibrated-3": (3, "calibrate"),
    }
    photos = [photo(save(tmp_path / f"{name}.png", draw(number)), role) for name, (number, role) in roles.items()]
    kept, found = without_leaks(photos)
    used = [one.path.stem for one in kept if one.role != "copy"]
    assert used == ["trained", "stored", "reported-1", "reported-2", "calibrated-3"]
    assert [one.path for one in kept] == [one.path for one in photos]
    assert {(copy.first.stem, copy.second.stem) for copy in found} == {
        ("reported-1", "trained-and-reported"),
        ("reported-2", "calibrated-and-reported"),
        ("calibrated-3", "trained-and-calibrated"),
    }
    assert without_leaks(kept) == (kept, [])


def test_one_file_in_two_rows_is_reported_and_not_trained_on(tmp_path):
    """Only the training row is dropped, also where it is trained on twice; the stored row stays."""
    path = save(tmp_path / "x.png", draw(1))
    photos = [photo(path, role) for role in ("train", "report", "train", "gallery")]
    kept, found = without_leaks(photos)
    assert [one.role for one in kept] == ["copy", "report", "copy", "gallery"]
    assert found == [Copy(path, path, "same bytes")] * 2


def test_nothing_to_compare():
    assert without_leaks([]) == ([], [])


def test_a_photo_that_cannot_be_decoded_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"broken\.jpg cannot be decoded"):
        fingerprints([tmp_path / "broken.jpg"])


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The data sets beside the repository, unpacked."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("grocery", "clothing", "catalogues"):
        archive = SHARED / f"{name}.tar"
        if not archive.is_file():
            pytest.skip(f"{archive.name} does not lie in ../shared/data")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


@pytest.mark.shared
@pytest.mark.slow
def test_the_splits_of_the_real_data_share_no_photo(real):
    """Groceries and clothes: not one photo is held out and trained on, nor is any held out twice."""
    photos = read_photos([DataSet("grocery", real / "grocery"), DataSet("clothing", real / "clothing", kinds=True)])
    held = sum(one.role != "train" for one in photos)
    assert held >= 296 + 341
    assert without_leaks(photos) == (photos, [])


@pytest.mark.shared
@pytest.mark.slow
def test_the_one_copy_among_the_catalogues_views_is_not_used(real):
    """One left-out view is a stored photo with its dark hoodie recoloured: that photo is not trained on."""
    photos = read_photos([DataSet("catalogue", real / "catalogues")])
    kept, found = without_leaks(photos)
    (copy,) = found
    assert (copy.first.name, copy.second.name) == ("mh12-blue_main.jpg", "mh12-green_main.jpg")
    assert [one.path for one in kept if one.role == "copy"] == [copy.second]
    assert without_leaks(kept) == (kept, [])
