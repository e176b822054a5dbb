"""A folder of an earlier release, which kept a photo's two vectors apart, is made anew as it is opened."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    Modifier,
    Point,
    SparseVector,
    TurboQuantBitSize,
    TurboQuantQuantizationConfig,
    UpdateOperation,
)

from recognition.errors import Unavailable
from recognition.index import AttributeFilter, Filters, IndexQuery, PointPayload, _schema, _upgrade, open_index
from recognition.index._words import document_words

ROOT = Path(__file__).parents[2]
ACME = Filters("acme")
OPENER = """
import sys
from recognition.index import open_index
print("opens", flush=True)
index = open_index(sys.argv[1], version="v")
print("opened", flush=True)
index.close()
"""
BY_CODES = TurboQuantQuantizationConfig(bits=TurboQuantBitSize.Bits4)


def vectors(count, dim=256):
    """Image and fused vectors [count, dim], of no length in particular."""
    dice = np.random.default_rng(5)
    return dice.normal(size=(count, dim)), dice.normal(size=(count, dim))


def two_vectors(dim=256, codes=None):
    dense = EdgeVectorParams(dim, Distance.Cosine, quantization_config=codes)
    words = EdgeSparseVectorParams(modifier=Modifier.Idf)
    return EdgeConfig(vectors={"image": dense, "fused": dense}, sparse_vectors={"words": words})


def earlier(folder, count, *, codes=None, dim=256):
    """What an earlier release left: two cosine vectors and the words, the version live."""
    place = folder / "photos-v"
    place.mkdir(parents=True)
    shard = EdgeShard.create(str(place), two_vectors(dim, codes))
    points = []
    for number, (image, fused) in enumerate(zip(*vectors(count, dim), strict=True)):
        attributes = (("size", str(number)), ("colour", "blue" if number % 2 else "red"))
        payload = PointPayload("acme", f"p{number}", f"photo{number}", "mugs", "Kiln", 1.0, "EUR", True, "", attributes)
        spoken = document_words(f"mug number{number}")
        stored = {
            "image": image.tolist(),
            "fused": fused.tolist(),
            "words": SparseVector(list(spoken.indices), list(spoken.values)),
        }
        # the first lies under a name that no photo has: only an inventory finds it
        name = _schema.point_id(f"photo{number}" if number else "elsewhere")
        points.append(Point(name, stored, _schema.to_payload(payload)))
    for first in range(0, count, 500):
        shard.update(UpdateOperation.upsert_points(points[first : first + 500]))
    shard.flush()
    shard.close()
    (folder / "photos").write_text("v", encoding="utf-8")


def count(folder, dim=256):
    """How many photos there are for whoever opens it."""
    with contextlib.closing(open_index(str(folder), version="v", dim=dim)) as index:
        return index.count()


def refusal(folder):
    """Why it cannot be opened now."""
    with pytest.raises(Unavailable) as refused:
        open_index(str(folder), version="v")
    return refused.value.code


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("codes", [None, BY_CODES], ids=["without codes", "with codes"])
def test_it_answers_as_before(tmp_path, codes):
    earlier(tmp_path, 700, codes=codes)  # more than are on their way at once
    image, fused = (units(rows) for rows in vectors(700))
    asked = image[33] + 0.3 * fused[33]
    scores = 0.7 * image @ asked / np.linalg.norm(asked) + 0.3 * fused @ asked / np.linalg.norm(asked)
    best = np.argsort(-scores)[:10]
    for _ in range(2):  # made anew, and then as any other
        with contextlib.closing(open_index(str(tmp_path), version="v", image_weight=0.7)) as index:
            assert names(tmp_path) == [".lock", "photos", "photos-v"]
            assert index._shard.info().payload_schema.keys() == _schema.PAYLOAD_INDEXES.keys()
            assert (index.count(), index.health().version, index.versions()) == (700, "v", ["v"])
            (hits,) = index.nearest([IndexQuery(ACME, image=asked)])
            assert [hit.product_id for hit in hits] == [f"p{n}" for n in best]
            assert [hit.score for hit in hits] == pytest.approx(scores[best], abs=1e-5)
            (hits,) = index.nearest([IndexQuery(ACME, words="number44")])
            assert [hit.photo_id for hit in hits] == ["photo44"]
            sized = Filters(
                "acme", attributes=(AttributeFilter("size", min=10, max=12), AttributeFilter("colour", ("red",)))
            )
            assert index.count(sized) == 2
            assert index.image_vectors(["photo7"])["photo7"] == pytest.approx(image[7], abs=1e-6)
            page, _ = index.points(None, 1000)
            assert [each.payload.photo_id for each in page if each.misplaced] == ["photo0"]


def test_killed_again_and_again_while_it_is_made_anew_it_loses_nothing(tmp_path):
    earlier(tmp_path, 6_000)
    killed = 0
    for wait in (0.05, 0.2, 0.4, 0.6, 0.8):
        with subprocess.Popen(
            [sys.executable, "-c", OPENER, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        ) as opener:
            assert opener.stdout.readline() == "opens\n"
            time.sleep(wait)
            opener.send_signal(signal.SIGKILL)
            killed += "opened" not in opener.communicate()[0]
    assert killed >= 1, "not one was killed in time"
    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        assert names(tmp_path) == [".lock", "photos", "photos-v"]
        assert set(index.photo_ids("acme")) == {f"photo{number}" for number in range(6_000)}
        (hits,) = index.nearest([IndexQuery(ACME, image=vectors(6_000)[0][4321])])
        assert hits[0].photo_id == "photo4321"


@pytest.mark.parametrize("renamed", ["the old one", "both"])
def test_killed_between_two_renamings_or_after_them(tmp_path, renamed):
    """Moments too short to be hit: the folders as a kill there leaves them."""
    earlier(tmp_path, 20)
    aside = tmp_path / ".old-photos-v"
    (tmp_path / "photos-v").rename(aside)
    if renamed == "both":
        open_index(str(tmp_path / "other"), version="v").close()
        (tmp_path / "other" / "photos-v").rename(tmp_path / "photos-v")  # today's form, and empty: to be told apart
        shutil.rmtree(tmp_path / "other")
    assert count(tmp_path) == (20 if renamed == "the old one" else 0)
    assert names(tmp_path) == [".lock", "photos", "photos-v"]


def test_what_cannot_be_made_anew_now_stays_as_it_is(tmp_path):
    earlier(tmp_path, 20)
    in_the_way = tmp_path / ".new-photos-v"
    in_the_way.write_text("no folder can be made here", encoding="utf-8")
    assert refusal(tmp_path) == "index_unavailable"
    in_the_way.unlink()
    assert count(tmp_path) == 20


def test_without_room_for_both_it_says_how_much_it_needs(tmp_path, monkeypatch):
    earlier(tmp_path, 20)
    with monkeypatch.context() as on_a_small_disk:
        on_a_small_disk.setattr(_upgrade, "ROOM", 1e9)  # no disk has so much
        with pytest.raises(Unavailable, match=r"takes [\d,]+ MB; [\d,]+ MB are free"):
            open_index(str(tmp_path), version="v")
    assert names(tmp_path) == [".lock", "photos", "photos-v"]
    assert count(tmp_path) == 20


def test_what_breaks_off_leaves_no_half_shard(tmp_path, monkeypatch):
    def breaks_off(shard):
        yield next(whole(shard))
        raise RuntimeError("the disk is gone")

    earlier(tmp_path, 700)
    whole = _upgrade._pages
    with monkeypatch.context() as broken:
        broken.setattr(_upgrade, "_pages", breaks_off)
        with pytest.raises(RuntimeError, match="the disk is gone"):
            open_index(str(tmp_path), version="v")
    assert names(tmp_path) == [".lock", "photos", "photos-v"]
    assert count(tmp_path) == 700


def test_two_that_open_it_at_once(tmp_path):
    """One makes it anew while the other waits for it, and finds it taken, or free again."""
    earlier(tmp_path, 3_000)
    command = [sys.executable, "-c", OPENER, str(tmp_path)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)
    ]
    said = [opener.communicate(timeout=60) for opener in both]
    assert any("opened" in out for out, _ in said)
    assert all("opened" in out or "index_locked" in problem for out, problem in said)
    assert sum("are written anew" in problem for _, problem in said) == 1
    assert count(tmp_path) == 3_000


def test_a_dropped_version_does_not_come_back_from_what_a_killed_process_left(tmp_path):
    earlier(tmp_path, 20)
    (tmp_path / "photos-v").rename(tmp_path / ".old-photos-v")
    (tmp_path / ".new-photos-v").mkdir()
    with contextlib.closing(open_index(str(tmp_path), version="w")) as index:
        index.promote("w")
        index.drop("v")
        assert names(tmp_path) == [".lock", "photos", "photos-w"]
    assert count(tmp_path) == 0


def test_a_point_that_lacks_a_vector_is_left_out(tmp_path):
    """Nothing of ours writes one; it must not keep the others from being served."""
    earlier(tmp_path, 20)
    theirs = EdgeShard.load(str(tmp_path / "photos-v"), two_vectors())
    theirs.update(UpdateOperation.upsert_points([Point(7, {"image": [1.0] * 256}, {"merchant_id": "acme"})]))
    theirs.close()
    assert count(tmp_path) == 20


def test_one_with_vectors_of_another_length_is_left_alone(tmp_path):
    earlier(tmp_path, 20, dim=128)
    with pytest.raises(ValueError, match="not made for vectors of 256"):
        open_index(str(tmp_path), version="v")
    assert count(tmp_path, dim=128) == 20


def test_one_that_another_process_has_open_is_left_alone(tmp_path):
    earlier(tmp_path, 20)
    theirs = EdgeShard.load(str(tmp_path / "photos-v"), two_vectors())
    assert refusal(tmp_path) == "index_locked"
    theirs.close()
    assert count(tmp_path) == 20
