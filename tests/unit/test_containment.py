"""Decoders die, hang and starve here for real: each time one photo has its code, and the next one is decoded."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recognition import containment, photos
from recognition.containment import Decoders
from recognition.errors import PhotoError, Unavailable
from recognition.photos import PhotoLimits
from tests.drawing import jpeg
from tests.hostile import many_scans
from tests.uploads import odd_but_good, saved

LIMITS = PhotoLimits()
SLOW = many_scans(4000, 1000)  # seconds, and a megabyte
SLOWER = many_scans(4000, 4000)  # not over before a decoder is hit, however late that is
OTHERS: set[int] = set()  # decoders that were there before the test


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    decoders = Decoders(most=2)
    yield decoders
    decoders.close()
    assert children() == []


@pytest.fixture(autouse=True)
def others() -> None:
    """Other tests of this process may have left decoders at work for it."""
    OTHERS.clear()
    OTHERS.update(children())


def children() -> list[int]:
    """The decoders that a test began."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"recognition.decoder" in command:
            found.append(int(path.parent.name))
    return [pid for pid in found if pid not in OTHERS]


@contextmanager
def each_child_gets(number: int, *, most: int) -> Iterator[None]:
    """Every decoder that has worked for a moment gets this signal; as many as ``most``."""
    over, hit = threading.Event(), set()

    def hunt() -> None:
        while not over.wait(0.05):
            for pid in set(children()) - hit:
                ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11]
                if int(ticks) * 10 > 300 and len(hit) < most:  # milliseconds: past its start, at the photo
                    os.kill(pid, number)
                    hit.add(pid)

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert len(hit) == most


def refused(decoders: Decoders, data: bytes, code: str) -> None:
    with pytest.raises(PhotoError) as caught:
        decoders.decode_photo(data, size=32, limits=LIMITS)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")


def serves(decoders: Decoders) -> bool:
    good = jpeg(1)
    here = photos.decode_photo(good, size=32)
    return np.array_equal(decoders.decode_photo(good, size=32, limits=LIMITS).pixels, here.pixels)


@pytest.mark.parametrize("name", sorted(set(odd_but_good()) - {"truncated.jpg"}))
def test_a_child_sees_what_this_process_would(decoders, name):
    data, region = odd_but_good()[name], (0.1, 0.2, 0.8, 0.9)
    assert decoders.inspect_photo(data, LIMITS) == photos.inspect_photo(data)
    there = decoders.decode_photo(data, size=24, limits=LIMITS, region=region, crop=0.9)
    here = photos.decode_photo(data, size=24, region=region, crop=0.9)
    assert (there.width, there.height) == (here.width, here.height)
    assert np.array_equal(there.pixels, here.pixels)
    assert there.pixels.flags.writeable
    whole = decoders.decode_whole(data, size=24, limits=LIMITS)
    assert np.array_equal(whole.pixels, photos.decode_whole(data, size=24).pixels)
    parts = decoders.decode_regions(data, [region, (0, 0, 1, 1)], size=24, limits=LIMITS)
    assert np.array_equal(parts, photos.decode_regions(data, [region, (0, 0, 1, 1)], size=24))
    assert len(children()) == 1


def test_codes_pass_through_and_too_many_bytes_are_not_even_sent(decoders):
    assert decoders.decode_regions(b"no photo", [], size=8, limits=LIMITS) == []
    with pytest.raises(PhotoError, match="photo_too_large"):
        decoders.inspect_photo(bytes(100), PhotoLimits(max_bytes=99))
    assert children() == []
    refused(decoders, b"no photo", "photo_not_an_image")
    refused(decoders, jpeg(1)[:4000], "photo_truncated")


def test_a_photo_at_which_every_decoder_crashes_is_refused_alone(decoders):
    with each_child_gets(signal.SIGSEGV, most=2):
        refused(decoders, SLOWER, "photo_decoder_crashed")
    assert serves(decoders)


def test_a_decoder_that_is_killed_for_memory_even_alone_blames_the_photo(decoders):
    with each_child_gets(signal.SIGKILL, most=2):
        refused(decoders, SLOWER, "photo_decoder_memory")


def test_a_decoder_that_something_else_killed_blames_nothing(decoders):
    assert serves(decoders)
    os.kill(children()[0], signal.SIGKILL)
    assert serves(decoders)


def test_a_photo_without_end_is_stopped_by_its_processor_time(decoders, monkeypatch):
    monkeypatch.setattr(containment, "CPU_SECONDS", 0)  # the kernel counts whole seconds: between none and one
    started = time.monotonic()
    refused(decoders, many_scans(7900, 3_000), "photo_decoder_timeout")
    assert time.monotonic() - started < 20
    assert serves(decoders)


def test_a_decoder_that_stands_still_is_stopped_too(decoders):
    assert serves(decoders)
    decoders._idle[0]._link.settimeout(3.0)  # for ``WALL_SECONDS``
    os.kill(children()[0], signal.SIGSTOP)
    refused(decoders, jpeg(1), "photo_decoder_timeout")
    assert serves(decoders)


def test_what_needs_more_memory_than_ordinary_photos_is_decoded_alone(decoders):
    photo = saved(Image.new("RGBA", (4000, 3000), (9, 9, 9, 255)), "WEBP", lossless=True, method=0)
    decoded = decoders.decode_photo(photo, size=8, limits=PhotoLimits(max_pixels=12_000_000))
    assert (decoded.width, decoded.height, decoded.pixels.max()) == (4000, 3000, 9)
    assert len(children()) == 1  # the ordinary one lives on


def test_no_more_decoders_than_said(decoders):
    with each_child_gets(signal.SIGCONT, most=2):
        threads = [
            threading.Thread(target=decoders.decode_photo, args=(SLOW,), kwargs={"size": 8, "limits": LIMITS})
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(children()) == 2


def test_no_secret_is_within_a_decoders_reach(decoders, monkeypatch):
    monkeypatch.setenv("VITRINE_SECRET_KEY", "s" * 40)
    assert serves(decoders)
    names = {pair.partition(b"=")[0] for pair in Path(f"/proc/{children()[0]}/environ").read_bytes().split(b"\0")}
    assert names <= {b"PATH", b"LD_LIBRARY_PATH", b"LANG", b"OPENBLAS_NUM_THREADS", b""}


def test_an_installation_that_cannot_decode_blames_no_photo(decoders, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="exit code 1"):
        decoders.decode_photo(jpeg(1), size=8, limits=LIMITS)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(Unavailable, match="decoder_unavailable"):
        decoders.decode_photo(jpeg(1), size=8, limits=LIMITS)


def test_decoders_end_with_a_process_that_was_killed():
    script = """
import os, signal
from recognition.containment import Decoders
from recognition.photos import PhotoLimits
decoders = Decoders(1)
decoders.warm_up(1, PhotoLimits())
print(decoders._idle[0]._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 20
    while Path(f"/proc/{int(done.stdout)}/cmdline").exists() and Path(f"/proc/{int(done.stdout)}/cmdline").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)
