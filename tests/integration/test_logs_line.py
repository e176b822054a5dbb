"""One search followed through the logs of every real process, and one chunk of an upload; JSON, as machines read it."""

import json

import httpx
import pytest

from tests.line import running_line
from tests.monitoring import names_asked_for, names_told
from tests.uploads import archive, manifest, row
from tests.worker import draw_photo

pytestmark = pytest.mark.slow

KEY = """
from catalog.models import Merchant
from catalog.services.key import api_key_create
print(api_key_create(merchant=Merchant.objects.get(slug="shop"), name="test")[1])
"""
REQUEST = "seen-at-the-till-42"


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    upload = folder / "mug.zip"
    upload.write_bytes(archive({"manifest.csv": manifest(row("MUG-1", "mug.jpg")), "mug.jpg": draw_photo(1)}))
    settings = {"VITRINE_LOG_FORMAT": "json", "VITRINE_TORCH_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with running_line(folder, VITRINE_METRICS_TOKEN="let-me-see", **settings) as line:
        line.parts = {name: line.start(name) for name in ("web", "coordinator", "worker")}
        line.manage("upload", str(upload), "--merchant", "shop", "--create-merchant")
        line.wait_for(lambda: line.photo_states() == {"done": 1}, "the photo is indexed")
        line.key = line.manage("shell", "--no-imports", "-c", KEY).stdout.strip()
        line.wait_for(line.web_answers, "the site is up")
        yield line


def records(process):
    """What a process logged as JSON; what others write to its stderr (Celery's greeting) is not."""
    lines = [line for line in process.words().splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def test_one_search_in_every_log(line):
    headers = {"Authorization": f"Bearer {line.key}", "Prefer": "wait=30", "X-Request-ID": REQUEST}
    files = {"photo": ("a.jpg", draw_photo(1), "image/jpeg")}
    answer = httpx.post(f"{line.url}/api/v1/search-jobs", files=files, headers=headers, timeout=60, trust_env=False)
    assert (answer.json()["state"], answer.headers["X-Request-ID"]) == ("done", REQUEST)
    job = answer.json()["id"]

    def told(name, message):
        return [each for each in records(line.parts[name]) if each["message"].startswith(message)]

    line.wait_for(lambda: told("coordinator", "search stored"), "the coordinator has logged it")
    found = {
        "web": told("web", "search sent") + told("web", "POST /api/v1/search-jobs"),
        "worker": told("worker", "search done"),
        "coordinator": told("coordinator", "search stored"),
    }
    assert [each["request"] for name in found for each in found[name]] == [REQUEST] * 4
    assert [each["job"] for name in found for each in found[name] if "job" in each] == [job] * 3
    assert found["coordinator"][0]["worker"].endswith(str(line.parts["worker"]._process.pid))


def test_one_chunk_from_the_coordinator_to_the_worker_and_back(line):
    sent = [each for each in records(line.parts["coordinator"]) if each["message"].startswith("chunk sent")]
    done = [each for each in records(line.parts["worker"]) if each["message"].startswith("chunk index done")]
    stored = [each for each in records(line.parts["coordinator"]) if each["message"].startswith("chunk stored")]
    assert len(sent) == 1
    assert {each["chunk"] for each in (*sent, *done, *stored)} == {sent[0]["chunk"]}
    assert (len(done), len(stored)) == (1, 1)


def test_every_figure_of_the_dashboard_and_the_alarms_is_really_told(line):
    def answer(token=""):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(f"{line.url}/metrics", headers=headers, timeout=60, trust_env=False)

    def untold():
        return names_asked_for() - names_told(answer("let-me-see").text)

    assert (answer().status_code, answer("let-me-in").status_code) == (401, 401)
    assert len(names_asked_for()) > 20
    try:
        line.wait_for(lambda: not untold(), "every process has told its figures")
    finally:
        assert untold() == set()
