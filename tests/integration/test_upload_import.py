"""What an import makes of the catalogue: created, updated, unchanged; sent again, corrected, taken up, cancelled."""

import gc
import io
import tracemalloc
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256

import openpyxl
import pytest
from aiohttp import ClientPayloadError
from botocore.exceptions import EndpointConnectionError
from django.db import IntegrityError, connection
from django.utils import timezone

from catalog.models import (
    Job,
    JobKind,
    JobState,
    LedgerState,
    Merchant,
    Photo,
    PhotoOrigin,
    Product,
    Purpose,
    Upload,
    UploadKind,
    UploadState,
)
from catalog.services.errors import Refused
from catalog.services.photo import photo_add
from catalog.services.product import product_delete
from catalog.services.upload import (
    upload_cancel,
    upload_create,
    upload_finish_if_done,
    upload_import,
    uploads_owed,
    uploads_processing,
)
from catalog.services.uploading import catalogue, importing
from catalog.services.uploading.lease import Lease
from config.env import load_env
from tests.drawing import jpeg
from tests.uploads import archive, codes, manifest, row, send, verdicts
from workers import client
from workers.client import Unavailable

pytestmark = pytest.mark.django_db


def done(**where):
    """Pretend that the workers did what is owed."""
    Photo.objects.filter(purpose=Purpose.FORGET).delete()
    Photo.objects.filter(**where).update(state=LedgerState.DONE, finished_at=timezone.now())


def owed():
    photos = Photo.objects.filter(state=LedgerState.PENDING).order_by("product__sku", "position")
    return [(photo.product.sku, photo.name, photo.purpose) for photo in photos.select_related("product")]


def two(**fields):
    return {
        "m.csv": manifest(row("A", "a.jpg|a2.jpg", **fields), row("B", "b.jpg")),
        "a.jpg": jpeg(1),
        "a2.jpg": jpeg(2),
        "b.jpg": jpeg(3),
    }


def test_rows_become_products_with_photos_owed(merchant):
    upload = send(merchant, two())
    assert (upload.kind, upload.state) == (UploadKind.CATALOGUE, UploadState.PROCESSING)
    assert (upload.rows_total, upload.rows_done, upload.rows_created) == (2, 2, 2)
    product = Product.objects.get(sku="A")
    assert (product.merchant, product.title, product.brand, product.category) == (merchant, "Thing", "Acme", "Kind")
    assert (product.price, product.currency, product.in_stock) == (Decimal("9.90"), "EUR", True)
    assert owed() == [("A", "a.jpg", "index"), ("A", "a2.jpg", "index"), ("B", "b.jpg", "index")]
    photo = Photo.objects.get(name="a2.jpg")
    assert (photo.upload, photo.upload_row.number, photo.upload_row.product) == (upload, 2, product)
    assert (photo.origin, photo.content_type, photo.width, photo.bytes) == (
        PhotoOrigin.UPLOAD,
        "image/jpeg",
        320,
        len(jpeg(2)),
    )
    assert upload.note == "Manifest m.csv: UTF-8, separated by commas."
    assert not client.photo_store().exists(f"uploads/{upload.pk}")


def test_the_same_upload_again_changes_nothing(merchant):
    send(merchant, two())
    done()
    before = list(Product.objects.order_by("sku").values())
    upload = send(merchant, two())
    assert verdicts(upload) == {2: "unchanged", 3: "unchanged"}
    assert upload.state == UploadState.DONE
    assert owed() == []
    assert list(Product.objects.order_by("sku").values()) == before
    assert Photo.objects.count() == 3


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"title": "Other"}, "title", "Other"),
        ({"price": "8"}, "price", Decimal("8")),
        ({"currency": "USD"}, "currency", "USD"),
    ],
)
def test_changed_text_or_price_owes_the_photos_again(merchant, change, field, value):
    first = send(merchant, two())
    done()
    upload = send(merchant, two(**change))
    assert verdicts(upload) == {2: "updated", 3: "unchanged"}
    assert getattr(Product.objects.get(sku="A"), field) == value
    assert owed() == [("A", "a.jpg", "index"), ("A", "a2.jpg", "index")]
    assert set(Photo.objects.filter(product__sku="A").values_list("upload", "upload_row__number")) == {(upload.pk, 2)}
    assert Photo.objects.get(product__sku="B").upload == first


