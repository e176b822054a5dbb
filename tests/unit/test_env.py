"""A wrong environment stops the start and names the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import Env

ROOT = Path(__file__).resolve().parent.parent.parent


def start(**variables):
    return subprocess.run(
        [sys.executable, "-c", "from config.env import load_env; load_env(); print('started')"],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def test_the_defaults_start():
    assert start().stdout == "started\n"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"VITRINE_CHUNK_SIZE": "64"}, "VITRINE_CHUNK_SIZE"),
        ({"VITRINE_LEASE_SECONDS": "soon"}, "VITRINE_LEASE_SECONDS"),
        ({"VITRINE_MODE": "testing"}, "VITRINE_MODE"),
        ({"VITRINE_TRUSTED_PROXIES": "10.0.0.0/8, proxy"}, "VITRINE_TRUSTED_PROXIES"),
        ({"VITRINE_TRUSTED_PROXIES": "10.0.0.1/8"}, "VITRINE_TRUSTED_PROXIES"),
        ({"VITRINE_OUTBOUND_NETWORKS": "10.0.0.0/8, intranet"}, "VITRINE_OUTBOUND_NETWORKS"),
        ({"VITRINE_MODE": "production"}, "VITRINE_SECRET_KEY"),
        ({"VITRINE_MODE": "production", "VITRINE_SECRET_KEY": ""}, "VITRINE_SECRET_KEY"),
        ({"VITRINE_MODE": "production", "VITRINE_SECRET_KEY": "x" * 31}, "VITRINE_SECRET_KEY"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_the_variable(variables, named):
    done = start(**variables)
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_production_starts_with_a_secret_of_its_own():
    assert start(VITRINE_MODE="production", VITRINE_SECRET_KEY="x" * 32).stdout == "started\n"


@pytest.mark.parametrize(
    ("mode", "public_url", "expected"),
    [
        ("production", "https://shop.example/", "True True ['https://shop.example'] True"),
        ("production", "http://shop.example:8000", "False False ['http://shop.example:8000'] False"),
        ("development", "https://shop.example", "False False [] False"),
    ],
)
def test_cookies_are_secure_where_the_public_url_is(mode, public_url, expected):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from config import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, "
            "s.CSRF_TRUSTED_ORIGINS, s.SECURE_PROXY_SSL_HEADER is not None)",
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "VITRINE_MODE": mode,
            "VITRINE_PUBLIC_URL": public_url,
            "VITRINE_SECRET_KEY": "x" * 32,
        },
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{expected}\n", done.stderr


@pytest.fixture
def env(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "")
    return Env(var=tmp_path, broker_port=6391)


def test_the_broker_is_the_one_that_a_start_command_brought_up(env):
    assert env.broker == "redis://127.0.0.1:6391/0"
    env.broker_file.write_text(f"redis://127.0.0.1:7000/0 {os.getpid()}\n")
    assert env.broker == "redis://127.0.0.1:7000/0"


def test_a_named_redis_wins_over_a_start_command(env, monkeypatch):
    env.broker_file.write_text(f"redis://127.0.0.1:7000/0 {os.getpid()}\n")
    monkeypatch.setenv("REDIS_URL", "redis://10.0.0.1:6379/0")
    assert Env(var=env.var).broker == "redis://10.0.0.1:6379/0"


def test_what_a_killed_start_command_left_behind_is_ignored(env):
    ended = subprocess.Popen(["true"])
    ended.wait()
    for left in (f"redis://127.0.0.1:7000/0 {ended.pid}", "", "redis://127.0.0.1:7000/0", "a b c"):
        env.broker_file.write_text(left)
        assert env.broker == "redis://127.0.0.1:6391/0"
