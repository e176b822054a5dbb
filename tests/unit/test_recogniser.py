"""The model at work, with random weights: shapes, norms, batches, precision, threads and memory."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from recognition.bundle import Bundle, LabelSet, Preprocessing, save_bundle
from recognition.errors import BundleError, PhotoError
from recognition.fusion import ProductEncoder
from recognition.recogniser import Recogniser, _best_dtype
from recognition.runtime import OnnxRuntime, PyTorch
from recognition.text import ProductText

SIZE = 64
TEXT = ProductText("Red mug", brand="Kiln", category="Kitchen", description="Stoneware", price=12.5, currency="EUR")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny tensors on threads that wait for each other are slow on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def calm_model(arch: str, labels: dict[str, LabelSet] | None = None) -> ProductEncoder:
    """Random weights whose features still differ from photo to photo, and batch norms that do something."""
    torch.manual_seed(5)
    model = ProductEncoder(arch, 256, labels)
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.image.backbone.train()(torch.randn(8, 3, SIZE, SIZE))
    return model.eval()


def save(model: ProductEncoder, arch: str, folder):
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    save_bundle(
        Bundle("2026-01-01-random", arch, preprocessing=Preprocessing(size=SIZE)), tensors, "# Random\n", folder
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save(calm_model("mobilenet_v2"), "mobilenet_v2", tmp_path_factory.mktemp("bundle") / "default")


@pytest.fixture(scope="module")
def recogniser(folder):
    return Recogniser.load(folder, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 256, (6, 8, 8, 3), np.uint8)
    return coarse.repeat(SIZE // 8, 1).repeat(SIZE // 8, 2)


def photo(colour: tuple[int, int, int]) -> bytes:
    file = BytesIO()
    Image.new("RGB", (100, 80), colour).save(file, "PNG")
    return file.getvalue()


def test_shapes_and_norms(recogniser, pixels):
    vectors = recogniser.forward(pixels, [TEXT] * 6)
    for part in (vectors.image, vectors.fused):
        assert (part.shape, part.dtype) == ((6, 256), np.float32)
        assert np.linalg.norm(part, axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_without_words_the_fused_vector_is_the_photos(recogniser, pixels):
    vectors = recogniser.forward(pixels, [None, ProductText(), ProductText(title=" - "), None, None, None])
    assert np.abs(vectors.image - vectors.fused).max() < 1e-6


def test_words_and_price_change_the_fused_vector_only(recogniser, pixels):
    plain = recogniser.forward(pixels[:3], [None] * 3)
    known = recogniser.forward(pixels[:3], [ProductText("Red mug"), ProductText(price=5.0), TEXT])
    assert np.abs(plain.image - known.image).max() < 1e-6
    assert (np.abs(plain.fused - known.fused).max(axis=1) > 1e-3).all()


def test_a_photo_does_not_depend_on_its_batch(recogniser, pixels):
    texts = [TEXT, None, ProductText("Blue chair"), None, ProductText(price=3.0), TEXT]
    together = recogniser.forward(pixels, texts)
    for at in range(6):
        alone = recogniser.forward(pixels[at : at + 1], texts[at : at + 1])
        assert np.abs(alone.image[0] - together.image[at]).max() < 1e-4
        assert np.abs(alone.fused[0] - together.fused[at]).max() < 1e-4


def test_a_photos_vector_is_fused_anew_without_the_photo(recogniser, pixels):
    texts = [ProductText(title=f"thing {n}", price=1.0 + n, currency="EUR") for n in range(len(pixels))]
    once = recogniser.look(pixels)
    assert recogniser.fuse(once.image, texts) == pytest.approx(recogniser.forward(pixels, texts).fused, abs=1e-5)


def test_photos_seen_side_by_side_have_the_vectors_of_a_batch(recogniser, pixels):
    texts = [TEXT, None, ProductText("Blue chair"), None, ProductText(price=3.0), TEXT]
    together = recogniser.forward(pixels, texts)
    with ThreadPoolExecutor(3) as pool:
        alone = list(pool.map(lambda at: recogniser.look(pixels[at : at + 1], subject=False), range(6)))
    image = np.concatenate([each.image for each in alone])
    assert np.abs(image - together.image).max() < 1e-6
    assert np.abs(recogniser.fuse(image, texts) - together.fused).max() < 1e-6


def test_words_alone(recogniser):
    vectors = recogniser.forward_text([TEXT, ProductText("红色马克杯"), ProductText()])
    assert (vectors.shape, vectors.dtype) == ((3, 256), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0], abs=1e-5)


def test_empty_batches(recogniser):
    nothing = np.zeros((0, SIZE, SIZE, 3), np.uint8)
    vectors = recogniser.forward(nothing, [])
    assert (recogniser.look(nothing).image.shape, vectors.subject.shape) == ((0, 256), (0, 5))
    assert vectors.image.shape == vectors.fused.shape == recogniser.forward_text([]).shape == (0, 256)


def test_photos_and_texts_must_pair_up(recogniser, pixels):
    with pytest.raises(ValueError, match="6 photos came with 1 texts"):
        recogniser.forward(pixels, [None])


def test_folding_changes_nothing(pixels):
    """Batch norms folded into convolutions give the plain network's features."""
    model = calm_model("mobilenet_v2")
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.inference_mode():
        plain = model.image(batch)
        model.image.fold(torch.float32)
        folded = model.image(batch)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.image.modules())
    assert torch.allclose(plain, folded, atol=1e-4)