def test_a_changed_attribute_is_an_update_that_the_index_must_know(merchant):
    header = "sku,title,images,Colour,Size"
    files = {"a.jpg": jpeg(1)}
    send(merchant, {"m.csv": manifest("A,Mug,a.jpg,red,L", header=header), **files})
    done()
    upload = send(merchant, {"m.csv": manifest("A,Mug,a.jpg,,L", header=header), **files})
    assert verdicts(upload) == {2: "updated"}
    assert Product.objects.get().attributes == {"Size": "L"}
    assert owed() == [("A", "a.jpg", "index")]


def test_columns_that_are_absent_leave_their_fields_alone(merchant):
    send(merchant, two())
    upload = send(merchant, b"sku,title\nA,Thing\nB,New name\n", name="list.csv")
    assert verdicts(upload) == {2: "unchanged", 3: "updated"}
    product = Product.objects.get(sku="B")
    assert (product.title, product.brand, product.price) == ("New name", "Acme", Decimal("9.90"))


def test_a_bare_manifest_updates_products_only(merchant):
    send(merchant, two())
    done()
    upload = send(merchant, manifest(row("A", "x.jpg", price="1"), row("B", "y.jpg"), row("C", "z.jpg")), name="m.csv")
    assert verdicts(upload) == {2: "updated", 3: "unchanged", 4: "created"}
    assert codes(upload) == {}
    assert Photo.objects.filter(product__sku="A").count() == 2


def test_the_list_of_images_is_authoritative_for_photos_of_uploads(merchant):
    send(merchant, two())
    done()
    product = Product.objects.get(sku="A")
    for origin, number in ((PhotoOrigin.REVIEW, 7), (PhotoOrigin.API, 8)):
        photo_add(
            merchant=merchant, product=product, data=jpeg(number), name=f"{origin}.jpg", origin=origin, position=9
        )
    done()
    files = {"m.csv": manifest(row("A", "a2.jpg|new.jpg"), row("B", "")), "a2.jpg": jpeg(2), "new.jpg": jpeg(9)}
    upload = send(merchant, files)
    assert verdicts(upload) == {2: "updated", 3: "unchanged"}
    assert owed() == [("A", "a.jpg", "forget"), ("A", "new.jpg", "index")]
    kept = Photo.objects.filter(product=product, state=LedgerState.DONE).order_by("position", "name")
    assert list(kept.values_list("name", "position")) == [("a2.jpg", 0), ("api.jpg", 9), ("review.jpg", 9)]


def test_a_photo_on_its_way_out_comes_back_when_it_is_listed_again(merchant):
    send(merchant, two())
    done()
    send(merchant, {"m.csv": manifest(row("A", "a.jpg"), row("B", "b.jpg")), "a.jpg": jpeg(1), "b.jpg": jpeg(3)})
    assert owed() == [("A", "a2.jpg", "forget")]
    upload = send(merchant, two())
    assert verdicts(upload) == {2: "updated", 3: "unchanged"}
    assert owed() == [("A", "a2.jpg", "index")]


def test_a_photo_that_is_held_under_its_name_need_not_be_sent_again(merchant):
    send(merchant, two())
    done()
    upload = send(merchant, {"m.csv": manifest(row("A", "a.jpg|a2.jpg"), row("B", "b.jpg")), "a2.jpg": jpeg(22)})
    assert codes(upload) == {}
    assert verdicts(upload) == {2: "updated", 3: "unchanged"}
    assert sorted(owed()) == [("A", "a2.jpg", "forget"), ("A", "a2.jpg", "index")]


def test_a_broken_new_photo_does_not_push_the_old_one_out(merchant):
    send(merchant, two())
    done()
    upload = send(merchant, {**two(), "a.jpg": b"broken"})
    assert codes(upload) == {2: ["photo_not_an_image"]}
    assert verdicts(upload) == {2: "unchanged", 3: "unchanged"}
    assert owed() == []


def test_a_photo_that_failed_before_is_told_again_but_not_tried_again(merchant):
    send(merchant, two())
    done()
    Photo.objects.filter(name="b.jpg").update(
        state=LedgerState.FAILED, error_code="photo_truncated", error_message="The photo is cut off."
    )
    upload = send(merchant, two())
    assert codes(upload) == {3: ["photo_truncated"]}
    assert upload.rows.get(number=3).problems[0]["photo"] == "b.jpg"
    assert owed() == []


