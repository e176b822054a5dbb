"""Every example of README and docs is run as it stands, against a whole Vitrine, in the order of the document.

What is not run is in ``NOT_RUN``, each with its reason. ``$ID`` in a command is the id of what its address names, as
an earlier answer told it; the documents say so too.
"""

import csv
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.documents import Session, blocks_of, commands_of, workplace
from tests.line import ROOT, running_line
from tests.receiver import Receiver
from tests.worker import bundle_folder
from vitrine import Vitrine

pytestmark = pytest.mark.slow

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "clients" / "python" / "README.md"]
BLOCKS = {str(path.relative_to(ROOT)): blocks_of(path, ROOT) for path in DOCUMENTS}
STACK = "starts a Vitrine of its own; here one runs already, and tests/integration/test_stack.py starts it"
TRAINING = "trains for minutes; tests/unit/training and tests/integration/test_domains.py run these commands, smaller"
DOCKER = "needs Docker; tests/unit/test_compose.py checks the files"
NOT_RUN = {
    "make demo": STACK,
    "make start": STACK,
    "make test": "is what runs this test",
    "cp .env.example": DOCKER,
    "docker compose": DOCKER,
    "python -m recognition.training": TRAINING,
    ".venv/bin/python -m recognition.training": TRAINING,
    ".venv/bin/python -m tools.signs": TRAINING,
    "tar xf cifar10.tar.xz": "unpacks photos that are not in the repository",
    "VITRINE_BUNDLE=": STACK,
    ".venv/bin/python -m http.server": "serves until it is stopped; test_widget opens that page",
    ".venv/bin/python manage.py restore": "wants an empty place, with nothing running; test_backup restores",
    "pip install ./clients/python": "reaches a package index; here the client is found in the checkout",
}
PHOTOS = {
    "mug.jpg": "MUG-101-1", "street.jpg": "MUG-102-1", "seen-in-a-shop.jpg": "MUG-103-1", "a.jpg": "MUG-104-1",
    "b.jpg": "TIN-141-1", "shelf.jpg": "TIN-142-2",
}  # fmt: skip
RESOURCE = re.compile(r"\$(?:API|\{API\})/([a-z-]+)")


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    settings = {
        "VITRINE_BUNDLE": str(bundle_folder()),
        "VITRINE_TORCH_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "VITRINE_DISPATCH_SECONDS": "0.5",
        "VITRINE_OUTBOUND_NETWORKS": "127.0.0.0/8",
    }
    with running_line(tmp_path_factory.mktemp("line"), **settings) as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        line.wait_for(lambda: line.web_answers() and line.workers_alive(), "the line is up")
        yield line


