"""Several items in one photo, regions and boxes: asked through the API, stored from results, decided at the desk."""

import base64
import io
import uuid

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from catalog.models import Item, Job, LedgerState, Photo, PhotoOrigin, Purpose
from catalog.selectors.explanation import item_comparison
from catalog.services.dispatch import chunks_dispatch
from catalog.services.job import recognition_job_create
from catalog.services.result import chunk_result_store, search_result_store
from catalog.services.review import item_accept, item_correct, item_reject
from recognition.boxes import square_round
from recognition.photos import decode_photo, decode_regions
from tests.api_support import API, Shop, candidate, faults, jpeg, problem, search_result
from tests.worker import read_chunk
from workers import client as workers
from workers.contract import ChunkResult, FoundItem, PhotoOutcome

LEFT, RIGHT = (0.1, 0.2, 0.4, 0.8), (0.6, 0.2, 0.9, 0.8)
LEFT_CUT, RIGHT_CUT = (0.0, 0.15, 0.525, 0.85), (0.475, 0.15, 1.0, 0.85)  # the squares round them of 400 x 300 pixels
REGION = [0.25, 0.0, 1.0, 0.5]


def start(shop, body, **more):
    return shop.client.post(f"{API}/recognition-jobs", body, format="json", **more)


def photos_body(count=1, **fields):
    photo = base64.b64encode(jpeg()).decode()
    return {"photos": [{"photo": photo, **fields} for _ in range(count)]}


def result_of(photo, **outcome):
    """What a worker answers about one photo that it has."""
    Photo.objects.filter(pk=photo.pk).update(state=LedgerState.DISPATCHED, chunk_id=uuid.uuid4())
    photo.refresh_from_db()
    return ChunkResult(
        chunk_id=photo.chunk_id,
        worker="w",
        bundle_version="b1",
        calibrated=True,
        purpose="recognise",
        outcomes=(PhotoOutcome(photo_id=photo.pk, width=400, height=300, **outcome),),
        seconds=0.1,
    )


def found(product, box, verdict="REVIEW", cut=None):
    candidates = (candidate(product, product.photos.first()),) if product else ()
    return FoundItem(box=box, cut=cut, verdict=verdict, reason="weak_match", candidates=candidates)


def shelf(shop, *items, data=None):
    """A recognition of one photo of many, with these things found in it."""
    job = recognition_job_create(merchant=shop.merchant, photos=[("shelf.jpg", data or jpeg())], items="many")
    photo = job.photos.get()
    chunk_result_store(result=result_of(photo, items=items))
    photo.refresh_from_db()
    return photo, list(photo.items.order_by("position"))


def stocked(shop, *skus):
    products = [shop.product(sku) for sku in skus]
    for product in products:
        shop.photo(product)
    return products


# Asking --------------------------------------------------------------------------------------------------------------


def test_many_items_are_asked_for_and_reach_the_worker(shop, redis_server, live_worker):
    live_worker("b1")
    response = start(shop, {**photos_body(2, region=REGION), "items": "many"})
    assert response.status_code == 202
    assert response.json()["request"] == {"items": "many"}
    assert [photo.region for photo in Photo.objects.all()] == [REGION, REGION]
    assert chunks_dispatch() == 1
    with redis_server.client() as redis:
        chunk = read_chunk(redis)
    assert [(work.items, work.region, work.product) for work in chunk.photos] == [("many", tuple(REGION), None)] * 2


def test_one_item_and_the_whole_photo_are_what_is_meant_without_a_word(shop, redis_server, live_worker):
    live_worker("b1")
    assert start(shop, photos_body()).json()["request"] == {"items": "one"}
    chunks_dispatch()
    with redis_server.client() as redis:
        (work,) = read_chunk(redis).photos
    assert (work.items, work.region) == ("one", None)


def test_as_a_form_the_text_parts_count_for_all_its_photos(shop):
    files = [SimpleUploadedFile(f"{number}.jpg", jpeg((number, 0, 0))) for number in range(2)]
    body = {"photos": files, "items": "many", "region": "[0.25, 0, 1, 0.5]"}
    response = shop.client.post(f"{API}/recognition-jobs", body)
    assert (response.status_code, response.json()["request"]) == (202, {"items": "many"})
    assert [photo.region for photo in Photo.objects.all()] == [REGION, REGION]
    empty = {"photos": [SimpleUploadedFile("a.jpg", jpeg())], "items": "", "region": ""}
    assert shop.client.post(f"{API}/recognition-jobs", empty).json()["request"] == {"items": "one"}