def test_a_deleted_product_comes_back(merchant):
    send(merchant, two())
    done()
    product = Product.objects.get(sku="A")
    product_delete(product=product)
    assert owed() == [("A", "a.jpg", "forget"), ("A", "a2.jpg", "forget")]
    files = {"m.csv": b"sku,title,images\nA,Again,a.jpg\n", "a.jpg": jpeg(1)}
    upload = send(merchant, files)
    assert verdicts(upload) == {2: "created"}
    back = Product.objects.get(sku="A")
    assert (back.pk, back.deleted_at, back.title, back.brand, back.price) == (product.pk, None, "Again", "", None)
    assert owed() == [("A", "a.jpg", "index"), ("A", "a2.jpg", "forget")]


def test_a_sku_that_comes_twice_is_refused_the_second_time(merchant, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_ROWS", 2)
    rows = [row("A"), row("A", title="Twin"), row("B", price="-1"), row("C"), row("B"), row("A")]
    upload = send(merchant, manifest(*rows), name="m.csv")
    assert codes(upload) == {
        3: ["sku_duplicate"],
        4: ["price_negative"],
        6: ["sku_duplicate"],
        7: ["sku_duplicate"],
    }
    assert "Row 2 " in upload.rows.get(number=7).problems[0]["message"]
    assert "Row 4 " in upload.rows.get(number=6).problems[0]["message"]
    assert sorted(Product.objects.values_list("sku", "title")) == [("A", "Thing"), ("C", "Thing")]


def test_a_refused_row_changes_nothing_and_its_neighbours_are_imported(merchant):
    send(merchant, two())
    done()
    files = two(price="-5") | {"extra.jpg": jpeg(987)}
    files["m.csv"] = manifest(
        row("A", "a.jpg|extra.jpg|no.jpg", price="-5", currency="EURO"), row("B", "b.jpg", price="7"), row("C", "")
    )
    upload = send(merchant, files)
    assert verdicts(upload) == {2: "refused", 3: "updated", 4: "created", 5: "refused"}
    assert codes(upload) == {
        2: ["price_negative", "currency_unknown", "photo_missing_in_archive"],
        5: ["photo_not_in_manifest"],
    }
    assert Product.objects.get(sku="A").price == Decimal("9.90")
    assert owed() == [("B", "b.jpg", "index")]
    assert not Photo.objects.filter(name="extra.jpg").exists()
    assert not client.photo_store().exists(client.photo_store().key_for(sha256(jpeg(987)).hexdigest()))


@pytest.mark.parametrize(
    ("encoding", "title"),
    [
        ("utf-8-sig", "Grüner Becher 杯子"),
        ("gbk", "绿色陶瓷杯子"),
        ("latin-1", "Grüner Becher"),
        ("utf-16", "Grün 杯子"),
    ],
)
def test_encodings_arrive_in_the_catalogue_and_are_told(merchant, encoding, title):
    data = manifest(row("A", "a.jpg", title=title), row("B", "")).decode().encode(encoding)
    upload = send(merchant, {"m.csv": data, "a.jpg": jpeg(1)})
    assert verdicts(upload) == {2: "created", 3: "created"}
    assert Product.objects.get(sku="A").title == title
    told = {"utf-8-sig": "UTF-8 with", "gbk": "GB 18030", "latin-1": "Windows-1252 (Latin-1)", "utf-16": "UTF-16"}
    assert told[encoding] in upload.note


def test_a_workbook_with_photos(merchant):
    book = openpyxl.Workbook()
    for line in (
        ["sku", "title", "price", "currency", "images"],
        [1001, "Mug", 9.9, "EUR", "a.jpg"],
        ["B", "Cup", -1, "EUR"],
    ):
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    upload = send(merchant, {"list.xlsx": out.getvalue(), "a.jpg": jpeg(1)})
    assert verdicts(upload) == {2: "created", 3: "refused"}
    assert owed() == [("1001", "a.jpg", "index")]
    assert verdicts(send(merchant, out.getvalue(), name="list.xlsx")) == {2: "unchanged", 3: "refused"}


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"A,Mug,9.90\nB,Cup,8\n", "m.csv", "manifest_without_header"),
        (archive({"m.csv": b"A,Mug,9.90\n", "a.jpg": jpeg(1)}), "m.zip", "manifest_without_header"),
        (b"sku,title\n", "m.csv", "manifest_empty"),
        (archive({"a.csv": b"sku", "b.csv": b"sku"}), "m.zip", "manifest_ambiguous"),
        (archive({"a.xls": b"x"}), "m.zip", "manifest_unsupported"),
        (b"%PDF", "m.pdf", "archive_unreadable"),
    ],
)
def test_an_upload_that_cannot_be_understood_fails_with_a_sentence(merchant, data, name, code):
    upload = send(merchant, data, name=name)
    assert (upload.state, upload.error_code) == (UploadState.FAILED, code)
    assert upload.error_message.endswith(".")
    assert (Product.objects.count(), Photo.objects.count(), upload.rows.count()) == (0, 0, 0)


