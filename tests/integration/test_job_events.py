"""Event streams of a real web process: what arrives, when it ends, how it resumes, and what it costs the process."""

import json
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.hand import hand
from tests.line import running_line

SETUP = """
from catalog.api import events
from catalog.models import *
from catalog.services.dispatch import chunks_dispatch
from catalog.services.job import job_cancel
from catalog.services.result import chunk_result_store, search_result_store
from catalog.services.upload import upload_cancel, upload_import, upload_create
from tests.api_support import *
from workers.contract import ChunkResult, PhotoOutcome
import io, uuid

shop, other = Shop("hearth"), Shop("other")
product = shop.product("A")
indexed = shop.photo(product)

def chunk(job, *numbers, purpose="recognise"):
    photos = list(Photo.objects.filter(job=job).order_by("position"))
    sent = [photos[number] for number in numbers]
    chunk_id = uuid.uuid4()
    Photo.objects.filter(pk__in=[photo.pk for photo in sent]).update(state="dispatched", chunk_id=chunk_id)
    outcomes = [
        PhotoOutcome(photo_id=photo.pk, verdict="REVIEW", reason="close", candidates=(candidate(product, indexed),))
        for photo in sent
    ]
    return ChunkResult(chunk_id=chunk_id, purpose=purpose, worker="w1", bundle_version="b1", calibrated=True,
                       outcomes=outcomes, seconds=0.1)

answer = [shop.token, shop.public_token, other.token]
"""


class Site:
    """The web process, a hand beside it, and streams to read."""

    def __init__(self, line, web, do):
        self.line, self.web, self.do = line, web, do
        self.token, self.public, self.other = do(SETUP)

    @contextmanager
    def follow(self, path, last=None, token=None, **headers):
        headers |= {"Authorization": f"Bearer {token or self.token}"} | ({"Last-Event-ID": last} if last else {})
        with httpx.stream("GET", f"{self.line.url}/api/v1/{path}/events", headers=headers, timeout=60) as response:
            yield response, events_of(response)

    def threads(self):
        """Threads of the web process now."""
        status = Path(f"/proc/{self.web._process.pid}/status").read_text()
        return int(status.partition("Threads:")[2].split()[0])


def events_of(response):
    """Events as (id, name, body), one after the other; what is no event is left out."""
    event = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            event[name] = value
        elif "event" in event:
            yield event["id"], event["event"], json.loads(event["data"])
            event = {}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running_line(tmp_path_factory.mktemp("events")) as line:
        web = line.start("web")
        line.wait_for(line.web_answers, "the site answers")
        with hand(line) as do:
            yield Site(line, web, do)


def test_a_search_ends_with_its_hits(site):
    job = site.do("job = shop.search(); answer = str(job.pk)")
    with site.follow(f"search-jobs/{job}", token=site.public, Origin="https://shop.test") as (response, events):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Access-Control-Allow-Origin"] == "https://shop.test"
        _, name, body = next(events)
        assert (name, body["id"], body["state"]) == ("job.progress", job, "dispatched")
        assert body["queue"]["position"] >= 1
        site.do("search_result_store(result=search_result(job, candidate(product, indexed)))")
        ident, name, body = list(events)[-1]
        assert (ident, name, body["state"], body["queue"]) == ("end", "job.finished", "done", None)
        assert [hit["product"]["sku"] for hit in body["hits"]] == ["A"]


def test_a_finished_job_says_so_at_once_and_once(site):
    job = site.do("job = job_cancel(job=shop.search()); answer = str(job.pk)")
    with site.follow(f"search-jobs/{job}") as (_, events):
        assert [(ident, name, body["state"]) for ident, name, body in events] == [("end", "job.finished", "cancelled")]
    with site.follow(f"search-jobs/{job}", last="end") as (response, events):
        assert (response.status_code, list(events)) == (204, [])