@pytest.mark.parametrize("items", ["several", "MANY", 2, None, ["many"]])
def test_items_that_are_neither_one_nor_many(shop, items):
    found = problem(start(shop, {**photos_body(), "items": items}), 422, "invalid")
    assert set(faults(found)) == {"items"}
    files = [SimpleUploadedFile("a.jpg", jpeg())]
    form = shop.client.post(f"{API}/recognition-jobs", {"photos": files, "items": "several"})
    assert faults(problem(form, 422, "invalid")) == {"items": "invalid_choice"}
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    "region", [[0, 0, 1, 1.1], [-0.1, 0, 1, 1], [0.5, 0, 0.5, 1], [1, 1, 0, 0], [0, 0, 1], "0,0,1,1", [True, 0, 1, 1]]
)
def test_regions_outside_the_photo(shop, region):
    problem(start(shop, photos_body(region=region)), 422, "region_invalid")
    assert (Job.objects.count(), Photo.objects.count()) == (0, 0)


@pytest.mark.parametrize("stray", ["item", "regions", "words"])
@pytest.mark.parametrize("value", ["many", ""])
def test_a_misspelt_part_of_a_form_is_refused_as_in_json(shop, stray, value):
    form = {"photos": [SimpleUploadedFile("a.jpg", jpeg())], "items": "many", stray: value}
    found = problem(shop.client.post(f"{API}/recognition-jobs", form), 422, "invalid")
    assert faults(found) == {stray: "field_unknown"}
    assert faults(problem(start(shop, {**photos_body(), stray: value}), 422, "invalid")) == {stray: "field_unknown"}
    assert (Job.objects.count(), Photo.objects.count()) == (0, 0)


def test_a_file_under_another_name_is_refused_and_not_overlooked(shop):
    form = {"photos": [SimpleUploadedFile("a.jpg", jpeg())], "photo": SimpleUploadedFile("b.jpg", jpeg((1, 2, 3)))}
    found = problem(shop.client.post(f"{API}/recognition-jobs", form), 422, "invalid")
    assert faults(found) == {"photo": "field_unknown"}
    assert not Job.objects.exists()


def test_a_region_part_that_is_no_json(shop):
    body = {"photos": [SimpleUploadedFile("a.jpg", jpeg())], "region": "left"}
    found = problem(shop.client.post(f"{API}/recognition-jobs", body), 422, "invalid")
    assert set(faults(found)) == {"region"}
    outside = {"photos": [SimpleUploadedFile("a.jpg", jpeg())], "region": "[0, 0, 2, 1]"}
    problem(shop.client.post(f"{API}/recognition-jobs", outside), 422, "region_invalid")
    assert not Job.objects.exists()


# Storing -------------------------------------------------------------------------------------------------------------


def test_each_thing_found_becomes_an_item_with_its_box(shop):
    mug, cup = stocked(shop, "MUG", "CUP")
    photo, items = shelf(shop, found(mug, LEFT, "SURE"), found(cup, RIGHT), found(None, (0, 0, 0.1, 0.1), "UNKNOWN"))
    assert [(item.position, item.box, item.state) for item in items] == [
        (0, list(LEFT), "auto"), (1, list(RIGHT), "open"), (2, [0, 0, 0.1, 0.1], "open"),
    ]  # fmt: skip
    assert [item.best_product for item in items] == [mug, cup, None]
    assert (photo.state, photo.width, photo.height) == (LedgerState.DONE, 400, 300)
    body = shop.client.get(f"{API}/recognition-jobs/{photo.job_id}").json()
    assert (body["state"], body["progress"]["verdicts"]) == ("done", {"SURE": 1, "REVIEW": 1, "UNKNOWN": 1})
    rows = body["items"]["results"]
    assert [(row["box"], row["photo"]["id"]) for row in rows] == [
        (list(LEFT), str(photo.pk)), (list(RIGHT), str(photo.pk)), ([0, 0, 0.1, 0.1], str(photo.pk)),
    ]  # fmt: skip
    assert rows[1]["candidates"][0]["product"]["sku"] == "CUP"


def test_a_second_result_of_the_same_bundle_changes_nothing(shop):
    mug, cup = stocked(shop, "MUG", "CUP")
    photo, items = shelf(shop, found(mug, LEFT), found(cup, RIGHT))
    again = (found(cup, RIGHT), found(mug, LEFT), found(mug, (0, 0, 1, 1)))  # another run, another order, one more
    for _ in range(2):
        chunk_result_store(result=result_of(photo, items=again))
    assert list(photo.items.order_by("position").values_list("pk", "box")) == [(item.pk, item.box) for item in items]


