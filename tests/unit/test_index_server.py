"""The server engine's own duties: when it is away, what it is told before the first point, when it searches exactly."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from qdrant_client import QdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from recognition.errors import Unavailable
from recognition.index import Filters, IndexQuery, PhotoPoint, PointPayload, _server, open_index
from recognition.index._schema import PAYLOAD_INDEXES

ONE = np.ones(256)


class Answering(BaseHTTPRequestHandler):
    """Answers every request with the server's ``status``."""

    def do_GET(self):
        body = b'{"status": {"error": "no"}, "time": 0}'
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def answering():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def stub():
    """A server that answers what a fresh one would; ``info`` and ``matches`` are what a test sets."""
    client = mock.create_autospec(QdrantClient, instance=True)
    client.collection_exists.return_value = False
    client.get_collection.return_value.config.params.vectors = {
        name: m.VectorParams(size=256, distance=m.Distance.COSINE) for name in ("image", "fused")
    }
    client.get_collection.return_value.payload_schema = {}
    client.get_collection.return_value.status = m.CollectionStatus.GREEN
    client.query_batch_points.side_effect = lambda _, requests: [SimpleNamespace(points=[]) for _ in requests]
    with mock.patch.object(_server, "_http_client", return_value=client):
        yield client


def test_a_closed_port_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unavailable) as away:
        open_index(url, version="v")
    assert away.value.code == "index_unavailable"
    assert url in away.value.message


