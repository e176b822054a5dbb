"""The Python client against a whole Vitrine: web, coordinator and worker as real processes, blocking and awaited.

The same road is gone with both clients; then answers are lost on the way, and everything still happens once.
"""

import asyncio
import csv
import inspect
import io
import json
import zipfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

import pytest

from tests.hand import hand
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
SKUS = ("BAG-281", "TIN-143", "LMP-173")


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


@pytest.fixture(scope="module")
def maker(line):
    """Makes merchants with keys."""
    with hand(line) as do:
        do("from tests.api_support import *")
        yield do


class Awaited:
    """An ``AsyncVitrine`` whose calls are awaited here, so that one test says the same to both clients."""

    def __init__(self, of, run):
        self._of, self._run = of, run

    def __getattr__(self, name):
        value = getattr(self._of, name)
        return self._called(value) if callable(value) else Awaited(value, self._run)

    def _called(self, call):
        def method(*args, **kwargs):
            found = call(*args, **kwargs)
            return self._run(found) if inspect.iscoroutine(found) else self._each(found)

        return method

    def _each(self, found):
        try:
            while (value := self._run(anext(found, None))) is not None:
                yield value
        finally:
            self._run(found.aclose())


@contextmanager
def a_loop():
    """Runs coroutines on a loop in a thread of its own: browser tests before this one leave theirs running in ours."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    yield lambda coroutine: asyncio.run_coroutine_threadsafe(coroutine, loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Merchant:
    """A merchant of one test, and the client under test."""

    def __init__(self, name, token, connect):
        self.name, self._token, self._connect = name, token, connect

    def client(self, url):
        return self._connect(self._token, url)


@pytest.fixture(params=["blocking", "awaited"])
def merchant(maker, request):
    """Everything with both clients, each time for a merchant of its own."""
    name = f"m{uuid4().hex}"
    token = maker(f"answer = Shop({name!r}).token")
    with ExitStack() as ending:
        if request.param == "blocking":
            yield Merchant(name, token, lambda *given: ending.enter_context(Vitrine(*given)))
            return
        run = ending.enter_context(a_loop())

        def connect(*given):
            client = AsyncVitrine(*given)
            ending.callback(lambda: run(client.aclose()))
            return Awaited(client, run)

        yield Merchant(name, token, connect)


@pytest.fixture
def client(merchant, line):
    return merchant.client(line.url)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """Three products of the sample catalogue with their photos, as a ZIP."""
    with (ROOT / "sample" / "products.csv").open() as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["sku"] in SKUS]
    out = tmp_path_factory.mktemp("catalogue") / "catalogue.zip"
    with zipfile.ZipFile(out, "w") as archive:
        table = io.StringIO()
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        archive.writestr("manifest.csv", table.getvalue())
        for row in rows:
            archive.write(ROOT / "sample" / "photos" / Path(row["images"]).name, row["images"])
    return out, [row["sku"] for row in rows]


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
    assert [hit.product.sku for hit in client.search_jobs.hits(words.id)][: len(words.hits)] == [
        hit.product.sku for hit in words.hits
    ]
    assert [event.data.state for event in client.search_jobs.events(job.id)] == ["done"]
    assert [each.id for each in client.search_jobs.list(state="done")] == [words.id, job.id]
    like = client.search(like=[job.hits[0].product.id], photo=draw_photo(1), words="mug", photo_weight=0.5)
    assert like.request.photo_weight == 0.5 and skus[0] not in {hit.product.sku for hit in like.hits}

    photo = (ROOT / "sample" / "customer" / f"{skus[1]}-1.jpg").read_bytes()
    alike = client.search(like=[{"photo": photo, "region": (0, 0, 1, 1)}], unlike=[{"search_id": job.id}])
    assert alike.hits[0].product.sku == skus[1] and alike.hits[0].variants == [] and alike.request.group_variants
    assert [each.search_id for each in alike.request.unlike_photos] == [job.id]
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
    assert client.products.get_by_sku("A/1") == client.products.update_by_sku("A/1", brand="")
    client.products.upsert("C/1", title="Cup")
    assert client.products.update_by_sku("C/1", sku="C/2").sku == "C/2"
    client.products.delete_by_sku("C/2")
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
    newest = [each.id for each in client.keys.list(kind="publishable")][:2]
    assert newest == [rotated.id, key.id]


def test_what_goes_wrong_is_said(client, merchant, line):
    ended = Event()
    with pytest.raises(Invalid) as refused:
        client.search(words="mug", filters={"price_min": "-1", "currency": "EUR"})
    assert [(each.field, each.code) for each in refused.value.errors] == [("filters.price_min", "min_value")]
    job = client.search_jobs.create(words="mug")
    with pytest.raises(StillRunning) as running:
        client.recognition_jobs.wait(client.recognition_jobs.create([draw_photo(2)]), seconds=0)
    assert not running.value.job.is_finished
    assert client.search_jobs.wait(job).is_finished
    with Receiver() as slow:
        slow.before = lambda request: ended.wait(60)
        with pytest.raises(TimedOut):
            merchant.client(slow.url).products.get(job.id, timeout=0.1)
        ended.set()
    with pytest.raises(NotAuthenticated), Vitrine("vit_sk_wrong", line.url) as wrong:
        next(wrong.products.list())
    with pytest.raises(ConnectionFailed), Vitrine("vit_sk_x", "http://127.0.0.1:1", retries=0) as nowhere:
        nowhere.search(words="mug")


def counted(line, merchant):
    query = "SELECT count(*) FROM catalog_{} t JOIN catalog_merchant m ON m.id = t.merchant_id WHERE m.slug = ?"
    tables = ("job", "product", "webhookdelivery", "upload")
    return {name: line.rows(query.format(name), merchant.name)[0][0] for name in tables}


def test_every_request_three_times_and_everything_once(line, merchant, catalogue):
    """The answers of the first two tries of every call are lost; the client tries a third time by itself."""
    with Receiver() as shop, LosesAnswers("127.0.0.1", line.port, lose=2) as proxy:
        client = merchant.client(proxy.url)
        endpoint = client.webhook_endpoints.create(shop.url, ["job.finished"])
        product = client.products.create("MUG-1", title="Blue mug")
        upload = client.uploads.wait(client.uploads.create(catalogue[0]))
        job = client.search(photo=draw_photo(3), words="mug")
        assert client.products.bulk([{"sku": "MUG-1", "price": "9.90", "currency": "EUR"}]).updated == 1
        assert (job.state, upload.state) == ("done", "done")
        line.wait_for(lambda: shop.requests, "the webhook arrives")
        posts = [head.split(b" ")[1] for head in proxy.requests if head.startswith(b"POST")]
        assert {path: posts.count(path) for path in posts} == dict.fromkeys(posts, 3)
        assert len(set(posts)) == 5
        assert counted(line, merchant) == {"job": 1, "product": 4, "webhookdelivery": 1, "upload": 1}
        client.products.delete(product.id)

        client = merchant.client(line.url)
        assert endpoint.secret is None  # it is shown once, in an answer that was lost: rotating is the way out
        secret = client.webhook_endpoints.rotate_secret(endpoint.id).secret
        test = client.webhook_endpoints.test(endpoint.id)
        line.wait_for(lambda: client.webhook_deliveries.get(test.id).state == "delivered", "the test arrives")
        told, tested = shop.requests
    assert json.loads(told.body)["data"]["id"] == job.id
    event = verify(secret, tested.headers, tested.body)
    assert (event.type, event.id) == ("vitrine.test", test.event_id)
    log = client.webhook_deliveries.list(endpoint=endpoint.id)
    assert [each.type for each in log] == ["vitrine.test", "job.finished"]