def test_a_dry_run_tells_everything_and_changes_nothing(merchant):
    send(merchant, two())
    done()
    before = list(Product.objects.order_by("sku").values()), list(Photo.objects.order_by("pk").values())
    files = two(price="1") | {"new.jpg": jpeg(654), "bad.jpg": b"x"}
    files["m.csv"] = manifest(
        row("A", "a.jpg", price="1"), row("B", "b.jpg"), row("C", "new.jpg|bad.jpg"), row("C", "")
    )
    upload = send(merchant, files, dry_run=True)
    assert upload.state == UploadState.DONE
    assert verdicts(upload) == {2: "updated", 3: "unchanged", 4: "created", 5: "refused", 6: "refused"}
    assert codes(upload) == {4: ["photo_not_an_image"], 5: ["sku_duplicate"], 6: ["photo_not_in_manifest"]}
    assert (list(Product.objects.order_by("sku").values()), list(Photo.objects.order_by("pk").values())) == before
    new = client.photo_store().key_for(sha256(jpeg(654)).hexdigest())
    assert not client.photo_store().exists(new)


def test_photos_alone_are_a_recognition(merchant):
    upload = send(merchant, {"x/1.jpg": jpeg(1), "x/2.jpg": jpeg(2), "x/bad.jpg": b"no", "x/in.zip": archive({})})
    assert (upload.kind, upload.state) == (UploadKind.RECOGNITION, UploadState.PROCESSING)
    assert verdicts(upload) == {1: "created", 2: "created", 3: "refused", 4: "refused"}
    assert codes(upload) == {3: ["photo_not_an_image"], 4: ["nested_archive"]}
    job = upload.job
    assert (job.kind, job.state, job.merchant) == (JobKind.RECOGNITION, JobState.PENDING, merchant)
    photos = Photo.objects.order_by("position")
    assert [(p.name, p.purpose, p.product, p.job) for p in photos] == [
        ("x/1.jpg", Purpose.RECOGNISE, None, job),
        ("x/2.jpg", Purpose.RECOGNISE, None, job),
    ]


def test_a_recognition_without_a_good_photo_is_done_at_once(merchant):
    upload = send(merchant, {"1.jpg": b"no"})
    assert upload.state == UploadState.DONE
    assert upload.rows_refused == 1
    assert not Job.objects.filter(state=JobState.PENDING).exists()


def test_a_dry_run_of_a_recognition_makes_no_job(merchant):
    upload = send(merchant, {"1.jpg": jpeg(1)}, dry_run=True)
    assert (upload.state, upload.job, Photo.objects.count(), Job.objects.count()) == (UploadState.DONE, None, 0, 0)


def test_an_upload_is_done_with_its_last_photo(merchant):
    upload = send(merchant, two())
    assert not upload_finish_if_done(upload_id=upload.pk)
    assert list(uploads_processing()) == [upload.pk]
    done()
    assert upload_finish_if_done(upload_id=upload.pk)
    assert not upload_finish_if_done(upload_id=upload.pk)
    upload.refresh_from_db()
    assert upload.state == UploadState.DONE
    assert upload.finished_at is not None


def create(merchant, files):
    return upload_create(merchant=merchant, name="u.zip", stream=io.BytesIO(archive(files)))


def many(count):
    return {"m.csv": manifest(*[row(f"S-{n}", f"{n}.jpg") for n in range(count)])} | {
        f"{n}.jpg": jpeg(n, 32) for n in range(count)
    }


def test_an_import_that_died_is_taken_up_where_it_stopped(merchant, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_ROWS", 3)
    upload = create(merchant, many(10))
    written = []
    real = catalogue.CatalogueImport.write

    def dies(self, rows, taken):
        report = real(self, rows, taken)
        written.append([each.number for each in rows])
        if len(written) == 3:
            raise SystemExit("killed")
        return report

    with monkeypatch.context() as patch:
        patch.setattr(catalogue.CatalogueImport, "write", dies)
        with pytest.raises(SystemExit):
            upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_done, Product.objects.count()) == (UploadState.IMPORTING, 6, 6)
    assert not uploads_owed().exists()
    upload_import(upload_id=upload.pk)
    assert Product.objects.count() == 6  # the lease is still held

    Upload.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert uploads_owed().get() == upload
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_done, upload.rows_created) == (UploadState.PROCESSING, 10, 10)
    assert list(upload.rows.values_list("number", flat=True)) == list(range(2, 12))
    assert (Product.objects.count(), Photo.objects.count()) == (10, 10)


