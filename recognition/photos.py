"""A photo's bytes, judged and turned into pixels; between the photo store (before) and the network (after).

Runs in the children of `containment`: for the web process before it keeps anything, for a worker's decode threads.
Pillow and numpy only: no torch here. Bytes come from strangers, so every limit is checked on the header, before a
pixel is decoded, and only the decoder whose signature matches is ever started. Nothing global of Pillow is changed
(`Image.open` is avoided because it warns by a process-wide pixel limit); all functions are thread-safe.
"""

import io
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from recognition.errors import PhotoError

Box = tuple[float, float, float, float]  # left, top, right, bottom

_ORIENTATION_TAG = 0x0112
_ONE_PIXEL = 1 - 1e-6  # a region of one pixel, once divided by the photo's sides, is a little less
_WHITE = (255, 255, 255)
# Whatever a Pillow decoder raises on damaged bytes; MemoryError is left out: that one is ours.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    RuntimeError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    Image.DecompressionBombError,
    Warning,  # only where the process turns warnings into errors
)


@dataclass(frozen=True)
class PhotoLimits:
    """The largest photo taken: file size in bytes, and width times height in pixels."""

    max_bytes: int = 25_000_000
    max_pixels: int = 64_000_000


@dataclass(frozen=True)
class PhotoFacts:
    """What the header says; `width` and `height` are of the upright photo (EXIF orientation applied)."""

    format: str
    content_type: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """`pixels` uint8 [size, size, 3] RGB; `width` and `height` of the whole upright photo in pixels."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


@dataclass(frozen=True)
class _Format:
    name: str
    content_type: str
    signatures: tuple[bytes, ...]
    decoder: Callable[[io.BytesIO], ImageFile.ImageFile]


_FORMATS = (
    _Format("JPEG", "image/jpeg", (b"\xff\xd8\xff",), JpegImagePlugin.JpegImageFile),
    _Format("PNG", "image/png", (b"\x89PNG\r\n\x1a\n",), PngImagePlugin.PngImageFile),
    _Format("GIF", "image/gif", (b"GIF87a", b"GIF89a"), GifImagePlugin.GifImageFile),
    _Format("BMP", "image/bmp", (b"BM",), BmpImagePlugin.BmpImageFile),
    _Format("TIFF", "image/tiff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImagePlugin.TiffImageFile),
)
_WEBP = _Format("WEBP", "image/webp", (), WebPImagePlugin.WebPImageFile)
_AVIF = _Format("AVIF", "image/avif", (), AvifImagePlugin.AvifImageFile)
_REFUSED = {
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "icon",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"%!PS": "EPS",
}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

# How to turn stored pixels upright, and where an upright point (x, y) in 0..1 lies in the stored pixels (EXIF 2.32,
# tag 0x0112; value 1 is upright already).
_UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_STORED_POINT: dict[int, Callable[[float, float], tuple[float, float]]] = {
    1: lambda x, y: (x, y),
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (y, 1 - x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (1 - y, x),
}


def inspect_photo(data: bytes, limits: PhotoLimits = PhotoLimits()) -> PhotoFacts:
    """Read the header of a photo and hold it against the limits; no pixel is decoded.

    Raises PhotoError: photo_empty, photo_too_large, photo_not_an_image, photo_unsupported_type,
    photo_heic_unsupported, photo_too_many_pixels, photo_unreadable.
    """
    kind, image = _open(data, limits)
    width, height = _upright_size(image, _orientation(image))
    return PhotoFacts(kind.name, kind.content_type, width, height, len(data))


def decode_photo(
    data: bytes,
    *,
    size: int,
    limits: PhotoLimits = PhotoLimits(),
    region: Box | None = None,
    crop: float = 1.0,
) -> DecodedPhoto:
    """Decode a photo to uint8 [size, size, 3] RGB, upright, on white where it is transparent, first frame only.

    `region` (left, top, right, bottom in 0..1 of the upright photo) is cut out first. The middle square of what is
    left, `crop` times its short side, is resized once. JPEGs are decoded at the smallest of their built-in scales
    that is still large enough. Raises PhotoError: those of `inspect_photo`, photo_truncated, photo_region_empty.
    """
    (pixels,), width, height = _cut_out(data, [region or (0.0, 0.0, 1.0, 1.0)], size, limits, crop)
    return DecodedPhoto(pixels, width, height)


def decode_regions(
    data: bytes, regions: Sequence[Box], *, size: int, limits: PhotoLimits = PhotoLimits(), crop: float = 1.0
) -> list[NDArray[np.uint8]]:
    """Several regions of one photo, each as `decode_photo` would give it; the photo is decoded once."""
    return _cut_out(data, regions, size, limits, crop)[0] if regions else []


def decode_whole(data: bytes, *, size: int, limits: PhotoLimits = PhotoLimits()) -> DecodedPhoto:
    """Decode all of a photo into a square [size, size, 3], nothing cut off: centred, white where the photo is not.

    `boxes.letterbox` says where the square lies in the photo. Raises PhotoError like `decode_photo`.
    """
    _, image = _open(data, limits)
    orientation = _orientation(image)
    width, height = _upright_size(image, orientation)
    scale = size / max(width, height)
    _draft(image, scale)
    across, down = (max(1, round(side * scale)) for side in (width, height))
    stored = (across, down) if orientation < 5 else (down, across)
    pixels = _upright(_resized(_loaded(image), (0.0, 0.0, 1.0, 1.0), stored), orientation)
    canvas = Image.new("RGB", (size, size), _WHITE)
    canvas.paste(pixels, ((size - pixels.width) // 2, (size - pixels.height) // 2))
    return DecodedPhoto(np.array(canvas), width, height)


def _cut_out(
    data: bytes, regions: Sequence[Box], size: int, limits: PhotoLimits, crop: float
) -> tuple[list[NDArray[np.uint8]], int, int]:
    """The middle square of each region as pixels, and the upright size of the photo."""
    _, image = _open(data, limits)
    orientation = _orientation(image)
    width, height = _upright_size(image, orientation)
    boxes = [_stored_box(_square(region, width, height, crop), orientation) for region in regions]
    _draft(image, max(size / ((box[2] - box[0]) * image.width) for box in boxes))
    decoded = _loaded(image)
    cut = [np.array(_upright(_resized(decoded, box, (size, size)), orientation)) for box in boxes]
    return cut, width, height


def _draft(image: ImageFile.ImageFile, scale: float) -> None:
    """Let a JPEG decode at the smallest of its built-in scales that is not smaller than this one."""
    if image.format == "JPEG" and scale < 1:
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _upright(pixels: Image.Image, orientation: int) -> Image.Image:
    return pixels.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else pixels


def _open(data: bytes, limits: PhotoLimits) -> tuple[_Format, ImageFile.ImageFile]:
    if not data:
        raise PhotoError("photo_empty", "The file is empty.")
    if len(data) > limits.max_bytes:
        raise PhotoError("photo_too_large", f"The file is larger than {limits.max_bytes / 1e6:g} MB.")
    kind = _recognise_format(data)
    try:
        image = kind.decoder(io.BytesIO(data))
    except DECODER_ERRORS as error:
        raise PhotoError("photo_unreadable", f"The {kind.name} file is damaged: its header cannot be read.") from error
    if image.width * image.height > limits.max_pixels:
        raise PhotoError(
            "photo_too_many_pixels",
            f"The photo has {image.width} × {image.height} pixels, more than {limits.max_pixels / 1e6:g} million.",
        )
    return kind, image


def _recognise_format(data: bytes) -> _Format:
    """The accepted format whose signature the bytes bear; no decoder runs for any other bytes."""
    for kind in _FORMATS:
        if data.startswith(kind.signatures):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _WEBP
    if data[4:8] == b"ftyp":
        return _recognise_heif(data)
    for signature, name in _REFUSED.items():
        if data.startswith(signature):
            _refuse_type(name)
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!--", b"<!DOCTYPE svg")) and b"<svg" in head):
        _refuse_type("SVG")
    raise PhotoError("photo_not_an_image", "The file is not a photo.")


def _recognise_heif(data: bytes) -> _Format:
    """Sort the ISO base media family by its brands (ISO/IEC 23008-12): AVIF is taken, HEIC and video are not."""
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    brands = {data[at : at + 4] for at in (8, *range(16, end - 3, 4))}
    if brands & _AVIF_BRANDS and AvifImagePlugin.SUPPORTED:
        return _AVIF
    if brands & _HEIC_BRANDS:
        raise PhotoError("photo_heic_unsupported", "HEIC photos cannot be read: please export the photo as JPEG.")
    _refuse_type("AVIF" if brands & _AVIF_BRANDS else "video")


def _refuse_type(name: str) -> NoReturn:
    raise PhotoError("photo_unsupported_type", f"{name} files are not taken: please export the photo as JPEG or PNG.")


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation 1..8; 1 where it is missing, wrong, or (TIFF) applied by Pillow while loading.

    Read from the header's EXIF block: `getexif` would decode a whole PNG in search of one behind its pixels.
    """
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or b"")
        value = exif.get(_ORIENTATION_TAG, 1)
    except DECODER_ERRORS:
        return 1
    return value if value in _STORED_POINT else 1


