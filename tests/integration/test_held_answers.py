"""Answers that a real web process holds (``Prefer: wait``): on no thread, and as if a thread had waited."""

import re
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.hand import hand
from tests.line import running_line

SETUP = """
from catalog.models import *
from catalog.services.job import job_cancel
from catalog.services.result import search_result_store
from catalog.services.upload import upload_cancel, upload_create
from tests.api_support import *
import io

shop = Shop("hearth")
Merchant.objects.filter(pk=shop.merchant.pk).update(public_search=True)
answer = [shop.token, shop.public_token]
"""
MANY = 40
SHELLS_FILES = 1024


class Site:
    """The web process, a hand beside it, and clients that ask while others wait."""

    def __init__(self, line, web, do):
        self.line, self.web, self.do = line, web, do
        self.token, self.public = do(SETUP)

    def ask(self, path, wait, method="GET", token=None, **more):
        headers = {
            "Authorization": f"Bearer {token or self.token}",
            "Prefer": f"wait={wait}",
            **more.pop("headers", {}),
        }
        options = {"headers": headers, "timeout": 60, "verify": False, **more}
        return httpx.request(method, f"{self.line.url}/api/v1/{path}", **options)

    def search(self):
        return self.do("job = shop.search(); answer = str(job.pk)")

    def finish(self):
        self.do("search_result_store(result=search_result(job))")

    def listeners(self, job):
        with self.line.redis.client() as client:
            return client.pubsub_numsub(f"vitrine:job:{job}")[0][1]

    def wait_for_listeners(self, job, many):
        self.line.wait_for(lambda: self.listeners(job) == many, f"{many} listen", 30)

    def sockets(self):
        return sum(name.startswith("socket:") for name in self.files())

    def threads(self):
        return int(re.search(r"Threads:\s+(\d+)", Path(f"/proc/{self.web.pid}/status").read_text())[1])

    def files_allowed(self):
        return resource.prlimit(self.web.pid, resource.RLIMIT_NOFILE)[0]

    def connections(self):
        """How many connections to the database the web process holds; on PostgreSQL with the one that the hand has."""
        if self.line.database_url:
            count = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return self.line.rows(count)[0][0]
        return sum(name.endswith("-wal") for name in self.files())  # of the file itself SQLite keeps closed ones ready

    def files(self):
        found = []
        for each in Path(f"/proc/{self.web.pid}/fd").iterdir():
            try:
                found.append(str(each.readlink()))
            except FileNotFoundError:  # closed since it was listed
                continue
        return found


@contextmanager
def few_files(soft):
    """Processes that begin in this block may open no more than this, until they ask for more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running_line(tmp_path_factory.mktemp("held")) as line, few_files(SHELLS_FILES):
        web = line.start("web")
        line.wait_for(line.web_answers, "the site answers")
        with hand(line) as do:
            yield Site(line, web, do)


def test_the_site_takes_the_files_that_those_who_wait_need(site):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    assert wanted > SHELLS_FILES
    assert site.files_allowed() == wanted


@pytest.fixture
def clients():
    with ThreadPoolExecutor(MANY) as pool:
        yield pool


def test_many_that_wait_hold_neither_thread_nor_connection(site, clients):
    job = site.search()
    before = site.sockets()
    waiting = [clients.submit(site.ask, f"search-jobs/{job}", 30) for _ in range(MANY)]
    site.line.wait_for(lambda: site.sockets() >= before + MANY, f"{MANY} clients wait", 30)
    site.wait_for_listeners(job, 1)  # one subscription for all of them
    site.line.wait_for(lambda: site.threads() < 25, "threads that were let go have ended", 60)
    site.line.wait_for(lambda: site.connections() <= 9, "connections are few", 60)  # the hand has one, too
    for _ in range(5):
        assert site.ask("search-jobs", 0, timeout=25).status_code == 200  # others are answered meanwhile
    assert not any(each.done() for each in waiting)
    site.finish()
    answers = [each.result() for each in waiting]
    assert {(each.status_code, each.json()["state"]) for each in answers} == {(200, "done")}
    assert {each.headers["Preference-Applied"] for each in answers} == {"wait=30"}
    assert all(each.elapsed.total_seconds() < 29 for each in answers)
    site.wait_for_listeners(job, 0)


def test_an_answer_is_made_logged_and_counted_once(site, clients):
    job = site.search()
    before = site.ask(f"search-jobs/{job}", 0, token=site.public)
    origin = {"Origin": "https://shop.test", "X-Request-ID": "held-once"}
    held = clients.submit(site.ask, f"search-jobs/{job}", 20, token=site.public, headers=origin)
    site.wait_for_listeners(job, 1)
    time.sleep(0.5)
    site.finish()
    answer = held.result()
    assert (answer.status_code, answer.json()["state"]) == (200, "done")
    assert answer.headers.get_list("Access-Control-Allow-Origin") == ["https://shop.test"]
    assert answer.headers.get_list("X-Request-ID") == ["held-once"]
    assert answer.headers.get_list("Content-Length") == [str(len(answer.content))]
    assert left(before) - left(answer) == 1
    (logged,) = re.findall(rf"GET /api/v1/search-jobs/{job} 200 seconds=(\S+) request=held-once", site.web.words())
    assert 0.5 <= float(logged) < 20


def left(answer):
    """What is left of the key's budget."""
    return int(re.search(r"r=(\d+)", answer.headers["RateLimit"])[1])


