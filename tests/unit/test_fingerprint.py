"""Fingerprints and sketches: copies of a photo are near, other photos are not, and "nothing" is near nothing."""

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from recognition.fingerprint import fingerprint, is_near_duplicate, likeness, sketch
from tests.drawing import draw


def pixels(image, side=224):
    return np.asarray(image.convert("RGB").resize((side, side)))


def recompressed(image):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer)


COPIES = {
    "smaller": lambda image: image.resize((120, 120)),
    "recompressed": recompressed,
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.95),
}


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("number", range(8))
def test_a_copy_is_near_its_original(number, copy):
    image = draw(number)
    assert is_near_duplicate(fingerprint(pixels(image)), fingerprint(pixels(COPIES[copy](image))))


def test_other_photos_are_not_near():
    marks = [fingerprint(pixels(draw(number))) for number in range(40)]
    assert not any(is_near_duplicate(one, other) for at, one in enumerate(marks) for other in marks[at + 1 :])


def test_the_same_shape_in_another_colour_is_another_photo():
    red, blue = (Image.new("RGB", (224, 224), "white") for _ in range(2))
    red.paste((200, 60, 60), (60, 60, 160, 160))
    blue.paste((64, 90, 220), (60, 60, 160, 160))
    assert not is_near_duplicate(fingerprint(pixels(red)), fingerprint(pixels(blue)))


def test_a_fingerprint_has_one_length_whatever_the_size():
    assert {len(fingerprint(pixels(draw(1), side))) for side in (17, 60, 224, 640)} == {128}


def test_nothing_is_near_nothing():
    mark = fingerprint(pixels(draw(1)))
    assert not is_near_duplicate("", "")
    assert not is_near_duplicate(mark, "")
    assert (likeness("", ""), likeness("", "ab")) == (0.0, 0.0)


def test_likeness_is_about_the_cosine():
    dice = np.random.default_rng(1)
    for wanted in (0.95, 0.8, 0.5, 0.0):
        one = dice.standard_normal(256)
        one /= np.linalg.norm(one)
        aside = dice.standard_normal(256)
        aside -= aside @ one * one
        aside /= np.linalg.norm(aside)
        other = wanted * one + np.sqrt(1 - wanted**2) * aside
        found = likeness(sketch(one.astype(np.float32)), sketch(other.astype(np.float32)))
        assert found == pytest.approx(wanted, abs=0.25)
    assert likeness(sketch(one), sketch(one)) == 1.0
