"""Other things than merchandise: train on a folder, serve the bundle with a real worker, recognise unseen photos."""

import os
import shutil
from pathlib import Path

import httpx
import pytest

from recognition.training.__main__ import main
from recognition.training.data import DataSet, read_photos
from tests.line import running_line
from tools.signs.__main__ import draw_folder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def fitted(data: Path, out: Path, *more: str) -> Path:
    """The bundle of a folder of photos, trained from the repository's own."""
    given = ["fit", "--data", f"things={data}", "--weights", str(ROOT / "bundles" / "default"), "--out", str(out)]
    assert main([*given, "--size", "96", "--batch", "24", "--threads", "1", "--device", "cpu", *more]) == 0
    return out


def catalogue(photos, folder: Path) -> Path:
    """The training photos as a merchant would upload them: one product a label, with a products.csv."""
    folder.mkdir()
    images: dict[str, list[str]] = {}
    for number, photo in enumerate(photo for photo in photos if photo.stored):
        name = f"{number}{photo.path.suffix}"
        shutil.copy(photo.path, folder / name)
        images.setdefault(photo.label, []).append(name)
    rows = [f"{label},{label.replace('-', ' ')},{'|'.join(names)}" for label, names in images.items()]
    (folder / "products.csv").write_text("\n".join(["sku,title,images", *rows]))
    return folder


def recognised(line, photos) -> dict[str, str | None]:
    """The best candidate's SKU for each photo, by its name, asked as one job over HTTP."""
    token = line.manage("apikey", "--merchant", "things").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{line.url}/api/v1/", headers=headers, timeout=60) as client:
        files = [
            ("photos", (f"{photo.label}--{photo.path.name}", photo.path.read_bytes(), "image/jpeg")) for photo in photos
        ]
        made = client.post("recognition-jobs", files=files).raise_for_status()
        page = f"{made.headers['Location']}?page_size=100"

        def done():
            body = client.get(page).raise_for_status().json()
            return body if body["state"] == "done" else None

        items = line.wait_for(done, "all photos are recognised")["items"]["results"]
    return {
        item["photo"]["name"]: item["candidates"][0]["product"]["sku"] if item["candidates"] else None for item in items
    }


def served_accuracy(data: Path, bundle: Path, folder: Path) -> float:
    """Upload what was trained on, recognise what was held out, through web, coordinator and worker."""
    photos = read_photos([DataSet("things", data)])
    held_out = [photo for photo in photos if photo.role == "report"]
    (folder / "line").mkdir()
    with running_line(folder / "line", VITRINE_BUNDLE=str(bundle), VITRINE_DISPATCH_SECONDS="0.5") as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        line.wait_for(lambda: line.web_answers() and line.workers_alive(), "site and worker are up")
        source = catalogue(photos, folder / "catalogue")
        line.manage("upload", str(source), "--merchant", "things", "--create-merchant")
        assert line.photo_states() == {"done": sum(photo.stored for photo in photos)}
        found = recognised(line, held_out)
    assert len(found) == len(held_out)
    return sum(sku == name.partition("--")[0] for name, sku in found.items()) / len(found)


def test_traffic_signs(tmp_path):
    """Five kinds of drawn signs; two of them differ by left and right only, so nothing is mirrored."""
    signs = draw_folder(tmp_path / "signs", 24, kinds=5)
    bundle = fitted(signs, tmp_path / "bundle", "--epochs", "4", "--no-mirror")
    accuracy = served_accuracy(signs, bundle, tmp_path)
    assert accuracy >= 0.8, accuracy


@pytest.mark.shared
def test_animals_and_vehicles(tmp_path):
    """Small real photos, ten labels under two coarse ones; chance is one in ten."""
    root = Path(os.environ.get("VITRINE_TEST_DATA", "/nowhere")) / "cifar10" / "train"
    if not root.is_dir():
        pytest.skip("VITRINE_TEST_DATA names no folder with cifar10/")
    vehicles = {"airplane", "automobile", "ship", "truck"}
    for label in root.iterdir():
        coarse = "vehicles" if label.name in vehicles else "animals"
        (tmp_path / "things" / coarse / label.name).mkdir(parents=True)
        for photo in sorted(label.iterdir())[:24]:
            shutil.copy(photo, tmp_path / "things" / coarse / label.name)
    bundle = fitted(tmp_path / "things", tmp_path / "bundle", "--epochs", "4")
    accuracy = served_accuracy(tmp_path / "things", bundle, tmp_path)
    assert accuracy >= 0.4, accuracy