def test_a_photo_in_which_nothing_was_found_is_done_and_has_no_item(shop):
    photo, items = shelf(shop)
    assert (photo.state, items) == (LedgerState.DONE, [])
    body = shop.client.get(f"{API}/recognition-jobs/{photo.job_id}").json()
    assert (body["state"], body["failed_photos"], body["items"]["results"]) == ("done", [], [])


def test_one_item_has_the_box_of_its_main_subject_or_none(shop):
    (mug,) = stocked(shop, "MUG")
    one = {"verdict": "REVIEW", "reason": "weak_match", "candidates": (candidate(mug, mug.photos.first()),)}
    boxes = []
    for box in (LEFT, None):
        photo = shop.photo(purpose=Purpose.RECOGNISE, job=shop.recognition())
        chunk_result_store(result=result_of(photo, box=box, **one))
        item = photo.items.get()
        boxes.append(shop.client.get(f"{API}/review-items/{item.pk}").json()["box"])
    assert boxes == [list(LEFT), None]


def test_a_result_of_a_worker_that_knows_no_boxes_still_reads(shop):
    (mug,) = stocked(shop, "MUG")
    photo = shop.photo(purpose=Purpose.RECOGNISE, job=shop.recognition())
    wire = result_of(photo, verdict="SURE", candidates=(candidate(mug, mug.photos.first()),)).to_wire()
    assert {"box", "items"}.isdisjoint(wire["outcomes"][0])
    chunk_result_store(result=ChunkResult.model_validate(wire))
    assert (photo.items.get().box, photo.items.get().best_product) == (None, mug)


def test_a_search_says_which_part_it_was_answered_with(shop):
    job = shop.search(photo=jpeg(), words="")
    search_result_store(result=search_result(job, box=LEFT))
    assert shop.client.get(f"{API}/search-jobs/{job.pk}").json()["box"] == list(LEFT)
    plain = shop.search()
    search_result_store(result=search_result(plain))
    assert shop.client.get(f"{API}/search-jobs/{plain.pk}").json()["box"] is None


# Deciding ------------------------------------------------------------------------------------------------------------


def test_each_confirmed_thing_becomes_a_reference_of_its_own(shop):
    mug, cup = stocked(shop, "MUG", "CUP")
    photo, (first, second, third) = shelf(
        shop, found(mug, LEFT, cut=LEFT_CUT), found(mug, RIGHT, cut=RIGHT_CUT), found(None, RIGHT, "UNKNOWN")
    )
    item_accept(item=first, reviewer=None, reviewer_name="r")
    item_correct(item=second, reviewer=None, reviewer_name="r", product=cup)
    item_reject(item=third, reviewer=None, reviewer_name="r")
    parts = Photo.objects.filter(origin=PhotoOrigin.REVIEW).order_by("product__sku")
    assert [(part.product, part.region, part.purpose, part.state) for part in parts] == [
        (cup, list(RIGHT_CUT), Purpose.INDEX, LedgerState.PENDING),
        (mug, list(LEFT_CUT), Purpose.INDEX, LedgerState.PENDING),
    ]
    assert {(part.key, part.sha256, part.job) for part in parts} == {(photo.key, photo.sha256, None)}
    photo.refresh_from_db()
    assert (photo.product, photo.purpose, photo.state) == (None, Purpose.RECOGNISE, LedgerState.DONE)
    assert {item.photo for item in photo.items.all()} == {photo}


def bottle_on_a_shelf():
    """A tall bottle (red cap, green body, blue foot) on a white photo of 400 x 300 pixels, as PNG, and its box."""
    photo, out = Image.new("RGB", (400, 300), "white"), io.BytesIO()
    for colour, top, bottom in (("red", 20, 100), ("lime", 100, 200), ("blue", 200, 280)):
        photo.paste(colour, (180, top, 220, bottom))
    photo.save(out, "PNG")
    return out.getvalue(), (180 / 400, 20 / 300, 220 / 400, 280 / 300)


