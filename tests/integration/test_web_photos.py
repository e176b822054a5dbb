"""Photos over HTTP: only with a good signature, of the right type, upright when small, never anything that runs."""

import io
import uuid
from datetime import timedelta
from urllib.parse import parse_qs, urlparse

import pytest
from django.core.signing import Signer
from django.utils import timezone
from PIL import Image

from catalog.models import PhotoOrigin
from catalog.services.job import search_job_create
from catalog.services.photo import THUMBNAIL_SIDES, bytes_sweep, photo_add, photos_delete, thumbnail_key
from catalog.web.photos import job_photo_address, photo_address
from catalog.web.thumbnails import placeholder
from tests.drawing import draw, jpeg
from tests.uploads import odd_but_good, saved
from workers import client as workers_client
from workers.client import PhotoError, Unavailable
from workers.contract import SearchFilters

pytestmark = pytest.mark.django_db


@pytest.fixture
def data():
    """Bytes that no other test has: thumbnails are kept by content."""
    return jpeg(uuid.uuid4().int, size=900)


@pytest.fixture
def photo(merchant, data):
    return kept(merchant, data)


def kept(merchant, data, name="a.jpg"):
    return photo_add(merchant=merchant, product=None, data=data, name=name, origin=PhotoOrigin.API)[0]


def opened(response):
    return Image.open(io.BytesIO(response.content))


def test_full_photo_is_sent_as_it_is(client, photo, data):
    response = client.get(photo_address(photo.pk))
    assert response.status_code == 200
    assert response.content == data
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private, max-age=3600"
    assert response.headers["ETag"] == f'"{photo.sha256}-full"'


@pytest.mark.parametrize("size", ["thumb", "medium"])
def test_small_photos_are_made_once_and_kept(client, photo, size, monkeypatch):
    response = client.get(photo_address(photo.pk, size=size))
    assert response.headers["Content-Type"] == "image/webp"
    assert opened(response).size == (THUMBNAIL_SIDES[size], THUMBNAIL_SIDES[size])
    assert workers_client.photo_store().exists(thumbnail_key(photo.sha256, size))
    monkeypatch.setattr("workers.client.shrink_photo", None)  # not made a second time
    assert client.get(photo_address(photo.pk, size=size)).content == response.content


def test_browser_that_has_it_gets_no_body(client, photo):
    address = photo_address(photo.pk, size="thumb")
    etag = client.get(address).headers["ETag"]
    again = client.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_address_is_stable_within_the_hour_and_expires(client, photo, monkeypatch):
    now = 1_800_000_000.0 // 3600 * 3600
    monkeypatch.setattr("catalog.web.photos.time.time", lambda: now + 1)
    early = photo_address(photo.pk)
    monkeypatch.setattr("catalog.web.photos.time.time", lambda: now + 3599)
    assert photo_address(photo.pk) == early
    monkeypatch.setattr("catalog.web.photos.time.time", lambda: now + 24 * 3600)
    assert client.get(early).status_code == 200
    monkeypatch.setattr("catalog.web.photos.time.time", lambda: now + 26 * 3600)
    assert client.get(early).status_code == 403


def test_wrong_signatures_open_nothing(client, photo, merchant):
    other = kept(merchant, jpeg(8))
    good = urlparse(photo_address(photo.pk, size="thumb"))
    until = int(parse_qs(good.query)["until"][0])
    forged = Signer(salt="something else").signature(f"photo:{photo.pk}:thumb:{until}")
    for address in (
        good.path,
        f"/photos/{other.pk}/thumb?{good.query}",
        f"/photos/{photo.pk}/full?{good.query}",
        f"{good.path}?until={until + 3600}&sign={parse_qs(good.query)['sign'][0]}",
        f"{good.path}?until={until}&sign={forged}",
        f"{good.path}?until=²&sign=x",
        f"/photos/searches/{photo.pk}/thumb?{good.query}",
    ):
        response = client.get(address)
        assert response.status_code == 403, address
        assert response.content == b"This address is not valid any more."


def test_photo_that_is_gone_shows_the_placeholder(client, photo):
    address = photo_address(photo.pk, size="thumb")
    workers_client.photo_store().delete(photo.key)
    response = client.get(address)
    assert (response.status_code, response.content) == (404, placeholder(160))
    assert response.headers["Cache-Control"] == "private, no-store"
    assert client.get(photo_address(uuid.uuid4(), size="medium")).status_code == 404


