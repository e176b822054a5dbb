"""The photo store, on a folder and in memory: same behaviour, typed errors, no way out of the root."""

import errno
import hashlib
import io
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import ClientPayloadError
from botocore.exceptions import EndpointConnectionError

from recognition.errors import PhotoError, Unavailable
from recognition.store import PhotoStore, StoredBytes

DATA = b"some photo"
SHA256 = hashlib.sha256(DATA).hexdigest()
KEY = f"{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"


@pytest.fixture(params=["folder", "file url", "memory"])
def store(request, tmp_path):
    urls = {"folder": str(tmp_path), "file url": tmp_path.as_uri(), "memory": f"memory://{uuid.uuid4()}"}
    return PhotoStore(urls[request.param])


def test_write_read_delete(store):
    assert store.write(DATA) == StoredBytes(KEY, SHA256, len(DATA))
    assert PhotoStore.key_for(SHA256) == KEY
    assert store.read(KEY) == DATA
    assert store.exists(KEY)
    with store.open(KEY) as file:
        assert file.read(4) == b"some"
    store.delete(KEY)
    assert not store.exists(KEY)
    store.delete(KEY)  # a second time is fine


@pytest.mark.parametrize("damaged", [b"", DATA[:4], DATA + b"\0"])
def test_bytes_of_another_length_are_written_anew(tmp_path, damaged):
    store = PhotoStore(str(tmp_path))
    store.write(DATA)
    (tmp_path / KEY).write_bytes(damaged)
    store.write(DATA)
    assert store.read(KEY) == DATA


class _Dropped(io.BytesIO):
    """A file of a storage that goes away while it is read."""

    def __init__(self, error):
        super().__init__(DATA)
        self._error = error

    def read(self, size=-1):
        raise self._error


@pytest.mark.parametrize(
    "error",
    [EndpointConnectionError(endpoint_url="http://s3"), ClientPayloadError("cut"), OSError(errno.ECONNRESET, "reset")],
)
def test_a_storage_that_goes_away_while_a_file_is_read(tmp_path, monkeypatch, error):
    store = PhotoStore(str(tmp_path))
    store.write(DATA)
    monkeypatch.setattr(store.place[0], "open", lambda *arguments: _Dropped(error))
    with store.open(KEY) as file, pytest.raises(Unavailable, match="storage_unavailable"):
        file.read(4)


def test_a_place_before_the_start_is_the_readers_fault(tmp_path):
    store = PhotoStore(str(tmp_path))
    store.write(DATA)
    with store.open(KEY) as file, pytest.raises(OSError, match="Invalid argument"):
        file.seek(-1)


def test_what_is_not_there(store):
    assert not store.exists(KEY)
    store.write(b"another photo")
    for read in (store.read, store.open):
        with pytest.raises(PhotoError) as caught:
            read(KEY)
        assert caught.value.code == "photo_missing"


@pytest.mark.parametrize(
    "key", ["", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "a\\..\\b", "a\0b", "a/b/.."]
)
def test_keys_that_leave_the_root(store, key):
    for method in (store.read, store.open, store.exists, store.delete):
        with pytest.raises(PhotoError) as caught:
            method(key)
        assert caught.value.code == "photo_key_invalid"


def test_an_existing_key_is_not_rewritten_but_young_again(tmp_path):
    store = PhotoStore(str(tmp_path))
    store.write(DATA)
    os.utime(tmp_path / KEY, (1_000, 1_000))
    before = (tmp_path / KEY).stat()
    store.write(DATA)
    after = (tmp_path / KEY).stat()
    assert before.st_ino == after.st_ino
    assert after.st_mtime > time.time() - 60


def test_only_what_nobody_wrote_since_is_deleted(store):
    start = datetime.now(UTC)
    store.write(DATA)
    assert not store.delete_older(KEY, than=start - timedelta(hours=1))
    assert store.read(KEY) == DATA
    assert store.delete_older(KEY, than=datetime.now(UTC) + timedelta(seconds=1))
    assert not store.exists(KEY)
    assert store.delete_older(KEY, than=start)  # gone is gone


def test_bytes_written_while_they_are_deleted_stay(tmp_path, monkeypatch):
    store = PhotoStore(str(tmp_path))
    store.write(DATA)
    os.utime(tmp_path / KEY, (1_000, 1_000))
    rename = Path.rename

    def written_just_before(self, target):
        monkeypatch.setattr(Path, "rename", rename)
        store.write(DATA)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", written_just_before)
    assert not store.delete_older(KEY, than=datetime.now(UTC) - timedelta(hours=1))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [SHA256]


def test_a_folder_that_is_not_mounted_is_away(tmp_path):
    for root in (tmp_path / "none", tmp_path):  # a mount point without its volume is an empty folder
        with pytest.raises(Unavailable) as caught:
            PhotoStore(str(root)).read(KEY)
        assert caught.value.code == "storage_unavailable"
        with pytest.raises(Unavailable):  # not "gone": its bytes may come back
            PhotoStore(str(root)).delete_older(KEY, than=datetime.now(UTC))


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    store = PhotoStore(str(tmp_path))

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Unavailable) as caught:
        store.write(DATA)
    assert caught.value.code == "storage_unavailable"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_part_file_remains(tmp_path):
    PhotoStore(str(tmp_path)).write(DATA)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [SHA256]


def test_storage_that_is_away(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    store = PhotoStore(str(blocked))  # a file where the folder should be
    with pytest.raises(Unavailable) as caught:
        store.write(DATA)
    assert caught.value.code == "storage_unavailable"


def test_errors_of_the_network_below_s3(tmp_path, monkeypatch):
    store = PhotoStore(str(tmp_path))
    away = type("EndpointConnectionError", (Exception,), {"__module__": "botocore.exceptions"})

    def cat_file(path):
        raise away("Could not connect")

    monkeypatch.setattr(store._files, "cat_file", cat_file)
    with pytest.raises(Unavailable):
        store.read(KEY)


def test_bugs_stay_bugs(tmp_path, monkeypatch):
    store = PhotoStore(str(tmp_path))

    def cat_file(path):
        raise ZeroDivisionError

    monkeypatch.setattr(store._files, "cat_file", cat_file)
    with pytest.raises(ZeroDivisionError):
        store.read(KEY)


def test_an_inventory_tells_every_file(store):
    before = datetime.now(UTC) - timedelta(seconds=2)
    store.write(DATA)
    store.put("thumbs/ab/small.webp", b"small")
    assert {KEY[:2], "thumbs"} == set(store.folders())
    (file,) = store.files(KEY[:2])
    assert (file.key, file.bytes) == (KEY, len(DATA))
    assert before < file.modified <= datetime.now(UTC) + timedelta(seconds=2)
    assert [each.key for each in store.files("thumbs/ab")] == ["thumbs/ab/small.webp"]
    assert store.files("00") == []


def test_a_file_that_cannot_be_read_is_told_from_a_storage_that_is_away(tmp_path):
    store = PhotoStore(str(tmp_path / "photos"))
    store.write(DATA)
    (tmp_path / "photos" / KEY).unlink()
    (tmp_path / "photos" / KEY).mkdir()
    with pytest.raises(Unavailable) as unreadable:
        store.read(KEY)
    assert unreadable.value.code == "photo_bytes_unreadable"
