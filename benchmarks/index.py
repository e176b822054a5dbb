"""The index through its façade, beside the bare engine: writes a second, search times, recall against exact search.

    python benchmarks/index.py [--quick] [--json FILE]

Synthetic photos: 256-d unit vectors in clusters, three photos a product, 50 categories that have nothing to do with
looks (what graphs are bad at), one merchant. Searches ask for ten products: by photo, by photo within one category
(2 % of the photos), by photo and words, by words. Recall is the share of numpy's exact ten products that came back.
The bare engine is the same Qdrant Edge, given the same points with their words' vectors ready, in turn with the façade
batch by batch; it is asked for ten points by both vectors exactly, and not whose they are: there is one merchant. A
Qdrant server that VITRINE_TEST_QDRANT_URL names is measured too, else the client's in-memory mode up to 10,000 photos.

Searches are timed fifty at a time, in turn with the bare engine and with a loop of Python that takes as long as half of
the searches do: its p99 is what the machine makes of anything that takes so long. The first of each fifty is asked once
before, untimed: the processor's cache is full of another's data then. What is right is asked for before as well.
"""

import os
import tempfile
import time
import uuid
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import common
import numpy as np
from charts import lines
from qdrant_edge import EdgeShard, Point, Query, QueryRequest, SearchParams, SparseVector, UpdateOperation

from recognition.index import Filters, IndexQuery, PhotoIndex, PhotoPoint, PointPayload, _edge, _schema, open_index
from recognition.index._words import document_words

DIM, LIMIT, PHOTOS_OF_A_PRODUCT, CATEGORIES, BATCH = 256, 10, 3, 50, 256
MEMORY_PHOTOS = 10_000
IN_TURN = 50
LOOP = 40_000  # counted to by the loop whose time is taken for its length
MERCHANT = Filters("acme")
PHOTO, FILTERED = "photo", "photo, one category"


@dataclass(frozen=True)
class Row:
    """One line of the table; times in milliseconds a query, asked one by one."""

    engine: str
    photos: int
    search: str
    p50: float
    p99: float
    recall: float | None


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