def test_the_time_is_up(site):
    job = site.search()
    answer = site.ask(f"search-jobs/{job}", 1)
    assert (answer.status_code, answer.json()["state"]) == (200, "dispatched")
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert 0.9 < answer.elapsed.total_seconds() < 10


def test_who_may_not_is_told_at_once(site):
    job = site.search()
    for token, path, status in [("vit_sk_wrong", f"search-jobs/{job}", 401), (None, f"recognition-jobs/{job}", 404)]:
        answer = site.ask(path, 20, token=token)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert answer.elapsed.total_seconds() < 10


@pytest.mark.parametrize("kind", ["recognition", "upload"])
def test_recognitions_and_uploads_are_held_too(site, clients, kind):
    make = {
        "recognition": "row = shop.recognition()",
        "upload": 'row = upload_create(merchant=shop.merchant, name="a.csv", stream=io.BytesIO(b"sku,title"))',
    }[kind]
    row = site.do(f"{make}; answer = str(row.pk)")
    path, verb = {
        "recognition": ("recognition-jobs", "job_cancel(job=row)"),
        "upload": ("uploads", "upload_cancel(upload=row)"),
    }[kind]
    held = clients.submit(site.ask, f"{path}/{row}", 20)
    time.sleep(0.5)
    site.do(verb)
    answer = held.result()
    assert (answer.json()["state"], answer.headers["Preference-Applied"]) == ("cancelled", "wait=20")
    assert answer.elapsed.total_seconds() < 15


def start(site, key, wait=20, **more):
    return site.ask("search-jobs", wait, "POST", json={"words": "mug"}, headers={"Idempotency-Key": key}, **more)


def made(site):
    """The search that was started last, as soon as somebody waits for it; it becomes the hand's ``job``."""
    latest = "job = Job.objects.order_by('-created_at').first(); answer = job and str(job.pk)"
    return site.line.wait_for(lambda: (job := site.do(latest)) and site.listeners(job) == 1 and job, "it is waited for")


def test_a_post_waits_and_its_answer_is_kept(site, clients):
    held = clients.submit(start, site, "kept")
    job = made(site)
    site.finish()
    answer = held.result()
    assert (answer.status_code, answer.json()["state"], answer.json()["id"]) == (200, "done", job)
    assert answer.headers["Location"].endswith(job)
    again = start(site, "kept")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json() == answer.json()


def test_a_post_that_waits_long_stays_claimed(site, clients):
    held = clients.submit(start, site, "long", 30)
    made(site)
    claimed = "answer = IdempotencyRecord.objects.get(key='long').created_at.isoformat()"
    first = site.do(claimed)
    site.line.wait_for(lambda: site.do(claimed) != first, "the claim is renewed", 15)
    assert start(site, "long", wait=0).status_code == 409
    site.finish()
    assert held.result().status_code == 200