def test_photo_that_cannot_be_decoded_shows_the_placeholder(client, merchant):
    photo = kept(merchant, jpeg(9)[:4000])
    response = client.get(photo_address(photo.pk, size="thumb"))
    assert (response.status_code, response.content) == (200, placeholder(160))
    assert not workers_client.photo_store().exists(thumbnail_key(photo.sha256, "thumb"))


def test_store_that_is_away_is_told_as_such(client, photo, monkeypatch):
    def away(*_):
        raise Unavailable("storage_unavailable", "away")

    monkeypatch.setattr(workers_client.PhotoStore, "read", away)
    response = client.get(photo_address(photo.pk))
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "image/webp"


def test_type_is_read_from_the_bytes_never_from_a_claim(client, photo):
    photo.content_type = "text/html"
    photo.save(update_fields=["content_type"])
    assert client.get(photo_address(photo.pk)).headers["Content-Type"] == "image/jpeg"


def test_bytes_that_are_no_photo_never_leave_the_store(client, photo):
    page = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    stored = workers_client.photo_store().write(page)
    photo.key, photo.sha256, photo.content_type = stored.key, stored.sha256, "image/svg+xml"
    photo.save()
    for size in ("full", "medium", "thumb"):
        response = client.get(photo_address(photo.pk, size=size))
        assert response.headers["Content-Type"] == "image/webp"
        assert b"svg" not in response.content


def test_tiff_is_a_download(client, merchant):
    photo = kept(merchant, saved(draw(3, 40), "TIFF"), "scan.tiff")
    response = client.get(photo_address(photo.pk))
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"] == "attachment"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_thumbnails_are_upright(orientation):
    """Upright: red above blue, green in the upper left corner. Each stored form must come back so."""
    upright = Image.new("RGB", (80, 120), (0, 0, 200))
    upright.paste((200, 0, 0), (0, 0, 80, 60))
    upright.paste((0, 200, 0), (0, 0, 40, 30))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turned = upright.transpose(Image.Transpose(undo[orientation])) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(
        io.BytesIO(workers_client.shrink_photo(saved(turned, "JPEG", exif=exif, quality=95), 160))
    ).convert("RGB")
    assert image.size == (80, 120)
    assert [strongest(image, at) for at in ((10, 10), (70, 10), (10, 110), (70, 110))] == [1, 0, 2, 2]


def strongest(image, at):
    pixel = image.getpixel(at)
    return pixel.index(max(pixel))


@pytest.mark.parametrize("name", sorted(set(odd_but_good()) - {"truncated.jpg"}))
def test_odd_photos_have_thumbnails(name):
    image = Image.open(io.BytesIO(workers_client.shrink_photo(odd_but_good()[name], 32)))
    assert (image.mode, max(image.size)) == ("RGB", 32)


def test_deep_grey_is_scaled_not_clipped():
    small = Image.open(
        io.BytesIO(workers_client.shrink_photo(saved(Image.new("I;16", (40, 40), 32_768), "PNG"), 20))
    ).convert("RGB")
    assert all(abs(value - 128) <= 4 for value in small.getpixel((10, 10)))


def test_transparency_becomes_white():
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert Image.open(io.BytesIO(workers_client.shrink_photo(saved(clear, "PNG"), 20))).convert("RGB").getpixel(
        (10, 10)
    ) == (255, 255, 255)


def test_small_photo_is_not_blown_up():
    assert Image.open(io.BytesIO(workers_client.shrink_photo(jpeg(3, size=50), 160))).size == (50, 50)


def test_no_photo_is_refused_before_any_decoder():
    with pytest.raises(PhotoError) as error:
        workers_client.shrink_photo(b"GIF89a" + b"not really", 160)
    assert error.value.code == "photo_unreadable"


def test_photo_of_a_search(client, merchant):
    job = search_job_create(merchant=merchant, photo=jpeg(4), words="", filters=SearchFilters())
    assert client.get(job_photo_address(job.pk)).content == jpeg(4)
    words_only = search_job_create(merchant=merchant, photo=None, words="mug", filters=SearchFilters())
    assert client.get(job_photo_address(words_only.pk)).status_code == 404


def test_thumbnails_go_with_the_bytes_of_their_photo(client, photo):
    place = thumbnail_key(photo.sha256, "thumb")
    client.get(photo_address(photo.pk, size="thumb"))
    assert workers_client.photo_store().exists(place)
    photos_delete(photos=[photo])
    assert workers_client.photo_store().exists(photo.key)  # not before an hour has gone by
    assert bytes_sweep(now=timezone.now() + timedelta(hours=2)) == 1
    assert not workers_client.photo_store().exists(place)
    assert not workers_client.photo_store().exists(photo.key)
