"""The same POST twice happens once: replayed, refused when it differs, free again after a failure."""

import threading
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from rest_framework.request import Request

from catalog.api.idempotency import fingerprint
from catalog.models import IdempotencyRecord, Job, Photo, Product, Upload
from catalog.services.errors import Refused
from catalog.services.idempotency import (
    ABANDONED_AFTER,
    _taken_over,
    idempotency_begin,
    idempotency_release,
    idempotency_renew,
)
from tests.api_support import API, jpeg, problem

MUG = {"sku": "A", "title": "A mug"}


def create(client, body=None, key="key-1", **more):
    return client.post(f"{API}/products", body or MUG, format="json", HTTP_IDEMPOTENCY_KEY=key, **more)


def test_the_first_answer_is_replayed(shop):
    first, again = create(shop.client), create(shop.client)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first.headers
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert Product.objects.count() == 1


def test_the_order_of_fields_does_not_matter(shop):
    create(shop.client)
    assert create(shop.client, dict(reversed(MUG.items()))).headers["Idempotent-Replayed"] == "true"


def test_another_body_is_refused(shop):
    create(shop.client)
    problem(create(shop.client, {**MUG, "sku": "B"}), 409, "idempotency_key_reused")
    elsewhere = shop.client.post(f"{API}/search-jobs", MUG, format="json", HTTP_IDEMPOTENCY_KEY="key-1")
    problem(elsewhere, 409, "idempotency_key_reused")
    assert (Product.objects.count(), Job.objects.count()) == (1, 0)


def test_while_the_first_still_runs(shop, monkeypatch):
    during = []

    def slow(**_):
        during.append(create(shop.client))
        during.append(create(shop.client, {**MUG, "sku": "B"}))
        return shop.product("A")

    monkeypatch.setattr("catalog.api.views.products.product_create", slow)
    assert create(shop.client).status_code == 201
    problem(during[0], 409, "idempotency_in_progress")
    problem(during[1], 409, "idempotency_key_reused")


def test_a_crash_leaves_the_key_free(shop, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("catalog.api.views.products.product_create", lambda **_: 1 / 0)
        problem(create(shop.client), 500, "internal_error")
    assert create(shop.client, {**MUG, "sku": "B"}).status_code == 201
    problem(create(shop.client), 409, "idempotency_key_reused")


def test_a_refusal_leaves_no_record(shop):
    problem(create(shop.client, {"sku": "A"}), 422, "invalid")
    assert not IdempotencyRecord.objects.exists()
    assert create(shop.client).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\tb"])
def test_a_key_that_is_none(shop, key):
    problem(create(shop.client, key=key), 422, "idempotency_key_invalid")
    assert not Product.objects.exists()


def test_a_process_that_died_does_not_block_for_ever(shop):
    idempotency_begin(merchant=shop.merchant, key="key-1", fingerprint="of a request that never ended")
    problem(create(shop.client), 409, "idempotency_key_reused")
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(minutes=11))
    assert create(shop.client).status_code == 201


def test_answers_are_kept_for_a_day(shop):
    create(shop.client)
    Product.objects.all().delete()
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=23))
    assert create(shop.client).headers["Idempotent-Replayed"] == "true"
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert "Idempotent-Replayed" not in create(shop.client).headers
    assert (Product.objects.count(), IdempotencyRecord.objects.count()) == (1, 1)