def test_an_import_whose_lease_was_taken_over_writes_nothing_more(merchant, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_ROWS", 2)
    upload = create(merchant, many(6))
    real = catalogue.CatalogueImport.check

    def slow(self, rows):
        real(self, rows)
        if rows[0].number == 4:  # meanwhile another process came
            Upload.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            Lease(upload.pk)

    monkeypatch.setattr(catalogue.CatalogueImport, "check", slow)
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_done, Product.objects.count()) == (UploadState.IMPORTING, 2, 2)
    assert upload.lease_until > timezone.now()


class _Dropping:
    """A stored file whose connection drops as often as it is told to, in the words of S3's libraries."""

    def __init__(self, file, drops):
        self._file = file
        self._drops = drops

    def __getattr__(self, name):
        return getattr(self._file, name)

    def read(self, size=-1):
        if self._drops and size != 4:  # which tells a ZIP from a manifest
            raise self._drops.pop()
        return self._file.read(size)


@pytest.mark.parametrize("is_zip", [True, False])
def test_an_archive_that_drops_in_the_middle_makes_the_import_wait(merchant, monkeypatch, is_zip):
    data = archive({"m.csv": manifest(*map(row, "ABCD"))}) if is_zip else manifest(*map(row, "ABCD"))
    upload = upload_create(merchant=merchant, name="u.zip" if is_zip else "m.csv", stream=io.BytesIO(data))
    drops = [ClientPayloadError("cut"), EndpointConnectionError(endpoint_url="http://s3"), ClientPayloadError("cut")]
    files = client.photo_store().place[0]
    opened = files.open
    with monkeypatch.context() as patch:
        patch.setattr(files, "open", lambda *arguments: _Dropping(opened(*arguments), drops))
        for left in (2, 1, 0):
            assert not upload_import(upload_id=upload.pk)
            assert len(drops) == left
            upload.refresh_from_db()
            assert (upload.state, upload.error_code, upload.attempts) == (UploadState.IMPORTING, "", 0)
            Upload.objects.filter(pk=upload.pk).update(lease_until=timezone.now())
        assert upload_import(upload_id=upload.pk)
    assert Product.objects.count() == 4


def test_a_storage_whose_libraries_say_so_is_away(merchant, monkeypatch):
    def away(*_, **__):
        raise EndpointConnectionError(endpoint_url="http://s3")

    monkeypatch.setattr(client.photo_store().place[0], "makedirs", away)
    with pytest.raises(Unavailable, match="storage_unavailable"):
        upload_create(merchant=merchant, name="u.zip", stream=io.BytesIO(b"PK"))
    assert Upload.objects.count() == 0


def test_a_storage_that_is_away_makes_the_import_wait(merchant, monkeypatch):
    upload = create(merchant, two())

    def away(*_):
        raise Unavailable("storage_unavailable", "away")

    with monkeypatch.context() as patch:
        patch.setattr(type(client.photo_store()), "write", away)
        for _ in range(5):
            assert not upload_import(upload_id=upload.pk)
            Upload.objects.filter(lease_until__gt=timezone.now()).update(lease_until=timezone.now())
    upload.refresh_from_db()
    assert (upload.state, upload.rows_done, upload.attempts) == (UploadState.IMPORTING, 0, 0)
    assert uploads_owed().get() == upload
    upload_import(upload_id=upload.pk)
    assert Product.objects.count() == 2


def test_a_bug_of_ours_is_tried_three_times(merchant, monkeypatch):
    upload = create(merchant, two())

    def bug(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(catalogue.CatalogueImport, "write", bug)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            upload_import(upload_id=upload.pk)
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.error_code) == (UploadState.FAILED, "import_failed")
    assert not uploads_owed().exists()


