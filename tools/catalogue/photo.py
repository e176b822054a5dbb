"""The camera after the lens: turns linear light from the renderer into a JPEG the way a camera or phone does.

Exposure, white balance, lens falloff, sensor noise, slight blur, tone curve, JPEG compression; render.py calls
`develop_studio` or `develop_phone` as the last step of a photo.
"""

import io
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def _encode(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _shoulder(light: np.ndarray, knee: float) -> np.ndarray:
    """Linear up to the knee, then a soft roll-off towards 1."""
    over = np.maximum(light - knee, 0)
    return np.minimum(light, knee) + (1 - knee) * (1 - np.exp(-over / (1 - knee)))


def _image(light: np.ndarray) -> Image.Image:
    return Image.fromarray((_encode(light) * 255 + 0.5).astype(np.uint8))


def _save(image: Image.Image, path: Path, quality: int) -> None:
    """Write in one step, so that a photo that exists is a whole photo."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    part = path.with_suffix(".part")
    part.write_bytes(buffer.getvalue())
    part.rename(path)


def develop_studio(light: np.ndarray, path: Path) -> None:
    """(h, w, 3) linear light with a plain backdrop -> a bright catalogue photo, backdrop just below white."""
    h, w, _ = light.shape
    border = np.concatenate(
        [
            light[: h // 12].reshape(-1, 3),
            light[: h // 2, : w // 16].reshape(-1, 3),
            light[: h // 2, -w // 16 :].reshape(-1, 3),
        ]
    )
    white = np.median(border, 0)
    exposed = _shoulder(light / white * 0.9, 0.8)
    image = _image(exposed).filter(ImageFilter.UnsharpMask(0.8, 60, 2))
    _save(image, path, 87)


def develop_phone(light: np.ndarray, path: Path, rng: random.Random) -> None:
    """(h, w, 3) linear light -> a phone photo with its exposure, colour cast, noise, blur and compression."""
    noise = np.random.default_rng(rng.randrange(2**32))
    h, w, _ = light.shape
    middle = light[h // 5 : -h // 5, w // 5 : -w // 5].mean(2)
    level = 0.6 * middle.mean() + 0.4 * light.mean()
    exposed = light * (rng.uniform(0.18, 0.33) / max(level, 1e-4))
    grey = exposed.reshape(-1, 3).mean(0)
    balance = (grey.mean() / grey) ** rng.uniform(0.35, 0.8)
    exposed = exposed * balance * np.array([rng.uniform(0.95, 1.06), 1.0, rng.uniform(0.93, 1.06)])
    y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    exposed = exposed * (1 - rng.uniform(0, 0.12) * (x**2 + y**2))[..., None]
    gain = rng.choice([0.0004, 0.001, 0.0022])
    exposed = exposed + noise.normal(size=exposed.shape) * np.sqrt(np.maximum(exposed, 0) * gain + gain**1.2 * 0.2)
    image = _image(_shoulder(np.maximum(exposed, 0), 0.55))
    image = image.filter(ImageFilter.GaussianBlur(rng.choice([0.0, 0.35, 0.6, 0.9])))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.UnsharpMask(1.2, 80, 2))
    _save(image, path, rng.choice([62, 72, 80, 86]))
