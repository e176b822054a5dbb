"""Why two photos are similar: the split adds up exactly, and the heat lies on what both photos show."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from config.env import ROOT
from recognition import explain as science
from recognition.explain import Look, explain, look
from recognition.photos import PhotoLimits
from recognition.recogniser import Recogniser
from recognition.store import PhotoStore
from recognition.text import ProductText
from tests.worker import bundle_folder
from workers.explain import _look

SAMPLE = ROOT / "sample"
MUG = ProductText("Stoneware mug", brand="Hearth", category="Kitchen", price=12.9, currency="EUR")
TEXTS = {
    "all": MUG,
    "words": ProductText("Stoneware mug"),
    "price": ProductText(price=4.0, currency="USD"),
    "nothing": ProductText(title=" - "),
}
NO_WORDS = ProductText()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small tensors on threads that wait for each other are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recogniser():
    return Recogniser.load(bundle_folder(), device="cpu", precision="float32")


def sample(name):
    return (SAMPLE / name).read_bytes()


@pytest.fixture(scope="module")
def looks(recogniser):
    return {name: look(recogniser, sample(name)) for name in ("photos/BAG-281.jpg", "customer/BAG-281-1.jpg")}


@pytest.fixture(scope="module")
def reference(looks):
    return looks["photos/BAG-281.jpg"]


@pytest.fixture(scope="module")
def unseen(looks):
    return looks["customer/BAG-281-1.jpg"]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("asked", ["photo", "words", "both"])
def test_the_parts_add_up_to_the_fused_similarity(recogniser, reference, unseen, text, asked, monkeypatch):
    monkeypatch.setattr(science, "_heat", lambda *_, **__: None)  # the split alone: heat takes most of the time
    query = None if asked == "words" else unseen
    words = NO_WORDS if asked == "photo" else ProductText("green bag")
    found = explain(recogniser, query=query, words=words, matched=reference, product=text)

    vectors = recogniser.forward(np.stack([reference.pixels, unseen.pixels]), [text, None])
    spoken = recogniser.forward_text([words])[0]
    direction = {"photo": vectors.image[1], "words": spoken, "both": vectors.image[1] + spoken}[asked]
    assert found.fused == pytest.approx(vectors.fused[0] @ direction / np.linalg.norm(direction), abs=1e-5)
    assert sum(part.contribution for part in found.parts.values()) == pytest.approx(found.fused, abs=1e-5)
    assert sum(part.share for part in found.parts.values()) == pytest.approx(1.0, abs=1e-5)
    if query is None:
        assert (found.image, found.no_map) == (None, "no_photo")
    else:
        assert found.image == pytest.approx(vectors.image[0] @ vectors.image[1], abs=1e-5)


def test_a_product_without_words_and_price_is_its_photo(recogniser, reference, unseen):
    found = explain(recogniser, query=unseen, words=NO_WORDS, matched=reference, product=NO_WORDS)
    assert found.fused == pytest.approx(found.image, abs=1e-5)
    assert found.parts["image"].share == pytest.approx(1.0)
    assert [found.parts[name] for name in ("words", "price")] == [science.PartScore(0.0, 0.0, 0.0)] * 2


def test_a_query_of_nothing(recogniser, reference):
    with pytest.raises(ValueError, match="a photo or words"):
        explain(recogniser, query=None, words=ProductText(title="!!"), matched=reference, product=MUG)


def composed(product, background, corner):
    """A product's photo in one corner of another photo, as PNG bytes."""
    scene = Image.open(SAMPLE / background).convert("RGB").resize((400, 400))
    scene.paste(
        Image.open(SAMPLE / product).convert("RGB").resize((170, 170)), (15 + 200 * corner[0], 15 + 200 * corner[1])
    )
    file = io.BytesIO()
    scene.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)], ids=["nw", "ne", "sw", "se"])
