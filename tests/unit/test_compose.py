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
WORKER_ALONE = yaml.safe_load((ROOT / "docker-compose.worker.yml").read_text())
SECRETS = {"POSTGRES_PASSWORD": "a", "VITRINE_INDEX_API_KEY": "b"}
ADDRESSES = {
    "DATABASE_URL": "postgres://other:c@10.0.0.1:5432/other",
    "REDIS_URL": "redis://10.0.0.1:6379/0",
    "VITRINE_INDEX_URL": "http://10.0.0.1:6333",
}


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


def compose(folder, file, *arguments, **variables):
    """Run docker-compose over a file of ours, with the example environment and no other settings of this machine."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed, the file's schema was not validated")
    shutil.copy(ROOT / file, folder)
    shutil.copy(ROOT / ".env.example", folder / ".env")
    own = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    command = [program, "--file", file, "config", *arguments]
    return subprocess.run(command, cwd=folder, env={**own, **variables}, capture_output=True, text=True)


def test_docker_compose_accepts_the_file(tmp_path):
    done = compose(tmp_path, "docker-compose.yml", "--quiet", **SECRETS)
    assert (done.returncode, done.stderr) == (0, "")


def test_services_are_those_of_the_file_unless_others_are_named(tmp_path):
    """Of the file: see the defaults; others: what docker-compose makes of an environment that names them."""
    assert {name: SERVICES["web"]["environment"][name] for name in ADDRESSES} == {
        "DATABASE_URL": "${DATABASE_URL:-postgres://vitrine@postgres:5432/vitrine}",
        "REDIS_URL": "${REDIS_URL:-redis://redis:6379/0}",
        "VITRINE_INDEX_URL": "${VITRINE_INDEX_URL:-http://qdrant:6333}",
    }
    services = yaml.safe_load(compose(tmp_path, "docker-compose.yml", **SECRETS, **ADDRESSES).stdout)["services"]
    for name in ("migrate", "web", "coordinator", "worker"):
        environment = services[name]["environment"]
        assert {variable: environment[variable] for variable in ADDRESSES} == ADDRESSES
        assert environment["PGPASSWORD"] == SECRETS["POSTGRES_PASSWORD"]


def test_a_worker_alone_is_the_same_worker():
    (name, alone), here = *WORKER_ALONE["services"].items(), SERVICES["worker"]
    assert name == "worker"
    for key in ("build", "image", "env_file", "command", "healthcheck", "restart", "stop_grace_period", "deploy"):
        assert alone[key] == here[key], key


def test_a_worker_alone_runs_with_addresses(tmp_path):
    needed = {name: value for name, value in ADDRESSES.items() if name != "DATABASE_URL"}
    needed |= {"VITRINE_INDEX_API_KEY": "b", "VITRINE_PHOTO_STORE": "s3://bucket/vitrine"}
    done = compose(tmp_path, "docker-compose.worker.yml", **needed)
    assert (done.returncode, done.stderr) == (0, "")
    environment = yaml.safe_load(done.stdout)["services"]["worker"]["environment"]
    assert {name: environment[name] for name in needed} == needed
    for name in needed:
        assert WORKER_ALONE["services"]["worker"]["environment"][name].startswith(f"${{{name}:?")


def test_a_missing_secret_stops_the_start():
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert f"${{{name}:?" in text
