"""Renders the sample catalogue, or training products that are not in it. Run with a Python that has bpy (README.md).

For each product: the family models it, scenes.py builds the set of each shot, Blender renders it, photo.py develops it.
A photo that exists is not rendered again, so a stopped run goes on where it was.
"""

import argparse
import csv
import random
import sys
import tempfile
import time
import zlib
from pathlib import Path

import bpy
import numpy as np
import products
import scenes
import training
from families import FAMILIES
from photo import develop_phone, develop_studio

SHOTS = 3  # customer photos a product


def configure(size: int, samples: int) -> None:
    """Cycles on the processor, few samples, denoised, short light paths, linear half-float output."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "16"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling = "CPU", samples, False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_prefilter = "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces, cycles.transmission_bounces = 4, 2, 3, 4
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect, cycles.use_light_tree = 4.0, False


def seeded(sku: str, shot: int) -> random.Random:
    """The same random numbers for the same photo, whatever was rendered before."""
    return random.Random(zlib.crc32(f"{sku}/{shot}".encode()))


def shoot(product: products.Product, shot: int, path: Path) -> None:
    """Model, light, render and develop one photo; shot 0 is the studio's, others a customer's."""
    rng = seeded(product.sku, shot)
    scenes.clear()
    FAMILIES[product.family](product.params, product.art)
    cloud = scenes.settle()
    if shot == 0:
        scenes.studio(product.family, cloud, rng)
    else:
        scenes.customer(product.family, cloud, rng, shot)
    light = render(rng.randrange(2**31))
    if shot == 0:
        develop_studio(light, path)
    else:
        develop_phone(light, path, rng)


def render(seed: int) -> np.ndarray:
    """Render the scene; linear RGB, (height, width, 3)."""
    scene = bpy.context.scene
    scene.cycles.seed = seed
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = f"{folder}/light.exr"
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(scene.render.filepath)
        flat = np.empty(image.size[0] * image.size[1] * 4, np.float32)
        image.pixels.foreach_get(flat)
        size = tuple(image.size)
        bpy.data.images.remove(image)
    return flat.reshape(size[1], size[0], 4)[::-1, :, :3]


def shoot_missing(product: products.Product, paths: dict[int, Path]) -> None:
    """Render the photos of a product that do not exist yet."""
    for shot, path in paths.items():
        if path.exists():
            continue
        start = time.monotonic()
        shoot(product, shot, path)
        print(f"{path.name} {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def sample(out: Path, only: list[str]) -> None:
    """The sample catalogue: manifest, one clean photo and three customer photos a product."""
    catalogue = products.load()
    for folder in ("photos", "customer"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    products.write_manifest(catalogue, out / "products.csv")
    with (out / "customer.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["photo", "sku"])
        writer.writerows(
            (f"{sku}-{i}.jpg", sku) for sku in sorted(p.sku for p in catalogue) for i in range(1, SHOTS + 1)
        )
    wanted = [p for p in catalogue if not only or p.sku in only or p.family in only]
    for product in wanted:
        shoot_missing(product, {0: out / "photos" / f"{product.sku}.jpg"})
    for shot in range(1, SHOTS + 1):
        for product in wanted:
            shoot_missing(product, {shot: out / "customer" / f"{product.sku}-{shot}.jpg"})


def train(out: Path, count: int) -> None:
    """Random products for training, none of them in the catalogue; the manifest grows product by product."""
    out.mkdir(parents=True, exist_ok=True)
    manifest = out / "products.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(products.HEADER)
        for product in training.draw(count, products.load()):
            paths = {i: out / f"{product.sku}-{i}.jpg" for i in range(SHOTS + 1)}
            shoot_missing(product, paths)
            writer.writerow(products.row(product, [p.name for p in paths.values()]))
            file.flush()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the photos and manifests")
    parser.add_argument("--only", nargs="*", default=[], metavar="SKU_OR_FAMILY", help="render only these")
    parser.add_argument("--training", type=int, default=0, metavar="N", help="render N random products instead")
    parser.add_argument("--size", type=int, default=384, help="side of a photo in pixels")
    parser.add_argument("--samples", type=int, default=5, help="samples a pixel, before denoising")
    options = parser.parse_args()
    configure(options.size, options.samples)
    if options.training:
        train(options.out, options.training)
    else:
        sample(options.out, options.only)


if __name__ == "__main__":
    main()