@pytest.mark.parametrize("product", ["photos/BAG-281.jpg", "photos/BEA-231.jpg"])
def test_the_heat_lies_on_what_both_photos_show(recogniser, product, corner):
    scene = look(recogniser, composed(product, "customer/BOO-161-1.jpg", corner))
    matched = look(recogniser, sample(product))
    heat = explain(recogniser, query=scene, words=NO_WORDS, matched=matched, product=NO_WORDS).query_map.values
    assert heat.dtype == np.float32
    assert (heat.min(), heat.max()) == (0.0, 1.0)
    rows, columns = heat.shape
    y, x = np.indices(heat.shape) + 0.5
    middle = (heat * x).sum() / heat.sum() / columns, (heat * y).sum() / heat.sum() / rows
    assert (middle[0] > 0.5, middle[1] > 0.5) == (corner[0] == 1, corner[1] == 1)
    quadrant = heat[rows // 2 :] if corner[1] else heat[: rows // 2]
    quadrant = quadrant[:, columns // 2 :] if corner[0] else quadrant[:, : columns // 2]
    assert quadrant.sum() / heat.sum() > 0.7


def test_the_map_is_finer_than_the_network_is_asked_for(recogniser, reference, unseen):
    found = explain(recogniser, query=unseen, words=NO_WORDS, matched=reference, product=MUG)
    cells = 2 * recogniser.bundle.preprocessing.size // 32
    assert found.query_map.values.shape == found.matched_map.values.shape == (cells, cells)


def test_a_photo_is_explained_beside_itself(recogniser, unseen):
    found = explain(recogniser, query=unseen, words=NO_WORDS, matched=unseen, product=NO_WORDS)
    assert found.image == pytest.approx(1.0, abs=1e-5)
    assert 0.01 < found.query_map.values.mean() < 0.5  # a gradient of nearly nothing would be noise everywhere
    assert np.abs(found.query_map.values - found.matched_map.values).max() < 1e-3


def test_the_heat_of_a_turned_photo_is_turned(recogniser, reference, unseen):
    """Heat that lies too far right in the upright photo lies too far left in the turned one: together, in neither."""
    turned = Look(unseen.pixels, np.ascontiguousarray(unseen.fine[::-1, ::-1]), unseen.box)
    towards = torch.from_numpy(recogniser.forward(reference.pixels[None], [None]).image[0])
    plain, other = (science._heat(recogniser, each, towards).values for each in (unseen, turned))
    assert np.abs(plain - other[::-1, ::-1]).max() < 1e-3


def test_a_network_without_a_map_says_so(recogniser, reference, unseen, monkeypatch):
    monkeypatch.setattr(recogniser.model.image, "_map_name", None)
    found = explain(recogniser, query=unseen, words=NO_WORDS, matched=reference, product=MUG)
    assert (found.query_map, found.matched_map, found.no_map) == (None, None, "no_feature_map")
    assert sum(part.contribution for part in found.parts.values()) == pytest.approx(found.fused, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "region", "box"),
    [
        ((400, 400), None, (0.0, 0.0, 1.0, 1.0)),
        ((800, 400), None, (0.25, 0.0, 0.75, 1.0)),
        ((400, 800), (0.0, 0.5, 1.0, 1.0), (0.0, 0.5, 1.0, 1.0)),
        ((400, 400), (0.5, 0.0, 1.0, 1.0), (0.5, 0.25, 1.0, 0.75)),
    ],
)
def test_the_map_says_which_part_of_the_photo_it_covers(recogniser, size, region, box):
    file = io.BytesIO()
    Image.new("RGB", size, (120, 30, 30)).save(file, "PNG")
    side = recogniser.bundle.preprocessing.size
    found = look(recogniser, file.getvalue(), region)
    if recogniser.bundle.preprocessing.crop == 1.0:
        assert found.box == pytest.approx(box, abs=1e-3)
    assert (found.pixels.shape, found.fine.shape) == ((side, side, 3), (2 * side, 2 * side, 3))


def test_a_photo_is_looked_at_as_it_was_compared(recogniser, tmp_path):
    """The square round a thing that was cut out is shown as it is; of a tall region, its middle square."""
    store = PhotoStore(str(tmp_path))
    file = io.BytesIO()
    Image.new("RGB", (800, 400), (120, 30, 30)).save(file, "PNG")
    line = SimpleNamespace(recogniser=recogniser, store=store, limits=PhotoLimits())
    key, square, tall = store.write(file.getvalue()).key, (0.375, 0.2, 0.675, 0.8), (0.5, 0.25, 0.55, 0.75)
    assert _look(line, key, square).box == pytest.approx(square, abs=1e-3)
    assert _look(line, key, tall).box == pytest.approx((0.5, 0.45, 0.55, 0.55), abs=1e-3)
