"""Every row comes back as it was: ids, dates, people and their rights; and a restore that fails leaves none."""

import errno
import gzip
import json
import tarfile
import tracemalloc
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.models import ExamplePhoto, Membership, Merchant, Photo, Role, Upload, UploadState
from catalog.services.photo import photo_add
from catalog.services.upload import upload_create
from config.backup import sql
from recognition.store import _Opened
from tests.api_support import Shop
from tests.drawing import jpeg
from workers.client import photo_store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(setting, tmp_path):
    setting("VITRINE_PHOTO_STORE", str(tmp_path / "photos"))
    photo_store.cache_clear()
    shop = Shop("harbour")
    product = shop.product(price="14.90", currency="EUR")
    photo_add(merchant=shop.merchant, product=product, data=jpeg(1), name="a.jpg", origin="api")
    user = User.objects.create_user("rita", password="a long enough one")
    group = Group.objects.create(name="desk")
    group.permissions.set(Permission.objects.filter(codename="change_product"))
    user.groups.add(group)
    Membership.objects.create(user=user, merchant=shop.merchant, role=Role.MANAGER)
    LogEntry.objects.log_actions(user.pk, [product], CHANGE, change_message="Changed", single_object=True)
    Merchant.objects.update(created_at=timezone.now() - timedelta(days=400))
    yield shop
    photo_store.cache_clear()


def everything():
    """Every row of every table, by its columns."""
    return {
        model._meta.label: sorted(map(str, model._base_manager.values_list()))
        for model in sql._models()
        if model not in sql.REPLACED
    } | {"rights": list(User.objects.values_list("username", "groups__name", "groups__permissions__codename"))}


def emptied():
    call_command("flush", interactive=False, verbosity=0)
    call_command("migrate", verbosity=0)
    assert sql.sql_is_empty()


def test_rows_and_bytes_come_back_as_they_were(shop, tmp_path, setting, capsys):
    before, keys = everything(), list(shop.merchant.photos.values_list("key", flat=True))
    call_command("backup", str(tmp_path / "backup"), "--without-index")
    emptied()
    setting("VITRINE_PHOTO_STORE", str(tmp_path / "elsewhere"))
    photo_store.cache_clear()
    call_command("restore", str(tmp_path / "backup"))
    assert everything() == before
    assert [photo_store().read(key) for key in keys] == [jpeg(1)]
    assert LogEntry.objects.get().get_edited_object() == shop.merchant.products.get()
    User.objects.create_user("next")  # the database goes on counting where it was
    assert "photos are to be embedded again: the backup has no index." in capsys.readouterr().out


def backed_up(folder):
    """What the command says of the files, and what lies in its archive of bytes."""
    call_command("backup", str(folder), "--without-index")
    counts = json.loads((folder / "backup.json").read_text())["counts"]
    with tarfile.open(folder / "photos.tar") as packed:
        return (counts["files stored"], counts["files missing"]), set(packed.getnames())


def test_every_photo_that_a_row_refers_to_is_in_it_and_no_archive_that_was_read(shop, tmp_path):
    photo, searched, example = shop.merchant.photos.get(), jpeg(2), jpeg(3)
    job = shop.search(photo=searched)
    stored = photo_store().write(example)
    ExamplePhoto.objects.create(job=job, like=True, key=stored.key)
    Upload.objects.create(merchant=shop.merchant, state=UploadState.PROCESSING, source="")
    assert backed_up(tmp_path / "backup") == ((3, 0), {photo.key, job.key, stored.key})


def test_an_archive_that_waits_is_streamed_and_comes_back(shop, tmp_path, setting):
    size = 60_000_000
    with (tmp_path / "a.zip").open("wb") as file:
        file.truncate(size)
    with (tmp_path / "a.zip").open("rb") as file:
        upload = upload_create(merchant=shop.merchant, name="a.zip", stream=file)
    tracemalloc.start()
    try:
        assert backed_up(tmp_path / "backup")[0] == (2, 0)
        emptied()
        setting("VITRINE_PHOTO_STORE", str(tmp_path / "elsewhere"))
        photo_store.cache_clear()
        call_command("restore", str(tmp_path / "backup"))
        assert tracemalloc.get_traced_memory()[1] < size / 3
    finally:
        tracemalloc.stop()
    assert (tmp_path / "elsewhere" / Upload.objects.get(pk=upload.pk).source).stat().st_size == size


