"""Databases for processes that a test starts: SQLite in their folder, or one of PostgreSQL. No fixtures here.

``VITRINE_TEST_DATABASE_URL`` names the server (``.ci/with-postgres`` does): then every line of a test gets a database
of its own there, as the tests' own process does from Django. Tables are made once and copied from then on.
"""

import atexit
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

POSTGRES = os.environ.get("VITRINE_TEST_DATABASE_URL", "")
FILE = "vitrine.sqlite3"

Migrate = Callable[[str, Path], None]  # makes the tables of the database with this address, or of SQLite in this folder


def empty_database() -> str:
    """For ``DATABASE_URL``: a new database; empty where there is no server, so that SQLite is used."""
    return _created("template1") if POSTGRES else ""


def migrated_database(folder: Path, migrate: Migrate) -> str:
    """The same with all tables; SQLite's file lies in the folder then."""
    url, place = _template(migrate)
    if url:
        return _created(urlsplit(url).path[1:])
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(place / FILE, folder / FILE)
    return ""


def execute(url: str, folder: Path, query: str, *values: Any) -> list[tuple]:
    """Run one statement, with ``?`` for values, and commit it; its rows. Ids are text without hyphens, as in SQLite."""
    if not url:
        with closing(sqlite3.connect(folder / FILE, timeout=30)) as connection, connection:
            return connection.execute(query, values).fetchall()
    with psycopg.connect(url) as connection:
        done = connection.execute(query.replace("%", "%%").replace("?", "%s"), values)
        found = done.fetchall() if done.description else []
    return [tuple(each.hex if isinstance(each, uuid.UUID) else each for each in row) for row in found]


@lru_cache(maxsize=1)
def _template(migrate: Migrate) -> tuple[str, Path]:
    """A database that is only copied: its address, and the folder where SQLite's lies."""
    place = Path(tempfile.mkdtemp(prefix="vitrine-template-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    url = empty_database()
    migrate(url, place)
    return url, place


def _created(template: str) -> str:
    name = f"line_{uuid.uuid4().hex}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(create)
    return urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
