"""Photos as strangers send them: exact pixels for the good ones, exact codes for the bad ones."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from recognition.errors import PhotoError
from recognition.photos import PhotoFacts, PhotoLimits, decode_photo, inspect_photo

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quadrants(width: int = 80, height: int = 40) -> Image.Image:
    """Red, green over blue, grey."""
    image = Image.new("RGB", (width, height))
    for at, colour in enumerate((RED, GREEN, BLUE, GREY)):
        corner = (at % 2 * width // 2, at // 2 * height // 2)
        image.paste(colour, (*corner, corner[0] + width // 2, corner[1] + height // 2))
    return image


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64))


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The colours well inside the four quadrants, left to right, top to bottom."""
    quarter = len(pixels) // 4
    points = [(quarter, quarter), (quarter, -quarter), (-quarter, quarter), (-quarter, -quarter)]
    return [tuple(int(value) for value in pixels[point]) for point in points]


def refused(data: bytes, code: str, **options) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        decode_photo(data, size=32, **options)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")
    return caught.value


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("AVIF", "image/avif"),
    ],
)
def test_accepted_formats(kind, content_type):
    data = encode(quadrants(), kind)
    assert inspect_photo(data) == PhotoFacts(kind, content_type, 80, 40, len(data))
    decoded = decode_photo(data, size=32)
    assert (decoded.pixels.shape, decoded.pixels.dtype) == ((32, 32, 3), np.uint8)
    assert (decoded.width, decoded.height) == (80, 40)
    for seen, wanted in zip(corners(decoded.pixels), (RED, GREEN, BLUE, GREY), strict=True):
        assert np.abs(np.subtract(seen, wanted)).max() <= (6 if kind in ("JPEG", "WEBP", "AVIF") else 0)


def test_the_middle_square_is_kept():
    image = Image.new("RGB", (90, 30), RED)
    image.paste(GREEN, (30, 0, 60, 30))
    pixels = decode_photo(encode(image, "PNG"), size=30).pixels
    assert (pixels == GREEN).all()


def test_crop_keeps_a_share_of_the_short_side():
    image = Image.new("RGB", (40, 40), RED)
    image.paste(GREEN, (10, 10, 30, 30))
    assert (decode_photo(encode(image, "PNG"), size=20, crop=0.5).pixels == GREEN).all()


@pytest.mark.parametrize("data", [b"", bytearray()])
def test_empty(data):
    refused(bytes(data), "photo_empty")