def test_bfloat16_agrees_with_float32(folder, recogniser, pixels):
    half = Recogniser.load(folder, device="cpu", precision="bfloat16")
    assert half.dtype == torch.bfloat16
    fast, exact = half.forward(pixels, [TEXT] * 6), recogniser.forward(pixels, [TEXT] * 6)
    assert (fast.image * exact.image).sum(1).min() > 0.98
    assert (fast.fused * exact.fused).sum(1).min() > 0.98


@pytest.mark.parametrize("capabilities", [{}, {"avx512_bf16": True}, {"amx_bf16": True}])
def test_a_cpu_computes_in_float32_unless_asked(folder, monkeypatch, capabilities):
    """Whatever it could: in bfloat16 ONNX Runtime would not run the network."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    loaded = Recogniser.load(folder, device="cpu")
    assert (loaded.dtype, type(loaded._see)) == (torch.float32, OnnxRuntime)


@pytest.mark.parametrize(("able", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_cuda_computes_in_bfloat16_where_it_has_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: able or including_emulation)
    assert _best_dtype(torch.device("cuda")) == expected


def test_other_networks_by_name(tmp_path, pixels):
    for arch in ("resnet18", "mobilenet_v3_small"):
        loaded = Recogniser.load(save(calm_model(arch), arch, tmp_path / arch), device="cpu", precision="float32")
        assert loaded.forward(pixels[:1], [None]).image.shape == (1, 256)


def test_prepare_is_thread_safe(recogniser):
    colours = [(value, 255 - value, value // 2) for value in range(0, 256, 8)]
    with ThreadPoolExecutor(8) as pool:
        for colour, decoded in zip(colours * 4, pool.map(recogniser.prepare, map(photo, colours * 4)), strict=True):
            assert decoded.pixels.shape == (SIZE, SIZE, 3)
            assert (decoded.pixels == colour).all()
            assert (decoded.width, decoded.height) == (100, 80)


def test_prepare_refuses_bad_bytes(recogniser):
    with pytest.raises(PhotoError):
        recogniser.prepare(b"no photo")


def test_preprocessing_is_the_bundles(recogniser):
    pixels = np.full((1, SIZE, SIZE, 3), 255, np.uint8)
    pixels[..., 1] = 0
    batch = recogniser.pixels_to_input(pixels)
    assert batch.shape == (1, 3, SIZE, SIZE)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch[0, :, 0, 0].tolist() == pytest.approx([1.0, -1.0, 1.0])


def test_warm_up(recogniser):
    recogniser.warm_up()


def test_out_of_memory_halves_the_batch(recogniser, pixels, monkeypatch):
    expected = recogniser.forward(pixels, [TEXT] * 6)
    sizes = []
    normal = recogniser._look

    def small_device(batch, subject):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return normal(batch, subject)

    monkeypatch.setattr(recogniser, "_look", small_device)
    vectors = recogniser.forward(pixels, [TEXT] * 6)
    assert sizes == [6, 3, 1, 2, 3, 1, 2]
    assert np.abs(vectors.fused - expected.fused).max() < 1e-4


def test_a_single_photo_that_does_not_fit_is_an_error(recogniser, pixels, monkeypatch):
    def no_device(batch, subject):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(recogniser, "_look", no_device)
    with pytest.raises(torch.OutOfMemoryError):
        recogniser.forward(pixels, [None] * 6)


def test_other_errors_are_not_retried(recogniser, pixels, monkeypatch):
    calls = []

    def broken(batch, subject):
        calls.append(len(batch))
        raise RuntimeError("a bug")

    monkeypatch.setattr(recogniser, "_look", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        recogniser.forward(pixels, [None] * 6)
    assert calls == [6]


def test_an_unknown_network(folder, tmp_path):
    model = calm_model("mobilenet_v2")
    other = save(model, "mobilenet_v2", tmp_path / "other")
    text = (other / "bundle.json").read_text().replace('"arch": "mobilenet_v2"', '"arch": "hopenet_v9"')
    (other / "bundle.json").write_text(text)
    with pytest.raises(BundleError, match="unknown network: hopenet_v9"):
        Recogniser.load(other)


def test_tensors_of_another_network(tmp_path):
    folder = save(calm_model("mobilenet_v2"), "resnet18", tmp_path / "other")
    with pytest.raises(BundleError, match="do not fit"):
        Recogniser.load(folder)


def test_the_bundle_is_at_hand(recogniser, folder):
    assert replace(recogniser.bundle, path=None).version == "2026-01-01-random"
    assert recogniser.bundle.path == folder


def bundle_of_fruit(folder, **more):
    """A network with chance weights that tells three kinds of fruit."""
    known = LabelSet(("braeburn", "conference", "gala"), ("apple", "pear"), (0, 1, 0), temperature=2.0)
    model = calm_model("mobilenet_v2", {"fruit": known})
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    look = Preprocessing(size=SIZE)
    bundle = Bundle("2026-01-01-labels", "mobilenet_v2", preprocessing=look, labels={"fruit": known}, **more)
    save_bundle(bundle, tensors, "", folder)
    return Recogniser.load(folder, device="cpu", precision="float32")


def test_labels_of_a_bundle(tmp_path, pixels):
    odds = bundle_of_fruit(tmp_path / "bundle").classify(pixels)["fruit"]
    assert (odds.fine.shape, odds.coarse.shape) == ((6, 3), (6, 2))
    assert odds.fine.sum(1).numpy() == pytest.approx(np.ones(6), abs=1e-5)
    assert odds.coarse.sum(1).numpy() == pytest.approx(np.ones(6), abs=1e-5)


def test_a_bundle_that_sees_mirror_images_averages_the_scores_of_both(tmp_path, pixels):
    plain, mirrored = bundle_of_fruit(tmp_path / "plain"), bundle_of_fruit(tmp_path / "mirrored", mirrored=True)
    other = np.ascontiguousarray(pixels[:, :, ::-1])
    one, two = (plain.label_scores(shown)["fruit"] for shown in (pixels, other))
    assert (one - two).abs().max() > 1e-3
    torch.testing.assert_close(mirrored.label_scores(pixels)["fruit"], (one + two) / 2, atol=1e-5, rtol=1e-4)
    odds = torch.softmax((one + two) / 2 / 2.0, -1)
    torch.testing.assert_close(mirrored.classify(pixels)["fruit"].fine, odds, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain.classify(pixels)["fruit"].fine, torch.softmax(one / 2.0, -1), atol=1e-5, rtol=1e-4)


def test_the_feature_map_is_what_was_pooled(recogniser, pixels):
    features, seen = recogniser.model.image.see(recogniser.pixels_to_input(pixels))
    assert seen.shape == (6, 1280, 2, 2)
    assert seen.mean((2, 3)).numpy() == pytest.approx(features.numpy(), abs=1e-5)


def test_two_threads_may_look_at_the_feature_map_at_once(recogniser, pixels):
    """An explanation on one lane, photos on another: neither takes the other's map for its own."""
    encoder, inside, looked = recogniser.model.image, threading.Event(), threading.Event()
    inputs = [recogniser.pixels_to_input(pixels[at : at + 1]) for at in range(2)]
    wanted = [encoder.see(each)[1] for each in inputs]

    def hold(*_):
        if not inside.is_set():
            inside.set()
            assert looked.wait(10)

    first = next(module for name, module in encoder.backbone.named_modules() if name and not list(module.children()))
    handle = first.register_forward_hook(hold)
    try:
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(encoder.see, inputs[0], differentiable=True)
            assert inside.wait(10)
            quick = encoder.see(inputs[1])[1]
            looked.set()
            _, held = slow.result(10)
    finally:
        handle.remove()
    assert torch.equal(quick, wanted[1])
    assert torch.equal(held, wanted[0])
    assert (quick.requires_grad, held.requires_grad) == (False, True)