def test_a_product_that_the_api_creates_meanwhile_is_an_update(merchant, monkeypatch):
    upload = create(merchant, two())
    real = catalogue.CatalogueImport.write
    tries = []

    def races(self, rows, taken):
        tries.append(1)
        if len(tries) == 1:
            raise IntegrityError
        return real(self, rows, taken)

    monkeypatch.setattr(catalogue.CatalogueImport, "write", races)
    Product.objects.create(merchant=merchant, sku="A", title="Mine")
    upload_import(upload_id=upload.pk)
    assert verdicts(upload) == {2: "updated", 3: "created"}


def test_a_cancelled_import_stops_and_keeps_what_it_has(merchant, monkeypatch):
    monkeypatch.setattr(importing, "BATCH_ROWS", 2)
    upload = create(merchant, many(6))
    real = catalogue.CatalogueImport.check

    def cancelled(self, rows):
        real(self, rows)
        if rows[0].number == 4:
            upload_cancel(upload=Upload.objects.get())

    monkeypatch.setattr(catalogue.CatalogueImport, "check", cancelled)
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_done, Product.objects.count()) == (UploadState.CANCELLED, 2, 2)
    assert Photo.objects.filter(state=LedgerState.PENDING).count() == 2
    with pytest.raises(Refused, match="upload_finished"):
        upload_cancel(upload=upload)


def test_a_cancelled_recognition_cancels_its_job(merchant):
    upload = send(merchant, {"1.jpg": jpeg(1)})
    upload_cancel(upload=upload)
    assert Job.objects.get().state == JobState.CANCELLED
    assert Photo.objects.get().state == LedgerState.CANCELLED


def test_merchants_do_not_see_each_other(merchant):
    send(merchant, two())
    other = Merchant.objects.create(slug="other", name="Other")
    upload = send(other, two(title="Ours"))
    assert verdicts(upload) == {2: "created", 3: "created"}
    assert set(Product.objects.filter(merchant=merchant).values_list("title", flat=True)) == {"Thing"}


def shared(count, photos=20):
    """Rows that share a few photos."""
    rows = [row(f"S-{number}", f"{number % photos}.jpg") for number in range(count)]
    return {"m.csv": manifest(*rows)} | {f"{number}.jpg": jpeg(number, 16) for number in range(photos)}


class Counter:
    """Counts statements; unlike a log of them it takes no memory."""

    statements = 0

    def __call__(self, execute, *arguments):
        self.statements += 1
        return execute(*arguments)


def test_ten_thousand_rows_take_statements_by_the_batch(merchant):
    upload = create(merchant, shared(10_000))
    counter = Counter()
    with connection.execute_wrapper(counter):
        upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.rows_created, upload.rows_refused) == (UploadState.PROCESSING, 10_000, 0)
    assert (Product.objects.count(), Photo.objects.count(), upload.rows.count()) == (10_000, 10_000, 10_000)
    assert counter.statements < 10_000 / importing.BATCH_ROWS * 40


class Peaks:
    """What the dearest batch of an import held at once. Django's statements lie in reference cycles: what is garbage
    already is collected after each batch, or the time of the collector's next run would be measured too; what was there
    before is not looked through each time."""

    def __init__(self):
        self.highest = 0
        gc.collect()
        gc.freeze()
        tracemalloc.start()

    def __call__(self):
        self.highest = max(self.highest, tracemalloc.get_traced_memory()[1])
        gc.collect()
        tracemalloc.reset_peak()

    def stop(self):
        tracemalloc.stop()
        gc.unfreeze()


def test_statements_grow_by_the_batch_and_memory_does_not_grow(monkeypatch):
    monkeypatch.setattr(importing, "BATCH_ROWS", 25)
    statements, peaks = [], []
    for number, count in enumerate((100, 100, 800)):  # the first fills caches and imports modules
        upload = create(Merchant.objects.create(slug=f"m{number}", name="M"), shared(count))
        counter, peak = Counter(), Peaks()
        try:
            with connection.execute_wrapper(counter):
                upload_import(upload_id=upload.pk, on_batch=peak)
        finally:
            peak.stop()
        statements.append(counter.statements)
        peaks.append(peak.highest)
    assert statements[2] <= statements[1] * 8
    assert peaks[2] < peaks[1] * 1.2 + 100_000, peaks  # 35 kB of it are the longer spreadsheet itself


def test_the_lease_is_as_long_as_the_environment_says(merchant):
    upload = create(merchant, two())
    Lease(upload.pk)
    upload.refresh_from_db()
    left = (upload.lease_until - timezone.now()).total_seconds()
    assert load_env().lease_seconds - 5 < left <= load_env().lease_seconds