def test_the_pixels_indexed_are_the_pixels_recognised(shop, redis_server, live_worker):
    """What a reviewer confirmed is the square that was compared: a tall product keeps its ends."""
    live_worker("b1")
    (mug,) = stocked(shop, "MUG")
    data, box = bottle_on_a_shelf()
    cut = square_round(box, 400, 300, margin=0.05)
    (recognised,) = decode_regions(data, [cut], size=60)
    _, (item,) = shelf(shop, found(mug, box, cut=cut), data=data)
    assert (item.box, item.cut) == (list(box), list(cut))
    assert item_comparison(item=item).region == list(cut)
    item_accept(item=item, reviewer=None, reviewer_name="r")
    assert chunks_dispatch() == 1
    with redis_server.client() as redis:
        (work,) = read_chunk(redis).photos
    assert work.product.product_id == mug.pk
    indexed = decode_photo(workers.photo_store().read(work.key), size=60, region=work.region).pixels
    assert (indexed == recognised).all()
    assert [tuple(indexed[row, 30].tolist()) for row in (12, 30, 48)] == [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


def test_an_item_without_a_cut_was_compared_by_its_box(shop):
    (mug,) = stocked(shop, "MUG")
    _, (item,) = shelf(shop, found(mug, LEFT))
    assert (item.cut, item_comparison(item=item).region) == (None, list(LEFT))
    item_accept(item=item, reviewer=None, reviewer_name="r")
    assert mug.photos.get(origin=PhotoOrigin.REVIEW).region == list(LEFT)


def test_the_same_photo_is_a_reference_of_a_product_only_once(shop):
    (mug,) = stocked(shop, "MUG")
    _, items = shelf(shop, found(mug, LEFT, cut=LEFT_CUT), found(mug, RIGHT, cut=RIGHT_CUT))
    decisions = [item_accept(item=item, reviewer=None, reviewer_name="r") for item in items]
    assert [decision.after["reference"] for decision in decisions] == ["added", "held"]
    assert [part.region for part in mug.photos.filter(origin=PhotoOrigin.REVIEW)] == [list(LEFT_CUT)]
    assert Item.objects.filter(state="accepted", product=mug).count() == 2


@pytest.mark.parametrize(
    "was", [{"purpose": Purpose.FORGET}, {"state": LedgerState.FAILED, "error_code": "worker_lost"}]
)
@pytest.mark.parametrize("many", [True, False])
def test_a_reference_that_failed_or_was_to_be_forgotten_is_taken_back(shop, was, many):
    (mug,) = stocked(shop, "MUG")
    if many:
        photo, (item,) = shelf(shop, found(mug, LEFT, cut=LEFT_CUT))
    else:
        item = shop.item(mug, box=list(LEFT_CUT))
        photo = item.photo
    row = shop.photo(mug)
    Photo.objects.filter(pk=row.pk).update(sha256=photo.sha256, key=photo.key, **was)
    held = mug.photos.count()
    decision = item_accept(item=item, reviewer=None, reviewer_name="r")
    row.refresh_from_db()
    made = {"reference": "added", "how": "taken_back", "photo": str(row.pk)}
    assert decision.after == {"state": "accepted", "product": str(mug.pk), **made}
    assert (row.purpose, row.state, row.error_code) == (Purpose.INDEX, LedgerState.PENDING, "")
    assert (row.origin, row.region) == (PhotoOrigin.REVIEW, list(LEFT_CUT))
    photo.refresh_from_db()
    assert (photo.purpose, photo.product, mug.photos.count()) == (Purpose.RECOGNISE, None, held)


def test_a_small_main_subject_becomes_the_reference_not_the_room_round_it(shop):
    (mug,) = stocked(shop, "MUG")
    photo = shop.photo(purpose=Purpose.RECOGNISE, job=shop.recognition())
    first = (candidate(mug, mug.photos.first()),)
    chunk_result_store(result=result_of(photo, box=LEFT, verdict="REVIEW", candidates=first))
    item_accept(item=photo.items.get(), reviewer=None, reviewer_name="r")
    photo.refresh_from_db()
    assert (photo.product, photo.purpose, photo.region) == (mug, Purpose.INDEX, list(LEFT))


def test_the_review_desk_draws_the_box(client, shop):
    client.force_login(User.objects.create(username="rita", is_staff=True, is_superuser=True))
    (mug,) = stocked(shop, "MUG")
    _, (first, _) = shelf(shop, found(mug, (0.1, 0.2, 0.35, 0.8), cut=LEFT_CUT), found(mug, RIGHT))
    html = client.get(reverse("admin:catalog_item_change", args=[first.pk])).content.decode()
    assert 'viewBox="0 0 400 300"' in html
    assert '<rect x="40" y="60" width="100" height="180"' in html
    assert "1 other item<" in html
    whole = shop.item(mug)
    assert "v-box" not in client.get(reverse("admin:catalog_item_change", args=[whole.pk])).content.decode()


def test_another_merchant_sees_nothing_of_it(shop):
    (mug,) = stocked(shop, "MUG")
    _, (item,) = shelf(shop, found(mug, LEFT))
    stranger = Shop("stranger")
    problem(stranger.client.get(f"{API}/review-items/{item.pk}"), 404, "not_found")
