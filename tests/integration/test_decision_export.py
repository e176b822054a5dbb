"""Decisions taken home in three forms, by whom they may be, and trained on: from a person's word to a bundle."""

import csv
import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from catalog.models import Item, Photo, Role
from catalog.selectors.decision_files import FILES
from catalog.services.job import recognition_job_create
from catalog.services.review import item_accept, item_correct, item_reject, item_unknown
from catalog.services.reviewing.undo import decision_undo
from recognition.recogniser import Recogniser
from recognition.training.__main__ import main
from tests.api_support import API, Shop, candidate, problem
from tests.review_support import act, answered, reviewer
from tests.training_data import draw_ball, untrained_weights
from workers import client

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(db):
    return Shop("harbour")


@pytest.fixture
def decided(shop):
    """Two items that show a product, one that shows none, one that nobody can tell, two that nobody decided on."""
    mug, cup = shop.product("MUG-1", title="=cmd()"), shop.product("CUP-1", category="Cups")
    ana = reviewer("ana", shop.merchant)
    items = [shop.item(mug, cup, box=[0.25, 0.5, 0.75, 1.0] if number == 1 else None) for number in range(6)]
    decision_undo(decision=item_reject(item=items[0], reviewer=ana), act=act(ana))
    item_accept(item=items[0], reviewer=None, act=act(ana, seconds=1.5))
    item_correct(item=items[1], reviewer=ana, product=cup)
    item_reject(item=items[2], reviewer=ana)
    item_unknown(item=items[3], act=act(ana))
    decision_undo(decision=item_accept(item=items[4], reviewer=ana), act=act(ana))
    return items


def sent(shop, kind):
    response = shop.client.get(f"{API}/review-items/export.{kind}")
    assert response.status_code == 200
    assert response.headers["Content-Disposition"] == f'attachment; filename="harbour-decisions.{kind}"'
    return b"".join(response.streaming_content).decode("utf-8-sig")


def test_json_lines_say_what_stands_and_what_was(shop, decided):
    lines = [json.loads(line) for line in sent(shop, "jsonl").splitlines()]
    assert [line["item"] for line in lines] == [str(item.pk) for item in decided[:4]]
    assert [line["state"] for line in lines] == ["accepted", "corrected", "rejected", "unknown"]
    first, second = lines[:2]
    assert (first["product"]["sku"], first["suggested_sku"], first["seconds"], first["reviewer"]) == (
        "MUG-1", "MUG-1", 1.5, "ana"
    )  # fmt: skip
    assert [(past["action"], past["undone"]) for past in first["history"]] == [
        ("reject", True), ("undo", False), ("accept", False)
    ]  # fmt: skip
    assert (second["product"]["sku"], second["box"], second["compared"]) == ("CUP-1", *[[0.25, 0.5, 0.75, 1.0]] * 2)
    photo = decided[1].photo
    assert (second["photo"]["file"], second["photo"]["width"]) == (f"photos/{photo.sha256}.jpg", 48)
    assert lines[2]["product"] is None


def test_csv_opens_in_a_spreadsheet_and_runs_nothing(shop, decided):
    rows = list(csv.DictReader(io.StringIO(sent(shop, "csv"))))
    assert [(row["sku"], row["action"], row["decisions"]) for row in rows] == [
        ("MUG-1", "accept", "2"), ("CUP-1", "correct", "1"), ("", "reject", "1"), ("", "unknown", "1")
    ]  # fmt: skip
    assert (rows[0]["title"], rows[1]["left"], rows[1]["bottom"]) == ("'=cmd()", "0.25", "1.0")


def test_coco_has_boxes_in_pixels_and_photos_of_nothing(shop, decided):
    twice = decided[5]  # another thing in the photo of the second
    Item.objects.filter(pk=twice.pk).update(photo=decided[1].photo, box=[0.0, 0.0, 0.25, 0.5], position=1)
    item_accept(item=Item.objects.get(pk=twice.pk), reviewer=None)
    coco = json.loads(sent(shop, "coco.json"))
    assert set(coco) == {"info", "licenses", "images", "annotations", "categories"}
    assert {"description", "url", "version", "year", "contributor", "date_created"} == set(coco["info"])
    assert coco["licenses"] == [{"id": 1, "name": "Photos of Harbour", "url": ""}]
    files = {f"photos/{item.photo.sha256}.jpg" for item in decided[:3]}
    assert {image["file_name"] for image in coco["images"]} == files
    assert [image["id"] for image in coco["images"]] == [1, 2, 3]
    assert all(
        set(each) == {"id", "file_name", "width", "height", "license", "date_captured"} for each in coco["images"]
    )
    names = {category["id"]: (category["name"], category["supercategory"]) for category in coco["categories"]}
    assert set(names.values()) == {("MUG-1", "Mugs"), ("CUP-1", "Cups")}
    stored = {image["id"]: image["file_name"] for image in coco["images"]}
    found = sorted(
        (names[each["category_id"]][0], each["bbox"], each["area"], stored[each["image_id"]])
        for each in coco["annotations"]
    )
    one, two = (f"photos/{item.photo.sha256}.jpg" for item in decided[:2])
    assert found == [
        ("CUP-1", [12.0, 24.0, 24.0, 24.0], 576.0, two),
        ("MUG-1", [0.0, 0.0, 12.0, 24.0], 288.0, two),
        ("MUG-1", [0.0, 0.0, 48.0, 48.0], 2304.0, one),
    ]
    assert all(each["iscrowd"] == 0 and each["segmentation"] == [] for each in coco["annotations"])
    assert [each["id"] for each in coco["annotations"]] == [1, 2, 3]


