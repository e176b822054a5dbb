"""Hostile and broken archives: each refused part gets its code, every good row beside it is imported."""

import io
import os
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from catalog.models import KeyKind, Photo, Product, Upload, UploadState
from catalog.services.errors import Refused
from catalog.services.key import api_key_create
from catalog.services.upload import upload_create, upload_create_from_folder, upload_import
from catalog.services.uploading import sources
from config.env import load_env
from tests.api_support import client_of
from tests.drawing import jpeg
from tests.hostile_archives import ARCHIVES
from tests.uploads import archive, codes, manifest, row, send, verdicts
from workers import client

pytestmark = pytest.mark.django_db

UNSTORABLE_TEXT = re.compile(r"[\0\ud800-\udfff]")
UNSTORABLE = ["entry_unsafe_path", "field_unknown", "attributes_not_text", "sku_not_text"]  # said of four more lines


@pytest.fixture
def limits(monkeypatch):
    """Change limits of the environment for one test."""

    def change(**values):
        changed = load_env().model_copy(update=values)
        for module in ("sources", "spool", "photos"):
            monkeypatch.setattr(f"catalog.services.uploading.{module}.load_env", lambda: changed)

    return change


def fault(upload: Upload) -> str:
    assert upload.state == UploadState.FAILED
    assert upload.finished_at is not None
    assert upload.error_message.endswith(".")
    assert (upload.rows.count(), Product.objects.count(), Photo.objects.count()) == (0, 0, 0)
    assert not client.photo_store().exists(f"uploads/{upload.pk}")
    return upload.error_code


@pytest.mark.parametrize(
    "name", ["../escape.jpg", "/etc/passwd.jpg", "a/../../b.jpg", "C:/windows.jpg", "..\\escape.jpg", "C:\\x\\y.jpg"]
)
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_name_that_leads_out_is_refused(merchant, name, is_listed):
    rows = manifest(row("A", name if is_listed else ""), row("B", "good.jpg"))
    upload = send(merchant, {"m.csv": rows, name: jpeg(1), "good.jpg": jpeg(2)})
    assert codes(upload) == {2 if is_listed else 4: ["entry_unsafe_path"]}
    assert verdicts(upload) == {2: "created", 3: "created"} | ({} if is_listed else {4: "refused"})
    assert list(Photo.objects.values_list("name", flat=True)) == ["good.jpg"]


def test_a_name_that_leads_out_is_refused_though_the_archive_holds_none(merchant):
    upload = send(merchant, {"m.csv": manifest(row("A", "../../etc/passwd"))})
    assert codes(upload) == {2: ["entry_unsafe_path"]}


def test_links_are_not_followed(merchant):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("m.csv", manifest(row("A", "link.jpg"), row("B", "good.jpg")))
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
        packed.writestr("good.jpg", jpeg(1))
    upload = send(merchant, out.getvalue())
    assert codes(upload) == {2: ["entry_is_a_link"]}
    assert verdicts(upload) == {2: "created", 3: "created"}


def test_a_nested_archive_is_refused_on_a_row_of_its_own(merchant):
    nested = archive({"a.jpg": jpeg(1)})
    upload = send(merchant, {"m.csv": manifest(row("A", "good.jpg")), "more.zip": nested, "good.jpg": jpeg(2)})
    assert codes(upload) == {3: ["nested_archive"]}
    assert verdicts(upload) == {2: "created", 3: "refused"}


