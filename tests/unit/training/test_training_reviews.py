"""Decisions as training data: what is read, which role it gets and keeps, and what is said of a broken export."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from recognition.training.data import share
from recognition.training.errors import DataError
from recognition.training.leaks import fingerprints
from recognition.training.photo_list import write_photos
from recognition.training.reviews import Reviews, read_reviews
from tests.training_data import COLOURS, draw_ball

HELD_OUT = {"calibrate", "report"}


def line(file, sku, *, state="accepted", compared=None, sent_with="", **photo):
    product = {"sku": sku, "title": f"{sku} ball", "brand": "", "category": "Balls", "description": ""}
    return {
        "state": state,
        "product": product | {"price": "5.50", "currency": "EUR"},
        "photo": {"file": file, "sent_with": sent_with} | photo,
        "compared": compared,
    }


def write(folder, lines):
    text = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    (folder / "decisions.jsonl").write_text(text + "\n")
    return folder


def drawn(folder, count=16, colours=COLOURS[:3], start=0):
    """Lines of photos that look like no other."""
    lines = []
    for number, colour in enumerate(colours):
        for view in range(start, start + count):
            path = draw_ball(folder / "photos" / f"{colour}-{view}.png", colour, 1000 * number + view)
            lines.append(line(f"photos/{path.name}", colour))
    return lines


def read(folder, before=None, **options):
    photos, said = read_reviews(Reviews("shop", folder, **options), before)
    return {photo.name: photo for photo in photos}, said


def test_a_photo_its_product_and_its_category(tmp_path):
    lines = [
        *drawn(tmp_path),
        line("photos/red-0.png", "red"),
        line("photos/red-1.png", "red", state="rejected"),
        line("photos/red-2.png", "red", state="unknown"),
        line("photos/old.gif", "red") | {"photo": None},
    ]
    photos, said = read(write(tmp_path, lines))
    one = photos["photos/red-0.png"]
    assert (len(photos), one.label, one.coarse, one.product) == (48, "red", "Balls", "shop/red")
    assert (one.text.title, one.text.price, one.text.currency) == ("red ball", 5.5, "EUR")
    assert all(photo.stored is (photo.role == "train") for photo in photos.values())
    assert said == (
        "shop: 48 decided photos of 3 labels; left out: 1 rejected, 1 unknown, 1 whose photo or product was deleted"
    )
    kinds, _ = read(tmp_path / "decisions.jsonl", label="category")
    assert {(photo.label, photo.coarse) for photo in kinds.values()} == {("Balls", None)}
    assert {photo.product for photo in kinds.values()} == {"shop/red", "shop/green", "shop/blue"}
    for each in (lines[0], lines[48]):  # the same photo, decided on twice
        each["product"]["category"] = ""
    assert read(write(tmp_path, lines), label="category")[1].endswith(", 1 whose label no photo is trained on yet")


def test_more_decisions_move_no_photo_to_training(tmp_path):
    first, _ = read(write(tmp_path, few := drawn(tmp_path)))
    assert {photo.role for photo in first.values()} == {"train", "calibrate", "report"}
    more, _ = read(write(tmp_path, [*drawn(tmp_path, start=16), *reversed(few)]))
    assert len(more) == 96
    assert {name: more[name].role for name in first} == {name: photo.role for name, photo in first.items()}


def test_copies_and_all_parts_of_a_photo_have_one_role(tmp_path):
    lines = drawn(tmp_path)
    names = [each["photo"]["file"] for each in lines]
    for name in names:  # saved again: other bytes, and another draw
        with Image.open(tmp_path / name) as image:
            image.save(tmp_path / name.replace(".png", "-copy.jpg"), quality=95, subsampling=0)
    halves = [(0.0, 0.0, 0.6, 1.0), (0.4, 0.0, 1.0, 1.0)]
    lines += [
        line(name.replace(".png", "-copy.jpg"), each["product"]["sku"]) for name, each in zip(names, lines, strict=True)
    ]
    lines += [line(name, "red", compared=half) for name in names[:16] for half in halves]
    photos, _ = read(write(tmp_path, lines))
    for name in names:
        assert photos[name].role == photos[name.replace(".png", "-copy.jpg")].role, name
    content = dict(zip(names, fingerprints([tmp_path / name for name in names]).content, strict=True))
    cuts = Counter(photo.role for photo in photos.values() if photo.name.startswith("cuts/"))
    assert cuts.total() == 32
    for name in names[:16]:
        own = {photo.role for cut, photo in photos.items() if cut.startswith(f"cuts/{content[name]}")}
        assert own == {photos[name].role}
    with Image.open(tmp_path / f"cuts/{content[names[0]]}-04000-00000-10000-10000.png") as cut:
        assert cut.size == (72, 90)


def test_what_was_sent_together_stays_together(tmp_path):
    lines = drawn(tmp_path)
    for number, each in enumerate(lines):
        each["photo"]["sent_with"] = f"job-{number // 4}"
    photos, _ = read(write(tmp_path, lines))
    for number, each in enumerate(lines):
        part = share(f"reviews/job-{number // 4}", 8)
        assert photos[each["photo"]["file"]].role == {0: "report", 1: "calibrate"}.get(part, "train")


def test_roles_of_the_run_before_are_kept(tmp_path):
    """Held out then is held out now; learnt then is never measured, though a new copy of it is held out."""
    export = tmp_path / "export"
    lines = drawn(export)
    for each in lines:  # named by their content, as exports are
        old = export / each["photo"]["file"]
        (content,) = fingerprints([old]).content
        each["photo"]["file"] = f"photos/{content}.png"
        old.rename(export / each["photo"]["file"])
    first, _ = read(write(export, lines))
    run = tmp_path / "mine.run"
    run.mkdir()
    turned = {"train": "report", "calibrate": "train", "report": "train"}
    held = next(name for name, photo in first.items() if photo.role == "train")
    learnt = next(name for name, photo in first.items() if photo.role in HELD_OUT)
    was = [
        photo.__class__(**vars(photo) | {"role": turned[photo.role]})
        for name, photo in first.items()
        if name in (held, learnt)
    ]
    write_photos(was, run)
    again, _ = read(export, run)
    assert (again[held].role, again[learnt].role) == ("report", "train")
    shutil.copy(export / learnt, export / "photos/same.png")
    with Image.open(export / held) as image:
        image.save(export / "photos/again.jpg", quality=90)
    write(export, [*lines, line("photos/again.jpg", first[held].label)])
    assert read(export, run)[0]["photos/again.jpg"].role == "report"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "this is no JSON"),
        ("[]", "list indices must be integers"),
        ({"state": "accepted"}, "photo is missing"),
        (line("photos/red-0.png", "red", state="auto"), "'auto' is no state of a decided item"),
        (line("photos/none.png", "red"), "there is no photo photos/none.png (was it exported with --photos?)"),
        (line("photos/red-0.png", "red", compared=[0.5, 0, 0.2, 1]), "is no box"),
        (line("photos/red-0.png", "red", compared="all"), "'all' is no box"),
    ],
)
def test_a_broken_export_is_named_by_file_and_line(tmp_path, bad, said):
    write(tmp_path, [*drawn(tmp_path, 1), bad])
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'decisions.jsonl'}, line 4: ")
    assert said in str(caught.value)


def test_a_photo_whose_bytes_were_gone_at_the_export_is_left_out_and_counted(tmp_path):
    lines = [*drawn(tmp_path), line("photos/none.png", "red", stored=False)]
    photos, said = read(write(tmp_path, lines))
    assert "photos/none.png" not in photos
    assert said.endswith("; left out: 1 whose photo was no longer stored")


def test_an_export_without_decisions_and_none_at_all(tmp_path):
    with pytest.raises(DataError, match=r"decisions\.jsonl has no decision that says which product"):
        read(write(tmp_path, [line("photos/a.png", "red", state="rejected")]))
    with pytest.raises(DataError, match="cannot be read"):
        read(Path(tmp_path / "none.jsonl"))
