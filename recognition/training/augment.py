"""Turns clean photos into what a customer's phone would see; between cache.py (pixels) and the network, in batches.

One perspective warp (crop, zoom, turn, tilt, flip) a photo, a new background behind studio photos, then light, colour,
occlusion, blur and noise. Everything is a tensor operation on the whole batch, so it costs a small part of a training
step and needs no loader processes. Ranges are what phone photos of products show; nothing was tuned on reported photos.
"""

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Strength:
    """How hard photos are changed. Probabilities, and half-ranges around "unchanged"."""

    background: float = 0.6  # chance of a new background behind a studio photo
    turn: float = 0.35  # radians
    tilt: float = 0.18  # perspective
    light: float = 0.4
    tint: float = 0.12
    occlude: float = 0.3
    blur: float = 0.25
    noise: float = 0.25
    smallest: float = 0.3  # least share of the photo's area that a crop keeps
    flip: float = 0.3
    clean: float = 0.15  # chance that a photo is only cropped


# Photos that show what a label means: closer crops, less warp. Photos that are one view of a product: the full range.
LABELS = Strength(turn=0.15, tilt=0.08, light=0.3, tint=0.08, blur=0.1, noise=0.1, smallest=0.25, flip=0.5, clean=0.05)
VIEWS = Strength()