def _upright_size(image: ImageFile.ImageFile, orientation: int) -> tuple[int, int]:
    return (image.height, image.width) if orientation >= 5 else (image.width, image.height)


def _square(region: Box, width: int, height: int, crop: float) -> Box:
    """The middle square of a region: `crop` times its short side in pixels, again in 0..1 of the upright photo."""
    left, right = sorted(min(max(at, 0.0), 1.0) for at in (region[0], region[2]))
    top, bottom = sorted(min(max(at, 0.0), 1.0) for at in (region[1], region[3]))
    side = min((right - left) * width, (bottom - top) * height)
    if not (region[0] < region[2] and region[1] < region[3]) or side < _ONE_PIXEL:
        raise PhotoError("photo_region_empty", "The marked region lies outside the photo or is empty.")
    across, down = crop * side / width / 2, crop * side / height / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    return (x - across, y - down, x + across, y + down)


def _stored_box(box: Box, orientation: int) -> Box:
    """An upright box (0..1) as the box of the stored, not yet turned, pixels (0..1)."""
    (x0, y0), (x1, y1) = (_STORED_POINT[orientation](*point) for point in (box[:2], box[2:]))
    left, right = max(0.0, min(x0, x1)), min(1.0, max(x0, x1))
    return (left, max(0.0, min(y0, y1)), right, min(1.0, max(y0, y1)))


