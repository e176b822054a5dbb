"""A stand-in for a Qdrant server, for lines of several machines: its REST interface over the client's in-memory mode.

    python -m tests.qdrant HOST PORT

Knows the requests that ``recognition.index`` makes and no others. A real server takes its place where
``VITRINE_TEST_QDRANT_URL`` names one; none can be installed from the package indexes. What it holds ends with it.
"""

import json
import re
import sys
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient
from qdrant_client import models as m

ADDRESS = re.compile(r"/collections/(?P<name>[^/?]+)(?P<rest>/[a-z/]+)?(\?.*)?")


class Handler(BaseHTTPRequestHandler):
    """One request, answered under one lock: the in-memory mode knows no threads."""

    protocol_version = "HTTP/1.1"
    qdrant = QdrantClient(":memory:")
    lock = Lock()

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        with self.lock:
            try:
                result, status = respond(self.qdrant, f"{self.command} {self.path}", body), 200
            except Exception as error:
                result, status = f"{type(error).__name__}: {error}", 404 if "not found" in str(error) else 400
        said = {"time": 0.0, "status": "ok" if status == 200 else {"error": result}}
        text = json.dumps(said | {"result": plain(result) if status == 200 else None}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        pass


def respond(qdrant: QdrantClient, request: str, body: dict[str, Any]) -> Any:
    """What Qdrant answers to this request."""
    verb, _, path = request.partition(" ")
    if verb == "GET" and path == "/collections":
        return qdrant.get_collections()
    if verb == "GET" and path == "/aliases":
        return qdrant.get_aliases()
    if path.startswith("/collections/aliases"):
        return qdrant.update_collection_aliases(TypeAdapter(list[m.AliasOperations]).validate_python(body["actions"]))
    found = ADDRESS.fullmatch(path)
    name, rest = found["name"], found["rest"] or ""
    if rest == "/exists":
        return {"exists": qdrant.collection_exists(name)}
    if not rest and verb == "GET":
        return qdrant.get_collection(name)
    if not rest:
        vectors = TypeAdapter(m.VectorsConfig).validate_python(body["vectors"])
        sparse = TypeAdapter(dict[str, m.SparseVectorParams]).validate_python(body["sparse_vectors"])
        return qdrant.create_collection(name, vectors_config=vectors, sparse_vectors_config=sparse)
    return POINTS[f"{verb} {rest}"](qdrant, name, body)


def upsert(qdrant: QdrantClient, name: str, body: dict) -> Any:
    return qdrant.upsert(name, [m.PointStruct.model_validate(point) for point in body["points"]])


def retrieve(qdrant: QdrantClient, name: str, body: dict) -> Any:
    return qdrant.retrieve(name, body["ids"], with_payload=body["with_payload"], with_vectors=body["with_vector"])


def scroll(qdrant: QdrantClient, name: str, body: dict) -> Any:
    wanted = m.ScrollRequest.model_validate(body)
    points, following = qdrant.scroll(
        name, wanted.filter, limit=wanted.limit, offset=wanted.offset, with_payload=wanted.with_payload
    )
    return {"points": points, "next_page_offset": following}


def count(qdrant: QdrantClient, name: str, body: dict) -> Any:
    return qdrant.count(name, m.CountRequest.model_validate(body).filter)


def query(qdrant: QdrantClient, name: str, body: dict) -> Any:
    asked = [m.QueryRequest.model_validate(search) for search in body["searches"]]
    for each in asked:
        each.params = None
        for part in each.prefetch or []:
            part.params = None
    return qdrant.query_batch_points(name, asked)


POINTS = {
    "PUT /index": lambda *_: {"operation_id": 0, "status": "completed"},
    "PUT /points": upsert,
    "POST /points": retrieve,
    "POST /points/scroll": scroll,
    "POST /points/count": count,
    "POST /points/delete": lambda qdrant, name, body: qdrant.delete(name, m.PointIdsList(points=body["points"])),
    "POST /points/query/batch": query,
}


def plain(result: Any) -> Any:
    """Models as JSON."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, dict):
        return {key: plain(value) for key, value in result.items()}
    return [plain(each) for each in result] if isinstance(result, list | tuple) else result


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the in-memory mode says that it is for small things only
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