class Shelf:
    """The photos as matrices [photos, DIM], and as points where they are written."""

    def __init__(self, photos: int, dice: np.random.Generator) -> None:
        """Products lie near cluster centres, photos near their product; ``fused`` adds a text direction of its own."""
        count = -(-photos // PHOTOS_OF_A_PRODUCT)
        self.products = np.arange(photos) // PHOTOS_OF_A_PRODUCT
        of_product = dice.integers(0, CATEGORIES, count)
        self.categories = of_product[self.products]
        centres = unit(dice.normal(size=(4 * CATEGORIES, DIM)))[dice.integers(0, 4 * CATEGORIES, count)]
        looks = unit(centres + 0.8 * unit(dice.normal(size=(count, DIM)))).astype(np.float32)
        texts = unit(centres + 0.8 * unit(dice.normal(size=(count, DIM)))).astype(np.float32)
        self.image, self.fused = (np.empty((photos, DIM), np.float32) for _ in range(2))
        for first in range(0, photos, 100_000):
            some = slice(first, min(photos, first + 100_000))
            of = self.products[some]
            self.image[some] = unit(looks[of] + 0.5 * unit(dice.normal(size=(len(of), DIM))))
            self.fused[some] = unit(self.image[some] + texts[of])
        vocabulary = np.array([f"word{i}" for i in range(2000)])
        self.titles = [" ".join(words) for words in vocabulary[dice.integers(0, 2000, (count, 8))]]

    def batches(self) -> Iterator[list[PhotoPoint]]:
        """All photos, a batch at a time."""
        for first in range(0, len(self.products), BATCH):
            yield [self._point(i) for i in range(first, min(len(self.products), first + BATCH))]

    def _point(self, i: int) -> PhotoPoint:
        p = int(self.products[i])
        payload = PointPayload(
            merchant_id="acme",
            product_id=f"product{p}",
            photo_id=f"photo{i}",
            category=f"category{self.categories[i]}",
            brand=f"brand{p % 40}",
            price=float(p % 100),
            currency="EUR",
            in_stock=bool(p % 10),
        )
        return PhotoPoint(payload, self.image[i], self.fused[i], f"{self.titles[p]} SKU-{p:06d}")


def searches(shelf: Shelf, count: int, dice: np.random.Generator) -> dict[str, list[IndexQuery]]:
    """What is asked: a customer's photo of a product (another view), a category, words of its title."""
    rows = dice.integers(0, len(shelf.products), count)
    photos = unit(shelf.image[rows] + 0.5 * unit(dice.normal(size=(count, DIM)))).astype(np.float32)
    words = [" ".join(shelf.titles[shelf.products[row]].split()[:2]) for row in rows]
    within = [Filters("acme", categories=(f"category{shelf.categories[row]}",)) for row in rows]
    return {
        PHOTO: [IndexQuery(MERCHANT, image=photo, limit=LIMIT) for photo in photos],
        FILTERED: [IndexQuery(w, image=photo, limit=LIMIT) for w, photo in zip(within, photos, strict=True)],
        "photo + words": [
            IndexQuery(MERCHANT, image=photo, text=shelf.fused[row], words=text, limit=LIMIT)
            for photo, row, text in zip(photos, rows, words, strict=True)
        ],
        "words": [
            IndexQuery(MERCHANT, text=shelf.fused[row], words=text, limit=LIMIT)
            for row, text in zip(rows, words, strict=True)
        ],
    }


def exact_products(shelf: Shelf, query: IndexQuery) -> set[str]:
    """Numpy's ten products for a photo."""
    scores = 0.5 * (shelf.image @ query.image) + 0.5 * (shelf.fused @ query.image)
    if query.filters.categories:
        category = int(query.filters.categories[0].removeprefix("category"))
        scores = np.where(shelf.categories == category, scores, -2.0)
    best: dict[int, None] = {}
    for row in np.argsort(-scores)[: 20 * LIMIT]:
        if scores[row] > -2.0:
            best.setdefault(int(shelf.products[row]), None)
    return {f"product{p}" for p in list(best)[:LIMIT]}


def bare_points(points: list[PhotoPoint]) -> list[tuple]:
    """What the engine needs of each point, but for the calls that every user of it has to make."""
    ready = []
    for point in points:
        words = document_words(point.words)
        sparse = SparseVector(list(words.indices), list(words.values)) if words else None
        both = np.concatenate([unit(point.image), unit(point.fused)])
        ready.append((uuid.uuid4(), both, sparse, _schema.to_payload(point.payload)))
    return ready


def bare_upsert(shard: EdgeShard, ready: list[tuple]) -> None:
    points = [
        Point(name, {_edge.BOTH: both.tolist(), "words": sparse}, payload) for name, both, sparse, payload in ready
    ]
    shard.update(UpdateOperation.upsert_points(points))


def fill(index: PhotoIndex, shelf: Shelf, bare: EdgeShard | None) -> tuple[float, float]:
    """Photos a second through the façade, and into the bare engine, batch by batch. Each goes first every second time:
    who comes second finds the vectors in the processor's cache."""
    facade = engine = 0.0
    for i, points in enumerate(shelf.batches()):
        ready = bare_points(points) if bare else []
        for is_facade in (i % 2 == 1, i % 2 == 0):
            started = time.perf_counter()
            if is_facade:
                index.upsert(points)
                facade += time.perf_counter() - started
            elif bare:
                bare_upsert(bare, ready)
                engine += time.perf_counter() - started
    index.flush()
    return len(shelf.products) / facade, len(shelf.products) / engine if bare else 0.0


def measure(
    engine: str, index: PhotoIndex, shelf: Shelf, count: int, dice: np.random.Generator, bare: EdgeShard | None = None
) -> list[Row]:
    rows = []
    for name, queries in searches(shelf, count, dice).items():
        recall = recalled(index, shelf, queries[:100])
        kinds: dict[str, Callable[[IndexQuery], object]] = {engine: lambda query: index.nearest([query])}
        as_long = steps_as_long(timed(kinds, queries[:IN_TURN])[engine])
        if bare and recall is not None:
            kinds["bare engine"] = lambda query: bare_nearest(bare, query)
        kinds["machine"] = loop(as_long)
        for kind, times in timed(kinds, queries).items():
            rows.append(row(kind, shelf, name, times, recall if kind == engine else None))
    return rows


def loop(steps: int) -> Callable[[IndexQuery], object]:
    """Counts, whatever is asked."""
    return lambda _: sum(range(steps))


def steps_as_long(times: Sequence[float]) -> int:
    """How far a loop counts that takes as long as the median of these milliseconds."""
    (alone,) = timed({"loop": loop(LOOP)}, [IndexQuery(MERCHANT)] * IN_TURN).values()
    return int(LOOP * np.median(times) / np.median(alone))


def recalled(index: PhotoIndex, shelf: Shelf, queries: Sequence[IndexQuery]) -> float | None:
    """The mean share of numpy's products that are found; None where words are asked for."""
    if queries[0].words:
        return None
    wanted = [exact_products(shelf, query) for query in queries]
    found = [{hit.product_id for hit in index.nearest([query])[0]} for query in queries]
    return float(np.mean([len(some & all_) / len(all_) for some, all_ in zip(found, wanted, strict=True)]))


def timed(kinds: dict[str, Callable[[IndexQuery], object]], queries: Sequence[IndexQuery]) -> dict[str, list[float]]:
    """Milliseconds of each query, each kind in turn."""
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for first in range(0, len(queries), IN_TURN):
        for kind, answer in kinds.items():
            answer(queries[first])
            for query in queries[first : first + IN_TURN]:
                started = time.perf_counter()
                answer(query)
                times[kind].append(1000 * (time.perf_counter() - started))
    return times


def bare_nearest(shard: EdgeShard, query: IndexQuery) -> list:
    both = Query.Nearest(np.concatenate([query.image / 2, query.image / 2]).tolist(), _edge.BOTH)
    allowed = _edge.to_filter(query.filters, sole="acme")
    return shard.query(QueryRequest(LIMIT, query=both, filter=allowed, params=SearchParams(exact=True)))


def row(engine: str, shelf: Shelf, name: str, times: list[float], recall: float | None) -> Row:
    p50, p99 = np.percentile(times, [50, 99])
    told = "" if recall is None else f"{recall:9.3f}"
    print(f"{engine:12} {len(shelf.products):9,} {name:20} {p50:8.2f} {p99:8.2f} {told:>9}", flush=True)
    return Row(engine, len(shelf.products), name, float(p50), float(p99), recall)


def embedded(shelf: Shelf, count: int, dice: np.random.Generator, *, beside: bool) -> tuple[list[Row], dict]:
    """The façade, and where `beside` is set the bare engine with it."""
    with tempfile.TemporaryDirectory() as name:
        plain = Path(name, "bare")
        if beside:
            plain.mkdir()
            _edge.create_shard(plain, DIM)
        bare = EdgeShard.load(str(plain), _edge.config(DIM)) if beside else None
        with closing(open_index(f"{name}/ours", version="bench")) as index:
            ours, engines = fill(index, shelf, bare)
            rows = measure("embedded", index, shelf, count, dice, bare)
        if bare:
            bare.close()
    return rows, {"photos": len(shelf.products), "facade": ours, "bare_engine": engines}


def other(shelf: Shelf, count: int, dice: np.random.Generator) -> list[Row]:
    """A server where one is named, else the client's in-memory mode while it can bear the photos."""
    server = os.environ.get("VITRINE_TEST_QDRANT_URL", "")
    if not server and len(shelf.products) > MEMORY_PHOTOS:
        return []
    with closing(open_index(server or "memory://", version=f"bench-{uuid.uuid4().hex[:8]}")) as index:
        fill(index, shelf, None)
        return measure("server" if server else "memory", index, shelf, count if server else 10, dice)


def main() -> None:
    options = common.parser(__doc__).parse_args()
    figures, rows, upserts = common.report(options.quick), [], []
    sizes, count = ((1_000, 5_000), 50) if options.quick else ((1_000, 10_000, 100_000, 1_000_000), 1000)
    dice = np.random.default_rng(7)
    print(f"{'engine':12} {'photos':>9} {'search':20} {'p50 ms':>8} {'p99 ms':>8} {'recall@10':>9}")
    for photos in sizes:
        shelf = Shelf(photos, dice)
        measured, written = embedded(shelf, count, dice, beside=photos <= 100_000)
        upserts.append(written)
        rows += [*measured, *other(shelf, count, dice)]
    write(options, figures, rows, upserts)


def write(options: Namespace, figures: dict, rows: list[Row], upserts: list[dict]) -> None:
    ours = {(each.photos, each.search): each for each in rows if each.engine == "embedded"}
    beside = [each for each in upserts if each["bare_engine"]][-1]
    figures |= {
        "photo_source": {"name": "synthetic vectors"},
        "p99_ms_100k_filtered": _of(ours.get((100_000, FILTERED)), "p99"),
        "p99_ms_100k": _of(ours.get((100_000, PHOTO)), "p99"),
        "recall_at_10_100k": _of(ours.get((100_000, PHOTO)), "recall"),
        "filtered_recall_at_10_100k": _of(ours.get((100_000, FILTERED)), "recall"),
        "filtered_recall_at_10_1m": _of(ours.get((1_000_000, FILTERED)), "recall"),
        "upserts_over_engine": beside["facade"] / beside["bare_engine"],
        "upserts_a_second": upserts,
        "searches": [asdict(each) for each in rows],
    }
    curves = {
        f"{search}, {key}": [(each.photos, getattr(each, key)) for each in ours.values() if each.search == search]
        for search in (PHOTO, FILTERED)
        for key in ("p50", "p99")
    }
    plot = lines("Top ten products, embedded index", curves, "photos", "milliseconds")
    common.write("index", figures, options.json, {"searches": plot})
    print(f"upserts a second {upserts}, over the engine's {figures['upserts_over_engine']:.2f}")


def _of(found: Row | None, key: str) -> float | None:
    return getattr(found, key) if found else None


if __name__ == "__main__":
    main()
