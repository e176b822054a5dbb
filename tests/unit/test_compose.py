"""docker-compose.yml: valid, and every process of ours runs the command that the other tests run without Docker."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from config.stack import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
SECRETS = {"POSTGRES_PASSWORD": "a", "VITRINE_INDEX_API_KEY": "b"}


def test_the_services_are_those_of_the_design():
    assert set(SERVICES) == {"migrate", "web", "coordinator", "worker", "postgres", "redis", "qdrant"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_process_runs_the_tested_command(name):
    assert SERVICES[name]["command"] == COMMANDS[name]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_each_service_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", ["migrate", "web", "coordinator", "worker"])
def test_ours_share_one_environment_file(name):
    assert SERVICES[name]["env_file"] == ".env"
    assert SERVICES[name]["environment"]["VITRINE_MODE"] == "production"


def test_workers_can_be_many():
    assert SERVICES["worker"]["deploy"]["replicas"] == "${WORKER_REPLICAS:-1}"
    assert "container_name" not in SERVICES["worker"]


def test_the_migration_step_is_a_command_of_ours():
    assert SERVICES["migrate"]["command"] == ["python", "manage.py", "prepare"]
    known = subprocess.run([sys.executable, "manage.py", "prepare", "--help"], cwd=ROOT, capture_output=True)
    assert known.returncode == 0


def test_docker_compose_accepts_the_file(tmp_path):
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed, the file's schema was not validated")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    done = subprocess.run(
        [program, "config", "--quiet"], cwd=tmp_path, env={**os.environ, **SECRETS}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_missing_secret_stops_the_start():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
