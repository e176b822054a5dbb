"""Photos of a bulk upload: odd ones are taken, bad ones get their code on their row, good ones beside them stay."""

from zipfile import ZIP_STORED

import pytest

from catalog.models import LedgerState, Photo, Product, Purpose, RowVerdict, UploadState
from catalog.services.upload import row_problem_add
from tests.drawing import jpeg
from tests.uploads import archive, bad_photos, codes, manifest, odd_but_good, row, send, verdicts
from workers import client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", sorted(odd_but_good()))
def test_an_odd_photo_is_taken(merchant, name):
    data = odd_but_good()[name]
    upload = send(merchant, {"m.csv": manifest(row("A", name), row("B", "good.jpg")), name: data, "good.jpg": jpeg(1)})
    assert upload.state == UploadState.PROCESSING
    assert verdicts(upload) == {2: RowVerdict.CREATED, 3: RowVerdict.CREATED}
    assert codes(upload) == {}
    photo = Photo.objects.get(name=name)
    assert (photo.state, photo.purpose, photo.product.sku) == (LedgerState.PENDING, Purpose.INDEX, "A")
    assert client.photo_store().read(photo.key) == data


def test_a_rotated_photo_counts_upright(merchant):
    send(merchant, {"m.csv": manifest(row("A", "r.jpg")), "r.jpg": odd_but_good()["rotated.jpg"]})
    photo = Photo.objects.get()
    assert (photo.width, photo.height) == (40, 60)


@pytest.mark.parametrize("name", sorted(bad_photos()))
def test_a_bad_photo_is_told_and_its_row_and_neighbours_stay(merchant, name):
    data, code = bad_photos()[name]
    rows = manifest(row("A", f"{name}|good.jpg"), row("B", name), row("C", "other.jpg"))
    files = {"m.csv": rows, name: data, "good.jpg": jpeg(1), "other.jpg": jpeg(2)}
    upload = send(merchant, archive(files, method=ZIP_STORED))
    assert upload.state == UploadState.PROCESSING
    assert verdicts(upload) == {2: "created", 3: "created", 4: "created"}
    assert codes(upload) == {2: [code], 3: [code]}
    problem = upload.rows.get(number=2).problems[0]
    assert (problem["field"], problem["photo"]) == ("images", name)
    assert problem["message"].endswith(".")
    listed = Photo.objects.filter(state=LedgerState.PENDING).values_list("product__sku", "name", "position")
    assert sorted(listed) == [("A", "good.jpg", 0), ("C", "other.jpg", 0)]


def test_a_missing_photo_is_told_and_the_others_are_taken(merchant):
    upload = send(merchant, {"m.csv": manifest(row("A", "no.jpg|good.jpg"), row("B", "no.jpg")), "good.jpg": jpeg(1)})
    assert codes(upload) == {2: ["photo_missing_in_archive"], 3: ["photo_missing_in_archive"]}
    assert Product.objects.count() == 2
    assert list(Photo.objects.values_list("name", flat=True)) == ["good.jpg"]


def test_a_photo_that_no_row_lists_is_told_after_the_last_row(merchant):
    upload = send(
        merchant,
        {"m.csv": manifest(row("A", "a.jpg")), "a.jpg": jpeg(1), "stray.jpg": jpeg(2), "notes.txt": b"hello"},
    )
    assert verdicts(upload) == {2: "created", 3: "refused"}
    assert codes(upload) == {3: ["photo_not_in_manifest"]}
    assert upload.rows.get(number=3).values == {"images": "stray.jpg"}
    assert (upload.rows_total, upload.rows_done, upload.rows_refused) == (2, 2, 1)
    assert "notes.txt" in upload.note
    assert Photo.objects.count() == 1


def test_what_systems_leave_behind_is_ignored(merchant):
    junk = {
        "__MACOSX/._a.jpg": b"x",
        ".DS_Store": b"x",
        "photos/Thumbs.db": b"x",
        "photos/.hidden.jpg": b"x",
        "~$m.csv": b"x",
    }
    upload = send(merchant, {"m.csv": manifest(row("A", "a.jpg")), "a.jpg": jpeg(1), **junk})
    assert verdicts(upload) == {2: "created"}
    assert codes(upload) == {}


def test_names_are_found_beside_the_manifest_then_from_the_root_then_in_any_case(merchant):
    files = {
        "shop/m.csv": manifest(
            row("A", "a.jpg"), row("B", "photos/b.jpg"), row("C", "PHOTOS\\C.JPG"), row("D", "./d.jpg")
        ),
        "shop/a.jpg": jpeg(1),
        "a.jpg": jpeg(2),
        "photos/b.jpg": jpeg(3),
        "photos/c.jpg": jpeg(4),
        "shop/d.jpg": jpeg(5),
    }
    upload = send(merchant, files)
    assert codes(upload) == {6: ["photo_not_in_manifest"]}
    stored = {photo.product.sku: client.photo_store().read(photo.key) for photo in Photo.objects.all()}
    assert stored == {"A": jpeg(1), "B": jpeg(3), "C": jpeg(4), "D": jpeg(5)}


def test_names_that_differ_in_case_only_are_not_guessed(merchant):
    files = {"m.csv": manifest(row("A", "A.JPG"), row("B", "a.jpg")), "a.jpg": jpeg(1), "A.jpg": jpeg(2)}
    upload = send(merchant, files)
    assert codes(upload) == {2: ["photo_name_ambiguous"], 4: ["photo_not_in_manifest"]}


def test_an_address_is_no_photo(merchant):
    upload = send(merchant, {"m.csv": manifest(row("A", "https://example.org/a.jpg"))})
    assert codes(upload) == {2: ["photo_is_an_address"]}


def test_the_same_bytes_are_one_photo_of_a_product_and_may_belong_to_many(merchant):
    rows = manifest(row("A", "a.jpg|copy.jpg"), row("B", "a.jpg"))
    upload = send(merchant, {"m.csv": rows, "a.jpg": jpeg(1), "copy.jpg": jpeg(1)})
    assert codes(upload) == {}
    assert sorted(Photo.objects.values_list("product__sku", "name")) == [("A", "a.jpg"), ("B", "a.jpg")]
    assert Photo.objects.values("key").distinct().count() == 1


def test_a_problem_that_a_worker_finds_joins_the_row_once(merchant):
    upload = send(merchant, {"m.csv": manifest(row("A", "a.jpg|t.jpg")), "a.jpg": jpeg(1), "t.jpg": jpeg(2)[:3_000]})
    line = upload.rows.get()
    found = {"code": "photo_truncated", "message": "The photo is cut off.", "field": "images", "photo": "t.jpg"}
    row_problem_add(row_id=line.pk, problem=found)
    row_problem_add(row_id=line.pk, problem=found)
    line.refresh_from_db()
    assert line.problems == [found]
    assert line.verdict == RowVerdict.CREATED
    assert Photo.objects.filter(upload_row=line).count() == 2