def test_a_shop_without_decisions(shop):
    assert sent(shop, "jsonl") == ""
    assert sent(shop, "csv").count("\n") == 1
    empty = json.loads(sent(shop, "coco.json"))
    assert (empty["images"], empty["annotations"], empty["categories"]) == ([], [], [])


@pytest.mark.parametrize(("kind", "expected"), [("csv", 3), ("jsonl", 3), ("coco.json", 4)])
def test_queries_grow_with_pages_only(shop, monkeypatch, kind, expected):
    def statements():
        with CaptureQueriesContext(connection) as seen:
            list(FILES[kind].blocks(shop.merchant))
        return len(seen)

    for _ in range(2):
        item_reject(item=shop.item(), reviewer=None)
    few = statements()
    for _ in range(20):
        item_reject(item=shop.item(), reviewer=None)
    assert statements() == few == expected
    before = b"".join(FILES[kind].blocks(shop.merchant))
    monkeypatch.setattr("catalog.selectors.decisions.PAGE", 3)
    assert b"".join(FILES[kind].blocks(shop.merchant)).partition(b"images")[2] == before.partition(b"images")[2]


def test_whose_they_are_and_who_may(shop, decided, other):
    assert b"".join(other.client.get(f"{API}/review-items/export.jsonl").streaming_content) == b""
    problem(shop.public.get(f"{API}/review-items/export.csv"), 403, "permission_denied")
    problem(shop.client.get(f"{API}/review-items/export.xml"), 404, "not_found")
    assert shop.client.head(f"{API}/review-items/export.csv").content == b""
    manager = reviewer("max", shop.merchant, role=Role.MANAGER)
    path = f"/admin/catalog/item/queue/{shop.merchant.pk}/decisions.jsonl"
    for user, status in ((manager, 200), (reviewer("rob", shop.merchant), 404), (reviewer("zoe", other.merchant), 404)):
        browser = Client()
        browser.force_login(user)
        assert browser.get(path).status_code == status
        assert (path in browser.get("/admin/catalog/item/queue/").content.decode()) is (status == 200)


def test_what_cannot_be_written_leaves_nothing(shop, tmp_path):
    with pytest.raises(CommandError, match=r"says no form: end it with \.csv, \.jsonl, \.coco\.json"):
        call_command("export_decisions", str(tmp_path / "a.txt"), "--merchant", "harbour")
    with pytest.raises(CommandError, match="No such file"):
        call_command("export_decisions", str(tmp_path / "none" / "a.csv"), "--merchant", "harbour")
    with pytest.raises(CommandError, match="no merchant 'nobody'"):
        call_command("export_decisions", str(tmp_path / "a.csv"), "--merchant", "nobody")
    assert list(tmp_path.iterdir()) == []


def test_from_a_decision_to_a_bundle(shop, tmp_path, capsys):
    """Photos that were decided on are exported, trained on, and the bundle tells what they show."""
    colours = ("red", "green", "blue")
    products = {colour: shop.product(colour) for colour in colours}
    for number, colour in enumerate(colours):
        for view in range(8):
            path = draw_ball(tmp_path / "drawn.png", colour, 100 * number + view)
            job = recognition_job_create(merchant=shop.merchant, photos=[(f"{colour}-{view}.png", path.read_bytes())])
            guess = products[colours[0]]
            found = (candidate(guess, shop.photo(guess)),)
            answered(job.photos.get(), verdict="REVIEW", reason="weak_match", candidates=found)
            item_correct(item=Item.objects.get(job=job), reviewer=None, product=products[colour])
    gone = Photo.objects.filter(name="red-0.png").get()
    client.photo_store().delete(gone.key)
    call_command("export_decisions", str(tmp_path / "out"), "--merchant", "harbour", "--photos")
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        f"23 photos copied.\nWritten: {tmp_path / 'out'}\n",
        "1 photos are left out: their bytes are no longer stored.\n",
    )
    lines = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    marked = {line["photo"]["id"]: line["photo"].get("stored") for line in lines}
    assert (len(lines), {each: mark for each, mark in marked.items() if mark is not None}) == (
        24, {str(gone.pk): False},
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "decisions.coco.json", "decisions.jsonl", "photos"
    ]  # fmt: skip
    weights = untrained_weights(tmp_path / "start.safetensors")
    fit = [
        *("fit", "--from-reviews", f"harbour={tmp_path / 'out'}", "--weights", str(weights), "--device", "cpu"),
        *("--out", str(tmp_path / "bundle"), "--arch", "mobilenet_v3_small", "--size", "64", "--epochs", "1"),
        *("--batch", "8", "--threads", "1"),
    ]
    assert main(fit) == 0
    assert (
        "harbour: 23 decided photos of 3 labels; left out: 1 whose photo was no longer stored"
        in capsys.readouterr().err
    )
    recogniser = Recogniser.load(tmp_path / "bundle", device="cpu")
    assert recogniser.bundle.labels["harbour"].fine == ("blue", "green", "red")
    photo = recogniser.prepare(path.read_bytes())
    assert recogniser.classify(photo.pixels[None])["harbour"].fine.shape == (1, 3)
    assert main(["fit", "--weights", str(weights), "--out", str(tmp_path / "b")]) == 2
    assert "Name what to read" in capsys.readouterr().out