def test_a_photo_that_cannot_be_read_costs_the_backup_that_photo(shop, tmp_path, setting):
    held = shop.merchant.photos.get()
    bad = photo_add(merchant=shop.merchant, product=held.product, data=jpeg(2), name="b.jpg", origin="api")[0]
    place = tmp_path / "photos" / bad.key
    place.unlink()
    place.mkdir()
    with pytest.raises(CommandError, match=rf"{bad.key} \(photo_bytes_unreadable\)") as ended:
        backed_up(tmp_path / "backup")
    assert ended.value.returncode == 2
    emptied()
    setting("VITRINE_PHOTO_STORE", str(tmp_path / "elsewhere"))
    photo_store.cache_clear()
    call_command("restore", str(tmp_path / "backup"))
    assert photo_store().read(held.key) == jpeg(1)
    assert not photo_store().exists(bad.key)
    assert Photo.objects.count() == 2


def test_what_breaks_off_in_the_middle_of_a_file_leaves_the_others_whole(shop, tmp_path, monkeypatch):
    with (tmp_path / "a.zip").open("wb") as file:
        file.truncate(1_000_000)
    with (tmp_path / "a.zip").open("rb") as file:
        upload = upload_create(merchant=shop.merchant, name="a.zip", stream=file)
    read = _Opened.read

    def broken(self, size=-1, /):
        if self._file.name.endswith(upload.source) and self._file.tell() > 500_000:
            with self._errors():
                raise OSError(errno.EIO, "a bad sector")
        return read(self, size)

    monkeypatch.setattr(_Opened, "read", broken)
    with pytest.raises(CommandError, match="photo_bytes_unreadable"):
        backed_up(tmp_path / "backup")
    with tarfile.open(tmp_path / "backup" / "photos.tar") as packed:
        assert packed.getnames() == [shop.merchant.photos.get().key]


def test_a_backup_that_was_cut_off_is_written_again_in_its_place(shop, tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    for name in ("sql.jsonl.gz", "photos.tar", "index.tar"):
        (folder / name).write_bytes(b"half")
    assert backed_up(folder)[0] == (1, 0)
    assert sorted(path.name for path in folder.iterdir()) == ["backup.json", "photos.tar", "sql.jsonl.gz"]
    with pytest.raises(CommandError, match=r"\(backup_place_taken\)"):
        backed_up(folder)


def test_a_backup_of_another_release_is_refused(shop, tmp_path):
    call_command("backup", str(tmp_path / "backup"), "--without-index")
    manifest = tmp_path / "backup" / "backup.json"
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"migrations": [*told["migrations"], "catalog.0999_later"]}))
    with pytest.raises(CommandError, match=r"\(backup_of_another_release\)"):
        call_command("restore", str(tmp_path / "backup"))
    manifest.unlink()
    with pytest.raises(CommandError, match=r"\(backup_incomplete\)"):
        call_command("restore", str(tmp_path / "backup"))


def test_nothing_is_restored_over_what_is_there_nor_from_damaged_files(shop, tmp_path):
    call_command("backup", str(tmp_path / "backup"), "--without-index")
    before = everything()
    with pytest.raises(CommandError, match=r"Not empty: the database, the photo store\..*\(restore_place_taken\)"):
        call_command("restore", str(tmp_path / "backup"))
    photos = tmp_path / "backup" / "photos.tar"
    photos.write_bytes(photos.read_bytes()[:-1] + b"x")
    with pytest.raises(CommandError, match=r"photos\.tar is missing or damaged.*\(backup_damaged\)"):
        call_command("restore", str(tmp_path / "backup"))
    assert everything() == before


def test_a_restore_that_fails_leaves_no_row(shop, tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    sql.sql_write(folder)
    emptied()
    text = gzip.decompress((folder / sql.NAME).read_bytes())
    (folder / sql.NAME).write_bytes(gzip.compress(text + b'{"model": "catalog.nonsense", "fields": {}}\n'))
    with pytest.raises(Exception, match="nonsense"):
        sql.sql_read(folder)
    assert sql.sql_is_empty()


def test_without_redis_nobody_knows_whether_a_worker_has_the_index(shop, tmp_path):
    with pytest.raises(CommandError, match=r"\(broker_unavailable\)"):
        call_command("backup", str(tmp_path / "backup"))
    assert not (tmp_path / "backup").exists()