def catalogue():
    """Mugs and tins of the sample catalogue, with their photos."""
    with (ROOT / "sample" / "products.csv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["sku"][:3] in ("MUG", "TIN")]
    out, table = io.BytesIO(), io.StringIO()
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.csv", table.getvalue())
        for row in rows:
            archive.write(ROOT / "sample" / "photos" / Path(row["images"]).name, row["images"])
    return out.getvalue()


@pytest.fixture(scope="module")
def reader(line, tmp_path_factory):
    """A session in a folder with the files that the documents name, for a merchant whose catalogue is indexed."""
    folder = tmp_path_factory.mktemp("reader") / "vitrine"
    environment = line.environment | workplace(folder, ROOT)
    (folder / "catalogue.zip").write_bytes(catalogue())
    shutil.copytree(ROOT / "clients" / "widget", folder / "clients" / "widget")
    for name, photo in PHOTOS.items():
        shutil.copy(ROOT / "sample" / "customer" / f"{photo}.jpg", folder / name)
    line.manage("upload", str(folder / "catalogue.zip"), "--merchant", "sample", "--create-merchant")
    key = line.manage("apikey", "--merchant", "sample").stdout.strip()
    with Receiver() as shop, Receiver() as elsewhere, Vitrine(key, line.url) as client:
        elsewhere.answer(200, (folder / "street.jpg").read_bytes(), Content_Type="image/jpeg")
        unsure = sorted((ROOT / "sample" / "customer").glob("TIN-14*.jpg"))
        client.recognition_jobs.wait(client.recognition_jobs.create(unsure))  # something to review
        reader = Reader(folder, environment | {"KEY": key, "API": f"{line.url}/api/v1"}, client)
        reader.stands_for = {
            "http://127.0.0.1:8000": line.url,
            "https://shop.example/vitrine": shop.url,
            "https://example.com/street.jpg": elsewhere.url,
        }
        yield reader
        reader.close()


class Reader(Session):
    """Reads an answer as people do: remembers its ids, and names the right one in the next command."""

    def __init__(self, folder, environment, client):
        super().__init__(folder, environment)
        self.client = client
        self.stands_for = {}
        self._begun, self._ids = environment, {}

    def open_document(self):
        """Begin to read, with nothing remembered of another document."""
        self.close()
        self.environment, self._ids = dict(self._begun), {}

    def run(self, block):
        code = block.code
        for written, meant in self.stands_for.items():
            code = code.replace(written, meant)
        if block.language != "shell":
            self._name_ids(code)
            return getattr(self, block.language)(code)
        for command in commands_of(code):
            if not reason_of(command):
                self._name_ids(command)
                self._remember(command, self.shell(command))

    def _name_ids(self, command):
        resource = RESOURCE.search(command)
        if resource and resource[1] in self._ids:
            self.environment["ID"] = self._ids[resource[1]]
        if "review-items/$ID" in command:
            item = next(item for item in self.client.review_items.list(state="open") if item.candidates)
            self.environment |= {"ID": item.id, "PRODUCT": item.candidates[0].product.id}
        if "/hits/$PRODUCT" in command or "$OTHER_PRODUCT" in command:
            search = self.client.search(photo=self.folder / "street.jpg", words="mug")
            first, second, *_ = (hit.product.id for hit in search.hits)
            self.environment |= {"ID": search.id, "PRODUCT": first, "OTHER_PRODUCT": second}
        if "${ID}/events" in command:
            self.environment["ID"] = self._ids["recognition-jobs"]

    def _remember(self, command, output):
        if places := re.findall(r"^id: (.+)$", output, re.MULTILINE):
            self.environment["LAST"] = places[-1]
        body = output.partition("\n\n")[2] if output.startswith("HTTP/") else output
        try:
            answer = json.loads(body)
        except ValueError:
            return
        assert "wait=" not in command or answer["state"] == "done", answer
        if "endpoint_id" in answer:
            self.environment["DELIVERY"] = answer["id"]
        elif "id" in answer:
            resource = RESOURCE.search(command) or re.search(r"/api/v1/([a-z-]+)", command)
            is_photo = "thumb_url" in answer
            self._ids["photos" if is_photo else resource[1]] = answer["id"]


def reason_of(command):
    """Why a command is not run, if it is not."""
    return next((reason for begins, reason in NOT_RUN.items() if command.startswith(begins)), "")


@pytest.mark.parametrize("document", BLOCKS)
def test_every_example_runs(reader, document):
    reader.open_document()
    for block in BLOCKS[document]:
        if block.language != "javascript" or shutil.which("node"):
            try:
                reader.run(block)
            except AssertionError as failed:
                raise AssertionError(f"{block}: {failed}") from failed


def test_javascript_was_run():
    if not shutil.which("node"):
        pytest.skip("the JavaScript examples need node")
    assert sum(block.language == "javascript" for blocks in BLOCKS.values() for block in blocks) >= 4


def test_what_is_not_run_is_still_there():
    commands = [
        command
        for blocks in BLOCKS.values()
        for block in blocks
        if block.language == "shell"
        for command in commands_of(block.code)
    ]
    assert len(commands) > 60
    assert [begins for begins in NOT_RUN if not any(command.startswith(begins) for command in commands)] == []
    assert sum(not reason_of(command) for command in commands) > 40
