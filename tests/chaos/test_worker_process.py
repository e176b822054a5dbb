"""A worker's life: what stops its start, how it ends, what it survives."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from config.env import ROOT, load_env
from tests.broker import free_port, start_redis
from tests.worker import WorkerProcess, bundle_folder, client_of, draw_photo, read_result, wait_until
from workers.clock import UNTIL, broker_time
from workers.contract import BULK_QUEUE, RESULTS_QUEUE, Chunk, PhotoWork, ProductFacts, Search, SearchResult


@pytest.fixture
def server(tmp_path):
    with start_redis(free_port(), tmp_path / "redis") as redis:
        yield redis


def worker_in(folder, url, **settings):
    defaults = {"VITRINE_BUNDLE": str(bundle_folder()), "VITRINE_PHOTO_STORE": str(folder / "photos")}
    return WorkerProcess(folder, url, **defaults | settings)


def chunk_of(client, merchant, count, size=320):
    photos = tuple(
        PhotoWork(
            photo_id=UUID(int=number),
            key=client.photo_store().write(draw_photo(number, size)).key,
            product=ProductFacts(product_id=UUID(int=number), title=f"Thing {number}"),
        )
        for number in range(1, count + 1)
    )
    return Chunk(chunk_id=uuid4(), merchant_id=merchant, purpose="index", photos=photos)


def refused(worker):
    with worker:
        assert worker.process.wait(120) == os.EX_CONFIG, worker.output()
    return worker.output().strip().splitlines()


def test_a_missing_bundle_stops_the_start(server, tmp_path):
    lines = refused(worker_in(tmp_path, server.url, VITRINE_BUNDLE=str(tmp_path / "nowhere")))
    assert lines == [f"The worker cannot start: There is no bundle in {tmp_path / 'nowhere'}: bundle.json is missing."]


def test_a_damaged_bundle_stops_the_start(server, tmp_path):
    copy = shutil.copytree(bundle_folder(), tmp_path / "bundle")
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
    (line,) = refused(worker_in(tmp_path, server.url, VITRINE_BUNDLE=str(copy)))
    assert line.startswith("The worker cannot start: The checksum of ")


def test_an_index_that_cannot_be_had_stops_the_start(server, tmp_path):
    (line,) = refused(worker_in(tmp_path, server.url, VITRINE_INDEX_URL="ftp://nowhere"))
    assert line.startswith("The worker cannot start: not an index address: 'ftp://nowhere'")


def test_the_other_way_to_start_says_how_to_start():
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode != 0
    assert "Start a worker with: python -m workers" in done.stderr


def test_sigterm_finishes_what_is_in_hand_and_loses_nothing(server, tmp_path):
    chunks = 6
    with client_of(server.url, tmp_path / "photos") as client, server.client() as redis:
        with worker_in(tmp_path, server.url) as worker:
            chunk = chunk_of(client, uuid4(), 16)
            for _ in range(chunks):
                client.send_chunk(chunk)
            first = read_result(redis)
            assert redis.exists(worker.card_key())
            assert worker.stop() == 0, worker.output()
            assert redis.exists(worker.card_key()) == 0
        answered = 1 + redis.llen(RESULTS_QUEUE)
        assert answered > 1, "the chunk in hand was dropped"
        assert answered + redis.llen(BULK_QUEUE) == chunks
        assert redis.hlen("unacked") == 0
        assert all(outcome.fault is None for outcome in first.outcomes)

        redis.delete(RESULTS_QUEUE, BULK_QUEUE)
        with worker_in(tmp_path, server.url):  # the index was closed in order: the next worker has every photo
            (card,) = client.live_workers()
            assert card.points == 16


def test_the_worker_comes_back_when_redis_was_away(server, tmp_path):
    merchant = uuid4()
    with client_of(server.url, tmp_path / "photos") as client:
        chunk = chunk_of(client, merchant, 16)
        with worker_in(tmp_path, server.url) as worker:
            client.send_chunk(chunk)  # under way while Redis dies
            server.restart(away=1.0)
            with server.client() as redis:
                wait_until(lambda: redis.exists(worker.card_key()))
                redis.delete(RESULTS_QUEUE)
                client.send_chunk(chunk)
                results = [read_result(redis)]
                job = Search(
                    job_id=uuid4(),
                    merchant_id=merchant,
                    deadline=datetime.now(UTC) + timedelta(seconds=60),
                    key=chunk.photos[3].key,
                )
                client.send_search(job)
                while not isinstance(results[-1], SearchResult):
                    results.append(read_result(redis))
            assert [result for result in results[:-1] if result.chunk_id == chunk.chunk_id]
            assert results[-1].job_id == job.job_id
            assert results[-1].candidates[0].product_id == UUID(int=4)
            assert worker.stop() == 0


def test_a_lost_device_ends_the_process_and_the_photos_are_to_be_retried(server, tmp_path):
    lose_the_device = """