def test_each_item_comes_once_and_a_stream_goes_on_after_the_last_one(site):
    job = site.do("job = shop.recognition(*[(n, 9, 9) for n in range(4)]); answer = str(job.pk)")
    with site.follow(f"recognition-jobs/{job}") as (_, events):
        assert next(events)[1] == "job.progress"
        site.do("chunk_result_store(result=chunk(job, 0, 1))")
        (_, _, first), (last, _, second), (_, name, body) = next(events), next(events), next(events)
        assert (name, body["state"], body["progress"]["finished"]) == ("job.progress", "dispatched", 2)
        assert [first["photo"]["name"], second["photo"]["name"]] == ["0.jpg", "1.jpg"]
        assert first["candidates"][0]["product"]["sku"] == "A"
    with site.follow(f"recognition-jobs/{job}", last=last) as (_, events):  # it did not hear of the progress
        told, name, body = next(events)
        assert (name, body["progress"]["finished"]) == ("job.progress", 2)
    site.do("chunk_result_store(result=chunk(job, 2, 3))")  # while nobody listens
    with site.follow(f"recognition-jobs/{job}", last=told) as (_, events):
        rest = list(events)
    assert [name for _, name, _ in rest] == ["item.found", "item.found", "job.finished"]
    assert [body["photo"]["name"] for _, _, body in rest[:2]] == ["2.jpg", "3.jpg"]
    assert (rest[2][0], rest[2][2]["state"], rest[2][2]["progress"]["finished"]) == ("end", "done", 4)
    with site.follow(f"recognition-jobs/{job}", last="of another server") as (_, events):
        assert [name for _, name, _ in events] == ["item.found"] * 4 + ["job.finished"]


def test_more_items_than_one_look_takes(site):
    job = site.do("""
job = shop.recognition()
photo = Photo.objects.get(job=job)
for position in range(events.ITEMS_AT_ONCE + 7):
    Item.objects.create(merchant=shop.merchant, photo=photo, job=job, position=position, verdict="UNKNOWN",
                        bundle_version="b1")
job_cancel(job=job)
answer = str(job.pk)""")
    with site.follow(f"recognition-jobs/{job}") as (_, events):
        names = [name for _, name, _ in events]
    assert names == ["item.found"] * 57 + ["job.finished"]


def test_an_upload_is_followed_to_its_end(site):
    upload = site.do(r"""
manifest = "sku,title,brand,category,price,currency,description,images\nE-1,Mug,,,,,,\nE-2,,,,,,,\n"
upload = upload_create(merchant=shop.merchant, name="a.csv", stream=io.BytesIO(manifest.encode()))
answer = str(upload.pk)""")
    with site.follow(f"uploads/{upload}") as (_, events):
        _, name, body = next(events)
        assert (name, body["state"], body["queue"]) == (
            "upload.progress", "pending", {"position": 1, "eta_seconds": None}
        )  # fmt: skip
        site.do("upload_import(upload_id=upload.pk)")
        rest = list(events)
    assert {name for _, name, _ in rest[:-1]} <= {"upload.progress"}
    ident, name, body = rest[-1]
    assert (ident, name, body["state"], body["queue"]) == ("end", "upload.finished", "done", None)
    assert (body["rows_created"], body["rows_refused"]) == (1, 1)


def test_a_cancelled_upload_ends_its_stream(site):
    upload = site.do("""
upload = upload_create(merchant=shop.merchant, name="a.csv", stream=io.BytesIO(b"sku,title"))
answer = str(upload.pk)""")
    with site.follow(f"uploads/{upload}") as (_, events):
        next(events)
        site.do("upload_cancel(upload=upload)")
        assert [(name, body["state"]) for _, name, body in events] == [("upload.finished", "cancelled")]


