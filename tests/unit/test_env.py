"""A wrong environment stops the start and names the variable."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        ({"VITRINE_MODE": "production"}, "VITRINE_SECRET_KEY"),
    ],
)
def test_a_wrong_value_stops_the_start_and_names_the_variable(variables, named):
    done = start(**variables)
    assert done.returncode == 1
    assert named in done.stderr
    assert "Traceback" not in done.stderr


def test_production_starts_with_a_secret_of_its_own():
    assert start(VITRINE_MODE="production", VITRINE_SECRET_KEY="x" * 50).stdout == "started\n"
