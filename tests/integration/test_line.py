"""The whole line over HTTP, with nothing replaced: upload, embed, search, recognise, decide, forget."""

import io
import time

import httpx
import pytest
from PIL import Image, ImageEnhance

from tests.drawing import HEADER, catalogue_zip, draw, jpeg
from tests.line import running_line
from tests.uploads import bad_photos, odd_but_good

pytestmark = pytest.mark.slow
PRODUCTS = 12


def as_a_customer_would(number):
    """The drawn thing again: darker, smaller, with some table round it, and compressed hard."""
    photo = Image.new("RGB", (300, 310), (90, 84, 70))
    photo.paste(ImageEnhance.Brightness(draw(number)).enhance(0.85).resize((270, 270)), (15, 25))
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    with running_line(tmp_path_factory.mktemp("line"), VITRINE_DISPATCH_SECONDS="0.5") as line:
        for name in ("web", "coordinator", "worker"):
            line.start(name)
        line.manage(
            "shell", "-c", "from catalog.models import Merchant as M; M.objects.create(slug='shop', name='Shop')"
        )
        line.wait_for(lambda: line.web_answers() and line.workers_alive(), "site and worker are up")
        yield line


@pytest.fixture(scope="module")
def api(line):
    token = line.manage("apikey", "--merchant", "shop").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{line.url}/api/v1/", headers=headers, timeout=60) as client:
        yield client


def finished(api, path):
    """Wait for a job or an upload to end and return it."""
    for _ in range(300):
        body = api.get(path, headers={"Prefer": "wait=10"}).raise_for_status().json()
        if body["state"] in {"done", "failed", "expired", "cancelled"}:
            return body
        time.sleep(0.2)
    raise AssertionError(f"{path} does not end: {body}")


@pytest.fixture(scope="module")
def upload(api, tmp_path_factory):
    """Twelve drawn products, and one more for each odd or bad photo, which lists a photo that is fine beside it."""
    names = [*odd_but_good(), *bad_photos()]
    rows = [f"{name},Curious item,B,K,5,EUR,,{name}|fine-{n}.jpg" for n, name in enumerate(names)]
    fine = {f"fine-{n}.jpg": jpeg(900 + n) for n in range(len(names))}
    extra = {**fine, **odd_but_good(), **{name: data for name, (data, _) in bad_photos().items()}}
    archive = catalogue_zip(tmp_path_factory.mktemp("upload") / "photos.zip", PRODUCTS, extra=extra, rows=rows)
    made = api.post("uploads", files={"file": ("photos.zip", archive.read_bytes(), "application/zip")})
    assert made.status_code == 202
    return finished(api, made.headers["Location"])


def search(api, photo=None, **query):
    """A form where there is a photo, JSON where there is none."""
    body = {"data": query, "files": {"photo": photo}} if photo else {"json": query}
    made = api.post("search-jobs", **body).raise_for_status()
    job = finished(api, made.headers["Location"])
    assert job["state"] == "done", job
    return job


def skus(job):
    return [hit["product"]["sku"] for hit in job["hits"]]


def test_every_row_has_its_verdict_and_every_bad_photo_its_code(line, api, upload):
    odd, bad = len(odd_but_good()), len(bad_photos())
    assert (upload["state"], upload["rows_created"], upload["rows_refused"]) == ("done", PRODUCTS + odd + bad, 0)
    # Of the odd photos one ends too early: only the worker, which decodes it whole, can find that.
    done, failed = upload["progress"]["photos_done"], upload["progress"]["photos_failed"]
    assert (done, failed) == (PRODUCTS + odd + bad + odd - 1, 1)
    rows = api.get(f"uploads/{upload['id']}/rows", params={"problems": "true"}).json()["results"]
    told = {row["sku"]: [(each["code"], each["photo"]) for each in row["problems"]] for row in rows}
    expected = {name: [(code, name)] for name, (_, code) in bad_photos().items()}
    assert told == expected | {"truncated.jpg": [("photo_truncated", "truncated.jpg")]}
    beside = line.rows("SELECT state, count(*) FROM catalog_photo WHERE name LIKE 'fine-%' GROUP BY state")
    assert beside == [("done", odd + bad)]


@pytest.mark.parametrize("number", [0, 5, 11])
def test_an_unseen_photo_finds_its_product_and_says_why(api, upload, number):
    # A drawn thing is a heap of shapes, one of which may look like the main subject: all of the photo is meant.
    job = search(api, photo=("query.jpg", as_a_customer_would(number), "image/jpeg"), region="[0, 0, 1, 1]")
    hit = job["hits"][0]
    assert hit["product"]["sku"] == f"P-{number}"
    assert (hit["product"]["price"], hit["product"]["currency"]) == (f"{5 + number}.50", "EUR")
    assert 0 < hit["probability"] <= 1
    assert 0.2 < hit["scores"]["image"] <= 1
    assert hit["why"]


def test_words_alone_and_filters_inside_the_engine(api, upload):
    assert skus(search(api, words="thing 7"))[0] == "P-7"
    brands = search(api, words="thing", filters={"brands": ["Brand 3"]})
    assert sorted(skus(brands)) == ["P-10", "P-3"]
    prices = search(api, words="thing", filters={"price_min": "14", "price_max": "15", "currency": "EUR"})
    assert skus(prices) == ["P-9"]


def test_a_broken_photo_is_refused_at_once_with_a_problem(api, upload):
    refused = api.post("search-jobs", files={"photo": ("x.jpg", b"this is no photo", "image/jpeg")})
    assert refused.status_code == 422
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["code"] == "photo_not_an_image"


def test_an_accepted_photo_becomes_a_reference_and_a_deleted_product_is_forgotten(line, api, upload):
    unseen = as_a_customer_would(2)
    made = api.post("recognition-jobs", files=[("photos", ("seen-in-shop.jpg", unseen, "image/jpeg"))])
    job = finished(api, made.headers["Location"])
    (item,) = job["items"]["results"]
    assert item["candidates"][0]["product"]["sku"] == "P-2"
    decided = api.post(f"review-items/{item['id']}/correct", json={"sku": "P-2"})
    assert decided.status_code == 200, decided.text

    def is_reference():
        return search(api, photo=("again.jpg", unseen, "image/jpeg"))["hits"][0]["scores"]["image"] > 0.99

    line.wait_for(is_reference, "the corrected photo is found as a reference", 30)
    product = next(p for p in api.get("products", params={"sku": "P-2"}).json()["results"])
    assert api.delete(f"products/{product['id']}").status_code in {202, 204}
    gone = line.wait_for(
        lambda: not line.rows("SELECT 1 FROM catalog_product WHERE sku = 'P-2'"), "the product is forgotten", 30
    )
    assert gone
    assert "P-2" not in skus(search(api, photo=("again.jpg", unseen, "image/jpeg")))


def test_the_same_upload_again_changes_nothing(line, api, upload, tmp_path):
    before = line.rows("SELECT id, state, chunk_id FROM catalog_photo WHERE name = 'p3-0.jpg'")
    sheet = "\n".join([HEADER, "P-3,Thing 3,Brand 3,Kind 3,8.50,EUR,,"])
    made = api.post("uploads", files={"file": ("sheet.csv", sheet.encode(), "text/csv")})
    again = finished(api, made.headers["Location"])
    assert (again["rows_unchanged"], again["rows_created"], again["rows_updated"]) == (1, 0, 0)
    assert line.rows("SELECT id, state, chunk_id FROM catalog_photo WHERE name = 'p3-0.jpg'") == before