def test_a_silent_server_is_unavailable(monkeypatch):
    monkeypatch.setattr(_server, "TIMEOUT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Unavailable, match="cannot be reached"):
            open_index(f"http://127.0.0.1:{silent.getsockname()[1]}", version="v")


@pytest.mark.parametrize(("status", "said"), [(500, "500"), (503, "503"), (401, "VITRINE_INDEX_API_KEY")])
def test_a_server_in_trouble_is_unavailable(answering, status, said):
    answering.status = status
    with pytest.raises(Unavailable, match=said):
        open_index(f"http://127.0.0.1:{answering.server_port}", version="v")


def test_a_refused_request_is_our_bug(answering):
    answering.status = 400
    with pytest.raises(UnexpectedResponse):
        open_index(f"http://127.0.0.1:{answering.server_port}", version="v")


def test_payload_indexes_exist_before_the_first_point(stub):
    index = open_index("http://qdrant:6333", version="v")
    payload = PointPayload("acme", "p", "photo", "mugs", "Kiln", None, None, True)
    index.upsert([PhotoPoint(payload, ONE, ONE, "mug")])
    calls = [call[0] for call in stub.method_calls]
    assert calls == [
        "collection_exists",
        "create_collection",
        "get_collection",
        *["create_payload_index"] * len(PAYLOAD_INDEXES),
        "get_collection",  # is it behind?
        "upsert",
    ]
    made = {call.args[1]: call.args[2] for call in stub.create_payload_index.call_args_list}
    assert made.keys() == PAYLOAD_INDEXES.keys()
    assert made["merchant_id"].is_tenant
    assert [name for name, params in made.items() if params.enable_hnsw] == ["merchant_id"]
    assert (made["price"].type, made["in_stock"].type) == ("float", "integer")


def test_an_existing_collection_gets_only_the_missing_indexes(stub):
    stub.collection_exists.return_value = True
    stub.get_collection.return_value.payload_schema = dict.fromkeys(
        [name for name in PAYLOAD_INDEXES if name != "in_stock"]
    )
    open_index("http://qdrant:6333", version="v")
    stub.create_collection.assert_not_called()
    assert [call.args[1] for call in stub.create_payload_index.call_args_list] == ["in_stock"]


def test_two_workers_may_make_the_collection_at_once(stub):
    stub.create_collection.side_effect = UnexpectedResponse(409, "Conflict", b"exists", {})
    open_index("http://qdrant:6333", version="v")
    assert stub.create_payload_index.call_count == len(PAYLOAD_INDEXES)


@pytest.mark.parametrize(("matches", "exact"), [(50_000, True), (50_001, False)])
def test_a_selective_filter_is_searched_exactly(stub, matches, exact):
    stub.count.return_value.count = matches
    index = open_index("http://qdrant:6333", version="v")
    for photo_id in ("a", "b"):
        filters = Filters("acme", categories=("mugs",), exclude_photo_ids=(photo_id,))
        assert index.nearest([IndexQuery(filters, image=ONE)]) == [[]]
    requests = stub.query_batch_points.call_args.args[1]
    assert [request.using for request in requests] == ["image", "fused"]
    assert [request.params.exact for request in requests] == [exact, exact]
    assert all(request.filter.must[0].key == "merchant_id" for request in requests)
    stub.count.assert_called_once()


def test_a_merchant_alone_is_searched_in_his_graph(stub):
    index = open_index("http://qdrant:6333", version="v")
    index.nearest([IndexQuery(Filters("acme", exclude_photo_ids=("a",)), image=ONE)])
    requests = stub.query_batch_points.call_args.args[1]
    assert [request.params.exact for request in requests] == [False, False]
    stub.count.assert_not_called()
    made = stub.create_collection.call_args.kwargs["hnsw_config"]
    assert (made.m, made.payload_m) == (0, 16)
    assert stub.create_collection.call_args.kwargs["optimizers_config"].max_segment_size == 400_000


@pytest.mark.parametrize(("indexed", "behind"), [(120_000, True), (260_000, False)])
def test_while_the_server_is_behind_searches_leave_out_what_has_no_graph_and_writes_slow_down(
    stub, monkeypatch, indexed, behind
):
    pauses = []
    monkeypatch.setattr(_server.time, "sleep", pauses.append)
    index = open_index("http://qdrant:6333", version="v")
    info = stub.get_collection.return_value
    info.status, info.points_count, info.indexed_vectors_count = m.CollectionStatus.YELLOW, 100_000, indexed
    acme, kiln = Filters("acme"), Filters("acme", brands=("Kiln",))
    stub.count.side_effect = [SimpleNamespace(count=50_001)] * behind + [SimpleNamespace(count=10)] * 2
    index.nearest([IndexQuery(acme, image=ONE)])
    whole = stub.query_batch_points.call_args.args[1]
    index.nearest([IndexQuery(kiln, image=ONE)])
    selective = stub.query_batch_points.call_args.args[1]
    assert [(each.params.exact, each.params.indexed_only) for each in (*whole, *selective)] == [
        *[(False, behind)] * 2,
        *[(True, False)] * 2,
    ]
    index.upsert([PhotoPoint(PointPayload("acme", "p", "photo", "mugs", "Kiln", None, None, True), ONE, ONE, "mug")])
    assert pauses == [_server.PAUSE_SECONDS] * behind
    assert [index.is_behind(), index.is_behind(acme), index.is_behind(kiln)] == [behind, behind, False]
    assert any("behind with indexing" in note for note in index.health().notes) is behind
    assert stub.get_collection.call_count == 2, "one look serves for some seconds"


def test_a_small_merchant_finds_everything_while_the_server_is_behind_with_another(stub):
    index = open_index("http://qdrant:6333", version="v")
    info = stub.get_collection.return_value
    info.status, info.points_count, info.indexed_vectors_count = m.CollectionStatus.YELLOW, 1_000_050, 1_000_050
    stub.count.return_value.count = 50
    index.nearest([IndexQuery(Filters("small", exclude_photo_ids=("a",)), image=ONE)])
    requests = stub.query_batch_points.call_args.args[1]
    assert [(each.params.exact, each.params.indexed_only) for each in requests] == [(True, False)] * 2
    assert index.is_behind(Filters("small")) is False, "the answer is whole"
    stub.count.assert_called_once()


@pytest.mark.parametrize("behind", [True, False])
def test_a_server_that_does_not_say_how_far_it_is_still_answers_searches(stub, monkeypatch, behind):
    now = [1000.0]
    monkeypatch.setattr(_server.time, "monotonic", lambda: now[0])
    index = open_index("http://qdrant:6333", version="v")
    info = stub.get_collection.return_value
    info.status, info.points_count = m.CollectionStatus.YELLOW, 100_000
    info.indexed_vectors_count = 100_000 if behind else 300_000
    stub.count.return_value.count = 60_000
    assert index.is_behind() is behind
    stub.get_collection.side_effect = UnexpectedResponse(503, "Service Unavailable", b"", {})
    now[0] += _server.BEHIND_SECONDS
    assert index.nearest([IndexQuery(Filters("acme"), image=ONE)]) == [[]]
    assert index.is_behind(Filters("acme")) is behind, "what was seen last counts"
    stub.get_collection.side_effect = None
    info.indexed_vectors_count = 300_000 if behind else 100_000
    now[0] += _server.BEHIND_SECONDS
    assert index.is_behind() is not behind


def test_a_server_that_has_nothing_to_do_is_not_behind(stub):
    index = open_index("http://qdrant:6333", version="v")
    info = stub.get_collection.return_value
    info.points_count, info.indexed_vectors_count = 100_000, 0  # small segments are never given a graph
    assert index.is_behind() is False


def test_what_one_vector_did_not_find_is_scored_and_what_is_gone_since_is_left_out(stub):
    """A photo without words: the nearest by each vector, then what is missing, then the payloads of the best."""
    told = {("image", False): {"a": 0.9, "b": 0.8}, ("fused", False): {"a": 0.7, "c": 0.6}}
    missing = {("image", True): {"c": 0.2}, ("fused", True): {"b": 0.5}}

    def answers(_, requests):
        scored = [bool(r.filter.must and isinstance(r.filter.must[0], m.HasIdCondition)) for r in requests]
        points = [(told | missing)[r.using, its] for r, its in zip(requests, scored, strict=True)]
        return [SimpleNamespace(points=[SimpleNamespace(id=i, score=s) for i, s in its.items()]) for its in points]

    payload = {"merchant_id": "acme", "photo_id": "x", "in_stock": 1}
    stub.query_batch_points.side_effect = answers
    stub.retrieve.return_value = [  # "b" was forgotten between the two calls
        SimpleNamespace(id="a", payload=payload | {"product_id": "pa"}),
        SimpleNamespace(id="c", payload=payload | {"product_id": "pc"}),
    ]
    index = open_index("http://qdrant:6333", version="v")
    (hits,) = index.nearest([IndexQuery(Filters("acme"), image=ONE)])
    found = [(hit.product_id, round(hit.score, 6), hit.image_score, hit.fused_score, hit.votes) for hit in hits]
    assert found == [("pa", 0.8, 0.9, 0.7, 1), ("pc", 0.4, 0.2, 0.6, 1)]
    (_, missed) = (call.args[1] for call in stub.query_batch_points.call_args_list)
    assert [(request.using, request.filter.must[0].has_id) for request in missed] == [
        ("image", ["c"]),
        ("fused", ["b"]),
    ]
    assert stub.retrieve.call_args.args[1] == ["a", "b", "c"], "the best first"


def test_a_photo_that_goes_before_its_scores_are_told_is_left_out(stub):
    """Photo and words: the server's fusion ranks, and only what is shown is asked for its scores."""
    told = {"image": {"a": 0.9}, "fused": {"a": 0.7}, "words": {}}

    def answers(_, requests):
        found = [{"a": 2.0, "b": 1.5} if request.prefetch else told[request.using] for request in requests]
        return [SimpleNamespace(points=[SimpleNamespace(id=i, score=s) for i, s in its.items()]) for its in found]

    payload = {"merchant_id": "acme", "photo_id": "x", "in_stock": 1}
    stub.query_batch_points.side_effect = answers
    stub.retrieve.side_effect = lambda _, ids, **__: [
        SimpleNamespace(id=each, payload=payload | {"product_id": f"p{each}"}) for each in ids
    ]
    index = open_index("http://qdrant:6333", version="v")
    (hits,) = index.nearest([IndexQuery(Filters("acme"), image=ONE, words="mug")])
    found = [(hit.product_id, hit.score, hit.image_score, hit.fused_score, hit.text_score) for hit in hits]
    assert found == [("pa", 2.0, 0.9, 0.7, 0.0)]


@pytest.mark.parametrize("payload", [None, {"merchant_id": "kiln", "product_id": "p", "photo_id": "x", "in_stock": 1}])
def test_photos_that_were_forgotten_or_changed_hands_end_the_search(stub, payload):
    """As many as one vector is asked for, so another round would be asked, and another."""
    found = [SimpleNamespace(id=f"{number}", score=0.5) for number in range(60)]
    stub.query_batch_points.side_effect = lambda _, requests: [SimpleNamespace(points=found) for _ in requests]
    stub.retrieve.side_effect = lambda _, ids, **__: [SimpleNamespace(id=each, payload=payload) for each in ids]
    index = open_index("http://qdrant:6333", version="v")
    assert index.nearest([IndexQuery(Filters("acme"), image=ONE)]) == [[]]
    assert stub.retrieve.call_count == 1


def test_promote_replaces_the_alias_in_one_call(stub):
    index = open_index("http://qdrant:6333", version="v")
    stub.get_collections.return_value.collections = [
        m.CollectionDescription(name=name) for name in ("photos-v", "photos-w", "other", "photos")
    ]
    stub.get_aliases.return_value.aliases = [m.AliasDescription(alias_name="photos", collection_name="photos-w")]
    assert index.versions() == ["v", "w"]
    index.promote("v")
    ((steps,), _) = stub.update_collection_aliases.call_args
    assert [type(step).__name__ for step in steps] == ["DeleteAliasOperation", "CreateAliasOperation"]
    assert steps[1].create_alias.collection_name == "photos-v"


def test_health_of_a_server_that_went_away(stub):
    index = open_index("http://qdrant:6333", version="v")
    stub.count.side_effect = UnexpectedResponse(503, "Service Unavailable", b"", {})
    health = index.health()
    assert (health.engine, health.ok, health.points) == ("server", False, 0)
    assert "503" in health.notes[0]
