"""What docker-compose asks its containers, and the demo's patience: a real site that refuses, dies and comes back."""

from contextlib import closing

import httpx
import pytest

from config import health
from config.demo.api import Api
from tests.drawing import jpeg
from tests.line import running_line

KEY = """
from catalog.models import Merchant
from catalog.services.key import api_key_create
print(api_key_create(merchant=Merchant.objects.create(slug="shop", name="Shop"), name="test")[1])
"""
PROXY = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A site without coordinator and worker, so that nothing it is asked for is ever finished."""
    settings = {"VITRINE_ALLOWED_HOSTS": "shop.example", "VITRINE_SEARCH_DEADLINE_SECONDS": "600"}
    with running_line(tmp_path_factory.mktemp("site"), **settings) as line:
        line.start("web")
        line.wait_for(line.web_answers, "the site is up")
        yield line


@pytest.fixture(scope="module")
def token(line):
    return line.manage("shell", "--no-imports", "-c", KEY).stdout.strip()


def test_the_site_is_well_whatever_hosts_and_proxies_are_set(line, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, PROXY)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert health.web(line.url) == ""


def test_a_site_that_is_away_is_not_well(line):
    assert health.web("http://127.0.0.1:9").startswith("the site does not answer: ")


def test_a_strange_host_is_still_refused(line):
    assert httpx.get(f"{line.url}/health/live", headers={"Host": "evil.example"}, trust_env=False).status_code == 400


def test_the_demo_gives_up_what_never_ends(line, token, tmp_path, monkeypatch):
    monkeypatch.setattr("config.demo.api.JOB_SECONDS", 1.0)
    monkeypatch.setattr("config.demo.api.WAIT", {"Prefer": "wait=1"})
    photo = tmp_path / "mug.jpg"
    photo.write_bytes(jpeg(1))
    ticks = []
    never = pytest.raises(TimeoutError, match=r"search-jobs/.* is still (pending|dispatched) after 1 s")
    with closing(Api(line.url, token, lambda: ticks.append(1))) as api, never:
        api.search(photo=photo)
    assert ticks


def test_the_demo_outlives_a_site_that_dies(line, token, tmp_path, monkeypatch):
    """The tick kills the site, then starts it again, as ``Stack.supervise`` would."""
    monkeypatch.setattr("config.demo.api.UPLOAD_SECONDS", 60.0)
    manifest = tmp_path / "products.csv"
    manifest.write_text("sku,title,brand,category,price,currency,description,images\n")
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 1:
            line.processes[0].kill()
        if len(ticks) == 3:
            line.start("web")

    with closing(Api(line.url, token, tick)) as api:
        states = api.upload(manifest)
        before = next(states)
        while len(ticks) <= 3 or not line.web_answers():
            next(states)
        after = next(states)
        assert (after["id"], after["state"]) == (before["id"], "pending")
