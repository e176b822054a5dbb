"""Composed scenes: what is put in is where the boxes say; and the head's training, in small."""

import csv
from io import StringIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from rich.console import Console
from safetensors.numpy import load_file

from recognition.boxes import overlaps
from recognition.bundle import Bundle, Preprocessing, Subject, load_bundle, save_bundle
from recognition.fusion import ProductEncoder
from recognition.recogniser import Recogniser
from recognition.training.errors import DataError
from recognition.training.scenes import Thing, compose, read_backgrounds, read_products, read_thing
from recognition.training.studio import Seen, Studio, targets_of
from recognition.training.subject import Plan, add_subject, head_loss
from recognition.training.subject_choice import matches, met_by

LAYOUTS = ("subject", "filled", "room", "shelf")


def rows(*boxes):
    return np.array(boxes, np.float32).reshape(-1, 4)


def studio_photo(colour, size=(240, 240)):
    """A disc of one colour in the middle of a white photo."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse((60, 60, 180, 180), fill=colour)
    return image


@pytest.fixture
def shop(tmp_path):
    """Nine products: a studio photo and a photo without a plain background each."""
    folder = tmp_path / "shop"
    (folder / "photos").mkdir(parents=True)
    noise = np.random.default_rng(3)
    with (folder / "products.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sku", "title", "images"])
        for number in range(9):
            studio_photo((25 * number, 80, 200)).save(folder / "photos" / f"{number}.png")
            Image.fromarray(noise.integers(0, 256, (120, 160, 3), np.uint8)).save(folder / "photos" / f"{number}.jpg")
            table.writerow([f"P{number}", "A disc", f"{number}.png|{number}.jpg"])
    return folder


def plain(colour=(200, 20, 20), size=(60, 40)):
    return Thing(Image.new("RGBA", size, (*colour, 255)), "red", cut_out=True)


def test_products_are_read_and_a_third_is_held_out_by_name(shop):
    products = read_products(shop)
    assert [product.name for product in products] == [f"shop/P{number}" for number in range(9)]
    assert [path.name for path in products[4].photos] == ["4.png", "4.jpg"]
    assert products == read_products(shop)
    assert 0 < sum(product.held_out for product in products) < 9


def test_products_that_cannot_be_read(shop, tmp_path):
    with pytest.raises(DataError, match=r"no products\.csv"):
        read_products(tmp_path / "nothing")
    (shop / "photos" / "3.jpg").unlink()
    with pytest.raises(DataError, match=r"3\.jpg is named in a products\.csv"):
        read_products(shop)
    (shop / "photos" / "4.png").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"4\.png cannot be decoded"):
        read_thing(shop / "photos" / "4.png", "x")


def test_a_studio_photo_is_cut_out_close_to_the_product(shop):
    thing = read_thing(shop / "photos" / "4.png", "disc")
    assert (thing.product, thing.cut_out) == ("disc", True)
    assert thing.image.size == pytest.approx((120, 120), abs=4)
    assert thing.image.getpixel((60, 60)) == (100, 80, 200, 255)
    assert thing.image.getpixel((1, 1))[3] < 30


def test_any_other_photo_is_taken_whole(shop):
    thing = read_thing(shop / "photos" / "4.jpg", "noise")
    assert (thing.cut_out, thing.image.size) == (False, (160, 120))
    assert thing.image.getextrema()[3] == (255, 255)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_scene_is_made_again_from_its_seed(layout):
    one, same = (compose(7, layout, [plain()], None, (160, 120)) for _ in range(2))
    other = compose(8, layout, [plain()], None, (160, 120))
    assert one.image.tobytes() == same.image.tobytes() != other.image.tobytes()
    assert (one.boxes == same.boxes).all() and one.products == same.products


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(6))
def test_boxes_lie_within_the_scene_and_have_a_size(layout, seed):
    scene = compose(seed, layout, [plain(), plain((10, 200, 10), (30, 80))], None, (320, 240))
    assert scene.image.size == (320, 240)
    assert len(scene.boxes) == len(scene.products) > 0
    assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
    assert (scene.boxes.min(), scene.boxes.max()) >= (0, 0) and scene.boxes.max() <= 1


@pytest.mark.parametrize("seed", range(8))
def test_the_box_is_where_the_thing_is(seed):
    """A pure red thing in front of a blue photo: the reddest pixels lie in its box and reach its edges."""
    blue = Image.new("RGB", (64, 64), (0, 0, 255))
    scene = compose(seed, "subject", [plain((255, 0, 0))], blue, (240, 240))
    pixels = np.asarray(scene.image).astype(int)
    down, across = np.nonzero(pixels[..., 0] - pixels[..., 2] > 60)
    seen = rows([across.min() / 240, down.min() / 240, (across.max() + 1) / 240, (down.max() + 1) / 240])
    assert overlaps(seen, scene.boxes)[0, 0] > 0.85
    assert scene.products == ("red",)


def test_an_empty_scene_has_nothing_in_it():
    scene = compose(1, "empty", [plain()], None, (64, 48))
    assert (scene.boxes.shape, scene.products) == ((0, 4), ())


def test_targets():
    """On a map of 4 x 4: the middle half is asked for, the rest of the box is left open, all else is not a thing."""
    kinds, wanted = targets_of(rows([0, 0, 0.75, 0.75], [0.76, 0.76, 0.99, 0.99]), 4, 4)
    assert kinds.reshape(4, 4).tolist() == [[-1, -1, -1, 0], [-1, 1, -1, 0], [-1, -1, -1, 0], [0, 0, 0, 1]]
    assert wanted[5].tolist() == pytest.approx([0, 0, 0.75, 0.75])
    assert wanted[15].tolist() == pytest.approx([0.76, 0.76, 0.99, 0.99])
    kinds, _ = targets_of(rows(), 4, 4)
    assert not kinds.any()


def test_where_things_lie_over_each_other_the_smaller_one_is_meant():
    small = [0.3, 0.3, 0.7, 0.7]
    _, wanted = targets_of(rows(small, [0, 0, 1, 1]), 8, 8)
    assert wanted[3 * 8 + 3].tolist() == pytest.approx(small)


def test_each_thing_is_met_once():
    wanted = rows([0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1])
    found = rows([0.5, 0.5, 1, 0.95], [0.5, 0.5, 1, 1], [0, 0, 0.5, 0.4], [0, 0.6, 0.2, 0.9])
    assert met_by(found, wanted) == [1, None, 0, None]
    assert matches(found, wanted) == 2
    assert met_by(rows(), wanted) == [] and met_by(found, rows()) == [None] * 4


def test_the_loss_falls_towards_the_right_answer():
    torch.manual_seed(1)
    head = ProductEncoder("mobilenet_v2", 8, None, Subject(width=16)).subject
    kinds, wanted = targets_of(rows([0.25, 0.25, 0.75, 0.75]), 4, 4)
    maps = np.random.default_rng(1).random((1, 1280, 4, 4)).astype(np.float16)
    seen = Seen(maps, kinds[None], wanted[None], [])
    optimiser = torch.optim.Adam(head.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = head_loss(head, seen, np.array([0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    logits, boxes = head(torch.from_numpy(maps))
    assert boxes[0, logits[0].argmax()].tolist() == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.1)


def test_a_bundle_gets_its_head_and_keeps_all_else(shop, tmp_path):
    torch.set_num_threads(1)
    torch.manual_seed(2)
    tensors = ProductEncoder("mobilenet_v2", 16).state_dict().items()
    floats = {name: tensor.numpy() for name, tensor in tensors if tensor.is_floating_point()}
    before = Bundle("2026-01-01-random", "mobilenet_v2", dim=16, preprocessing=Preprocessing(size=64))
    save_bundle(before, floats, "# A card\n", tmp_path / "before")
    out, plan = tmp_path / "after", Plan(near=4, wide=2, chosen_on=2, rounds=1, batch=2)
    products = read_products(shop)
    for _ in range(2):  # the second time over a bundle that has a head already
        add_subject(tmp_path / "before", products, read_backgrounds([shop]), out, plan, Console(file=StringIO()))
        after = load_bundle(out)
        assert (after.version, after.subject is not None) == (before.version, True)
    old, new = load_file(tmp_path / "before" / "weights.safetensors"), load_file(out / "weights.safetensors")
    assert all((new[name] == tensor).all() for name, tensor in old.items())
    assert {name.partition(".")[0] for name in set(new) - set(old)} == {"subject"}
    card = (out / "card.md").read_text()
    assert card.startswith("# Bundle 2026-01-01-random\n") and card.count("## Finding things\n") == 1
    assert "trained on scenes composed of cut-out product photos." in card
    Recogniser.load(out, device="cpu", precision="float32").propose(np.zeros((1, 448, 448, 3), np.uint8))


def test_there_must_be_products(shop):
    with pytest.raises(DataError, match="no products"):
        Studio([], [], 1)
