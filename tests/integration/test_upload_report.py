"""What a merchant sees of an upload: progress, rows, the list of bad rows, and the command in a terminal."""

import csv
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command

from catalog.management.commands import upload as command
from catalog.models import LedgerState, Merchant, Photo, Product, Upload, UploadState
from catalog.selectors.upload import upload_bad_rows_csv, upload_problem_counts, upload_progress, upload_rows
from catalog.services.upload import upload_create
from tests.databases import empty_database, execute
from tests.drawing import catalogue_zip, jpeg
from tests.uploads import archive, codes, manifest, row, send, verdicts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def merchant(db):
    return Merchant.objects.create(slug="harbour", name="Harbour")


@pytest.fixture
def impatient(monkeypatch):
    for name in ("COORDINATOR_SECONDS", "WORKER_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(command, name, 0.01)


def files():
    rows = manifest(row("A", "a.jpg"), row("B", "b.jpg"), row("C", "c.jpg", price="-3"), row("D", "no.jpg"))
    return {"m.csv": rows} | {f"{name}.jpg": jpeg(number, 32) for number, name in enumerate("abc")}


def test_progress_counts_rows_and_photos_in_one_query(merchant, django_assert_num_queries, time_stops):
    upload = upload_create(merchant=merchant, name="u.zip", stream=io.BytesIO(archive(files())))
    assert upload_progress(upload).percent == 0.0
    upload = send(merchant, files())
    Photo.objects.filter(product__sku="A").update(
        state=LedgerState.DONE, finished_at=time_stops() - timedelta(seconds=4)
    )
    with django_assert_num_queries(1):
        progress = upload_progress(upload)
    assert (progress.rows_total, progress.rows_done, progress.rows_created, progress.rows_refused) == (4, 4, 3, 1)
    assert (progress.photos_total, progress.photos_pending, progress.photos_done) == (2, 1, 1)
    assert progress.percent == pytest.approx(83.3)
    assert progress.photos_per_second == 0.25
    assert progress.eta_seconds == 4
    Photo.objects.update(state=LedgerState.FAILED)
    Upload.objects.update(state=UploadState.DONE)
    upload.refresh_from_db()
    assert upload_progress(upload).percent == 100.0
    assert upload_progress(upload).photos_failed == 2


def test_rows_can_be_narrowed_to_a_verdict_or_to_problems(merchant):
    upload = send(merchant, files())
    assert [line.number for line in upload_rows(upload)] == [2, 3, 4, 5]
    assert [line.number for line in upload_rows(upload, verdict="refused")] == [4]
    assert [line.number for line in upload_rows(upload, problems_only=True)] == [4, 5]
    assert [(code, count) for code, count, _ in upload_problem_counts(upload)] == [
        ("price_negative", 1),
        ("photo_missing_in_archive", 1),
    ]


def test_the_list_of_bad_rows_can_be_corrected_and_sent_again(merchant):
    header = "sku,title,price,currency,images,Note"
    lines = ['=A1,"Mug, ""big""",-3,EUR,,@x', "B,Cup,5,EUR,,", "C,,5,EUR,,'=y"]
    upload = send(merchant, manifest(*lines, header=header), name="m.csv")
    text = "".join(upload_bad_rows_csv(upload))
    assert text.startswith("\ufeffsku,title,price,currency,images,Note,problems\r\n")
    first, second = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    assert (first["sku"], first["title"], first["price"], first["Note"]) == ("'=A1", 'Mug, "big"', "'-3", "'@x")
    assert first["problems"] == "The price -3 is negative. [price_negative]"
    assert second["problems"] == "The title is missing. [title_missing]"

    again = send(merchant, text.encode(), name="bad.csv")
    assert {problem for each in codes(again).values() for problem in each} == {"price_negative", "title_missing"}
    assert list(again.rows.values_list("values", flat=True)) == [
        {**line.values, "problems": told}
        for line, told in zip(
            upload_rows(upload, verdict="refused"), (first["problems"], second["problems"]), strict=True
        )
    ]

    corrected = send(merchant, text.replace("'-3", "3").replace("C,,", "C,Bowl,").encode(), name="bad.csv")
    assert verdicts(corrected) == {2: "created", 3: "created"}
    assert Product.objects.get(sku="=A1").attributes == {"Note": "@x"}


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("upload", *arguments, stdout=out, stderr=err)
        code = 0
    except SystemExit as exit_:
        code = exit_.code
    return code, out.getvalue(), err.getvalue()


def test_the_command_imports_by_itself_where_no_coordinator_runs(db, impatient, tmp_path):
    path = catalogue_zip(tmp_path / "u.zip", 3)
    code, out, _ = run(str(path), "--merchant", "new-shop", "--create-merchant")
    assert code == 0
    assert "3 of 3 rows" in out
    assert "No worker is alive: 3 photos wait" in out
    assert Product.objects.filter(merchant__slug="new-shop").count() == 3


def test_the_command_tells_problems_and_writes_the_bad_rows(merchant, impatient, tmp_path):
    for name, data in files().items():
        (tmp_path / name).write_bytes(data)
    code, out, _ = run(str(tmp_path), "--merchant", "harbour")
    assert code == 1
    assert "price_negative" in out and "row 4: The price -3 is negative." in out
    assert "--bad-rows FILE" in out
    bad = tmp_path.parent / f"{tmp_path.name}-bad.csv"
    code, out, _ = run(str(tmp_path), "--merchant", "harbour", "--bad-rows", str(bad))
    assert code == 1
    assert str(bad) in out.replace("\n", "")
    assert len(list(csv.reader(io.StringIO(bad.read_text("utf-8-sig"))))) == 3


def test_the_command_fails_with_the_upload(merchant, impatient, tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes(b"A,Mug\n")
    code, _, err = run(str(path), "--merchant", "harbour")
    assert code == 2
    assert "manifest_without_header" in err


def test_the_command_refuses_what_is_not_there(merchant, tmp_path):
    for arguments in ((str(tmp_path), "--merchant", "nobody"), (str(tmp_path / "none.zip"), "--merchant", "harbour")):
        with pytest.raises(CommandError) as refused:
            call_command("upload", *arguments)
        assert refused.value.returncode == 2
    assert Upload.objects.count() == 0


def test_the_command_checks_without_changing_anything(merchant, impatient, tmp_path):
    path = catalogue_zip(tmp_path / "u.zip", 2)
    code, _, _ = run(str(path), "--merchant", "harbour", "--dry-run")
    assert code == 0
    assert Upload.objects.get().rows_created == 2
    assert Product.objects.count() == 0


def test_the_command_hands_over_without_waiting(merchant, tmp_path):
    code, _, _ = run(str(catalogue_zip(tmp_path / "u.zip", 1)), "--merchant", "harbour", "--no-wait")
    assert code == 0
    assert Upload.objects.get().state == UploadState.PENDING


START = """
import time
import django
django.setup()
from django.core.management import call_command
from catalog.models import Merchant
from catalog.services.upload import upload_create, upload_import
call_command("migrate", verbosity=0)
merchant = Merchant.objects.create(slug="shop", name="Shop")
with open({path!r}, "rb") as stream:
    upload = upload_create(merchant=merchant, name="u.zip", stream=stream)
upload_import(upload_id=upload.pk, on_batch=lambda: time.sleep(60))  # it is killed meanwhile
"""
RESUME = """
import django
django.setup()
from catalog.services.upload import upload_import, uploads_owed
upload_import(upload_id=uploads_owed().get().pk)
"""


@pytest.mark.slow
def test_an_import_that_is_killed_goes_on_and_every_row_is_there_once(tmp_path):
    """A real process, killed with SIGKILL in the middle of its rows, and another one after it."""
    count = 1_200
    rows = [row(f"S-{number}", f"{number % 50}.jpg") for number in range(count)]
    path = tmp_path / "u.zip"
    path.write_bytes(archive({"m.csv": manifest(*rows)} | {f"{n}.jpg": jpeg(n, 32) for n in range(50)}))
    environment = {
        **os.environ,
        "VITRINE_VAR": str(tmp_path),
        "DATABASE_URL": empty_database(),
        "VITRINE_LEASE_SECONDS": "2",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    start = [sys.executable, "-c", START.format(path=str(path))]

    def one(query):
        return execute(environment["DATABASE_URL"], tmp_path, query)[0][0]

    with subprocess.Popen(start, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as first:
        done = wait_for_rows(one, first)
        first.send_signal(signal.SIGKILL)
    assert 0 < done < count
    assert one("SELECT state FROM catalog_upload") == "importing"
    time.sleep(2.1)  # until the lease of the dead has run out
    subprocess.run([sys.executable, "-c", RESUME], cwd=ROOT, env=environment, check=True, capture_output=True)
    assert one("SELECT state FROM catalog_upload") == "processing"
    assert one("SELECT rows_done FROM catalog_upload") == one("SELECT rows_created FROM catalog_upload") == count
    for table in ("product", "uploadrow", "photo"):
        assert one(f"SELECT count(*) FROM catalog_{table}") == count
    assert one("SELECT count(DISTINCT number) FROM catalog_uploadrow") == count
    assert one("SELECT count(DISTINCT product_id) FROM catalog_photo") == count


def wait_for_rows(one, process):
    """How many rows are done, as soon as there are any."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        assert process.poll() is None, process.stderr.read()
        with suppress(sqlite3.OperationalError, psycopg.errors.UndefinedTable):  # the tables are still being made
            if done := one("SELECT max(rows_done) FROM catalog_upload"):
                return done
        time.sleep(0.02)
    raise TimeoutError("no row was imported")