def test_forms_are_compared_by_their_bytes(shop):
    def send(data, name="a.jpg"):
        photo = SimpleUploadedFile(name, data, content_type="image/jpeg")
        body = {"photo": photo, "words": "mug"}
        return shop.client.post(f"{API}/search-jobs", body, HTTP_IDEMPOTENCY_KEY="k")

    first, again = send(jpeg()), send(jpeg())
    assert (first.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert first.json()["id"] == again.json()["id"]
    problem(send(jpeg((1, 1, 1))), 409, "idempotency_key_reused")
    assert Job.objects.count() == 1


def test_many_photos_are_recognised_once(shop):
    def send():
        photos = [SimpleUploadedFile(f"{n}.jpg", jpeg((n, 0, 0))) for n in range(3)]
        return shop.client.post(f"{API}/recognition-jobs", {"photos": photos}, HTTP_IDEMPOTENCY_KEY="k")

    first, again = send(), send()
    assert first.json()["id"] == again.json()["id"]
    assert (Job.objects.count(), Photo.objects.count()) == (1, 3)


class Spooled(TemporaryUploadedFile):
    """A large part of a form, as Django spools it to disk."""

    def __init__(self, data):
        super().__init__("a.zip", "application/zip", len(data), None)
        self.file.write(data)

    def read(self, size=None):
        assert size and size <= 64 * 1024, "a large file must not be read whole"
        return self.file.read(size)


def test_large_files_are_read_in_chunks_and_rewound(shop, rf):
    def request_with(file):
        request = Request(rf.post("/x"))
        request._full_data = MultiValueDict({"file": [file]})
        return request

    data = bytes(range(256)) * 1_000
    one, same, other = Spooled(data), Spooled(data), Spooled(data[:-1])
    assert fingerprint(request_with(one)) == fingerprint(request_with(same)) != fingerprint(request_with(other))
    assert one.tell() == 0
    for each in (one, same, other):
        each.close()


def test_cancelling_twice_with_one_key(shop):
    job = shop.search()
    address = f"{API}/search-jobs/{job.pk}/cancel"
    first = shop.client.post(address, HTTP_IDEMPOTENCY_KEY="c")
    again = shop.client.post(address, HTTP_IDEMPOTENCY_KEY="c")
    assert (first.status_code, again.json()) == (200, first.json())
    problem(shop.client.post(address), 409, "job_finished")


def test_a_request_that_takes_long_stays_claimed_and_one_that_died_does_not(shop, monkeypatch):
    renewed = threading.Event()
    monkeypatch.setattr("catalog.api.idempotency.ALIVE_SECONDS", 0.01)
    monkeypatch.setattr("catalog.api.idempotency.idempotency_renew", lambda record: renewed.set())
    monkeypatch.setattr("catalog.api.views.products.product_create", lambda **_: renewed.wait(10) and shop.product("A"))
    assert create(shop.client).status_code == 201
    assert renewed.is_set()
    record = idempotency_begin(merchant=shop.merchant, key="key-2", fingerprint="f")
    IdempotencyRecord.objects.update(created_at=timezone.now() - ABANDONED_AFTER / 2)
    idempotency_renew(record=record)
    later = timezone.now() + ABANDONED_AFTER * 0.75
    monkeypatch.setattr("catalog.services.idempotency.timezone.now", lambda: later)
    with pytest.raises(Refused) as still:
        idempotency_begin(merchant=shop.merchant, key="key-2", fingerprint="f")
    assert still.value.code == "idempotency_in_progress"
    later += ABANDONED_AFTER
    taken = idempotency_begin(merchant=shop.merchant, key="key-2", fingerprint="f")
    assert (taken.pk, taken.made, taken.status, taken.created_at) == (record.pk, record.made, None, later)
    with pytest.raises(Refused) as held:
        idempotency_begin(merchant=shop.merchant, key="key-2", fingerprint="f")
    assert held.value.code == "idempotency_in_progress"


def test_an_abandoned_claim_is_taken_over_by_one_alone(shop):
    record = idempotency_begin(merchant=shop.merchant, key="k", fingerprint="f")
    idempotency_release(record=record)
    seen = IdempotencyRecord.objects.get()  # by two retries at the same moment
    assert _taken_over(IdempotencyRecord.objects.get()).made == record.made
    assert _taken_over(seen) is None


def test_a_claim_of_the_release_before_names_nothing_and_is_given_a_name(shop):
    record = idempotency_begin(merchant=shop.merchant, key="k", fingerprint="f")
    idempotency_release(record=record)
    IdempotencyRecord.objects.update(made=None)
    taken = idempotency_begin(merchant=shop.merchant, key="k", fingerprint="f")
    assert taken.made and IdempotencyRecord.objects.get().made == taken.made


def search(client, words="mug"):
    return client.post(f"{API}/search-jobs", {"words": words}, format="json", HTTP_IDEMPOTENCY_KEY="k")


def recognition(client):
    photos = [SimpleUploadedFile(f"{n}.jpg", jpeg((n, 0, 0))) for n in range(3)]
    return client.post(f"{API}/recognition-jobs", {"photos": photos}, HTTP_IDEMPOTENCY_KEY="k")


def upload(client):
    sheet = SimpleUploadedFile("a.csv", b"sku,title\nA,Mug\n")
    return client.post(f"{API}/uploads", {"file": sheet}, HTTP_IDEMPOTENCY_KEY="k")


def bulk(client):
    lines = b'{"sku": "A", "title": "Mug"}\n' * 1_001
    return client.post(f"{API}/products/bulk", lines, content_type="application/x-ndjson", HTTP_IDEMPOTENCY_KEY="k")


@pytest.mark.parametrize("send", [search, recognition, upload, bulk])
def test_who_died_after_the_work_and_before_the_answer_made_it_once(shop, monkeypatch, send):
    with monkeypatch.context() as patched:
        patched.setattr("catalog.api.idempotency.idempotency_finish", lambda **_: None)  # killed before it kept one
        first = send(shop.client)
    problem(send(shop.client), 409, "idempotency_in_progress")
    IdempotencyRecord.objects.update(created_at=timezone.now() - ABANDONED_AFTER * 1.1)
    retried, again = send(shop.client), send(shop.client)
    assert [each.status_code for each in (first, retried, again)] == [202, 202, 202]
    assert retried.json()["id"] == again.json()["id"] == first.json()["id"]
    assert "Idempotent-Replayed" not in retried.headers and again.headers["Idempotent-Replayed"] == "true"
    assert Job.objects.count() + Upload.objects.count() == 1
    assert Photo.objects.count() == (3 if send is recognition else 0)


def test_a_wait_that_breaks_off_after_the_job_was_made(shop, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("catalog.api.waiting.answer_when_finished", lambda *_: 1 / 0)
        problem(search(shop.client), 500, "internal_error")
    made = Job.objects.get()
    retried = search(shop.client)
    assert (retried.status_code, retried.json()["id"]) == (202, str(made.pk))
    assert Job.objects.count() == 1


def test_a_publishable_key_takes_no_name_from_the_merchants_server(shop):
    stranger, server = search(shop.public, "nothing"), search(shop.client)
    assert (stranger.status_code, server.status_code) == (202, 202)
    assert stranger.json()["id"] != server.json()["id"]
    problem(search(shop.public), 409, "idempotency_key_reused")
    assert search(shop.public, "nothing").json() == stranger.json()
    assert search(shop.client).headers["Idempotent-Replayed"] == "true"


def test_a_publishable_key_may_send_the_longest_name(shop):
    longest = shop.public.post(f"{API}/search-jobs", {"words": "mug"}, format="json", HTTP_IDEMPOTENCY_KEY="k" * 255)
    assert longest.status_code == 202
