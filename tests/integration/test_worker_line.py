"""A real worker against a real Redis, index and bundle: what goes in as a message comes out as a result."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest

from tests.broker import free_port, start_redis
from tests.worker import WorkerProcess, bundle_folder, client_of, draw_photo, read_result, wait_until
from workers.contract import (
    BULK_QUEUE,
    RUN_CHUNK,
    RUN_SEARCH,
    SEARCH_QUEUE,
    Chunk,
    ChunkResult,
    PhotoWork,
    ProductFacts,
    Search,
    SearchFilters,
    SearchResult,
)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """One worker for the whole module; every test uses a merchant of its own."""
    folder = tmp_path_factory.mktemp("line")
    photos = folder / "photos"
    with start_redis(free_port(), folder / "redis") as server, client_of(server.url, photos) as client:
        settings = {"VITRINE_BUNDLE": str(bundle_folder()), "VITRINE_PHOTO_STORE": str(photos)}
        with WorkerProcess(folder, server.url, **settings) as worker, server.client() as redis:
            assert worker.process.poll() is None, worker.output()
            yield SimpleNamespace(client=client, redis=redis, worker=worker, store=client.photo_store())


@pytest.fixture(autouse=True)
def no_result_left(line):
    """Each test reads every result that it caused."""
    yield
    assert line.redis.lrange("vitrine.results", 0, -1) == []


def soon(seconds=90):
    return datetime.now(UTC) + timedelta(seconds=seconds)


def product(number, **changes):
    facts = {"title": f"Thing number{number}", "brand": "Brand", "category": "things", "price": 10.0 + number}
    return ProductFacts(product_id=UUID(int=number), currency="EUR", **facts | changes)


def work(line, number, photo_id=None, **changes):
    key = line.store.write(draw_photo(number)).key
    return PhotoWork(photo_id=photo_id or uuid4(), key=key, product=product(number, **changes))


def ask(line, message):
    (line.client.send_search if isinstance(message, Search) else line.client.send_chunk)(message)
    return read_result(line.redis)


def run(line, merchant, purpose, photos):
    chunk = Chunk(chunk_id=uuid4(), merchant_id=merchant, purpose=purpose, photos=tuple(photos))
    result = ask(line, chunk)
    assert isinstance(result, ChunkResult)
    assert (result.chunk_id, result.purpose) == (chunk.chunk_id, purpose)
    assert [outcome.photo_id for outcome in result.outcomes] == [photo.photo_id for photo in photos]
    return result.outcomes


def search(line, merchant, seconds=90, **changes):
    message = Search(job_id=uuid4(), merchant_id=merchant, deadline=soon(seconds), **changes)
    result = ask(line, message)
    assert isinstance(result, SearchResult)
    assert result.job_id == message.job_id
    return result


def found(result):
    return [candidate.product_id.int for candidate in result.candidates]


def unseen(works):
    """The same bytes as photos that nobody knows the product of."""
    return [PhotoWork(photo_id=uuid4(), key=photo.key) for photo in works]


def test_an_indexed_photo_is_recognised_and_found(line):
    merchant, works = uuid4(), [work(line, number) for number in range(1, 9)]
    for outcome in run(line, merchant, "index", works):
        assert (outcome.fault, outcome.width, outcome.height) == (None, 320, 240)
        assert (outcome.verdict, outcome.candidates) == (None, ())

    outcomes = run(line, merchant, "recognise", unseen(works))
    assert [outcome.candidates[0].product_id.int for outcome in outcomes] == list(range(1, 9))
    assert [outcome.candidates[0].photo_id for outcome in outcomes] == [photo.photo_id for photo in works]
    for outcome in outcomes:
        best, *rest = outcome.candidates
        assert best.scores.image == pytest.approx(1.0, abs=0.01)
        assert best.match == "same"
        assert all(best.probability > other.probability for other in rest)
        assert outcome.verdict in ("SURE", "REVIEW", "UNKNOWN")
        assert outcome.reason

    by_photo = search(line, merchant, key=works[4].key)
    assert (found(by_photo)[0], by_photo.candidates[0].match, by_photo.fault) == (5, "same", None)
    assert by_photo.candidates[0].scores.text is None
    assert by_photo.verdict in ("SURE", "REVIEW", "UNKNOWN")

    by_words = search(line, merchant, words="number7", limit=3)
    assert found(by_words)[0] == 7
    assert by_words.candidates[0].scores.text > 0
    assert (by_words.candidates[0].scores.image, by_words.candidates[0].probability) == (None, None)
    assert by_words.verdict is None

    by_both = search(line, merchant, key=works[2].key, words="number3", limit=2)
    assert found(by_both)[0] == 3
    assert by_both.candidates[0].probability > 0

    cheap = search(line, merchant, key=works[7].key, filters=SearchFilters(price_max=13.0, currency="EUR"))
    assert sorted(found(cheap)) == [1, 2, 3]


def test_a_photo_is_not_compared_with_itself(line):
    merchant, photo = uuid4(), work(line, 20)
    run(line, merchant, "index", [photo])
    (outcome,) = run(line, merchant, "recognise", [PhotoWork(photo_id=photo.photo_id, key=photo.key)])
    assert (outcome.verdict, outcome.reason, outcome.candidates) == ("UNKNOWN", "no_candidates", ())


def test_another_merchant_sees_nothing(line):
    photo = work(line, 21)
    run(line, uuid4(), "index", [photo])
    assert found(search(line, uuid4(), key=photo.key)) == []


def test_one_broken_photo_of_eight_fails_alone(line):
    merchant, works = uuid4(), [work(line, number) for number in range(30, 38)]
    cut = line.store.write(draw_photo(33)[:2000]).key
    works[3] = works[3].model_copy(update={"key": cut})
    works[5] = works[5].model_copy(update={"key": line.store.key_for("0" * 64)})
    outcomes = run(line, merchant, "index", works)
    faults = [(outcome.fault.code, outcome.fault.kind) if outcome.fault else None for outcome in outcomes]
    assert faults == [None, None, None, ("photo_truncated", "client"), None, ("photo_missing", "bug"), None, None]
    assert found(search(line, merchant, key=works[0].key, limit=50)).count(30) == 1
    assert sorted(found(search(line, merchant, key=works[0].key, limit=50))) == [30, 31, 32, 34, 36, 37]


def test_a_photo_without_its_product_is_a_bug_of_its_own(line):
    works = [work(line, 40), unseen([work(line, 41)])[0], work(line, 42)]
    outcomes = run(line, uuid4(), "index", works)
    assert [outcome.fault and outcome.fault.kind for outcome in outcomes] == [None, "bug", None]
    assert "ValueError" in outcomes[1].fault.trace


def test_indexing_twice_stores_once_and_forgetting_forgets(line):
    merchant, photo, other = uuid4(), work(line, 50), work(line, 51)
    run(line, merchant, "index", [photo, other])
    run(line, merchant, "index", [photo.model_copy(update={"product": product(50, title="renamed")})])
    renamed = search(line, merchant, key=photo.key)
    assert sorted(found(renamed)) == [50, 51]
    assert [candidate.votes for candidate in renamed.candidates] == [1, 1]
    assert found(search(line, merchant, words="renamed"))[0] == 50

    outcomes = run(line, merchant, "forget", [PhotoWork(photo_id=photo.photo_id, key=photo.key)])
    assert [outcome.fault for outcome in outcomes] == [None]
    assert found(search(line, merchant, key=photo.key)) == [51]
    assert run(line, merchant, "forget", [photo])[0].fault is None


def test_an_expired_search_is_not_run(line):
    merchant, photo = uuid4(), work(line, 60)
    run(line, merchant, "index", [photo])
    result = search(line, merchant, seconds=-1, key=photo.key)
    assert (result.expired, result.candidates, result.fault) == (True, (), None)


@pytest.mark.parametrize(
    ("changes", "code", "kind"),
    [
        ({"key": "00/00/" + "0" * 64}, "photo_missing", "bug"),
        ({"words": "!!"}, "search_empty", "client"),
        ({"words": ""}, "search_empty", "client"),
    ],
)
def test_a_search_that_cannot_be_run_says_why(line, changes, code, kind):
    work(line, 62)  # a store without a single photo has no folder yet: that would be a storage that is away
    result = search(line, uuid4(), **changes)
    assert (result.fault.code, result.fault.kind, result.expired) == (code, kind, False)


def test_a_search_looks_at_the_marked_region_only(line):
    merchant, photo = uuid4(), work(line, 61)
    run(line, merchant, "index", [photo])
    whole = search(line, merchant, key=photo.key).candidates[0].scores.image
    corner = search(line, merchant, key=photo.key, region=(0.0, 0.0, 0.3, 0.3)).candidates[0].scores.image
    assert corner < whole - 0.001
    empty = search(line, merchant, key=photo.key, region=(0.5, 0.5, 0.5, 0.9))
    assert (empty.fault.code, empty.fault.kind) == ("photo_region_empty", "client")


def test_a_search_overtakes_the_chunks_that_wait(line):
    merchant, works = uuid4(), [work(line, number) for number in range(100, 116)]
    for _ in range(10):
        line.client.send_chunk(Chunk(chunk_id=uuid4(), merchant_id=merchant, purpose="index", photos=tuple(works)))
    line.client.send_search(Search(job_id=uuid4(), merchant_id=merchant, deadline=soon(), key=works[0].key))
    kinds = [type(read_result(line.redis)) for _ in range(11)]
    assert kinds.count(SearchResult) == 1
    assert kinds.index(SearchResult) < 9, "at least one whole chunk was still to come when the search was answered"


def test_messages_nobody_can_read_do_not_kill_the_worker(line):
    photo_id, chunk_id, job_id, merchant = uuid4(), uuid4(), uuid4(), uuid4()
    unreadable = [
        (BULK_QUEUE, RUN_CHUNK, []),
        (BULK_QUEUE, RUN_CHUNK, ["no chunk"]),
        (BULK_QUEUE, RUN_CHUNK, [{"version": 1}]),
        (BULK_QUEUE, "workers.unheard_of", [{}]),
        (SEARCH_QUEUE, RUN_SEARCH, []),
        (SEARCH_QUEUE, RUN_SEARCH, [None]),
        (SEARCH_QUEUE, RUN_SEARCH, [{"job_id": "7"}]),
    ]
    for queue, task, args in unreadable:
        line.client._producer().send_task(task, args=args, queue=queue)
    chunk = {"version": 2, "chunk_id": str(chunk_id), "purpose": "index", "photos": [{"photo_id": str(photo_id)}]}
    line.client._producer().send_task(RUN_CHUNK, args=[chunk], queue=BULK_QUEUE)
    result = read_result(line.redis)
    assert (result.chunk_id, [outcome.photo_id for outcome in result.outcomes]) == (chunk_id, [photo_id])
    assert (result.outcomes[0].fault.code, result.outcomes[0].fault.kind) == ("message_invalid", "retry")
    assert "version" in result.outcomes[0].fault.trace
    line.client._producer().send_task(RUN_SEARCH, args=[{"version": 2, "job_id": str(job_id)}], queue=SEARCH_QUEUE)
    result = read_result(line.redis)
    assert (result.job_id, result.fault.code, result.fault.kind) == (job_id, "message_invalid", "retry")

    assert run(line, merchant, "index", [work(line, 70)])[0].fault is None
    assert found(search(line, merchant, words="number70")) == [70]
    wait_until(lambda: line.redis.hlen("unacked") == 0)


def test_a_chunk_whose_lease_ran_out_before_it_began_is_dropped(line):
    merchant, photo = uuid4(), work(line, 80)
    stale = Chunk(chunk_id=uuid4(), merchant_id=merchant, purpose="index", photos=(work(line, 81),))
    line.client._producer().send_task(RUN_CHUNK, args=[stale.to_wire()], queue=BULK_QUEUE, expires=-1)
    run(line, merchant, "index", [photo])
    assert found(search(line, merchant, key=photo.key)) == [80]
    wait_until(lambda: line.redis.hlen("unacked") == 0)


def test_the_worker_shows_its_card(line):
    (card,) = line.client.live_workers()
    assert card.name in line.worker.card_key()
    assert (card.device, card.engine) == ("cpu", "embedded")
    assert line.client.queue_lengths()[BULK_QUEUE] == 0
    assert 0 < line.redis.ttl(line.worker.card_key()) <= 15


def test_a_price_changes_what_is_stored_without_a_look_at_the_photo(line):
    merchant, works = uuid4(), [work(line, number) for number in (70, 71)]
    run(line, merchant, "index", works)
    version = search(line, merchant, key=works[0].key).bundle_version
    again = [
        photo.model_copy(update={"product": product(70 + n, price=900.0, in_stock=False), "embedded_by": version})
        for n, photo in enumerate(works)
    ]
    expected = line.store.write(draw_photo(72)).key
    for photo in works:
        line.store.delete(photo.key)  # whoever opened the photo now would fail
    outcomes = run(line, merchant, "index", again)
    assert [(outcome.fault, outcome.width) for outcome in outcomes] == [(None, None)] * 2
    dear = search(line, merchant, key=expected, filters=SearchFilters(price_min=899.0, currency="EUR", in_stock=False))
    assert sorted(found(dear)) == [70, 71]

    # The fused vector is the one that embedding the photo with the new price would have given.
    line.store.write(draw_photo(70))
    before = search(line, merchant, key=works[0].key).candidates[0].scores
    run(line, merchant, "index", [again[0].model_copy(update={"embedded_by": ""})])
    after = search(line, merchant, key=works[0].key).candidates[0].scores
    assert (before.image, before.fused) == (pytest.approx(after.image, abs=1e-4), pytest.approx(after.fused, abs=1e-4))


def test_a_vector_that_is_not_there_after_all_is_made_from_the_photo(line):
    merchant, photo = uuid4(), work(line, 75)
    version = run(line, merchant, "index", [photo]) and search(line, merchant, key=photo.key).bundle_version
    run(line, merchant, "forget", [photo])
    (outcome,) = run(line, merchant, "index", [photo.model_copy(update={"embedded_by": version})])
    assert (outcome.fault, outcome.width) == (None, 320)
    (outcome,) = run(line, merchant, "index", [photo.model_copy(update={"embedded_by": "another-bundle"})])
    assert (outcome.fault, outcome.width) == (None, 320)


def test_like_this_but_not_like_that(line):
    merchant, works = uuid4(), [work(line, number) for number in range(80, 86)]
    run(line, merchant, "index", works)
    wanted, unwanted = works[1].photo_id, works[4].photo_id
    alone = search(line, merchant, like=(wanted,))
    assert (found(alone)[0], alone.verdict, alone.candidates[0].probability) == (81, None, None)
    assert alone.candidates[0].scores.image == pytest.approx(1.0, abs=0.01)
    against = search(line, merchant, like=(wanted,), unlike=(unwanted,))
    assert found(against)[0] == 81
    scores = [{each.product_id.int: each.scores.image for each in some.candidates} for some in (alone, against)]
    assert scores[1][84] < scores[0][84]

    with_photo = search(line, merchant, key=works[4].key, like=(wanted,))
    assert set(found(with_photo)[:2]) == {81, 84}
    missing = search(line, merchant, like=(uuid4(),))
    assert (missing.fault.code, missing.fault.kind) == ("examples_missing", "client")
    assert search(line, uuid4(), like=(wanted,)).candidates == ()