def test_a_zip_bomb_costs_no_memory_and_no_neighbour(merchant):
    bomb = archive({"m.csv": manifest(row("A", "bomb.jpg"), row("B", "good.jpg")), "bomb.jpg": bytes(120_000_000)})
    bomb = _with_file(bomb, "good.jpg", jpeg(1))
    assert len(bomb) < 200_000
    tracemalloc.start()
    try:
        upload = send(merchant, bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * load_env().photo_max_bytes  # its blocks and the whole of what may be a photo, no more
    assert codes(upload) == {2: ["entry_zip_bomb"]}
    assert verdicts(upload) == {2: "created", 3: "created"}


def test_an_archive_that_unpacks_without_end_is_stopped(merchant, monkeypatch):
    monkeypatch.setattr(sources, "UNPACKED_SPARE", 1_000_000)
    files = {f"{number:02}.jpg": jpeg(number) + bytes(500_000) for number in range(20)}
    rows = manifest(*[row(f"S-{number:02}", f"{number:02}.jpg") for number in range(20)])
    upload = send(merchant, {"m.csv": rows, **files})
    found = codes(upload)
    assert {code for each in found.values() for code in each} == {"archive_unpacks_too_large"}
    assert 0 < len(found) < 20
    assert Photo.objects.count() == 20 - len(found)
    assert Product.objects.count() == 20


def test_headers_that_lie_are_not_believed(merchant):
    data = bytearray(
        archive({"m.csv": manifest(row("A", "a.jpg"), row("B", "b.jpg")), "a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    )
    place = data.rfind(b"a.jpg") - 46  # in the central directory
    assert data[place : place + 4] == b"PK\1\2"
    struct.pack_into("<L", data, place + 24, 3_000_000_000)  # the size that it claims to unpack to
    struct.pack_into("<L", data, data.rfind(b"b.jpg") - 46 + 16, 12345)  # and a wrong checksum
    upload = send(merchant, bytes(data))
    assert codes(upload)[3] == ["entry_damaged"]
    assert verdicts(upload) == {2: "created", 3: "created"}


def test_an_encrypted_entry_is_told(merchant):
    data = bytearray(
        archive({"m.csv": manifest(row("A", "a.jpg"), row("B", "b.jpg")), "a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    )
    for place in (data.find(b"a.jpg") - 30 + 6, data.rfind(b"a.jpg") - 46 + 8):
        struct.pack_into("<H", data, place, 1)
    upload = send(merchant, bytes(data))
    assert codes(upload) == {2: ["entry_encrypted"]}
    assert list(Photo.objects.values_list("name", flat=True)) == ["b.jpg"]


def test_an_unsupported_packing_is_told(merchant):
    upload = send(
        merchant,
        _with_file(archive({"m.csv": manifest(row("A", "a.jpg"))}), "a.jpg", jpeg(1), method=zipfile.ZIP_LZMA),
    )
    assert codes(upload) == {2: ["entry_unsupported"]}


@pytest.mark.parametrize(
    "data",
    [b"PK\3\4 and no more", b"not an archive", archive({"m.csv": manifest(row("A"))})[:-30], b"PK\5\6" + b"\xff" * 18],
)
def test_an_unreadable_archive_fails_as_a_whole(merchant, data):
    assert fault(send(merchant, data)) == "archive_unreadable"


def test_offsets_that_lead_before_the_file_are_no_storage_that_is_away(merchant):
    upload = send(merchant, ARCHIVES["directory-place"]())
    assert (upload.state, fault(upload)) == ("failed", "manifest_unreadable")


def test_an_archive_without_files_fails(merchant):
    assert fault(send(merchant, archive({}))) == "archive_empty"


def test_too_many_files_are_counted_before_they_are_loaded(merchant, limits):
    limits(upload_max_files=5)
    files = {f"{number}.jpg": b"x" for number in range(6)}
    assert fault(send(merchant, files)) == "upload_too_many_files"


def test_an_upload_that_is_too_large_or_empty_is_refused_at_once_and_leaves_nothing(merchant, limits):
    limits(upload_max_bytes=10_000)
    for data, code in ((bytes(10_001), "upload_too_large"), (b"", "upload_empty")):
        with pytest.raises(Refused) as refused:
            upload_create(merchant=merchant, name="x.zip", stream=io.BytesIO(data))
        assert refused.value.code == code
    assert Upload.objects.count() == 0
    assert [path for path in (load_env().var / "photos" / "uploads").iterdir() if path.suffix == ".part"] == []


def test_a_large_archive_counts_its_entries_as_zip64(merchant, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    upload = send(merchant, {"m.csv": manifest(row("A", "a.jpg")), "a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    assert codes(upload) == {3: ["photo_not_in_manifest"]}


def test_a_folder_is_read_in_place_and_its_links_are_not_followed(merchant, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "m.csv").write_bytes(manifest(row("A", "photos/a.jpg"), row("B", "photos/link.jpg")))
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg(1))
    (tmp_path / "photos" / "link.jpg").symlink_to("/etc/hostname")
    upload = upload_create_from_folder(merchant=merchant, path=tmp_path)
    upload_import(upload_id=upload.pk)
    upload.refresh_from_db()
    assert codes(upload) == {3: ["entry_is_a_link"]}
    assert list(Photo.objects.values_list("name", flat=True)) == ["photos/a.jpg"]
    assert (tmp_path / "m.csv").exists()


@pytest.mark.parametrize(
    ("kind", "problems"),
    [
        ("names-nul", ["entry_unsafe_path", *UNSTORABLE]),
        ("names-surrogate", ["photo_missing_in_archive", *UNSTORABLE]),
        ("header-nul", ["entry_unsafe_path"]),
    ],
)
def test_text_that_no_database_stores_costs_its_row_alone(merchant, kind, problems):
    upload = send(merchant, ARCHIVES[kind]())
    assert (upload.state, upload.error_code) == ("processing", "")
    assert Photo.objects.get().product.sku == "G-1"
    answer = client_of(api_key_create(merchant=merchant, name="server", kind=KeyKind.SECRET)[1]).get(
        f"/api/v1/uploads/{upload.pk}/rows"
    )
    assert answer.status_code == 200
    rows = answer.json()["results"]
    assert [each["code"] for row in rows for each in row["problems"]] == problems
    assert rows[0]["problems"] == []
    told = "".join(each[part] for row in rows for each in row["problems"] for part in ("message", "field", "photo"))
    assert "\N{REPLACEMENT CHARACTER}" in told
    assert UNSTORABLE_TEXT.search(told + "".join(upload.columns)) is None


def test_file_names_that_are_not_utf8_are_shown_and_their_photos_taken(merchant, tmp_path):
    odd = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(odd)).write_bytes(jpeg(1))
    (tmp_path / "good.jpg").write_bytes(jpeg(2))
    upload = upload_create_from_folder(merchant=merchant, path=tmp_path)
    upload_import(upload_id=upload.pk)
    assert codes(upload) == {}
    assert list(upload.rows.order_by("number").values_list("values__photo", flat=True)) == ["caf�.jpg", "good.jpg"]
    assert set(Photo.objects.values_list("name", flat=True)) == {"caf�.jpg", "good.jpg"}


def test_file_names_that_look_the_same_are_not_taken_for_each_other(merchant, tmp_path):
    for number, name in enumerate((b"caf\xe9.jpg", b"caf\xe8.jpg", b"good.jpg")):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(jpeg(number))
    upload = upload_create_from_folder(merchant=merchant, path=tmp_path)
    upload_import(upload_id=upload.pk)
    assert codes(upload) == {1: ["photo_name_ambiguous"], 2: ["photo_name_ambiguous"]}
    assert Photo.objects.get().name == "good.jpg"


def test_a_folder_whose_own_name_is_not_utf8_is_refused(merchant, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    with pytest.raises(Refused, match="folder_name_not_text") as refused:
        upload_create_from_folder(merchant=merchant, path=folder)
    assert refused.value.message.endswith("/caf� is not UTF-8: rename the folder.")
    assert Upload.objects.count() == 0


def test_a_folder_that_is_not_there_is_refused(merchant, tmp_path):
    with pytest.raises(Refused, match="folder_missing"):
        upload_create_from_folder(merchant=merchant, path=tmp_path / "none")


def test_names_in_old_archives_are_read_as_meant(merchant):
    data = archive(
        {"m.csv": manifest(row("A", "照片.jpg"), row("B", "Möbel.jpg")), "xxxx.jpg": jpeg(1), "yyyyyy.jpg": jpeg(2)}
    )
    data = data.replace(b"xxxx.jpg", "照片.jpg".encode("gbk")).replace(b"yyyyyy.jpg", "Möbel.jpg".encode())
    assert codes(send(merchant, data)) == {}
    assert Photo.objects.count() == 2


def _with_file(data: bytes, name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as packed:
        packed.writestr(name, content, compress_type=method)
    return out.getvalue()
