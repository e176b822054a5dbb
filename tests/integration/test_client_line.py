"""The Python client against a whole Vitrine: web, coordinator and worker as real processes, blocking and awaited.

The same road is gone with both clients; then answers are lost on the way, and everything still happens once.
"""

import asyncio
import csv
import inspect
import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.line import ROOT, running_line
from tests.receiver import Receiver
from tests.wire import LosesAnswers
from tests.worker import bundle_folder, draw_photo
from vitrine import AsyncVitrine, Vitrine
from vitrine.errors import (
    ConnectionFailed,
    Invalid,
    NotAuthenticated,
    NotFound,
    StillRunning,
    TimedOut,
)
from vitrine.webhooks import verify

pytestmark = pytest.mark.slow
SKUS = ("MUG-281", "TIN-143", "LMP-173")


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


class Awaited:
    """An ``AsyncVitrine`` whose calls are awaited here, so that one test says the same to both clients."""

    def __init__(self, of, loop):
        self._of, self._loop = of, loop

    def __getattr__(self, name):
        value = getattr(self._of, name)
        return self._called(value) if callable(value) else Awaited(value, self._loop)

    def _called(self, call):
        def method(*args, **kwargs):
            found = call(*args, **kwargs)
            return self._loop.run_until_complete(found) if inspect.iscoroutine(found) else self._each(found)

        return method

    def _each(self, found):
        try:
            while (value := self._loop.run_until_complete(anext(found, None))) is not None:
                yield value
        finally:
            self._loop.run_until_complete(found.aclose())


