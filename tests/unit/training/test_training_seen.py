"""What the model is shown: only photos whose subject was cut out go through the network again."""

import numpy as np
import pytest
from rich.console import Console

from recognition.recogniser import Recogniser
from recognition.training.seen import see
from recognition.training.tables import Row
from tests.training_data import draw_ball
from tests.worker import bundle_folder

BOX = (0.25, 0.25, 0.75, 0.75)


@pytest.fixture
def recogniser():
    return Recogniser.load(bundle_folder(), device="cpu", threads=1)


@pytest.fixture
def rows(tmp_path):
    """Three photos, the second of which cannot be read."""
    paths = [draw_ball(tmp_path / f"{number}.png", "red", number) for number in range(3)]
    paths[1].write_bytes(b"no photo")
    return [Row(path, str(path)) for path in paths]


@pytest.mark.parametrize(("boxes", "shown"), [([None, BOX], [2, 1]), ([None, None], [2]), ([BOX, BOX], [2, 2])])
def test_only_photos_with_a_box_are_looked_at_again(recogniser, rows, monkeypatch, boxes, shown):
    look, counts, coming = recogniser.forward, [], iter(boxes)

    def forward(pixels, texts):
        counts.append(len(pixels))
        return look(pixels, texts)

    monkeypatch.setattr(recogniser, "forward", forward)
    monkeypatch.setattr(recogniser, "main_subject", lambda found, width, height: next(coming))
    seen = see(recogniser, rows, Console(quiet=True), cut=True)
    assert (seen.places, counts, len(seen.unreadable)) == ([0, 2], shown, 1)
    for vector, place, box in zip(seen.image, seen.places, boxes, strict=True):
        alone = look(recogniser.prepare(rows[place].path.read_bytes(), box).pixels[None], [None])
        np.testing.assert_allclose(vector, alone.image[0], atol=1e-5)
