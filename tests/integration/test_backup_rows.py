"""Every row comes back as it was: ids, dates, people and their rights; and a restore that fails leaves none."""

import gzip
import json
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.models import Membership, Merchant, Role
from catalog.services.photo import photo_add
from config.backup import sql
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