class Augment:
    """A batch of cached photos to network input. Random numbers come from one generator: a run can be repeated."""

    def __init__(self, size: int, generator: torch.Generator, strength: Strength = VIEWS) -> None:
        self.size = size
        self.strength = strength
        self._random = generator

    def __call__(self, pixels: Tensor, boxes: Tensor, studio: Tensor) -> Tensor:
        """pixels uint8 [N, H, W, 4], boxes [N, 4], studio bool [N] (see cache.py) to float32 [N, 3, S, S] in 0..1."""
        photos = pixels.permute(0, 3, 1, 2).float().div_(255)
        clean = self._chance(len(photos), self.strength.clean)
        warped = functional.grid_sample(photos, self._grid(boxes, studio, clean), align_corners=False)
        result = warped[:, :3].contiguous()
        if studio.any():
            result[studio] = self._in_front_of_others(warped[studio], result, ~clean[studio])
        result[~clean] = self._noise(self._blur(self._light(self._occlude(result[~clean]))))
        return result.clamp_(0, 1)

    def _uniform(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        return torch.rand(shape, generator=self._random) * (high - low) + low

    def _chance(self, count: int, probability: float) -> Tensor:
        return torch.rand(count, generator=self._random) < probability

    def _grid(self, boxes: Tensor, studio: Tensor, clean: Tensor) -> Tensor:
        """Where each output pixel looks in the stored photo: [N, S, S, 2] in -1..1."""
        count, strength = len(boxes), self.strength
        centre = boxes[:, :2] + boxes[:, 2:] - 1
        half = boxes[:, 2:] - boxes[:, :2]
        short = half.amin(1)
        low = torch.where(clean, 0.9, strength.smallest**0.5)
        zoom = low + (1.0 - low) * torch.rand(count, generator=self._random)
        # A studio product may also be seen from further away: its background goes on for ever.
        zoom = torch.where(studio & ~clean, zoom * self._uniform(count, low=1.0, high=1.7), zoom)
        reach = torch.stack([short, short], 1) * zoom[:, None]
        reach = reach * torch.exp(0.15 * self._uniform(count, 2) * ~clean[:, None])
        room = torch.where(studio[:, None], 0.25 * half, (half - reach).clamp(min=0))
        middle = centre + room * self._uniform(count, 2) * torch.where(clean, 0.5, 1.0)[:, None]
        angle = strength.turn * self._uniform(count) * ~clean
        flip = torch.where(self._chance(count, strength.flip), -1.0, 1.0)
        tilt = strength.tilt * self._uniform(count, 2) * ~clean[:, None]
        line = (torch.arange(self.size) + 0.5) / self.size * 2 - 1
        y, x = torch.meshgrid(line, line, indexing="ij")
        depth = 1 + tilt[:, 0, None, None] * x + tilt[:, 1, None, None] * y
        u, v = x * flip[:, None, None] / depth, y / depth
        cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
        grid = torch.stack([cos * u - sin * v, sin * u + cos * v], -1)
        grid = grid * reach[:, None, None, :] + middle[:, None, None, :]
        # Past the edge of an ordinary photo its edge goes on; round a studio product there is its background.
        low, high = (2 * boxes[:, None, None, :2] - 1 + 0.01, 2 * boxes[:, None, None, 2:] - 1 - 0.01)
        return torch.where(studio[:, None, None, None], grid, grid.clamp(low, high))

    def _in_front_of_others(self, cut: Tensor, photos: Tensor, changed: Tensor) -> Tensor:
        """Studio photos [M, 4, S, S] before something else: their own plain colour, or where they may be `changed`
        another of the photos [N, 3, S, S], a colour or a gradient."""
        count = len(cut)
        colour, mask = cut[:, :3], cut[:, 3:]
        own = self._plain_colour(colour, mask)
        other = _soften(photos[torch.randint(len(photos), (count,), generator=self._random)], 4).clamp(0, 1)
        first, second = torch.rand(2, count, 3, 1, 1, generator=self._random)
        ramp = torch.linspace(0, 1, self.size)[None, None, :, None]
        plain = first * (1 - ramp) + second * ramp
        choice = torch.rand(count, generator=self._random)[:, None, None, None]
        new = torch.where(choice < 0.55, other, torch.where(choice < 0.8, plain, first.expand_as(plain)))
        replace = changed & self._chance(count, self.strength.background)
        behind = torch.where(replace[:, None, None, None], new, own)
        return colour * mask + behind * (1 - mask)

    @staticmethod
    def _plain_colour(colour: Tensor, mask: Tensor) -> Tensor:
        """The mean colour of the background that is in view, white where none is: [N, 3, 1, 1]."""
        shown = (mask < 0.02) & (colour.amax(1, keepdim=True) > 0)
        number = shown.sum((2, 3), keepdim=True)
        mean = (colour * shown).sum((2, 3), keepdim=True) / number.clamp(min=1)
        return torch.where(number > 16, mean, torch.ones_like(mean))

    def _light(self, photos: Tensor) -> Tensor:
        """Brightness, contrast, saturation, white balance, gamma, and light that falls off to one side; in place."""
        count, strength = len(photos), self.strength
        one = self._uniform(5, count, 1, 1, 1) * strength.light
        photos.clamp_(1e-4, 1).pow_(torch.exp(one[0]))
        photos.mul_(torch.exp(0.8 * one[1] + strength.tint * self._uniform(count, 3, 1, 1)))
        for grey, strong in (
            (photos.mean((1, 2, 3), keepdim=True), one[2] * 0.8),
            (photos.mean(1, keepdim=True), one[3]),
        ):
            photos.sub_(grey).mul_(torch.exp(strong)).add_(grey)
        line = torch.linspace(-1, 1, self.size)
        side = self._uniform(2, count, 1, 1, 1) * strength.light
        return photos.mul_(1 + side[0] * line[None, None, None, :] + side[1] * line[None, None, :, None])

    def _occlude(self, photos: Tensor) -> Tensor:
        """A rectangle of one colour, or of another photo, over a part (random erasing, Zhong et al., 2020)."""
        for place in self._rows(len(photos), self.strength.occlude):
            left, top, right, bottom = self._rectangle()
            hole = photos[place, :, top:bottom, left:right]
            if torch.rand((), generator=self._random) < 0.5:
                hole.copy_(torch.rand(3, 1, 1, generator=self._random).expand_as(hole))
            else:
                hole.copy_(photos[place - 1, :, top:bottom, left:right].clone())
        return photos

    def _rectangle(self) -> tuple[int, int, int, int]:
        """Pixels of a rectangle of a tenth to half of the side, its middle anywhere in the photo."""
        (x, y), (wide, high) = torch.rand(2, 2, generator=self._random).tolist()
        reach_x, reach_y = (0.05 + 0.175 * part for part in (wide, high))
        edges = (x - reach_x, y - reach_y, x + reach_x, y + reach_y)
        left, top, right, bottom = (min(self.size, max(0, round(edge * self.size))) for edge in edges)
        return left, top, right, bottom

    def _blur(self, photos: Tensor) -> Tensor:
        rows = self._rows(len(photos), self.strength.blur)
        if rows:
            photos[rows] = _soften(photos[rows], 2 + int(torch.randint(2, (1,), generator=self._random)))
        return photos

    def _noise(self, photos: Tensor) -> Tensor:
        rows = self._rows(len(photos), self.strength.noise)
        if rows:
            level = 0.06 * torch.rand(len(rows), 1, 1, 1, generator=self._random)
            photos[rows] += level * torch.randn(photos[rows].shape, generator=self._random)
        return photos

    def _rows(self, count: int, probability: float) -> list[int]:
        """Which of so many photos something happens to."""
        return torch.where(self._chance(count, probability))[0].tolist()


def middle_square(pixels: Tensor, boxes: Tensor, size: int) -> Tensor:
    """The middle square of cached photos, unchanged: uint8 [N, H, W, 4] to float32 [N, 3, size, size] in 0..1."""
    photos = pixels[..., :3].permute(0, 3, 1, 2).float() / 255
    half = (boxes[:, 2:] - boxes[:, :2]).amin(1)
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([x, y], -1)[None] * half[:, None, None, None]
    return functional.grid_sample(photos, grid, align_corners=False).clamp(0, 1)


def mix_photos(photos: Tensor, count: int, rng: random.Random) -> tuple[Tensor, Tensor, float]:
    """Mix the first `count` photos [N, 3, S, S] with each other, all by one share and one order.

    Half of the time they shine through (mixup, Zhang et al., 2018), half of the time a rectangle of the other photo
    covers a part (CutMix, Yun et al., 2019). Returns the photos, the place [N] of the photo that was mixed in (its own
    beyond `count`), and the share of the photo itself.
    """
    order = torch.arange(len(photos))
    order[:count] = torch.tensor(rng.sample(range(count), count))
    if rng.random() < 0.5:
        share = rng.betavariate(0.4, 0.4)
        mixed = share * photos + (1 - share) * photos[order]
    else:
        side = photos.shape[-1]
        reach = int(side * math.sqrt(1 - rng.random()))
        left, top = rng.randint(0, side - reach), rng.randint(0, side - reach)
        share = 1 - (reach / side) ** 2
        mixed = photos.clone()
        hole = slice(top, top + reach), slice(left, left + reach)
        mixed[:, :, hole[0], hole[1]] = photos[order][:, :, hole[0], hole[1]]
    mixed[count:] = photos[count:]
    return mixed, order, share


def _soften(photos: Tensor, factor: int) -> Tensor:
    """Blur by throwing away detail: down by `factor` and up again."""
    small = functional.avg_pool2d(photos, factor, ceil_mode=True)
    return functional.interpolate(small, size=photos.shape[-2:], mode="bilinear", align_corners=False)