@pytest.fixture(params=["blocking", "awaited"])
def client(line, request):
    """Both clients, each with a merchant of its own."""
    name = f"{request.param}-{request.node.originalname.replace('_', '-')}"[:40]
    made = f"from catalog.models import Merchant; Merchant.objects.get_or_create(slug={name!r}, name={name!r})"
    line.manage("shell", "--no-imports", "-c", made)
    key = line.manage("apikey", "--merchant", name).stdout.split()[-1]
    if request.param == "blocking":
        with Vitrine(key, line.url) as client:
            yield client
    else:
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            client = AsyncVitrine(key, line.url)
            yield Awaited(client, loop)
            loop.run_until_complete(client.aclose())


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Three products of the sample catalogue with their photos, as a ZIP."""
    rows = [
        row for row in csv.DictReader((ROOT / "sample" / "products.csv").open()) if row["sku"][:3] in ("MUG", "TIN")
    ]
    out = tmp_path_factory.mktemp("catalogue") / "catalogue.zip"
    with zipfile.ZipFile(out, "w") as archive:
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows[:3])
        archive.writestr("manifest.csv", table.getvalue())
        for row in rows[:3]:
            archive.write(ROOT / "sample" / "photos" / Path(row["images"]).name, row["images"])
    return out, [row["sku"] for row in rows[:3]]


def test_the_main_road(client, catalogue, tmp_path):
    packed, skus = catalogue
    upload = client.uploads.create(packed)
    names = [event.name for event in client.uploads.events(upload.id)]
    assert names[-1] == "upload.finished" and set(names[:-1]) <= {"upload.progress"}
    upload = client.uploads.wait(upload.id)
    assert (upload.state, upload.rows_created, upload.progress.photos_done) == ("done", 3, 3)
    assert [(row.sku, row.verdict) for row in client.uploads.rows(upload.id)] == [(sku, "created") for sku in skus]
    assert list(client.uploads.rows(upload.id, problems=True)) == []
    assert client.uploads.bad_rows(upload.id).count("\n") <= 1

    job = client.search(photo=ROOT / "sample" / "customer" / f"{skus[0]}-1.jpg", limit=2, filters={"in_stock": True})
    assert (job.state, len(job.hits), job.request.limit) == ("done", 2, 2)
    assert job.hits[0].product.sku == skus[0] and job.hits[0].why
    assert client.search_jobs.explain(job.id, job.hits[0].product.id).sentence
    words = client.search(words=job.hits[0].product.title, facets=["brands"])
    assert words.hits[0].product.sku == skus[0] and words.facets[0].name == "brands"
    assert [event.data.state for event in client.search_jobs.events(job.id)] == ["done"]
    assert [each.id for each in client.search_jobs.list(state="done")] == [words.id, job.id]
    like = client.search(like=[job.hits[0].product.id], photo=draw_photo(1), words="mug", photo_weight=0.5)
    assert like.request.photo_weight == 0.5 and skus[0] not in {hit.product.sku for hit in like.hits}

    photo = (ROOT / "sample" / "customer" / f"{skus[1]}-1.jpg").read_bytes()
    recognition = client.recognition_jobs.create([photo, {"photo": photo, "region": (0, 0, 1, 1), "name": "b.jpg"}])
    found = [event.data for event in client.recognition_jobs.events(recognition.id) if event.name == "item.found"]
    assert [item.candidates[0].product.sku for item in found] == [skus[1]] * 2
    assert client.recognition_jobs.wait(recognition).progress.finished == 2
    assert [item.id for item in client.recognition_jobs.items(recognition.id)] == [item.id for item in found]
    decided = client.review_items.correct(found[0].id, sku=skus[2])
    assert (decided.state, decided.product.sku) == ("corrected", skus[2])

    size = client.products.export(tmp_path / "home.zip")
    assert size == (tmp_path / "home.zip").stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home.zip"]
    with zipfile.ZipFile(tmp_path / "home.zip") as archive:
        assert archive.testzip() is None and "manifest.csv" in archive.namelist()


def test_the_catalogue_and_its_settings(client):
    made = client.products.create("A/1", title="Blue mug", price="12.90", currency="EUR", attributes={"ml": 350})
    assert client.products.upsert("A/1", price="9.90").id == made.id
    assert client.products.update(made.id, title="Blue stoneware mug").price.as_tuple().digits == (9, 9, 0)
    bulk = client.products.bulk({"sku": f"B-{n}", "title": "" if n == 1100 else f"Mug {n}"} for n in range(1205))
    assert (bulk.created, bulk.refused, bulk.results[1100].verdict) == (1204, 1, "refused")
    assert (bulk.results[1100].number, bulk.results[1100].sku) == (1101, "B-1100")
    skus = [product.sku for product in client.products.list()]
    assert len(skus) == len(set(skus)) == 1205
    photo = client.products.photos.add(made.id, draw_photo(7), name="mug.jpg")
    assert [each.id for each in client.products.photos.list(made.id)] == [photo.id]
    assert client.products.photos.get(photo.id).name == "mug.jpg"
    client.products.photos.delete(photo.id)
    client.products.delete(made.id)
    with pytest.raises(NotFound) as gone:
        client.products.get(made.id)
    assert (gone.value.code, gone.value.status, len(gone.value.request_id)) == ("not_found", 404, 32)

    words = client.synonyms.create(["mug", "杯子"])
    assert client.synonyms.update(words.id, ["mug", "cup"]).words == ["mug", "cup"]
    assert [each.id for each in client.synonyms.list()] == [words.id]
    client.synonyms.delete(words.id)

    key = client.keys.create("Shop", kind="publishable", origins=["https://shop.example"])
    assert key.secret.startswith("vit_pk_") and client.keys.get(key.id).secret is None
    rotated = client.keys.rotate(client.keys.update(key.id, name="Page").id, overlap_seconds=0)
    assert rotated.replaces_id == key.id and client.keys.revoke(rotated.id).state == "revoked"
    assert [each.id for each in client.keys.list(kind="publishable")] == [rotated.id, key.id]


def test_what_goes_wrong_is_said(client, line):
    with pytest.raises(Invalid) as refused:
        client.search(words="mug", filters={"price_min": "-1", "currency": "EUR"})
    assert [(each.field, each.code) for each in refused.value.errors] == [("filters.price_min", "min_value")]
    job = client.search_jobs.create(words="mug")
    with pytest.raises(StillRunning) as running:
        client.recognition_jobs.wait(client.recognition_jobs.create([draw_photo(2)]), seconds=0)
    assert not running.value.job.is_finished
    assert client.search_jobs.wait(job).is_finished
    with pytest.raises(TimedOut):
        client.products.get(job.id, timeout=0.0001)
    with pytest.raises(NotAuthenticated), Vitrine("vit_sk_wrong", line.url) as wrong:
        next(wrong.products.list())
    with pytest.raises(ConnectionFailed), Vitrine("vit_sk_x", "http://127.0.0.1:1", retries=0) as nowhere:
        nowhere.search(words="mug")


def counted(line, merchant):
    query = "SELECT count(*) FROM catalog_{} t JOIN catalog_merchant m ON m.id = t.merchant_id WHERE m.slug = ?"
    return {
        name: line.rows(query.format(name), merchant)[0][0] for name in ("job", "product", "webhookdelivery", "upload")
    }


def test_every_request_three_times_and_everything_once(line, client, catalogue):
    """The answers of the first two tries of every call are lost; the client tries a third time by itself."""
    merchant = (
        client.keys.list and line.rows("SELECT slug FROM catalog_merchant ORDER BY created_at DESC LIMIT 1")[0][0]
    )
    key = line.manage("apikey", "--merchant", merchant).stdout.split()[-1]
    inner = client._of if isinstance(client, Awaited) else client
    inner._headers["Authorization"] = f"Bearer {key}"
    with Receiver() as shop, LosesAnswers("127.0.0.1", line.port, lose=2) as proxy:
        inner._url = f"{proxy.url}/api/v1/"
        endpoint = client.webhook_endpoints.create(shop.url, ["job.finished"])
        product = client.products.create("MUG-1", title="Blue mug")
        upload = client.uploads.wait(client.uploads.create(catalogue[0]))
        job = client.search(photo=draw_photo(3), words="mug")
        assert client.products.bulk([{"sku": "MUG-1", "price": "9.90", "currency": "EUR"}]).updated == 1
        client.products.delete(product.id)
        assert (job.state, upload.state) == ("done", "done")
        line.wait_for(lambda: shop.requests, "the webhook arrives")
        sent = shop.requests[0]
        line.wait_for(lambda: counted(line, merchant)["webhookdelivery"] == 1, "one delivery")
        posts = [head.split(b" ")[1] for head in proxy.requests if head.startswith(b"POST")]
        assert {path: posts.count(path) for path in posts} == dict.fromkeys(posts, 3)
        assert len(set(posts)) == 5
        inner._url = f"{line.url}/api/v1/"
        secret = client.webhook_endpoints.rotate_secret(endpoint.id, overlap_seconds=60).secret
        test = client.webhook_endpoints.test(endpoint.id)
        line.wait_for(lambda: len(shop.requests) == 2, "the test arrives")
    assert endpoint.secret is None  # shown once, in the answer that was lost: rotating it is the way out
    assert counted(line, merchant) == {"job": 1, "product": 3 + 1, "webhookdelivery": 2, "upload": 1}
    assert json.loads(sent.body)["data"]["id"] == job.id
    event = verify(secret, shop.requests[1].headers, shop.requests[1].body)
    assert (event.type, event.id) == ("vitrine.test", test.event_id)
    line.wait_for(lambda: client.webhook_deliveries.get(test.id).state == "delivered", "the log says so")
    assert [each.type for each in client.webhook_deliveries.list(endpoint=endpoint.id)] == [
        "vitrine.test",
        "job.finished",
    ]
    assert httpx.get(f"{line.url}/health/ready", timeout=10).status_code == 200
