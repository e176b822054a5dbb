"""Keys used and rotated at the same moment. Needs PostgreSQL (`.ci/with-postgres`): SQLite lets one write at a time."""

import threading
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from catalog.models import ApiKey
from catalog.services.errors import Refused
from catalog.services.key import api_key_find, api_key_rotate

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="needs PostgreSQL (.ci/with-postgres)"),
]


def at_once(number, call):
    """What each of so many threads got, started together."""
    barrier, found = threading.Barrier(number), []

    def run():
        with closing(connection):
            barrier.wait(20)
            try:
                found.append(call())
            except Refused as error:
                found.append(error.code)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_a_request_does_not_wait_for_another_that_notes_its_use(shop):
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    with transaction.atomic():
        ApiKey.objects.select_for_update().get(pk=shop.key.pk)  # as a request does that notes its use right now
        assert at_once(5, lambda: api_key_find(shop.token).pk) == [shop.key.pk] * 5
        assert ApiKey.objects.get(pk=shop.key.pk).last_used_at < timezone.now() - timedelta(minutes=1)
    api_key_find(shop.token)
    assert ApiKey.objects.get(pk=shop.key.pk).last_used_at > timezone.now() - timedelta(minutes=1)


def test_of_two_rotations_at_the_same_moment_one_is_refused(shop):
    found = at_once(4, lambda: "made" if api_key_rotate(key=shop.key) else "")
    assert sorted(found) == ["key_replaced", "key_replaced", "key_replaced", "made"]
    assert ApiKey.objects.filter(name="server").count() == 2
