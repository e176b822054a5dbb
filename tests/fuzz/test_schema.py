"""Schemathesis over the whole OpenAPI document and a real site: nothing breaks, and every answer is a documented one.

Asked with a secret key, with a publishable key and with none, for a bounded time each: with a secret key first one case
of every operation, however long that takes, then cases by chance while the time lasts. What is not asked: that every
request which fits the document is taken (no schema says which cursors and currencies there are), nor that every one
which does not is refused (in a form, ``true`` is a text too). CI keeps the seed, so that a change is judged by the
cases of the one before it; who hunts gives others (``VITRINE_TEST_FUZZ_SEED``).
"""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.line import running_line
from workers.contract import WORKER_KEY_PREFIX, WorkerCard

SECONDS = int(os.environ.get("VITRINE_TEST_FUZZ_SECONDS", "0"))
CASES = os.environ.get("VITRINE_TEST_FUZZ_SEED", "1")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SECONDS, reason="set VITRINE_TEST_FUZZ_SECONDS: seconds for each caller (CI does)"),
]

PROGRAM = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "ignored_auth",
)
SCHEMA = "/api/schema?format=json"
# The secret keys' parts, which together are the whole document.
TAGS = {"secret": ["--exclude-tag", "keys"], "keeper": ["--include-tag", "keys"]}
# One row of each kind, and finished ones to follow: a stream of others would outlast the time. Keys are tried on a
# merchant of their own: who tries them revokes the one that asks, too. All of it twice: the first round deletes rows.
SEED = """
import json
from tests.api_support import Shop, candidate, search_result
from catalog.models import Job, Upload
from catalog.services.result import search_result_store
from catalog.services.synonyms import synonyms_create
from catalog.services.webhooks.endpoint import endpoint_create, endpoint_test
def seeded(name):
    shop, keeper = Shop(name), Shop(f"{name}-keeper")
    product = shop.product("MUG-1", price="5.00", currency="EUR", variant_group="MUG", attributes={"colour": "red"})
    shop.product("MUG-2", variant_group="MUG")
    photo, search = shop.photo(product), shop.search()
    search_result_store(result=search_result(search, candidate(product, photo, text=1.0), verdict="SURE"))
    recognition = shop.recognition()
    item = shop.item(product, job=recognition)
    upload = Upload.objects.create(merchant=shop.merchant, name="a.zip", source="spool/a")
    endpoint, _ = endpoint_create(merchant=shop.merchant, url="https://shop.test/hook", events=["job.finished"])
    delivery = endpoint_test(endpoint=endpoint)
    words = synonyms_create(merchant=shop.merchant, words=["mug", "cup"])
    followed = shop.recognition()
    Job.objects.filter(pk=followed.pk).update(state="done", finished_at=followed.created_at)
    read = Upload.objects.create(merchant=shop.merchant, name="b.zip", source="", state="done")
    return {
        "secret": shop.token, "keeper": keeper.token, "publishable": shop.public_token,
        "ids": {
            "products": str(product.pk), "photos": str(photo.pk), "uploads": str(upload.pk),
            "search-jobs": str(search.pk), "recognition-jobs": str(recognition.pk), "review-items": str(item.pk),
            "keys": str(keeper.public_key.pk), "webhook-endpoints": str(endpoint.pk),
            "webhook-deliveries": str(delivery.pk), "synonyms": str(words.pk),
            "followed": str(followed.pk), "read": str(read.pk),
        },
    }
print(json.dumps([seeded("first"), seeded("then")]))
"""
PLENTY = {
    f"VITRINE_{budget}": "1000000"
    for budget in ("KEY_REQUESTS", "VISITOR_SEARCHES", "VISITOR_READS", "VISITOR_GUESSES")
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site with data and no worker; questions why are taken as if one lived, and wait."""
    with running_line(tmp_path_factory.mktemp("fuzz"), VITRINE_SEARCH_DEADLINE_SECONDS="3600", **PLENTY) as line:
        line.start("web")
        found = json.loads(line.manage("shell", "--verbosity", "0", "-c", SEED).stdout.splitlines()[-1])
        card = WorkerCard(
            name="w1", bundle_version="test-1", calibrated=True, device="cpu", engine="embedded", points=0,
            photos_done=0, searches_done=0, started_at=datetime.now(UTC),
        )  # fmt: skip
        with line.redis.client() as redis:
            redis.set(f"{WORKER_KEY_PREFIX}w1", card.model_dump_json())
        line.wait_for(line.web_answers, "the site is up")
        yield line, found


def configuration(ids):
    """Addresses with an id go to rows that exist. Of several entries for an address the first one counts."""
    paths = {"/recognition-jobs/.id./events": ids.pop("followed"), "/uploads/.id./events": ids.pop("read")}
    paths |= {f"/{resource}/.id": row for resource, row in ids.items()}
    lines = [
        f'hooks = "{Path(__file__).with_name("hooks.py")}"',
        "[[operations]]",
        'include-path-regex = "product_id"',
        "[operations.parameters]",
    ]
    lines += [f'"path.product_id" = "{ids["products"]}"', f'"path.id" = "{ids["search-jobs"]}"']
    for path, row in paths.items():
        lines += ["[[operations]]", f'include-path-regex = "{path}"', f'parameters = {{ "path.id" = "{row}" }}']
    return "\n".join(lines)


@pytest.mark.parametrize("caller", ["secret", "keeper", "publishable", "nobody"])
def test_every_answer_is_a_documented_one(site, tmp_path, caller):
    line, (first, then) = site
    settings = tmp_path / "schemathesis.toml"

    def fuzz(found, *how):
        settings.write_text(configuration(dict(found["ids"])))
        token = [] if caller == "nobody" else ["--header", f"Authorization: Bearer {found[caller]}"]
        done = subprocess.run(
            [
                PROGRAM, "--config-file", settings, "run", f"{line.url}{SCHEMA}", *token, *TAGS.get(caller, []), *how,
                "--header", "Prefer: wait=0", "--checks", ",".join(CHECKS), "--request-timeout", "60",
                "--continue-on-failure", "--no-color", "--warnings", "off", "--seed", CASES,
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS + 300,
            env=os.environ | {"VITRINE_TEST_FUZZ_TRIED": str(tmp_path / "tried")},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
        return int(re.search(r"(\d+) generated", done.stdout)[1])

    if caller in TAGS:
        fuzz(first, "--phases", "fuzzing", "--mode", "positive", "--max-examples", "1")
        tried = set((tmp_path / "tried").read_text().splitlines())
        assert tried == operations(line, keys=caller == "keeper")
    assert fuzz(then, "--max-time", str(SECONDS)) > 100
    assert "Traceback" not in line.processes[0].words()


def operations(line, *, keys):
    """The operations of the OpenAPI document as ``METHOD path``, those of keys or all others."""
    with urlopen(f"{line.url}{SCHEMA}") as answer:
        paths = json.load(answer)["paths"]
    return {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, operation in methods.items()
        if ("keys" in operation["tags"]) == keys
    }
