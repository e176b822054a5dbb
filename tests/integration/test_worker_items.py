"""A real worker and the real head: several items in one photo, a small main subject, a region. Sample photos only."""

import io
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import numpy as np
import pytest
from PIL import Image

from config.env import ROOT
from recognition.boxes import overlaps
from recognition.bundle import load_bundle
from recognition.training.scenes import read_thing
from tests.broker import free_port, start_redis
from tests.worker import WorkerProcess, bundle_folder, client_of, read_result
from workers.contract import Chunk, PhotoWork, ProductFacts, Search

SKUS = ("BOO-161", "SPK-252", "BOX-151", "TIN-144", "BAG-281", "BOT-121")
PLACES = {"BAG-281": (0.04, 0.1, 0.28), "SPK-252": (0.38, 0.45, 0.24), "TIN-144": (0.7, 0.12, 0.26)}

pytestmark = pytest.mark.skipif(
    load_bundle(bundle_folder()).subject is None, reason="the bundle has no head that finds things"
)


def product_photo(sku):
    return ROOT / "sample" / "photos" / f"{sku}.jpg"


def jpeg_of(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


def wall(places, size=(1200, 900)):
    """A photo of things on a grey-green wall: places are left, top and width in parts of the photo.

    Returns its bytes and the box of each thing.
    """
    photo, boxes = Image.new("RGB", size, (150, 160, 150)), {}
    for sku, (left, top, across) in places.items():
        thing = read_thing(product_photo(sku), sku).image
        width = round(across * size[0])
        thing = thing.resize((width, round(width * thing.height / thing.width)))
        at = (round(left * size[0]), round(top * size[1]))
        photo.paste(thing, at, thing)
        ends = (at[0] + thing.width, at[1] + thing.height)
        boxes[sku] = (at[0] / size[0], at[1] / size[1], ends[0] / size[0], ends[1] / size[1])
    return jpeg_of(photo), boxes


def overlap(one, other):
    return overlaps(np.array([one], np.float32), np.array([other], np.float32))[0, 0]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A worker with six products of the sample catalogue in its index."""
    folder = tmp_path_factory.mktemp("items")
    photos = folder / "photos"
    with start_redis(free_port(), folder / "redis") as server, client_of(server.url, photos) as client:
        settings = {"VITRINE_BUNDLE": str(bundle_folder()), "VITRINE_PHOTO_STORE": str(photos)}
        with WorkerProcess(folder, server.url, **settings) as worker, server.client() as redis:
            assert worker.process.poll() is None, worker.output()
            line = SimpleNamespace(client=client, redis=redis, store=client.photo_store(), merchant=uuid4())
            works = [
                PhotoWork(
                    photo_id=uuid4(),
                    key=line.store.write(product_photo(sku).read_bytes()).key,
                    product=ProductFacts(product_id=UUID(int=number), title=f"Thing {number}"),
                )
                for number, sku in enumerate(SKUS)
            ]
            run(line, "index", works)
            yield line


def run(line, purpose, works):
    line.client.send_chunk(Chunk(chunk_id=uuid4(), merchant_id=line.merchant, purpose=purpose, photos=tuple(works)))
    outcomes = read_result(line.redis).outcomes
    assert [outcome.fault for outcome in outcomes] == [None] * len(works)
    return outcomes


def recognise(line, *photos, **how):
    works = [PhotoWork(photo_id=uuid4(), key=line.store.write(data).key, **how) for data in photos]
    return run(line, "recognise", works)


def search(line, data, **more):
    job, deadline = uuid4(), datetime.now(UTC) + timedelta(seconds=90)
    key = line.store.write(data).key
    line.client.send_search(Search(job_id=job, merchant_id=line.merchant, deadline=deadline, key=key, **more))
    result = read_result(line.redis)
    assert (result.job_id, result.fault) == (job, None)
    return result


def first(found):
    return SKUS[found.candidates[0].product_id.int]


def test_every_product_on_the_wall_is_found_once_and_in_its_place(line):
    photo, boxes = wall(PLACES)
    (outcome,) = recognise(line, photo, items="many")
    assert (outcome.width, outcome.height, outcome.verdict, outcome.candidates) == (1200, 900, None, ())
    right = {sku: [item for item in outcome.items if overlap(item.box, box) >= 0.5] for sku, box in boxes.items()}
    assert {sku: [first(item) for item in items] for sku, items in right.items()} == {sku: [sku] for sku in boxes}
    assert all(item.verdict in ("SURE", "REVIEW", "UNKNOWN") and item.reason for item in outcome.items)
    chances = [item.candidates[0].probability for item in outcome.items]
    assert chances == sorted(chances, reverse=True)


def test_a_photo_with_nothing_in_it_is_an_answer_and_spoils_no_other(line):
    empty = jpeg_of(Image.new("RGB", (800, 600), (150, 160, 150)))
    wall_photo, boxes = wall(PLACES)
    nothing, found = recognise(line, empty, wall_photo, items="many")
    assert (nothing.items, nothing.fault, nothing.verdict) == ((), None, None)
    assert {first(item) for item in found.items} >= set(boxes)


def test_within_a_region_only_what_lies_in_it_is_found(line):
    photo, boxes = wall(PLACES)
    (outcome,) = recognise(line, photo, items="many", region=(0.6, 0.0, 1.0, 1.0))
    assert [first(item) for item in outcome.items] == ["TIN-144"]
    assert overlap(outcome.items[0].box, boxes["TIN-144"]) >= 0.5


def test_a_photo_of_many_lies_as_it_was_taken(line):
    """Turned by the camera and set upright by its EXIF: the boxes are those of the upright photo."""
    photo, boxes = wall(PLACES)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.open(io.BytesIO(photo)).transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=92, exif=exif)
    (outcome,) = recognise(line, file.getvalue(), items="many")
    assert (outcome.width, outcome.height) == (1200, 900)
    found = {first(item): item.box for item in outcome.items}
    assert all(overlap(found[sku], box) >= 0.5 for sku, box in boxes.items())


def test_a_small_main_subject_is_looked_at_more_closely(line):
    photo, boxes = wall({"BOX-151": (0.55, 0.5, 0.14)}, size=(900, 900))
    (outcome,) = recognise(line, photo)
    assert (first(outcome), outcome.items) == ("BOX-151", None)
    left, top, right, bottom = boxes["BOX-151"]
    assert outcome.box[0] <= left + 0.03 and outcome.box[1] <= top + 0.03
    assert outcome.box[2] >= right - 0.03 and outcome.box[3] >= bottom - 0.03
    found = search(line, photo)
    assert (first(found), found.box) == ("BOX-151", outcome.box)


def test_a_product_that_fills_the_photo_is_looked_at_whole(line):
    (outcome,) = recognise(line, product_photo("BOO-161").read_bytes())
    assert (first(outcome), outcome.box) == ("BOO-161", None)


def test_the_region_that_the_caller_marked_counts(line):
    photo, boxes = wall(PLACES)
    for sku, box in boxes.items():
        (outcome,) = recognise(line, photo, region=box)
        assert (first(outcome), outcome.box) == (sku, pytest.approx(box))
        found = search(line, photo, region=box)
        assert (first(found), found.box) == (sku, pytest.approx(box))


def test_a_region_of_a_product_photo_is_what_is_stored(line):
    """A reference that was cut out of a photo of many is found by that part of it."""
    photo, boxes = wall({"BOT-121": (0.1, 0.1, 0.3), "BOO-161": (0.6, 0.1, 0.3)})
    merchant, key = line.merchant, line.store.write(photo).key
    line.merchant = uuid4()
    try:
        facts = [ProductFacts(product_id=UUID(int=number), title="Thing") for number in (5, 0)]
        works = [
            PhotoWork(photo_id=uuid4(), key=key, product=product, region=box)
            for product, box in zip(facts, boxes.values(), strict=True)
        ]
        run(line, "index", works)
        for sku, box in boxes.items():
            best = search(line, photo, region=box).candidates[0]
            assert (SKUS[best.product_id.int], best.scores.image) == (sku, pytest.approx(1.0, abs=1e-3))
    finally:
        line.merchant = merchant


def test_a_thing_that_was_found_is_stored_as_it_was_compared(line):
    """Each thing's square, indexed, is what the same photo is compared by when it is recognised again.

    A PNG: a JPEG is decoded as finely as its smallest thing wants, and for one thing alone a little more coarsely.
    """
    file = io.BytesIO()
    Image.open(io.BytesIO(wall(PLACES)[0])).save(file, "PNG")
    photo = file.getvalue()
    key = line.store.write(photo).key
    (outcome,) = recognise(line, photo, items="many")
    for item in outcome.items:
        across, down = (item.cut[2] - item.cut[0]) * 1200, (item.cut[3] - item.cut[1]) * 900
        assert across == pytest.approx(down)
        assert across >= (item.box[2] - item.box[0]) * 1200
    merchant, line.merchant = line.merchant, uuid4()
    try:
        works = [
            PhotoWork(
                photo_id=uuid4(), key=key, region=item.cut, product=ProductFacts(product_id=uuid4(), title="Thing")
            )
            for item in outcome.items
        ]
        run(line, "index", works)
        (again,) = recognise(line, photo, items="many")
        likeness = {item.box: item.candidates[0].scores.image for item in again.items}
        assert likeness == {item.box: pytest.approx(1.0, abs=1e-3) for item in outcome.items}
    finally:
        line.merchant = merchant


def test_a_marked_region_must_be_a_part_of_the_photo(line):
    key = line.store.write(wall(PLACES)[0]).key
    works = (PhotoWork(photo_id=uuid4(), key=key, region=(0.5, 0.5, 0.5, 0.9)),)
    line.client.send_chunk(Chunk(chunk_id=uuid4(), merchant_id=line.merchant, purpose="recognise", photos=works))
    (outcome,) = read_result(line.redis).outcomes
    assert (outcome.fault.code, outcome.fault.kind) == ("photo_region_empty", "client")