def test_who_may_follow(site):
    search, recognition = site.do("answer = [str(shop.search().pk), str(shop.recognition().pk)]")
    for path, token, status in [
        (f"search-jobs/{search}", site.other, 404),
        (f"search-jobs/{recognition}", site.token, 404),
        (f"recognition-jobs/{recognition}", site.public, 403),
        (f"search-jobs/{search}", "vit_sk_wrong", 401),
    ]:
        with site.follow(path, token=token) as (response, _):
            assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")


def test_a_head_is_no_stream(site):
    job = site.do("answer = str(shop.search().pk)")
    address = f"{site.line.url}/api/v1/search-jobs/{job}/events"
    response = httpx.head(address, headers={"Authorization": f"Bearer {site.token}"}, timeout=60)
    assert (response.status_code, response.headers["Content-Type"], response.content) == (200, "text/event-stream", b"")


def test_many_streams_hold_no_thread_each(site):
    job = site.do("job = shop.search(); answer = str(job.pk)")
    with ExitStack() as open_streams:
        followed = [open_streams.enter_context(site.follow(f"search-jobs/{job}"))[1] for _ in range(40)]
        for events in followed:
            assert next(events)[1] == "job.progress"
        until = time.monotonic() + 20
        while (threads := site.threads()) > 25 and time.monotonic() < until:
            time.sleep(0.2)  # threads that were let go take a moment to end
        assert threads <= 25
        with site.line.redis.client() as client:
            assert client.pubsub_numsub(f"vitrine:job:{job}")[0][1] == 1  # one subscription for all of them
        site.do("search_result_store(result=search_result(job))")
        assert [list(events)[-1][1] for events in followed] == ["job.finished"] * 40
    with site.line.redis.client() as client:
        until = time.monotonic() + 20
        while client.pubsub_numsub(f"vitrine:job:{job}")[0][1] and time.monotonic() < until:
            time.sleep(0.1)
        assert client.pubsub_numsub(f"vitrine:job:{job}")[0][1] == 0


def test_a_client_that_left_leaves_no_subscription(site):
    job = site.do("answer = str(shop.search().pk)")
    with site.follow(f"search-jobs/{job}") as (_, events):
        next(events)
    with site.line.redis.client() as client:
        until = time.monotonic() + 20
        while client.pubsub_numsub(f"vitrine:job:{job}")[0][1] and time.monotonic() < until:
            time.sleep(0.1)
        assert client.pubsub_numsub(f"vitrine:job:{job}")[0][1] == 0


def test_a_stream_outlives_redis(site):
    job = site.do("job = shop.search(); answer = str(job.pk)")
    with site.follow(f"search-jobs/{job}") as (_, events):
        next(events)
        site.line.redis.kill()
        try:
            site.do("search_result_store(result=search_result(job))")
            assert list(events)[-1][1] == "job.finished"  # found by looking
        finally:
            site.line.redis.start()


def test_a_stream_hears_again_after_redis_came_back(site):
    job = site.do("job = shop.search(); answer = str(job.pk)")
    with site.follow(f"search-jobs/{job}") as (_, events):
        next(events)
        site.line.redis.restart(away=0.5)
        with site.line.redis.client() as client:
            until = time.monotonic() + 30
            while not client.pubsub_numsub(f"vitrine:job:{job}")[0][1] and time.monotonic() < until:
                time.sleep(0.1)
            assert client.pubsub_numsub(f"vitrine:job:{job}")[0][1] == 1
        site.do("search_result_store(result=search_result(job))")
        assert list(events)[-1][1] == "job.finished"


def test_streams_do_not_hold_up_a_stop(tmp_path):
    with running_line(tmp_path) as line:
        web = line.start("web")
        line.wait_for(line.web_answers, "the site answers")
        with hand(line) as do:
            token, job = do(SETUP + "job = shop.search(); answer = [shop.token, str(job.pk)]")
            address = f"{line.url}/api/v1/search-jobs/{job}/events"
            with httpx.stream("GET", address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as response:
                next(events_of(response))
                web.stop()  # raises when it takes a minute