import sys, workers.app
from recognition.recogniser import Recogniser
open_line = workers.app.open_line
def open_and_break(*args):
    line = open_line(*args)
    def broken(*_, **__): raise RuntimeError("the card fell off the bus")
    Recogniser.look = broken
    return line
workers.app.open_line = open_and_break
sys.exit(workers.app.main())
"""
    worker = worker_in(tmp_path, server.url)
    worker.command = (sys.executable, "-c", lose_the_device)
    with client_of(server.url, tmp_path / "photos") as client, server.client() as redis, worker:
        client.send_chunk(chunk_of(client, uuid4(), 4))
        result = read_result(redis)
        assert {(outcome.fault.code, outcome.fault.kind) for outcome in result.outcomes} == {("device_lost", "retry")}
        assert worker.process.wait(90) == 1, worker.output()
        assert redis.exists(worker.card_key()) == 0
    assert "the device is lost, the worker ends: the card fell off the bus" in worker.output()


def test_a_chunk_says_until_when_it_may_begin(server, tmp_path):
    with client_of(server.url, tmp_path / "photos") as client, server.client() as redis:
        sent = datetime.now(UTC)
        client.send_chunk(chunk_of(client, uuid4(), 1))
        headers = json.loads(redis.rpop(BULK_QUEUE))["headers"]
    lease = timedelta(seconds=load_env().lease_seconds)
    assert lease <= datetime.fromtimestamp(headers[UNTIL], UTC) - sent < lease + timedelta(seconds=5)


@pytest.mark.slow
def test_a_late_chunk_is_not_begun_one_held_up_writes_nothing_and_one_that_hangs_ends_the_worker(server, tmp_path):
    hold_up = """
import sys, time, workers.app
from pathlib import Path
from recognition.recogniser import Recogniser
prepare = Recogniser.prepare
def held_up(*args):
    time.sleep(float(Path(sys.argv[1]).read_text()))
    return prepare(*args)
Recogniser.prepare = held_up
sys.exit(workers.app.main())
"""
    pause = tmp_path / "pause"
    pause.write_text("0")
    worker = worker_in(tmp_path, server.url, VITRINE_LEASE_SECONDS="2")
    worker.command = (sys.executable, "-c", hold_up, str(pause))
    with client_of(server.url, tmp_path / "photos") as client, server.client() as redis:
        client.send_chunk(chunk_of(client, uuid4(), 2))
        message = json.loads(redis.rpop(BULK_QUEUE))

        def send(seconds):
            """The chunk again, as one whose lease ends in so many seconds."""
            message["headers"] |= {"id": str(uuid4()), UNTIL: broker_time(redis) + seconds}
            message["properties"]["delivery_tag"] = str(uuid4())
            redis.lpush(BULK_QUEUE, json.dumps(message))

        with worker:
            send(-1)
            wait_until(lambda: "a chunk is dropped: its lease is over" in worker.output())
            pause.write_text("1")
            send(0.5)
            held_up = read_result(redis)
            assert {outcome.fault.code for outcome in held_up.outcomes} == {"lease_lost"}
            assert all(card.points == 0 for card in client.live_workers())
            pause.write_text("0")
            send(60)
            assert [outcome.fault for outcome in read_result(redis).outcomes] == [None, None]
            pause.write_text("1000")
            send(60)
            assert worker.process.wait(60) == 1
            assert redis.llen(RESULTS_QUEUE) == 0
    assert "the worker hangs and ends: chunk " in worker.output()


def test_without_redis_sending_says_so_within_seconds(tmp_path):
    started = datetime.now(UTC)
    with client_of(f"redis://127.0.0.1:{free_port()}/0", tmp_path) as client:
        chunk = chunk_of(client, uuid4(), 1)
        for call in (lambda: client.send_chunk(chunk), client.live_workers, client.queue_lengths):
            with pytest.raises(client.Unavailable) as error:
                call()
            assert error.value.code == "broker_unavailable"
    assert datetime.now(UTC) - started < timedelta(seconds=8)


def test_the_client_loads_neither_torch_nor_django_nor_a_worker():
    code = (
        "import sys, uuid, workers.client as client; client._producer().amqp\n"
        "heavy = ('torch', 'torchvision', 'qdrant_client', 'qdrant_edge', 'django.db', 'django.conf')\n"
        "print([name for name in (*heavy, 'workers.app', 'workers.tasks', 'workers.line') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
