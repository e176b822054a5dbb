"""Bundles in the photo store: put there once, fetched by every worker on whatever machine, verified on arrival.

Comes before ``served``, which loads what was fetched; the web puts a bundle there when an operator asks for it to be
embedded. A bundle lies under ``bundles/<version>/`` beside the photos, so a worker needs no other place to read.
"""

import re
import shutil
import tempfile
from pathlib import Path

from recognition.bundle import Bundle, load_bundle
from recognition.errors import BundleError, PhotoError
from recognition.store import PhotoStore

PREFIX = "bundles"
FILES = ("weights.safetensors", "card.md", "bundle.json")  # the facts last: they say that the rest is there
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def bundle_key(version: str, name: str) -> str:
    """Where a file of a bundle lies in the photo store."""
    return f"{PREFIX}/{version}/{name}"


def publish_bundle(store: PhotoStore, folder: Path) -> Bundle:
    """Verify the bundle in a folder and put it into the store. Raises BundleError, Unavailable."""
    bundle = load_bundle(folder)
    if not _VERSION.fullmatch(bundle.version):
        raise BundleError(f"The bundle's version {bundle.version!r} cannot name a folder and a collection.")
    for name in FILES:
        file = folder / name
        store.put(bundle_key(bundle.version, name), file.read_bytes() if file.exists() else b"")
    return bundle


def fetch_bundle(store: PhotoStore, version: str, cache: Path) -> Path:
    """The folder of a bundle of the store, copied to ``cache`` unless it is there. Raises BundleError, Unavailable."""
    place = cache / version
    if (place / FILES[-1]).is_file():
        return place
    cache.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=cache, prefix=".fetching-"))
    try:
        for name in FILES:
            (staging / name).write_bytes(store.read(bundle_key(version, name)))
        load_bundle(staging)
        shutil.rmtree(place, ignore_errors=True)
        staging.rename(place)
    except PhotoError as error:
        raise BundleError(f"The bundle {version} is not in the photo store: {error.message}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return place