def hung_up(ask, *args, **more):
    with pytest.raises(httpx.ReadTimeout):
        ask(*args, timeout=httpx.Timeout(30, read=1), **more)


def test_who_hangs_up_leaves_nothing_behind(site):
    def sockets():
        """Those to the database are kept, one for each thread that ever looked."""
        return site.sockets() - (site.connections() if site.line.database_url else 0)

    job = site.search()
    site.ask(f"search-jobs/{job}", 1)  # what a process opens once, it has opened now
    before = sockets()
    for _ in range(3):
        hung_up(site.ask, f"search-jobs/{job}", 30)
    site.wait_for_listeners(job, 0)
    site.line.wait_for(lambda: sockets() <= before, "sockets are closed", 60)
    site.line.wait_for(lambda: site.threads() < 25, "threads have ended", 20)


def test_a_post_whose_client_hung_up_may_be_sent_again_at_once(site, clients):
    hung_up(start, site, "hung up", wait=30)
    site.line.wait_for(lambda: start(site, "hung up", wait=0).status_code == 202, "its claim is free", 60)
    assert (
        site.do("answer = shop.merchant.jobs.filter(pk=IdempotencyRecord.objects.get(key='hung up').made).count()") == 1
    )


def test_a_wait_outlives_redis(site, clients):
    job = site.search()
    held = clients.submit(site.ask, f"search-jobs/{job}", 30)
    site.wait_for_listeners(job, 1)
    site.line.redis.kill()
    try:
        site.finish()
        answer = held.result()
        assert (answer.status_code, answer.json()["state"]) == (200, "done")  # found by looking
        assert answer.elapsed.total_seconds() < 20
    finally:
        site.line.redis.start()


def test_a_wait_that_begins_without_redis(site, clients):
    job = site.search()
    site.line.redis.kill()
    try:
        held = clients.submit(site.ask, f"search-jobs/{job}", 30)
        time.sleep(1)
        assert not held.done()
        site.finish()
        assert held.result().json()["state"] == "done"
    finally:
        site.line.redis.start()


def test_kept_connections_that_the_database_cut_are_made_anew(site, clients):
    if not site.line.database_url:
        pytest.skip("SQLite cuts no connections")
    job = site.search()
    held = clients.submit(site.ask, f"search-jobs/{job}", 30)
    site.wait_for_listeners(job, 1)
    for _ in clients.map(lambda _: site.ask("search-jobs", 0), range(8)):
        pass
    site.do("from django.db import connection; connection.close()")
    cut = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert len(site.line.rows(f"SELECT pg_terminate_backend(pid) {cut}")) > 1
    assert {site.ask("search-jobs", 0).status_code for _ in range(8)} == {200}
    site.finish()
    assert held.result().json()["state"] == "done"


def test_what_goes_wrong_in_a_wait_is_answered_as_a_problem(site, clients):
    job = site.search()
    held = clients.submit(site.ask, f"search-jobs/{job}", 20)
    site.wait_for_listeners(job, 1)
    site.do("job.delete()")  # nobody does: each look fails
    answer = held.result()
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"


def test_the_page_asks_in_turn_on_no_thread(site, clients):
    with httpx.Client(base_url=site.line.url, timeout=60) as browser:
        browser.get("/")
        form = {"merchant": "hearth", "words": "mug", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        asked = browser.post("/search", data=form, headers={"Referer": site.line.url})
        assert asked.status_code == 202, asked.text
        held = clients.submit(browser.get, asked.json()["address"], headers={"Accept-Language": "zh-hans"})
        made(site)
        assert site.threads() < 25
        site.finish()
        answer = held.result()
    assert (answer.status_code, answer.json()["ended"]) == (200, True)
    assert answer.headers["Content-Language"] == "zh-hans"
    assert answer.json()["said"] == "没有找到。"
