"""Printed matter: labels, wraps, box sides, book covers, clock faces, as Pillow pictures.

A family (families/) asks for a picture of a shape; what is printed comes from the product's `Art`. artwork.py draws the
motifs and patterns. Fonts come from small font packages (README.md); where one is missing, Pillow's own font stands in.
"""

import functools
import importlib.util
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from artwork import motif, pattern, picture
from PIL import Image, ImageDraw, ImageFont

FONTS = {
    "grotesk": ("font_hanken_grotesk", "HankenGrotesk-Bold.otf", "HankenGrotesk-Medium.otf"),
    "serif": ("font_source_serif_pro", "SourceSerifPro-Semibold.otf", "SourceSerifPro-It.otf"),
    "heavy": ("font_roboto", "Roboto-Black.ttf", "Roboto-Regular.ttf"),
    "round": ("font_fredoka_one", "FredokaOne-Regular.ttf", "FredokaOne-Regular.ttf"),
    "modern": ("font_manrope", "Manrope-ExtraBold.ttf", "Manrope-Medium.ttf"),
    "book": ("font_caladea", "Caladea-Bold.ttf", "Caladea-Regular.ttf"),
    "hand": ("font_amatic_sc", "AmaticSC-Bold.ttf", "AmaticSC-Regular.ttf"),
}


@dataclass(frozen=True)
class Art:
    """What is printed on a product: words, colours, layout."""

    brand: str = ""
    name: str = ""
    detail: str = ""
    layout: str = "plain"  # plain, frame, bold, split, badge, mark, none
    font: str = "grotesk"
    paper: str = "#f4efe4"
    ink: str = "#222222"
    accent: str = "#b5482f"
    motif: str = ""
    pattern: str = "solid"
    pattern_inks: tuple[str, ...] = field(default=())
    pattern_unit: float = 0.16  # of the picture's height

    @property
    def inks(self) -> list[str]:
        return [*self.pattern_inks, self.accent, self.ink][: max(2, len(self.pattern_inks))]


@functools.cache
def _font(family: str, heavy: bool, size: int) -> ImageFont.FreeTypeFont:
    package, bold, light = FONTS[family]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(Path(found.origin).parent / "files" / (bold if heavy else light)), size)


