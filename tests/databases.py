"""An empty database for processes that a test starts: SQLite in their folder, or one of PostgreSQL. No fixtures here.

``VITRINE_TEST_DATABASE_URL`` names the server (``.ci/with-postgres`` does): then every line of a test gets a database
of its own there, as the tests' own process does from Django.
"""

import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

POSTGRES = os.environ.get("VITRINE_TEST_DATABASE_URL", "")


def empty_database() -> str:
    """For ``DATABASE_URL``: a new database; empty where there is no server, so that SQLite is used."""
    if not POSTGRES:
        return ""
    name = f"line_{uuid.uuid4().hex}"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()


def execute(url: str, folder: Path, query: str, *values: Any) -> list[tuple]:
    """Run one statement, with ``?`` for values, and commit it; its rows. Ids are text without hyphens, as in SQLite."""
    if not url:
        with closing(sqlite3.connect(folder / "vitrine.sqlite3", timeout=30)) as connection, connection:
            return connection.execute(query, values).fetchall()
    with psycopg.connect(url) as connection:
        done = connection.execute(query.replace("%", "%%").replace("?", "%s"), values)
        found = done.fetchall() if done.description else []
    return [tuple(each.hex if isinstance(each, uuid.UUID) else each for each in row) for row in found]
