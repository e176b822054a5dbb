"""The embedded engine's own duties: crashes, locks, threads, the flush thread, what its health says."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from qdrant_edge import Point, UpdateOperation

from recognition.errors import Unavailable
from recognition.index import Filters, IndexQuery, PhotoPoint, PointPayload, _edge, _embedded, _schema, open_index
from recognition.index._embedded import EmbeddedIndex

ACME = Filters("acme")
ROOT = Path(__file__).parents[2]

WRITER = """
import sys
import numpy as np
from recognition.index import PhotoPoint, PointPayload, open_index
index = open_index(sys.argv[1], version="v")
index.promote("v")
one = np.ones(256)
for number in range(1_000_000):
    merchant = "kiln" if number == 100 else "acme"
    payload = PointPayload(merchant, f"p{number}", f"photo{number}", "c", "b", None, None, True)
    index.upsert([PhotoPoint(payload, one, one, f"mug {number}")])
    print(number, flush=True)
"""


def point(number, merchant="acme"):
    vector = np.random.default_rng(number).normal(size=256)
    payload = PointPayload(merchant, f"p{number}", f"photo{number}", "mugs", "Kiln", 1.0, "EUR", True)
    return PhotoPoint(payload, vector, vector, f"mug number{number}")


def test_a_shard_of_an_earlier_release_gets_the_indexes_that_it_lacks(tmp_path, monkeypatch):
    fields = dict(_schema.PAYLOAD_INDEXES)
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "PAYLOAD_INDEXES", {"merchant_id": "keyword"})
        index = open_index(str(tmp_path), version="v")
        index.upsert([point(1)])
        index.close()
    for _ in range(2):
        index = open_index(str(tmp_path), version="v")
        assert index._shard.info().payload_schema.keys() == fields.keys()
        assert index.count(Filters("acme", brands=("Kiln",))) == 1
        index.close()


def flush_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("index-flush")]


def test_acknowledged_photos_survive_kill_nine_and_a_second_process_is_refused(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    acknowledged = -1
    try:
        while acknowledged < 200:
            acknowledged = int(writer.stdout.readline())
        with pytest.raises(Unavailable) as refused:
            open_index(str(tmp_path), version="v")
        assert refused.value.code == "index_locked"
        assert str(tmp_path) in refused.value.message
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        rest, _ = writer.communicate(timeout=60)
    acknowledged = max([acknowledged, *(int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n"))])

    index = open_index(str(tmp_path), version="v")
    stored = {*index.photo_ids("acme"), *index.photo_ids("kiln")}
    assert {f"photo{number}" for number in range(acknowledged + 1)} <= stored
    (hits,) = index.nearest([IndexQuery(Filters("kiln"), image=np.ones(256))])
    assert [hit.photo_id for hit in hits] == ["photo100"], "what the log holds is still told apart"
    assert len(stored) <= acknowledged + 2
    (hits,) = index.nearest([IndexQuery(ACME, words=str(acknowledged))])
    assert hits[0].photo_id == f"photo{acknowledged}"
    assert index.health().version == "v"
    index.close()


def test_a_crash_while_a_version_is_made_leaves_no_half_version(tmp_path, monkeypatch):
    def crash(folder, dim):
        (folder / "segments").mkdir(parents=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_embedded._edge, "create_shard", crash)
        with pytest.raises(KeyboardInterrupt):
            open_index(str(tmp_path), version="v")
    index = open_index(str(tmp_path), version="v")
    assert index.versions() == ["v"]
    assert index.count() == 0
    index.close()


def products_of(answers):
    return [[hit.product_id for hit in hits] for hits in answers]


def test_searches_by_codes_find_what_exact_ones_find_with_and_without_a_filter(tmp_path, monkeypatch):
    monkeypatch.setattr(_edge, "EXACT_BELOW", 100)
    dice = np.random.default_rng(1)
    centres = dice.normal(size=(40, 256))
    looks, texts = (centres[dice.integers(0, 40, 3_000)] + 0.9 * dice.normal(size=(3_000, 256)) for _ in range(2))
    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        index.upsert(
            [
                # a category has nothing to do with how its photos look: what graphs are bad at
                PhotoPoint(
                    PointPayload("acme", f"p{n}", f"photo{n}", f"c{n % 10}", "b", None, None, True), look, text, "mug"
                )
                for n, (look, text) in enumerate(zip(looks, texts, strict=True))
            ]
        )
        asked = looks[:60] + 0.7 * dice.normal(size=(60, 256))
        for filters, kind in itertools.product((ACME, Filters("acme", categories=("c3",))), ("image", "text")):
            queries = [IndexQuery(filters, **{kind: vector}) for vector in asked]
            by_codes = products_of(index.nearest(queries))
            with monkeypatch.context() as exactly:
                exactly.setattr(_edge, "EXACT_BELOW", 3_000)
                wanted = products_of(index.nearest(queries))
            found = [len(set(some) & set(all_)) for some, all_ in zip(by_codes, wanted, strict=True)]
            assert sum(found) / (10 * len(asked)) >= 0.99
        assert index.is_behind() is index.is_behind(ACME) is False


def test_where_all_photos_are_one_merchants_nobody_is_asked_whose_they_are_and_a_second_one_is_noticed(tmp_path):
    def filtered(index, merchant="acme"):
        return _edge.to_filter(Filters(merchant), sole=index._sole_merchant()) is not None

    def found(index, merchant):
        (hits,) = index.nearest([IndexQuery(Filters(merchant), image=point(1).image, limit=50)])
        return sorted(hit.product_id for hit in hits)

    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        assert (filtered(index), found(index, "acme")) == (True, []), "an empty shard is nobody's"
        index.upsert([point(number) for number in range(3)])
        assert (filtered(index), filtered(index, "kiln")) == (False, True)
        assert (found(index, "acme"), found(index, "kiln")) == (["p0", "p1", "p2"], [])
    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        assert filtered(index) is False, "known from what is stored"
        index.upsert([point(3, "kiln")])
        assert filtered(index) is True
        assert (found(index, "acme"), found(index, "kiln")) == (["p0", "p1", "p2"], ["p3"])
        index.forget(["photo3"])
        assert filtered(index) is True, "who was there once is not forgotten while it is open"
        index.upsert([point(0, "kiln")])  # a photo that changes hands
        assert (found(index, "acme"), found(index, "kiln")) == (["p1", "p2"], ["p0"])
    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        assert (filtered(index), filtered(index, "kiln")) == (True, True)
        assert (found(index, "acme"), found(index, "kiln")) == (["p1", "p2"], ["p0"])
        index.forget(["photo1", "photo2"])
    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        assert (filtered(index), filtered(index, "kiln")) == (True, False), "the deleted ones do not count"
        index._shard.update(UpdateOperation.upsert_points([Point(7, {_edge.BOTH: [1.0] * 512}, {})]))
    with contextlib.closing(open_index(str(tmp_path), version="v")) as index:
        assert filtered(index, "kiln") is True, "a point that is nobody's"
        assert found(index, "kiln") == ["p0"]


def test_threads_may_write_and_search_at_once(tmp_path):
    index = open_index(f"edge://{tmp_path}", version="v")
    index.upsert([point(number) for number in range(50)])

    def write(worker):
        for start in range(10):
            index.upsert([point(1000 * (worker + 1) + 10 * start + i) for i in range(10)])
        index.forget([f"photo{1000 * (worker + 1)}"])

    def read(worker):
        for number in range(30):
            (by_photo, by_words) = index.nearest(
                [IndexQuery(ACME, image=point(number).image), IndexQuery(ACME, words=f"number{number}")]
            )
            assert by_photo[0].product_id == by_words[0].product_id == f"p{number}"

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(work, worker) for worker in range(4) for work in (write, read)]
        for job in jobs:
            job.result(timeout=30)
    assert index.count() == 50 + 4 * 99
    index.close()


def test_the_flush_thread_flushes_and_ends_on_close(tmp_path):
    index = EmbeddedIndex(tmp_path, "v", 256, 0.5, flush_seconds=0.01)
    assert len(flush_threads()) == 1
    index.upsert([point(1)])
    deadline = time.monotonic() + 10
    while index._unflushed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not index._unflushed
    index.close()
    assert flush_threads() == []


class SlowShard:
    """A shard whose flush takes a while."""

    def __init__(self, shard, seconds):
        self._shard, self._seconds = shard, seconds
        self.flushes = []

    def __getattr__(self, name):
        return getattr(self._shard, name)

    def flush(self):
        self.flushes.append(time.monotonic())
        time.sleep(self._seconds)


def test_flushing_takes_a_hundredth_of_the_time_at_most(tmp_path):
    index = EmbeddedIndex(tmp_path, "v", 256, 0.5, flush_seconds=0.01)
    with index._lock:
        slow = index._shard = SlowShard(index._shard, 0.02)
    deadline = time.monotonic() + 30
    while len(slow.flushes) < 2 and time.monotonic() < deadline:
        index._unflushed = True
        time.sleep(0.01)
    index.close()
    assert slow.flushes[1] - slow.flushes[0] >= 2.0, "a hundred times 20 ms later"


def test_a_failing_flush_is_told_and_healed(tmp_path, monkeypatch):
    index = EmbeddedIndex(tmp_path, "v", 256, 0.5, flush_seconds=0.01)

    def disk_full():
        raise Unavailable("index_unavailable", "No space left on device.")

    def wait_for(ok):
        deadline = time.monotonic() + 10
        while index.health().ok is not ok and time.monotonic() < deadline:
            time.sleep(0.01)
        return index.health()

    with monkeypatch.context() as patched:
        patched.setattr(index, "flush", disk_full)
        index.upsert([point(1)])
        assert "No space left on device." in wait_for(ok=False).notes
    assert wait_for(ok=True).ok
    index.close()


def test_a_closed_index_is_unavailable(tmp_path):
    index = open_index(str(tmp_path), version="v")
    index.close()
    index.close()
    with pytest.raises(Unavailable, match="closed"):
        index.count()
    health = index.health()
    assert (health.ok, health.points) == (False, 0)


def test_a_forked_child_is_told_instead_of_corrupting(tmp_path, monkeypatch):
    index = open_index(str(tmp_path), version="v")
    with monkeypatch.context() as patched:
        patched.setattr(_embedded.os, "getpid", lambda: -1)
        for use in (index.count, lambda: index.upsert([point(1)])):
            with pytest.raises(RuntimeError, match="fork"):
                use()
    index.close()


def test_health_says_when_a_shop_has_outgrown_it(tmp_path, monkeypatch):
    index = open_index(str(tmp_path), version="v")
    index.upsert([point(number) for number in range(3)])
    assert index.health().notes == ("No version is live yet: promote one.",)
    index.promote("v")
    assert index.health() == _embedded.IndexHealth("embedded", str(tmp_path), "v", 3, True, ())
    monkeypatch.setattr(_embedded, "OUTGROWN_POINTS", 2)
    (note,) = index.health().notes
    assert note.startswith("3 photos have outgrown the embedded index")
    assert "manage.py reindex --all" in note
    index.close()


def test_the_default_folder_is_var_index(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_index("", version="v").close()
    assert (tmp_path / "var/index/photos-v").is_dir()
