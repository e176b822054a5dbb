"""Bundles for tests: the repository's, under another name, changed a little or broken. No fixtures here."""

import json
import shutil
from pathlib import Path
from typing import Any

from tests.worker import bundle_folder


def other_bundle(folder: Path, version: str, **changes: Any) -> Path:
    """A copy of the bundle with its own version; ``changes`` replace facts of it."""
    place = folder / version
    shutil.copytree(bundle_folder(), place)
    facts = json.loads((place / "bundle.json").read_text())
    (place / "bundle.json").write_text(json.dumps(facts | {"version": version} | changes))
    return place


def break_weights(place: Path) -> Path:
    """One byte of the weights is another."""
    weights = place / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 0xFF
    weights.write_bytes(data)
    return place
