"""Migrations that old and new code both survive: while a release is rolled out, both run over one database.

So a migration after the first seven only adds: tables, columns that the old code need not fill, indexes. What goes away
goes in a later release, when no process knows it any more: its migration says so with ``after_release = "…"``.
"""

from importlib import import_module
from pathlib import Path

import pytest
from django.db import migrations, models
from django.db.models import NOT_PROVIDED

FOLDER = Path(__file__).resolve().parent.parent / "catalog" / "migrations"
FROM = 8  # before it nothing was in production
ADDED = (migrations.CreateModel, migrations.AddIndex, migrations.AlterModelOptions, migrations.AlterModelManagers)
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py") if int(path.stem[:4]) >= FROM)


def problem(operation, made: set[str]) -> str:
    """Why the code of the release before would fail beside this operation; empty where it does not."""
    if isinstance(operation, ADDED):
        return ""
    if getattr(operation, "model_name", "") in made or getattr(operation, "model_name_lower", "") in made:
        return ""  # of a table that the old code does not know
    if isinstance(operation, migrations.AddField):
        field = operation.field
        filled = field.null or field.db_default is not NOT_PROVIDED or field.many_to_many
        return "" if filled else f"{operation.name}: the old code inserts rows without it; give it a db_default"
    if isinstance(operation, migrations.AlterField):
        return "" if _is_wider(operation.field) else f"{operation.name}: not surely wider than it was"
    if isinstance(operation, migrations.RunPython):
        return "" if operation.reversible else "its code cannot be taken back"
    return f"{type(operation).__name__} takes away or forbids what the old code still does"


def _is_wider(field: models.Field) -> bool:
    """A column may become empty-able or take other choices; whatever else changes is looked at by a person."""
    return bool(field.null or field.choices)


@pytest.mark.parametrize("name", NAMES)
def test_old_code_survives_it(name):
    migration = import_module(f"catalog.migrations.{name}").Migration
    made = {
        operation.name.lower() for operation in migration.operations if isinstance(operation, migrations.CreateModel)
    }
    problems = [said for operation in migration.operations if (said := problem(operation, made))]
    assert getattr(migration, "after_release", "") or problems == []


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        (migrations.AddField("photo", "shelf", models.CharField(max_length=9)), "db_default"),
        (migrations.AddField("photo", "shelf", models.CharField(max_length=9, default="")), "db_default"),
        (migrations.RemoveField("photo", "name"), "takes away"),
        (migrations.RenameField("photo", "name", "title"), "takes away"),
        (migrations.DeleteModel("photo"), "takes away"),
        (migrations.RenameModel("photo", "picture"), "takes away"),
        (migrations.RunPython(lambda apps, editor: None), "taken back"),
        (
            migrations.AddConstraint("photo", models.CheckConstraint(condition=models.Q(bytes__gt=0), name="some")),
            "forbids",
        ),
    ],
)
def test_what_old_code_does_not_survive_is_found(operation, part):
    assert part in problem(operation, set())


@pytest.mark.parametrize(
    "field",
    [
        models.CharField(max_length=9, null=True),
        models.CharField(max_length=9, db_default=""),
        models.ManyToManyField("catalog.Photo"),
    ],
)
def test_what_it_survives_is_not(field):
    assert problem(migrations.AddField("product", "shelf", field), set()) == ""
