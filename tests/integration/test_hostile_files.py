"""Some hostile files through a real line. ``python benchmarks/hostile.py`` sends thousands, and every archive."""

import random

import pytest

from tests.hostile import HEAVY, HostileFile, hostile_photos
from tests.hostile_archives import ARCHIVES
from tests.hostile_line import FINE, UNEXPLAINED, hostile_line

pytestmark = pytest.mark.slow
PHOTOS = [file for file in hostile_photos(249) if file.kind not in HEAVY]
SEARCHED = PHOTOS[::5]
WORST = ("bomb-rgba", "many-comments", "bomb-webp")
MEMORY = 1_500  # MB, of a process itself: a photo that is allowed may take as much, but in a decoder
# What an archive is refused with, or (None) imports its good product and says this of its rows.
SAID = {
    "traversal": ("done", {"entry_unsafe_path"}),
    "links": ("done", {"entry_is_a_link", "photo_empty"}),
    "nested": ("done", {"nested_archive", "photo_not_in_manifest"}),
    "too-many": ("upload_too_many_files", set()),
    "lies-small": ("done", {"entry_damaged"}),
    "lies-offset": ("done", {"entry_damaged"}),
    "encrypted": ("done", {"entry_encrypted"}),
    "names-nul": ("done", {"entry_unsafe_path", "field_unknown", "attributes_not_text", "sku_not_text"}),
    "names-surrogate": (
        "done",
        {"photo_missing_in_archive", "entry_unsafe_path", "field_unknown", "attributes_not_text", "sku_not_text"},
    ),
    "header-nul": ("done", {"entry_unsafe_path"}),
    "directory-place": ("manifest_unreadable", set()),
    "workbook-laughs": ("manifest_unreadable", set()),
}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    with hostile_line(tmp_path_factory.mktemp("line")) as line:
        yield line
        assert line.deaths() == []
        memory = line.memory()
        assert max(memory[name] for name in ("web", "coordinator", "worker")) < MEMORY, memory


def test_every_photo_of_an_upload_ends_with_a_reason_of_its_own(line):
    heavy = [HostileFile(kind, f"{kind}.{(made := HEAVY[kind](random.Random(1)))[0]}", made[1]) for kind in WORST]
    outcomes = {outcome.name: outcome for outcome in line.upload([*PHOTOS, *heavy])}
    assert len(outcomes) == len(PHOTOS) + len(WORST)
    assert [each for each in outcomes.values() if each.code in UNEXPLAINED] == []
    codes = {outcome.code for outcome in outcomes.values()}
    assert {FINE, "photo_unreadable", "photo_truncated", "photo_too_many_pixels", "photo_not_an_image"} <= codes
    assert outcomes["bomb-rgba.png"].code == FINE
    assert line.deaths() == []


def test_every_photo_of_a_search_is_answered(line):
    outcomes = list(line.search(SEARCHED))
    assert [each for each in outcomes if each.code in UNEXPLAINED] == []
    assert FINE in {outcome.code for outcome in outcomes}
    assert line.deaths() == []


@pytest.mark.parametrize("kind", SAID)
def test_an_archive_is_refused_or_read_with_care(line, kind):
    outcome, rows = line.archive(HostileFile(kind, f"{kind}.zip", ARCHIVES[kind]()))
    assert (outcome.code, set(rows)) == SAID[kind]