def _lines(text: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def text_block(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    family: str,
    ink: str,
    heavy: bool = True,
    left: bool = False,
) -> None:
    """Write text as large as fits into a box (x0, y0, x1, y1), broken into lines, centred or left-aligned."""
    x0, y0, x1, y1 = box
    width, height = int(x1 - x0), int(y1 - y0)
    if not text or width < 4 or height < 6:
        return
    for size in range(height, 5, -max(1, height // 24)):
        font = _font(family, heavy, size)
        lines = _lines(text, width, font)
        step = size * 1.08
        if len(lines) * step <= height * 1.05 and max(font.getlength(line) for line in lines) <= width:
            break
    top = y0 + (height - len(lines) * step) / 2 + step / 2
    for i, line in enumerate(lines):
        at = (x0 if left else (x0 + x1) / 2, top + i * step)
        draw.text(at, line, font=font, fill=ink, anchor="lm" if left else "mm")


def _background(art: Art, w: int, h: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image, draw = picture(w, h, art.paper)
    if art.pattern != "solid":
        seed = zlib.crc32(f"{art.brand}{art.name}{art.pattern}".encode())
        pattern(draw, art.pattern, w, h, art.paper, art.inks, art.pattern_unit * h, art.motif or "leaf", seed)
    return image, draw


def panel(art: Art, w: int, h: int) -> Image.Image:
    """A flat printed side: background, then the words in the product's layout."""
    image, draw = _background(art, w * 2, h * 2)
    LAYOUTS[art.layout](draw, art, (0.0, 0.0, w * 2.0, h * 2.0))
    return image.resize((w, h), Image.Resampling.LANCZOS)


def wrap(art: Art, w: int, h: int, share: float = 0.36) -> Image.Image:
    """A picture once around a body; the words take `share` of the turn, in the middle."""
    image, draw = _background(art, w * 2, h * 2)
    half = w * share
    LAYOUTS[art.layout](draw, art, (w - half, 0.0, w + half, h * 2.0))
    return image.resize((w, h), Image.Resampling.LANCZOS)


Area = tuple[float, float, float, float]


def _part(area: Area, x0: float, y0: float, x1: float, y1: float) -> Area:
    w, h = area[2] - area[0], area[3] - area[1]
    return area[0] + x0 * w, area[1] + y0 * h, area[0] + x1 * w, area[1] + y1 * h


def _icon(draw: ImageDraw.ImageDraw, art: Art, area: Area, ink: str, paper: str) -> None:
    if art.motif:
        size = min(area[2] - area[0], area[3] - area[1])
        motif(draw, art.motif, (area[0] + area[2]) / 2, (area[1] + area[3]) / 2, size, ink, paper)


def _plain(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    if art.pattern != "solid":
        draw.rectangle(_part(area, 0.04, 0.1, 0.96, 0.9), fill=art.paper)
    text_block(draw, art.brand.upper(), _part(area, 0.12, 0.14, 0.88, 0.22), art.font, art.ink, heavy=False)
    name_top = 0.27
    if art.motif:
        _icon(draw, art, _part(area, 0.2, 0.27, 0.8, 0.54), art.accent, art.paper)
        name_top = 0.57
    text_block(draw, art.name, _part(area, 0.1, name_top, 0.9, 0.76), art.font, art.ink)
    draw.rectangle(_part(area, 0.36, 0.785, 0.64, 0.795), fill=art.accent)
    text_block(draw, art.detail, _part(area, 0.12, 0.81, 0.88, 0.87), art.font, art.ink, heavy=False)


def _frame(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    w = area[2] - area[0]
    draw.rectangle(_part(area, 0.04, 0.06, 0.96, 0.94), fill=art.paper, outline=art.accent, width=int(w * 0.018))
    draw.rectangle(_part(area, 0.075, 0.09, 0.925, 0.91), outline=art.ink, width=max(1, int(w * 0.006)))
    _icon(draw, art, _part(area, 0.3, 0.13, 0.7, 0.38), art.accent, art.paper)
    top = 0.4 if art.motif else 0.2
    text_block(draw, art.brand, _part(area, 0.14, top, 0.86, top + 0.12), art.font, art.ink, heavy=False)
    text_block(draw, art.name, _part(area, 0.13, top + 0.14, 0.87, 0.76), art.font, art.accent)
    text_block(draw, art.detail, _part(area, 0.16, 0.79, 0.84, 0.87), art.font, art.ink, heavy=False)


def _bold(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    draw.rectangle(_part(area, 0.0, 0.72, 1.0, 1.0), fill=art.accent)
    text_block(draw, art.brand, _part(area, 0.08, 0.06, 0.92, 0.15), art.font, art.ink, heavy=False, left=True)
    text_block(draw, art.name, _part(area, 0.08, 0.18, 0.92, 0.68), art.font, art.ink, left=True)
    _icon(draw, art, _part(area, 0.56, 0.75, 0.94, 0.97), art.paper, art.accent)
    text_block(draw, art.detail, _part(area, 0.08, 0.8, 0.54, 0.92), art.font, art.paper, left=True)


def _split(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    draw.rectangle(_part(area, 0.0, 0.0, 1.0, 0.52), fill=art.accent)
    _icon(draw, art, _part(area, 0.2, 0.06, 0.8, 0.46), art.paper, art.accent)
    text_block(draw, art.name, _part(area, 0.08, 0.56, 0.92, 0.77), art.font, art.ink)
    text_block(draw, art.brand.upper(), _part(area, 0.1, 0.79, 0.9, 0.86), art.font, art.accent)
    text_block(draw, art.detail, _part(area, 0.1, 0.88, 0.9, 0.94), art.font, art.ink, heavy=False)


def _badge(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    x0, y0, x1, y1 = area
    r, x, y = min(x1 - x0, y1 - y0) * 0.44, (x0 + x1) / 2, (y0 + y1) / 2
    draw.ellipse([x - r, y - r, x + r, y + r], fill=art.accent)
    draw.ellipse([x - r * 0.92, y - r * 0.92, x + r * 0.92, y + r * 0.92], outline=art.paper, width=int(r * 0.03))
    icon = (x - r * 0.3, y - r * 0.82, x + r * 0.3, y - r * 0.26)
    _icon(draw, art, icon, art.paper, art.accent)
    top = -0.2 if art.motif else -0.45
    text_block(draw, art.name, (x - r * 0.72, y + r * top, x + r * 0.72, y + r * 0.34), art.font, art.paper)
    text_block(draw, art.brand.upper(), (x - r * 0.6, y + r * 0.38, x + r * 0.6, y + r * 0.56), art.font, art.paper)
    text_block(
        draw, art.detail, (x - r * 0.5, y + r * 0.6, x + r * 0.5, y + r * 0.74), art.font, art.paper, heavy=False
    )


def _mark(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    _icon(draw, art, _part(area, 0.14, 0.22, 0.86, 0.6), art.accent, art.paper)
    low = (0.64, 0.78) if art.motif else (0.2, 0.8)
    text_block(draw, art.name or art.brand, _part(area, 0.13, low[0], 0.87, low[1]), art.font, art.ink)


def _none(draw: ImageDraw.ImageDraw, art: Art, area: Area) -> None:
    """A pattern alone."""


LAYOUTS = {
    "plain": _plain,
    "frame": _frame,
    "bold": _bold,
    "split": _split,
    "badge": _badge,
    "mark": _mark,
    "none": _none,
}


def side(art: Art, w: int, h: int, lines: int = 7) -> Image.Image:
    """The side of a carton: product name and grey lines of small print."""
    image, draw = picture(w * 2, h * 2, art.accent if art.layout in ("split", "badge") else art.paper)
    ink = art.paper if art.layout in ("split", "badge") else art.ink
    text_block(draw, art.name, (w * 0.2, h * 0.16, w * 1.8, h * 0.6), art.font, ink)
    for i in range(lines):
        y, end = h * (0.8 + i * 0.09), w * (1.75 if i % 3 else 1.4)
        draw.rectangle([w * 0.25, y, end, y + h * 0.03], fill=ink)
    draw.rectangle([w * 0.5, h * 1.6, w * 1.5, h * 1.85], fill="#ffffff")
    for i in range(24):
        x = w * (0.55 + i * 0.0375)
        draw.rectangle([x, h * 1.63, x + w * (0.012 + 0.012 * (i * 7 % 3)), h * 1.82], fill="#111111")
    return image.resize((w, h), Image.Resampling.LANCZOS)


def clock_face(art: Art, numerals: str, size: int, hour: float, hands: str) -> Image.Image:
    """A dial with numerals (arabic, roman, ticks, dots) and hands showing `hour`."""
    s = size * 2
    image, draw = _background(art, s, s)
    centre, roman = s / 2, ["XII", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI"]
    for i in range(60):
        a = math.radians(i * 6)
        long = 0.42 if i % 5 == 0 and numerals == "ticks" else 0.455
        ends = [(centre + s * r * math.sin(a), centre - s * r * math.cos(a)) for r in (long, 0.475)]
        if numerals != "dots" or i % 5 == 0:
            draw.line(ends, fill=art.ink, width=int(s * (0.014 if i % 5 == 0 else 0.004)))
    for i in range(12):
        a = math.radians(i * 30)
        x, y = centre + s * 0.37 * math.sin(a), centre - s * 0.37 * math.cos(a)
        if numerals == "dots":
            draw.ellipse([x - s * 0.028, y - s * 0.028, x + s * 0.028, y + s * 0.028], fill=art.accent)
        elif numerals in ("arabic", "roman"):
            text = roman[i] if numerals == "roman" else str(i or 12)
            draw.text((x, y), text, font=_font(art.font, True, int(s * 0.095)), fill=art.ink, anchor="mm")
    _icon(
        draw, art, (centre - s * 0.09, centre - s * 0.26, centre + s * 0.09, centre - s * 0.08), art.accent, art.paper
    )
    text_block(draw, art.brand, (s * 0.35, s * 0.62, s * 0.65, s * 0.68), art.font, art.ink)
    for value, reach, width in ((hour / 12, 0.24, 0.03), (hour % 1, 0.36, 0.02)):
        a = 2 * math.pi * value
        tip = (centre + s * reach * math.sin(a), centre - s * reach * math.cos(a))
        draw.line([(centre, centre), tip], fill=hands, width=int(s * width))
    draw.ellipse([centre - s * 0.03, centre - s * 0.03, centre + s * 0.03, centre + s * 0.03], fill=art.accent)
    return image.resize((size, size), Image.Resampling.LANCZOS)
