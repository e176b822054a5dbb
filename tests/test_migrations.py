"""Migrations that old and new code both survive: while a release is rolled out, both run over one database.

So a migration after the first seven only adds: tables, columns that the old code need not fill, indexes (one may go
for a longer one that finds the same). What else goes away goes in a later release, when no process knows it any more:
its migration says so with ``after_release = "…"``.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

FOLDER = Path(__file__).resolve().parent.parent / "catalog" / "migrations"
FROM = 8  # before it nothing was in production
ADDED = (migrations.CreateModel, migrations.AddIndex, migrations.AlterModelOptions, migrations.AlterModelManagers)
LOADER = MigrationLoader(None)
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py") if int(path.stem[:4]) >= FROM)


def problem(operation, made: set[str], before: Callable[[str, str], models.Field] | None = None) -> str:
    """Why the code of the release before would fail beside this operation; empty where it does not.

    ``before`` gives the field of a model as the migrations before this one left it.
    """
    if isinstance(operation, ADDED):
        return ""
    if getattr(operation, "model_name", "") in made or getattr(operation, "model_name_lower", "") in made:
        return ""  # of a table that the old code does not know
    if isinstance(operation, migrations.AddField):
        field = operation.field
        filled = field.null or field.db_default is not NOT_PROVIDED or field.many_to_many
        return "" if filled else f"{operation.name}: the old code inserts rows without it; give it a db_default"
    if isinstance(operation, migrations.AlterField):
        wider = _is_wider(operation.field, before and before(operation.model_name, operation.name))
        return "" if wider else f"{operation.name}: not surely wider than it was"
    if isinstance(operation, migrations.RunPython):
        return "" if operation.reversible else "its code cannot be taken back"
    return f"{type(operation).__name__} takes away or forbids what the old code still does"


def served_by_another(operation, state: ProjectState) -> bool:
    """Whether it removes an index from which another, made before, differs only by columns at its end."""
    if not isinstance(operation, migrations.RemoveIndex):
        return False
    indexes = {index.name: index for index in state.models["catalog", operation.model_name_lower].options["indexes"]}
    gone = indexes.pop(operation.name)
    columns = len(gone.fields)
    return any((each.fields[:columns], each.condition) == (gone.fields, gone.condition) for each in indexes.values())


def _is_wider(field: models.Field, was: models.Field | None) -> bool:
    """A column may become longer or empty-able, or take other choices, and stays of its type; whatever else changes is
    looked at by a person.
    """
    if (
        was is None
        or type(field) is not type(was)
        or (was.null and not field.null)
        or (field.unique and not was.unique)
    ):
        return False
    lengths = (was.max_length, field.max_length)
    if lengths[0] != lengths[1] and (None in lengths or lengths[1] < lengths[0]):
        return False
    return bool(field.null or field.choices or lengths[0] != lengths[1])


@pytest.mark.parametrize("name", NAMES)
def test_old_code_survives_it(name):
    migration = import_module(f"catalog.migrations.{name}").Migration
    made = {
        operation.name.lower() for operation in migration.operations if isinstance(operation, migrations.CreateModel)
    }
    state = LOADER.project_state(("catalog", name), at_end=False)

    def before(model: str, field: str) -> models.Field:
        return state.models["catalog", model.lower()].fields[field]

    problems = []
    for operation in migration.operations:
        if not served_by_another(operation, state):
            problems.append(problem(operation, made, before))
        operation.state_forwards("catalog", state)
    problems = [each for each in problems if each]
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
        (migrations.RemoveIndex("photo", "photo_leased"), "takes away"),
        (migrations.RunPython(lambda apps, editor: None), "taken back"),
        (
            migrations.AddConstraint("photo", models.CheckConstraint(condition=models.Q(bytes__gt=0), name="some")),
            "forbids",
        ),
    ],
)
def test_what_old_code_does_not_survive_is_found(operation, part):
    assert part in problem(operation, set())


@pytest.mark.parametrize(("name", "is_served"), [("photo_owed", True), ("photo_leased", False), ("photo_chunk", False)])
def test_an_index_may_go_for_one_that_begins_as_it_does(name, is_served):
    state = LOADER.project_state(("catalog", "0017_uploads_are_forgotten"))
    longer = models.Index(fields=["merchant", "queued_at", "id"], condition=models.Q(state="pending"), name="longer")
    other = models.Index(fields=["lease_until", "id"], condition=models.Q(state="pending"), name="other")
    for index in (longer, other):
        migrations.AddIndex("photo", index).state_forwards("catalog", state)
    assert served_by_another(migrations.RemoveIndex("photo", name), state) == is_served


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


CHOICES = [("a", "A"), ("b", "B")]


@pytest.mark.parametrize(
    ("was", "field", "is_wider"),
    [
        (models.CharField(max_length=9, choices=CHOICES[:1]), models.CharField(max_length=9, choices=CHOICES), True),
        (models.CharField(max_length=9, choices=CHOICES), models.CharField(max_length=20, choices=CHOICES), True),
        (models.CharField(max_length=9), models.CharField(max_length=20), True),
        (models.CharField(max_length=9), models.CharField(max_length=9, null=True), True),
        (models.CharField(max_length=20, choices=CHOICES), models.CharField(max_length=9, choices=CHOICES), False),
        (models.CharField(max_length=20, null=True), models.CharField(max_length=9, null=True), False),
        (models.CharField(max_length=9, null=True), models.CharField(max_length=9, choices=CHOICES), False),
        (models.CharField(max_length=9), models.CharField(max_length=9, unique=True, choices=CHOICES), False),
        (models.CharField(max_length=9), models.IntegerField(null=True), False),
    ],
)
def test_a_column_may_become_wider_and_never_narrower(was, field, is_wider):
    said = problem(migrations.AlterField("photo", "shelf", field), set(), lambda model, name: was)
    assert said == ("" if is_wider else "shelf: not surely wider than it was")