def _loaded(image: ImageFile.ImageFile) -> Image.Image:
    """Decode all pixels and convert them to RGB or RGBA."""
    try:
        image.load()
        return _to_rgb(image)
    except DECODER_ERRORS as error:
        if isinstance(error, EOFError) or "truncated" in str(error):
            raise PhotoError("photo_truncated", "The photo is cut off: a part of the file is missing.") from error
        raise PhotoError("photo_unreadable", "The photo is damaged and cannot be read.") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB, or to RGBA where something is transparent; deep greys are scaled, not clipped."""
    if image.mode in ("RGB", "RGBA"):
        return image.convert("RGBA") if "transparency" in image.info else image
    if image.mode in ("LA", "La", "PA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode.startswith(("I", "F")):
        return _deep_grey(np.asarray(image)).convert("RGB")
    return image.convert("RGB")


def _deep_grey(values: NDArray[Any]) -> Image.Image:
    """Grey of more than 8 bits to 8: integers by their 16-bit range, floating point by its own range."""
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if values.dtype.kind == "f" else (0.0, 65535.0)
    grey = np.empty(values.shape, np.uint8)
    for row, deep in enumerate(values):  # row by row: a photo of the size that is allowed, as doubles, fills gigabytes
        scaled = (deep.astype(np.float64) - low) / ((high - low) or 1.0)
        grey[row] = (np.nan_to_num(scaled).clip(0, 1) * 255).round()
    return Image.fromarray(grey)


def _resized(image: Image.Image, box: Box, size: tuple[int, int]) -> Image.Image:
    """Cut the box (0..1) and resize it to width and height in pixels; transparent pixels become white."""
    width, height = image.size
    corners = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
    small = image.resize(size, Image.Resampling.BILINEAR, box=corners, reducing_gap=2.0)
    if small.mode != "RGBA":
        return small
    canvas = Image.new("RGB", small.size, _WHITE)
    canvas.paste(small, mask=small.getchannel("A"))
    return canvas
