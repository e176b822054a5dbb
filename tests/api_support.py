"""What the API's tests share: shops with keys, photos made on the spot, and results as a worker would send them."""

import io
import uuid

from PIL import Image
from rest_framework.test import APIClient

from catalog.models import Item, KeyKind, LedgerState, Merchant, Photo, PhotoOrigin, Purpose
from catalog.services.job import recognition_job_create, search_job_create
from catalog.services.key import api_key_create
from catalog.services.product import product_create
from workers.contract import Candidate, Scores, SearchFilters, SearchResult

API = "/api/v1"
PROBLEM = "application/problem+json"
FIELDS = {"type", "title", "status", "detail", "code", "errors", "request_id"}


def jpeg(colour=(200, 30, 30), side=48, kind="JPEG"):
    """The bytes of a plain photo; another colour makes other bytes."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(out, kind)
    return out.getvalue()


class Shop:
    """A merchant with a secret and a publishable key."""

    def __init__(self, slug):
        self.merchant = Merchant.objects.create(slug=slug, name=slug.title())
        self.key, self.token = api_key_create(merchant=self.merchant, name="server", kind=KeyKind.SECRET)
        self.public_key, self.public_token = api_key_create(
            merchant=self.merchant, name="page", kind=KeyKind.PUBLISHABLE, origins=["*"]
        )
        self.client, self.public = client_of(self.token), client_of(self.public_token)

    def product(self, sku="MUG-1", **values):
        values = {"title": f"Mug {sku}", "brand": "Hearth", "category": "Mugs", **values}
        return product_create(merchant=self.merchant, values={"sku": sku, **values})

    def photo(self, product=None, *, state=LedgerState.DONE, purpose=Purpose.INDEX, job=None, position=0):
        """A photo's row, as if a worker had been at it; its bytes are nowhere."""
        sha256 = uuid.uuid4().hex * 2
        return Photo.objects.create(
            merchant=self.merchant, product=product, job=job, purpose=purpose, state=state, origin=PhotoOrigin.API,
            position=position, name="a.jpg", sha256=sha256, key=f"{sha256[:2]}/{sha256}", width=48, height=48,
        )  # fmt: skip

    def search(self, words="mug", photo=None, **more):
        return search_job_create(
            merchant=self.merchant, photo=photo, words=words, filters=SearchFilters(), region=None, limit=10, **more
        )

    def recognition(self, *colours):
        photos = [(f"{number}.jpg", jpeg(colour)) for number, colour in enumerate(colours or [(1, 2, 3)])]
        return recognition_job_create(merchant=self.merchant, photos=photos)

    def item(self, *products, job=None, **values):
        """A recognised item whose candidates are these products, the first one the best."""
        photo = self.photo(purpose=Purpose.RECOGNISE, job=job)
        found = [candidate(product, self.photo(product)).model_dump(mode="json") for product in products]
        values = {"verdict": "REVIEW", "bundle_version": "test-1", "best_product": next(iter(products), None), **values}
        return Item.objects.create(merchant=self.merchant, photo=photo, job=job, candidates=found, **values)


def client_of(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def candidate(product, photo, *, rank=0.9, image=0.91, text=None, probability=0.87, match="same", votes=2):
    return Candidate(
        product_id=product.pk,
        photo_id=photo.pk,
        scores=Scores(rank=rank, image=image, fused=image and image - 0.1, text=text),
        probability=probability,
        match=match,
        votes=votes,
    )


def search_result(job, *candidates, **values):
    """What a worker answers to a search."""
    values = {"worker": "w1", "bundle_version": "test-1", "calibrated": True, "seconds": 0.05, **values}
    return SearchResult(job_id=job.pk, candidates=candidates, **values)


def problem(response, status, code):
    """Check that a response is a complete problem of this kind, and return its body."""
    body = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response.headers["Content-Type"] == PROBLEM
    assert set(body) == FIELDS
    assert body["status"] == status
    assert body["type"] == f"/api/errors#{code}"
    assert body["title"] and body["detail"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert all(set(each) == {"field", "code", "message"} for each in body["errors"])
    return body


def faults(body):
    """The fields that a problem names, with their codes."""
    return {each["field"]: each["code"] for each in body["errors"]}
