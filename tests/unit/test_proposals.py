"""The head that finds things: its shapes, its answers, and bundles with and without it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from recognition.bundle import Bundle, Preprocessing, Subject, load_bundle, save_bundle
from recognition.errors import BundleError
from recognition.fusion import ProductEncoder
from recognition.proposals import SubjectHead, best_of, points, proposals_of
from recognition.recogniser import Recogniser

SIZE = 64
FINDER = Subject(width=16, side=128, score=0.3, sure=0.6, small=0.3, margin=0.1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors on threads that wait for each other are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def save(folder, subject, model=None):
    torch.manual_seed(5)
    model = model or ProductEncoder("mobilenet_v2", 256, None, subject)
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    look = Preprocessing(size=SIZE)
    save_bundle(Bundle("2026-01-01-random", "mobilenet_v2", preprocessing=look, subject=subject), tensors, "", folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("finder") / "bundle", FINDER)


@pytest.fixture(scope="module")
def recogniser(folder):
    return Recogniser.load(folder, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize(("height", "width"), [(6, 6), (14, 14), (3, 7)])
def test_shapes(height, width):
    logits, boxes = SubjectHead(32, 16)(torch.rand(2, 32, height, width))
    assert (logits.shape, boxes.shape) == ((2, height * width), (2, height * width, 4))
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_at_first_nothing_is_a_thing_and_things_are_three_cells_wide():
    logits, boxes = SubjectHead(32, 16)(torch.zeros(1, 32, 6, 6))
    assert logits.sigmoid().max().item() == pytest.approx(0.01, abs=2e-3)
    middle = boxes[0, 2 * 6 + 2]
    assert middle.tolist() == pytest.approx([1 / 6, 1 / 6, 4 / 6, 4 / 6], abs=0.02)


def test_a_thing_does_not_depend_on_what_lies_far_away():
    """Two 3x3 convolutions look two cells far, and no normalisation sees more."""
    torch.manual_seed(3)
    head, maps = SubjectHead(32, 16), torch.rand(1, 32, 14, 14)
    crowded = maps.clone()
    crowded[..., 7:] = torch.rand(1, 32, 14, 7) * 9
    logits, boxes = head(maps)
    other_logits, other_boxes = head(crowded)
    left = [row * 14 + column for row in range(14) for column in range(5)]
    assert torch.allclose(logits[:, left], other_logits[:, left], atol=1e-5)
    assert torch.allclose(boxes[:, left], other_boxes[:, left], atol=1e-5)


def test_points_go_row_by_row():
    assert points(2, 3, torch.device("cpu")).tolist() == [
        [pytest.approx(x), pytest.approx(y)] for y in (0.25, 0.75) for x in (1 / 6, 0.5, 5 / 6)
    ]


def test_the_best_one_within_the_frame():
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    boxes = torch.tensor([[[0.0, 0, 1, 1], [-0.5, 0.25, 0.5, 1.5], [0, 0, 0.1, 0.1]]])
    assert best_of(logits, boxes)[0].tolist() == pytest.approx([0, 0.25, 0.5, 1, 0.8808], abs=1e-4)


def test_proposals_are_good_enough_and_apart():
    boxes = torch.tensor([[[0, 0, 0.5, 0.5], [0.01, 0, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0.6, 0, 0.9, 0.3]]])
    logits = torch.tensor([[1.0, 2.0, 0.5, -3.0]])
    (found,) = proposals_of(logits, boxes, least=0.4, overlap=0.5, limit=9)
    assert found.boxes == pytest.approx(boxes[0, [1, 2]].numpy())
    assert found.scores == pytest.approx([0.8808, 0.6225], abs=1e-4)
    (none,) = proposals_of(logits - 9, boxes, least=0.4, overlap=0.5, limit=9)
    assert (none.boxes.shape, none.scores.shape) == ((0, 4), (0,))


def test_a_bundle_remembers_its_head(folder, recogniser):
    assert load_bundle(folder).subject == FINDER
    assert {name for name in load_file(folder / "weights.safetensors") if name.startswith("subject.")}
    assert recogniser.model.subject is not None


def test_a_bundle_without_a_head_still_loads(tmp_path, pixels):
    plain = save(tmp_path / "plain", None)
    facts = json.loads((plain / "bundle.json").read_text())
    assert facts["subject"] is None
    del facts["subject"]  # as bundles were written before there was a head
    (plain / "bundle.json").write_text(json.dumps(facts))
    loaded = Recogniser.load(plain, device="cpu", precision="float32")
    subject = loaded.forward(pixels, [None] * 5).subject
    assert (subject.shape, subject.any()) == ((5, 5), False)
    assert loaded.main_subject(subject[0], 300, 200) is None
    with pytest.raises(ValueError, match="2026-01-01-random has no head that finds things"):
        loaded.propose(np.zeros((1, 128, 128, 3), np.uint8))


def test_the_head_and_the_facts_must_fit_together(tmp_path):
    model = ProductEncoder("mobilenet_v2", 256, None, FINDER)
    for subject in (None, replace(FINDER, width=24)):
        with pytest.raises(BundleError, match="do not fit"):
            Recogniser.load(save(tmp_path / f"wrong-{subject is None}", subject, model))


def test_the_head_changes_no_vector(tmp_path, recogniser, pixels):
    model = ProductEncoder("mobilenet_v2", 256)
    tensors = load_file(recogniser.bundle.weights_path)
    model.load_state_dict(
        {name: torch.from_numpy(tensor).float() for name, tensor in tensors.items() if not name.startswith("subject.")},
        strict=False,
    )
    plain = Recogniser.load(save(tmp_path / "plain", None, model), device="cpu", precision="float32")
    with_head, without = recogniser.forward(pixels, [None] * 5), plain.forward(pixels, [None] * 5)
    assert np.abs(with_head.image - without.image).max() < 1e-5
    assert (with_head.subject[:, 4] > 0).all()


def test_proposals_of_whole_photos(recogniser):
    shown = np.random.default_rng(2).integers(0, 256, (2, FINDER.side, FINDER.side, 3), np.uint8)
    recogniser.bundle = replace(recogniser.bundle, subject=replace(FINDER, score=0.0))
    try:
        found = recogniser.propose(shown)
    finally:
        recogniser.bundle = replace(recogniser.bundle, subject=FINDER)
    assert len(found) == 2
    for each in found:
        assert 0 < len(each.scores) <= 16
        assert ((each.boxes >= 0) & (each.boxes <= 1)).all()
    assert [len(each.scores) for each in recogniser.propose(shown)] == [0, 0]


@pytest.mark.parametrize(
    ("found", "cut"),
    [
        ((0.25, 0.25, 0.5, 0.5, 0.9), (0.3625, 0.225, 0.5125, 0.525)),  # of the middle 200 pixels of 400 x 200
        ((0.25, 0.25, 0.5, 0.5, 0.5), None),  # not sure enough
        ((0.0, 0.0, 0.9, 0.9, 0.9), None),  # not small
    ],
)
def test_the_main_subject_is_cut_out_where_it_is_small_and_sure(recogniser, found, cut):
    square = recogniser.main_subject(np.array(found, np.float32), 400, 200)
    assert square == (cut and pytest.approx(cut))


def test_things_within_a_region(recogniser):
    boxes = torch.tensor([[[0.1, 0.3, 0.3, 0.5], [0.6, 0.4, 0.9, 0.6]]])
    (found,) = proposals_of(torch.tensor([[1.0, 1.0]]), boxes, least=0.1, overlap=0.5, limit=9)
    (left, _), (right, square) = recogniser.things(found, 400, 200)
    assert left == pytest.approx((0.1, 0.1, 0.3, 0.5))
    assert right == pytest.approx((0.6, 0.3, 0.9, 0.7))
    assert (square[2] - square[0]) * 400 == pytest.approx((square[3] - square[1]) * 200)
    assert [box for box, _ in recogniser.things(found, 400, 200, (0.5, 0.0, 1.0, 1.0))] == [right]
