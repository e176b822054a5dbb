"""Boxes: how they overlap, which are kept, and that a box of a cut-out comes back to the same place in the photo."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recognition.boxes import (
    areas,
    as_box,
    keep_best,
    letterbox,
    middle_square,
    overlaps,
    square_round,
    to_frame,
    to_photo,
)
from recognition.errors import PhotoError
from recognition.photos import decode_photo, decode_regions, decode_whole

PATCH = (0.5, 0.25, 0.75, 0.75)  # where the photos below are red, upright
SIZES = [(400, 200), (200, 400), (300, 300)]
ORIENTATION = 0x0112
STORED = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF value: the transposition that undoes it


def rows(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def photo(size, orientation=1, kind="JPEG"):
    """A white photo with a red patch that, once upright, lies at PATCH."""
    width, height = size
    image = Image.new("RGB", size, "white")
    image.paste("red", tuple(round(part * side) for part, side in zip(PATCH, (width, height) * 2, strict=True)))
    if orientation != 1:
        image = image.transpose(Image.Transpose(STORED[orientation]))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = BytesIO()
    image.save(file, kind, quality=95, exif=exif)
    return file.getvalue()


def red_box(pixels):
    """The red part of pixels [H, W, 3], in parts of them."""
    height, width = pixels.shape[:2]
    down, across = np.nonzero((pixels[..., 0] > 180) & (pixels[..., 1] < 90))
    return across.min() / width, down.min() / height, (across.max() + 1) / width, (down.max() + 1) / height


def test_overlaps():
    one = rows([0, 0, 0.5, 1], [0, 0, 0, 0])
    other = rows([0.25, 0, 0.75, 1], [0.5, 0, 1, 1], [0, 0, 0.5, 1])
    assert overlaps(one, other).tolist() == [[pytest.approx(1 / 3), 0, 1], [0, 0, 0]]
    assert overlaps(one, rows()).shape == (2, 0)
    assert areas(rows([0.1, 0.2, 0.6, 0.6], [0.5, 0.5, 0.4, 0.9])).tolist() == [pytest.approx(0.2), 0]


def test_the_best_of_overlapping_boxes_is_kept():
    boxes = rows([0, 0, 0.5, 0.5], [0.02, 0, 0.5, 0.5], [0.6, 0.6, 1, 1], [0.3, 0, 0.8, 0.5])
    scores = np.array([0.7, 0.9, 0.5, 0.6], np.float32)
    assert keep_best(boxes, scores, overlap=0.5, limit=9) == [1, 3, 2]
    assert keep_best(boxes, scores, overlap=0.2, limit=9) == [1, 2]
    assert keep_best(boxes, scores, overlap=0.5, limit=1) == [1]
    assert keep_best(rows(), np.zeros(0, np.float32), overlap=0.5, limit=9) == []


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5), max_size=30), st.floats(0.125, 0.875, width=32))
def test_no_two_kept_boxes_overlap_more_than_allowed(found, allowed):
    boxes = rows(*[(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d, _ in found])
    scores = np.array([score for *_, score in found], np.float32)
    kept = keep_best(boxes, scores, overlap=allowed, limit=30)
    assert [float(scores[at]) for at in kept] == sorted((float(scores[at]) for at in kept), reverse=True)
    table = overlaps(boxes[kept], boxes[kept]) - np.eye(len(kept))
    assert not (table > allowed).any()
    for at in set(range(len(boxes))) - set(kept):
        assert (overlaps(boxes[[at]], boxes[kept]) > allowed).any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame", [letterbox, middle_square])
def test_a_box_comes_back_to_its_place(size, frame):
    box = rows([0.4, 0.35, 0.6, 0.65])
    there = to_frame(box, frame(*size))
    assert to_photo(there, frame(*size)) == pytest.approx(box, abs=1e-6)


def test_frames():
    assert letterbox(400, 200) == (0.0, -0.5, 1.0, 1.5)
    assert middle_square(400, 200) == (0.25, 0.0, 0.75, 1.0)
    assert middle_square(400, 200, 0.5) == (0.375, 0.25, 0.625, 0.75)
    assert to_photo(rows([0, 0, 1, 1]), letterbox(200, 400)).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", SIZES)
def test_the_letterbox_shows_all_of_the_photo_upright(size, orientation):
    whole = decode_whole(photo(size, orientation), size=160)
    assert (whole.pixels.shape, whole.width, whole.height) == ((160, 160, 3), *size)
    seen = to_photo(rows(red_box(whole.pixels)), letterbox(*size))
    assert as_box(seen[0]) == pytest.approx(PATCH, abs=0.02)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", SIZES)
def test_the_square_cut_round_a_box_holds_it_and_maps_back(size, orientation):
    square = square_round(PATCH, *size, margin=0.1)
    across, down = (square[2] - square[0]) * size[0], (square[3] - square[1]) * size[1]
    assert across == pytest.approx(down)
    (pixels,) = decode_regions(photo(size, orientation), [square], size=120)
    assert as_box(to_photo(rows(red_box(pixels)), square)[0]) == pytest.approx(PATCH, abs=0.02)


@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((0.4, 0.4, 0.6, 0.6), (0.375, 0.25, 0.625, 0.75)),  # 80 x 40 pixels and a margin of 10 all round
        ((0.0, 0.0, 0.2, 0.4), (0.0, 0.0, 0.25, 0.5)),  # pushed in from the corner
        ((0.1, 0.0, 0.9, 1.0), (0.25, 0.0, 0.75, 1.0)),  # no larger than the short side
    ],
)
def test_the_square_round_a_box(box, square):
    assert square_round(box, 400, 200, margin=0.125) == pytest.approx(square)


def test_a_square_of_one_pixel_is_cut_out():
    """Divided by the photo's sides and multiplied again, one pixel is now and then a little less than one."""
    for width in range(1, 41):
        data = photo((width, 2), kind="PNG")
        squares = [square_round((at, 0.5, at, 0.5), width, 2, margin=0.0) for at in (0.0, 0.3, 0.5, 0.9, 1.0)]
        assert [pixels.shape for pixels in decode_regions(data, squares, size=4)] == [(4, 4, 3)] * 5


def test_regions_are_what_one_by_one_would_give():
    data = photo((800, 600))
    regions = [(0.0, 0.0, 0.3, 0.4), (0.4, 0.2, 0.8, 0.8)]
    together = decode_regions(data, regions, size=64)
    for region, pixels in zip(regions, together, strict=True):
        alone = decode_photo(data, size=64, region=region).pixels
        assert np.abs(pixels.astype(int) - alone).mean() < 2
    assert decode_regions(data, [], size=64) == []


def test_what_cannot_be_cut_out():
    with pytest.raises(PhotoError) as error:
        decode_regions(photo((400, 200)), [(0.2, 0.2, 0.4, 0.4), (0.5, 0.5, 0.5, 0.9)], size=64)
    assert error.value.code == "photo_region_empty"
    with pytest.raises(PhotoError) as error:
        decode_whole(b"no photo", size=64)
    assert error.value.code == "photo_not_an_image"
