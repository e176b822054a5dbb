"""The site as production runs it, in a real process: it refuses to start unsafe, and answers safely once it runs."""

import json
import os
import re
import subprocess
import sys
from contextlib import suppress

import httpx
import pytest

from config.env import DEVELOPMENT_SECRET, ROOT
from tests.drawing import jpeg
from tests.hand import hand
from tests.line import running_line

pytestmark = pytest.mark.slow

SECRET = "-".join(f"part{number}of-it" for number in range(8))
SAFE = {
    "VITRINE_MODE": "production",
    "VITRINE_SECRET_KEY": SECRET,
    "VITRINE_PUBLIC_URL": "https://vitrine.test",
    "VITRINE_ALLOWED_HOSTS": "vitrine.test",
}
FILL = """
from django.contrib.auth.models import User
from catalog.models import Merchant
from catalog.services.key import api_key_create
shop = Merchant.objects.create(slug="shop", name="Shop", public_search=True)
User.objects.create_superuser("rita", password="long-enough")
page = dict(kind="publishable", origins=["https://shop.test"])
answer = [api_key_create(merchant=shop, name="test", **settings)[1] for settings in ({}, page)]
"""
THROUGH_TLS = {"Host": "vitrine.test", "X-Forwarded-Proto": "https"}
STARTS = {
    "web": ["-m", "uvicorn", "config.asgi:application", "--port", "0"],
    "coordinator": ["-m", "celery", "--app", "config.celery", "worker"],
    "worker": ["-m", "workers"],
    "command": ["manage.py", "check"],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Web in production mode, over SQLite; small limits, so that small bodies are large ones."""
    limits = {"VITRINE_PHOTO_MAX_BYTES": "1000000", "VITRINE_UPLOAD_MAX_BYTES": "12000000"}
    with running_line(tmp_path_factory.mktemp("production"), **SAFE, **limits) as line:
        line.manage("collectstatic", "--no-input", "--verbosity", "0")
        with hand(line) as do:
            line.token, line.page_token = do(FILL)
        line.start("web")
        line.wait_for(line.web_answers, "the site answers")
        yield line


@pytest.fixture
def browser(site):
    with httpx.Client(base_url=site.url, headers=THROUGH_TLS, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("part", "secret"), [*((part, DEVELOPMENT_SECRET) for part in STARTS), ("command", ""), ("command", "short")]
)
def test_nothing_starts_in_production_with_a_default_secret(part, secret, tmp_path):
    done = subprocess.run(
        [sys.executable, *STARTS[part]],
        cwd=ROOT,
        env={**os.environ, **SAFE, "VITRINE_SECRET_KEY": secret, "VITRINE_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "VITRINE_SECRET_KEY must be set to a secret of your own" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_djangos_own_check_finds_nothing(site):
    done = site.manage("check", "--deploy", "--fail-level", "WARNING")
    assert "no issues" in done.stdout + done.stderr


def test_plain_http_is_sent_to_https_but_for_health(site):
    answer = httpx.get(f"{site.url}/admin/", headers={"Host": "vitrine.test"}, timeout=60)
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://vitrine.test/admin/")
    assert httpx.get(f"{site.url}/health/live", timeout=60).status_code == 200
    evil = {"Host": "evil.test", "X-Forwarded-Proto": "https"}
    assert httpx.get(f"{site.url}/", headers=evil, timeout=60).status_code == 400


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/docs", "/api/errors", "/api/v1/products", "/nowhere"])
def test_every_answer_carries_its_protections(browser, path):
    answer = browser.get(path)
    headers = answer.headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    scripts = re.search(r"script-src ([^;]*)", headers["Content-Security-Policy"])[1]
    assert scripts.split() == ["'self'", "'unsafe-eval'"] if path.startswith("/admin") else ["'self'"]
    for cookie in answer.headers.get_list("set-cookie"):
        assert "Secure" in cookie
        assert "SameSite=Lax" in cookie


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/docs", "/api/errors"])
def test_no_page_has_a_script_of_its_own_in_it(browser, path):
    page = browser.get(path).text
    assert re.findall(r"<script(?![^>]*(?:\bsrc=|type=\"application/json\"))", page) == []  # data is none
    assert re.findall(r"<[^>]+\son[a-z]+\s*=", page) == []
    assert "javascript:" not in page


def test_forms_of_other_sites_are_refused(browser):
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/admin/login/").text)[1]
    form = {"username": "rita", "password": "long-enough", "csrfmiddlewaretoken": token}
    cookie = {"Cookie": f"csrftoken={browser.cookies['csrftoken']}"}
    assert (
        browser.post("/admin/login/", data=form, headers={"Origin": "https://evil.test", **cookie}).status_code == 403
    )
    here = {"Origin": "https://vitrine.test", **cookie}
    assert (
        browser.post("/admin/login/", data={**form, "csrfmiddlewaretoken": "x" * 64}, headers=here).status_code == 403
    )
    let_in = browser.post("/admin/login/?next=https://evil.test/", data=form, headers=here)
    assert (let_in.status_code, let_in.headers["Location"]) == (302, "/admin/")
    (session,) = [each for each in let_in.headers.get_list("set-cookie") if each.startswith("sessionid")]
    assert "HttpOnly" in session
    assert "Secure" in session


def endless(total):
    """A body without a length."""
    for _ in range(total // 100_000):
        yield bytes(100_000)


@pytest.mark.parametrize("path", ["/api/v1/uploads", "/api/v1/search-jobs", "/search", "/admin/login/", "/nowhere"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer vit_sk_wrong"}, {"Cookie": "sessionid=wrong"}])
def test_strangers_may_not_fill_the_disk(browser, path, headers):
    answer = browser.post(path, content=bytes(3_000_000), headers=headers)
    assert answer.status_code == 413
    if path.startswith("/api/"):
        assert answer.json()["code"] == "body_too_large"


def test_a_body_that_does_not_say_its_length_is_counted(browser):
    try:
        answer = browser.post("/search", content=endless(20_000_000))
    except httpx.WriteError:
        return  # the site hung up while we still wrote
    assert answer.status_code == 413


def test_who_has_a_key_may_send_an_upload_and_no_more(site, browser):
    key = {"Authorization": f"Bearer {site.token}"}
    assert browser.post("/api/v1/uploads", files={"file": ("a.zip", bytes(3_000_000))}, headers=key).status_code == 202
    assert browser.post("/api/v1/uploads", files={"file": ("a.zip", bytes(14_000_000))}, headers=key).status_code == 413


def test_the_key_of_a_page_sends_searches_and_no_uploads(site, browser):
    key = {"Authorization": f"Bearer {site.page_token}", "Origin": "https://elsewhere.test"}
    declared = browser.post("/api/v1/uploads", content=bytes(8_000_000), headers=key)
    assert (declared.status_code, declared.json()["code"]) == (413, "body_too_large")
    with suppress(httpx.WriteError):  # the site hung up while we still wrote
        assert browser.post("/api/v1/uploads", content=endless(10_000_000), headers=key).status_code == 413


def test_the_key_of_a_page_sends_a_search_with_all_its_examples(site, browser):
    key = {"Authorization": f"Bearer {site.page_token}"}
    photo = jpeg(1) + bytes(900_000 - len(jpeg(1)))
    examples = {f"p{n}": (f"{n}.jpg", photo[:-1] + bytes([n])) for n in range(1, 6)}
    like = json.dumps([{"photo": name} for name in examples])
    files = {"photo": ("a.jpg", photo), **examples}
    answer = browser.post("/api/v1/search-jobs", data={"like": like}, files=files, headers=key)
    assert answer.status_code == 202, answer.text


def test_a_wrong_key_of_a_large_body_is_a_guess_like_any_other(site):
    here = httpx.HTTPTransport(local_address="127.0.0.9")  # a visitor of its own: others' guesses are not counted
    with httpx.Client(base_url=site.url, headers=THROUGH_TLS, timeout=60, transport=here) as stranger:
        wrong = {"Authorization": "Bearer vit_sk_guess"}
        for _ in range(60):
            assert stranger.post("/api/v1/uploads", content=bytes(2_400_000), headers=wrong).status_code == 413
        codes = {stranger.get("/api/v1/products", headers=wrong).status_code for _ in range(20)}
        assert 429 in codes  # not all at once: where Redis stalls for a moment, a guess is not counted


def test_passwords_and_keys_are_not_guessed_for_long(site):
    with httpx.Client(base_url=site.url, headers=THROUGH_TLS, timeout=60) as stranger:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', stranger.get("/admin/login/").text)[1]
        headers = {"Origin": "https://vitrine.test", "Cookie": f"csrftoken={stranger.cookies['csrftoken']}"}
        form = {"username": "Guessed", "password": "wrong", "csrfmiddlewaretoken": token}
        pages = [stranger.post("/admin/login/", data=form, headers=headers).text for _ in range(11)]
        assert ["Too many tries" in page for page in pages] == [False] * 10 + [True]
        wrong = {"Authorization": "Bearer vit_sk_guess"}
        codes = [stranger.get("/api/v1/products", headers=wrong).status_code for _ in range(70)]
        assert set(codes) == {401, 429}
        assert codes[0] == 401
        right = {"Authorization": f"Bearer {site.token}"}
        assert stranger.get("/api/v1/products", headers=right).status_code == 200