def test_gradients_reach_the_feature_map(recogniser, pixels):
    features, seen = recogniser.model.image.see(recogniser.pixels_to_input(pixels[:1]), differentiable=True)
    (gradient,) = torch.autograd.grad(features[0, 7], seen)
    assert gradient[0, 7].numpy() == pytest.approx(np.full((2, 2), 0.25), abs=1e-6)
    assert gradient.abs().sum().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_the_feature_map_of_a_folded_network_that_calls_one_module_twice(arch, pixels):
    encoder = calm_model(arch).image
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    encoder.fold(torch.float32)
    with torch.inference_mode():
        features, seen = encoder.see(inputs)
        assert seen.shape == (6, encoder.map_width, 2, 2)
        assert features.numpy() == pytest.approx(encoder.backbone(inputs).numpy(), abs=1e-5)
    assert seen.mean((2, 3)).numpy() == pytest.approx(features.numpy(), abs=1e-5)


def test_a_serving_process_leaves_the_cores_to_the_runtime(recogniser, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        recogniser.leave_cores_free()
        assert torch.get_num_threads() == 1
        monkeypatch.setattr(recogniser, "_see", PyTorch(recogniser._network, recogniser.device))
        torch.set_num_threads(2)
        recogniser.leave_cores_free()
        assert torch.get_num_threads() == 2, "PyTorch needs them itself"
    finally:
        torch.set_num_threads(before)
