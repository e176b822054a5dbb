"""The arrows of DESIGN.md, read from the imports: who may import whom, no cycle, light paths stay light."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("config", "catalog", "workers", "recognition")
ALLOWED = {
    "catalog": {"catalog", "config.env", "config.logs", "workers.client", "workers.contract"},
    "workers": {"workers", "config.env", "config.logs", "recognition"},
    "recognition": {"recognition"},
    "config": {"config", "catalog", "workers.broker", "workers.client", "workers.contract"},
}
FORBIDDEN = {
    "catalog": {"torch", "torchvision", "recognition", "qdrant_client", "qdrant_edge"},
    "workers": {"django", "rest_framework", "psycopg", "sqlite3"},
    "recognition": {"django", "celery", "kombu", "redis"},
}
ENV_ALONE = {"functools", "pathlib", "typing", "pydantic", "pydantic_settings"}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(name: str) -> set[str]:
    """Every module that ``name`` imports at its top or anywhere inside, as absolute dotted names."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base]) if base else ".".join(up)
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def ours(imported: str) -> str | None:
    """The module of ours that an imported name means: itself, or the module in which it is a name."""
    if imported in MODULES:
        return imported
    parent = imported.rpartition(".")[0]
    return parent if parent in MODULES else None


@pytest.mark.parametrize("name", sorted(MODULES))
def test_arrows_point_one_way(name):
    package = name.split(".")[0]
    wrong = {
        imported
        for imported in imports_of(name)
        if (target := ours(imported))
        and not any(target == allowed or target.startswith(allowed + ".") for allowed in ALLOWED[package])
        and not any(imported == allowed for allowed in ALLOWED[package])
    }
    assert wrong == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_package_imports_what_is_not_its_business(name):
    package = name.split(".")[0]
    roots = {imported.split(".")[0] for imported in imports_of(name)}
    assert roots & FORBIDDEN.get(package, set()) == set()


def test_the_environment_imports_nothing_of_ours():
    assert {imported.split(".")[0] for imported in imports_of("config.env")} == ENV_ALONE


def test_the_logs_import_nothing_of_ours():
    assert {name for imported in imports_of("config.logs") if (name := ours(imported))} == set()


def test_no_import_cycle():
    graph = {
        name: {target for imported in imports_of(name) if (target := ours(imported)) and target != name}
        for name in MODULES
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_no_import_hides_inside_a_function():
    hidden = [
        name
        for name, path in MODULES.items()
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == ["recognition.index"]  # the engine that is not used: see the test of the worker below


def test_every_module_says_its_place():
    silent = [
        name
        for name, path in MODULES.items()
        if path.stat().st_size and "migrations" not in name and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert [name for name in silent if not name.endswith((".management", ".commands"))] == []


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_web_process_loads_no_torch():
    loaded = loaded_after("import config.asgi, django.urls\ndjango.urls.get_resolver().url_patterns")
    assert {"django", "workers", "catalog"} <= loaded
    assert loaded & {"torch", "torchvision", "qdrant_client", "qdrant_edge"} == set()


def test_the_coordinator_loads_no_torch():
    loaded = loaded_after("import config.celery; config.celery.app.loader.import_default_modules()")
    assert "catalog" in loaded
    assert loaded & {"torch", "torchvision", "qdrant_client", "qdrant_edge"} == set()


def test_the_worker_loads_no_django():
    loaded = loaded_after("import workers.app; workers.app.app.loader.import_default_modules()")
    assert {"torch", "celery", "workers", "qdrant_edge"} <= loaded
    assert "qdrant_client" not in loaded, "a second of each start; only an index server needs it"
    # kombu looks for django.utils where Django is installed; nothing that would be Django at work may follow.
    assert loaded & {"django.apps", "django.conf", "django.db", "config.settings", "catalog", "psycopg"} == set()
