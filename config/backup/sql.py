"""Every table as JSON lines, the same on SQLite and PostgreSQL: a backup of one may be restored into the other.

One transaction reads it all, so the rows agree with each other while people and workers go on; one transaction writes
it all, so a restore that fails leaves the database empty.
"""

import gzip
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.management.color import no_style
from django.core.serializers.base import DeserializedObject
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction

NAME = "sql.jsonl.gz"
ROWS_AT_ONCE = 1_000
LEFT_OUT = {"sessions.Session"}  # people log in again
# Made by the migrations of a new database, under other ids than the backup's rows refer to: they give way.
REPLACED = (Permission, ContentType)


def sql_write(folder: Path) -> dict[str, int]:
    """Write all rows. Returns how many of each table. Flat memory."""
    counts: dict[str, int] = {}
    with gzip.open(folder / NAME, "wt", encoding="utf-8", compresslevel=3) as file, _one_moment():
        for model in _models():
            rows = model._base_manager.order_by("pk").iterator(ROWS_AT_ONCE)
            counted = _Counted(rows)
            serializers.serialize("jsonl", counted, stream=file, cls=Exact)
            counts[model._meta.label] = counted.number
    return counts


def sql_is_empty() -> bool:
    """Whether nobody has used this database yet."""
    return not any(model._base_manager.exists() for model in _models() if model not in REPLACED)


@transaction.atomic
def sql_read(folder: Path) -> dict[str, int]:
    """Write all rows of a backup into the empty database, as they were. Returns how many of each table."""
    counts: Counter[str] = Counter()
    for replaced in REPLACED:
        replaced._base_manager.all().delete()
    with gzip.open(folder / NAME, "rt", encoding="utf-8") as file, _dates_as_stored():
        rows = serializers.deserialize("jsonl", file)
        while batch := list(islice(rows, ROWS_AT_ONCE)):
            for model, same in _by_model(batch):
                _insert(model, same)
                counts[model._meta.label] += len(same)
    statements = connection.ops.sequence_reset_sql(no_style(), _models())
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    ContentType.objects.clear_cache()
    return dict(counts)


class Exact(DjangoJSONEncoder):
    """JSON with times to the microsecond, as they are stored: Django cuts them, and cursors of lists hold them."""

    def default(self, o: Any) -> Any:
        """A time, or what Django's encoder makes of the rest."""
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


class _Counted:
    """Rows, counted as they pass."""

    def __init__(self, rows: Iterator[models.Model]) -> None:
        self._rows = rows
        self.number = 0

    def __iter__(self) -> Iterator[models.Model]:
        for row in self._rows:
            self.number += 1
            yield row


def _models() -> list[type[models.Model]]:
    every = [model for model in apps.get_models() if model._meta.managed and not model._meta.proxy]
    return [model for model in every if model._meta.label not in LEFT_OUT]


@contextmanager
def _one_moment() -> Iterator[None]:
    """A transaction that sees the database as it is now until it ends; others write meanwhile."""
    if connection.vendor != "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")  # SQLite in WAL mode: Django's own would lock out every writer
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def _dates_as_stored() -> Iterator[None]:
    """Rows keep the times that they had: ``auto_now`` and ``auto_now_add`` would date them all today."""
    fields: list[Any] = [field for model in _models() for field in model._meta.fields]
    dated = [(field, name) for field in fields for name in ("auto_now", "auto_now_add") if getattr(field, name, False)]
    try:
        for field, name in dated:
            setattr(field, name, False)
        yield
    finally:
        for field, name in dated:
            setattr(field, name, True)


def _by_model(batch: list[DeserializedObject]) -> list[tuple[type[models.Model], list[DeserializedObject]]]:
    found: dict[type[models.Model], list[DeserializedObject]] = {}
    for each in batch:
        found.setdefault(type(each.object), []).append(each)
    return list(found.items())


def _insert(model: type[models.Model], rows: list[DeserializedObject]) -> None:
    """Together; one by one where a row has links that lie in a table of their own (a person's groups)."""
    if model._meta.many_to_many and any(row.m2m_data for row in rows):
        for row in rows:
            row.save()
    else:
        model._base_manager.bulk_create([row.object for row in rows])