@pytest.mark.parametrize("data", [b"sku;title\n1;mug\n", b"\0" * 5000, b"<?xml version='1.0'?><feed/>", b"MZ\x90"])
def test_not_an_image(data):
    refused(data, "photo_not_an_image")


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>",
        b"%PDF-1.7 ",
        b"8BPS\0\1",
        b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        b"\0\0\1\0\1\0",
    ],
)
def test_known_but_unsupported_types(data):
    assert "export" in refused(data, "photo_unsupported_type").message


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_is_refused_with_advice(brand):
    error = refused(b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0mif1heicmiaf" + b"\0" * 100, "photo_heic_unsupported")
    assert "JPEG" in error.message


def test_too_many_bytes():
    data = encode(quadrants(), "PNG")
    refused(data, "photo_too_large", limits=PhotoLimits(max_bytes=len(data) - 1))
    decode_photo(data, size=8, limits=PhotoLimits(max_bytes=len(data)))


def test_png_bomb_is_refused_by_its_header_without_a_warning(monkeypatch):
    def never(self):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for side in (9_500, 12_000, 60_000):  # below, between and above Pillow's own two limits
            refused(png_header(side, side), "photo_too_many_pixels")
            with pytest.raises(PhotoError):
                inspect_photo(png_header(side, side))


def test_the_pixel_limit_is_exact():
    data = encode(quadrants(80, 40), "PNG")
    decode_photo(data, size=8, limits=PhotoLimits(max_pixels=3200))
    refused(data, "photo_too_many_pixels", limits=PhotoLimits(max_pixels=3199))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF"])
def test_truncated(kind):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8))
    data = encode(noise, kind)
    assert inspect_photo(data).width == 200
    refused(data[: len(data) // 2] if kind != "TIFF" else data[:-2000], "photo_truncated")


def test_a_damaged_header():
    refused(b"\xff\xd8\xff\xe0\0\x10JFIF\0", "photo_unreadable")
    refused(b"\x89PNG\r\n\x1a\n\0\0\0\0", "photo_unreadable")
    refused(b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0", "photo_unreadable")


def test_damaged_pixels():
    data = bytearray(encode(quadrants(), "PNG"))
    at = data.index(b"IDAT") + 4
    data[at : at + 10] = b"\xff" * 10
    refused(bytes(data), "photo_unreadable")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's TIFF reader tells what it skips
def test_no_bytes_end_in_another_error_than_photo_error():
    rng = np.random.default_rng(7)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        good = encode(quadrants(), kind)
        for _ in range(60):
            bad = bytearray(good)
            for at in rng.integers(0, len(bad), 6):
                bad[at] = rng.integers(0, 256)
            try:
                decode_photo(bytes(bad), size=16, limits=PhotoLimits(max_pixels=1_000_000))
            except PhotoError as error:
                assert error.code.startswith("photo_")


def test_cmyk_jpeg():
    data = encode(Image.new("CMYK", (40, 40), (0, 255, 255, 0)), "JPEG", quality=100)
    assert np.abs(decode_photo(data, size=8).pixels.astype(int) - RED).max() <= 3


def test_adobe_inverted_cmyk_jpeg():
    plain = encode(Image.new("CMYK", (40, 40), (255, 0, 0, 0)), "JPEG", quality=100)
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
    if adobe[:9] not in plain:  # Pillow writes no Adobe marker: values are then taken as they are
        plain = plain[:2] + adobe + plain[2:]
    pixels = decode_photo(plain, size=8).pixels
    assert np.abs(pixels.astype(int) - np.asarray(Image.open(io.BytesIO(plain)).convert("RGB"))[0, 0]).max() <= 3


def test_16_bit_png_is_scaled_not_clipped():
    values = np.array([[0, 257 * 64], [257 * 128, 65535]], np.uint16).repeat(20, 0).repeat(20, 1)
    pixels = decode_photo(encode(Image.fromarray(values), "PNG"), size=40).pixels
    assert corners(pixels) == [(0, 0, 0), (64, 64, 64), (128, 128, 128), (255, 255, 255)]


def test_grey_and_one_bit():
    assert (decode_photo(encode(Image.new("L", (9, 9), 77), "PNG"), size=5).pixels == 77).all()
    assert (decode_photo(encode(Image.new("1", (9, 9), 1), "PNG"), size=5).pixels == 255).all()


def test_float_tiff_is_scaled_by_its_range():
    values = np.linspace(-1, 3, 64, dtype=np.float32).reshape(8, 8)
    pixels = decode_photo(encode(Image.fromarray(values), "TIFF"), size=8).pixels
    assert (pixels[0, 0, 0], pixels[-1, -1, 0]) == (0, 255)


def test_palette_with_transparency_is_laid_on_white():
    image = Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, *RED] + [0] * 762)
    image.paste(1, (20, 0, 40, 40))
    pixels = decode_photo(encode(image, "PNG", transparency=0), size=40).pixels
    assert corners(pixels) == [(255, 255, 255), RED, (255, 255, 255), RED]


def test_transparent_edges_carry_no_hidden_colour():
    image = Image.new("RGBA", (40, 40), (*GREEN, 0))
    image.paste((*RED, 255), (0, 0, 20, 40))
    pixels = decode_photo(encode(image, "PNG"), size=10).pixels.astype(int)
    assert tuple(pixels[5, 0]) == RED and tuple(pixels[5, -1]) == (255, 255, 255)
    assert (pixels[..., 0] == 255).all()  # from red to white through pink: no green fringe


def test_half_transparent_grey():
    image = Image.new("LA", (8, 8), (0, 128))
    assert np.abs(decode_photo(encode(image, "PNG"), size=4).pixels.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)
    assert (decode_photo(data, size=16).pixels == RED).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation, kind):
    """The stored pixels are turned so that every orientation shows the same upright photo."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quadrants(96, 64)
    if orientation in back:
        stored = stored.transpose(back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = encode(stored, kind, exif=exif, **options)
    facts = inspect_photo(data)
    assert (facts.width, facts.height) == (96, 64)
    whole = decode_photo(data, size=32)
    assert (whole.width, whole.height) == (96, 64)
    for seen, wanted in zip(corners(whole.pixels), (RED, GREEN, BLUE, GREY), strict=True):
        assert np.abs(np.subtract(seen, wanted)).max() <= (4 if kind == "JPEG" else 0)
    corner = decode_photo(data, size=8, region=(0.5, 0.0, 1.0, 0.5)).pixels  # upright: the green one
    assert np.abs(corner[1:-1, 1:-1].astype(int) - GREEN).max() <= (6 if kind == "JPEG" else 0)


def test_inspecting_decodes_no_pixels(monkeypatch):
    def never(self):
        raise AssertionError("pixels were decoded")

    data = {kind: encode(quadrants(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")}
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    monkeypatch.setattr(Image.Image, "load", never)
    for kind, photo in data.items():
        assert inspect_photo(photo).format == kind


def test_a_wrong_orientation_counts_as_upright():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert corners(decode_photo(encode(quadrants(), "PNG", exif=exif), size=16).pixels)[0] == RED


@pytest.mark.parametrize(
    "region",
    [
        (0.5, 0.5, 0.5, 1.0),
        (0.6, 0.0, 0.4, 1.0),
        (1.2, 0.0, 1.5, 1.0),
        (-1.0, -1.0, 0.0, 0.0),
        (0.0, 0.0, 0.001, 0.001),
    ],
)
def test_an_empty_region(region):
    refused(encode(quadrants(), "PNG"), "photo_region_empty", region=region)


def test_a_region_is_clamped_to_the_photo():
    pixels = decode_photo(encode(quadrants(), "PNG"), size=8, region=(-0.5, -0.5, 0.5, 0.5)).pixels
    assert (pixels[:-1, :-1] == RED).all()  # the last row and column blend into what lies beside the region


def test_draft_mode_keeps_enough_pixels():
    """A region of a large JPEG is decoded at a scale that still fills the target."""
    image = Image.new("RGB", (1600, 1600), RED)
    image.paste(GREEN, (800, 800, 1600, 1600))
    data = encode(image, "JPEG", quality=95)
    pixels = decode_photo(data, size=100, region=(0.45, 0.45, 0.55, 0.55)).pixels.astype(int)
    assert np.abs(pixels[:40, :40] - RED).max() <= 8
    assert np.abs(pixels[60:, 60:] - GREEN).max() <= 8


def test_pixels_are_writable_and_own_their_memory():
    pixels = decode_photo(encode(quadrants(), "PNG"), size=8).pixels
    assert pixels.flags.owndata and pixels.flags.writeable and pixels.flags.c_contiguous


def test_nothing_global_of_pillow_is_changed():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS == 1024**3 // 4 // 3
