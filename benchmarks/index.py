"""Measures the index through its façade: writes a second, search times and recall, on both engines side by side.

    python -m benchmarks.index [--quick] [--json FILE]

Synthetic photos: 256-d unit vectors in clusters, three photos a product, 50 categories, one merchant. Searches ask for
ten products: by photo, by photo within one category (2 % of the photos), by photo and words, by words. ``recall`` is
the share of numpy's exact ten products that the engine returned. The second engine is the Qdrant server named by
VITRINE_TEST_QDRANT_URL, or the client's in-memory mode, which is asked less and only up to 10,000 photos. ``--quick``
leaves out 100,000 photos.
"""

import argparse
import json
import os
import platform
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from recognition.index import Filters, IndexQuery, PhotoPoint, PointPayload, open_index

DIM, LIMIT, PHOTOS_OF_A_PRODUCT, CATEGORIES = 256, 10, 3, 50
MEMORY_PHOTOS = 10_000
QUERIES, MEMORY_QUERIES = 300, 10
MERCHANT = Filters("acme")


@dataclass(frozen=True)
class Shelf:
    """The photos as points, and as matrices [photos, DIM] for numpy."""

    points: list[PhotoPoint]
    image: np.ndarray
    fused: np.ndarray
    products: np.ndarray
    categories: np.ndarray


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


def make_shelf(photos: int, rng: np.random.Generator) -> Shelf:
    """Products lie near category centres, photos near their product; ``fused`` adds a text direction of its own."""
    count = -(-photos // PHOTOS_OF_A_PRODUCT)
    products = np.arange(photos) // PHOTOS_OF_A_PRODUCT
    of_product = rng.integers(0, CATEGORIES, count)
    centres = unit(rng.normal(size=(4 * CATEGORIES, DIM)))[rng.integers(0, 4 * CATEGORIES, count)]
    looks = unit(centres + 0.8 * unit(rng.normal(size=(count, DIM))))
    texts = unit(centres + 0.8 * unit(rng.normal(size=(count, DIM))))
    image = unit(looks[products] + 0.5 * unit(rng.normal(size=(photos, DIM)))).astype(np.float32)
    fused = unit(image + texts[products]).astype(np.float32)
    vocabulary = np.array([f"word{i}" for i in range(2000)])
    titles = [" ".join(rng.choice(vocabulary, 8)) for _ in range(count)]
    points = [
        PhotoPoint(
            PointPayload(
                merchant_id="acme",
                product_id=f"product{p}",
                photo_id=f"photo{i}",
                category=f"category{of_product[p]}",
                brand=f"brand{p % 40}",
                price=float(p % 100),
                currency="EUR",
                in_stock=bool(p % 10),
            ),
            image[i],
            fused[i],
            f"{titles[p]} SKU-{p:06d}",
        )
        for i, p in enumerate(products)
    ]
    return Shelf(points, image, fused, products, of_product[products])


def searches(shelf: Shelf, count: int, rng: np.random.Generator) -> dict[str, list[IndexQuery]]:
    """The same photos asked in four ways."""
    rows = rng.integers(0, len(shelf.points), count)
    photos = unit(shelf.image[rows] + 0.4 * unit(rng.normal(size=(count, DIM)))).astype(np.float32)
    words = [" ".join(shelf.points[row].words.split()[2:4]) for row in rows]
    within = [Filters("acme", categories=(f"category{shelf.categories[row]}",)) for row in rows]
    return {
        "photo": [IndexQuery(MERCHANT, image=photo, limit=LIMIT) for photo in photos],
        "photo, one category": [
            IndexQuery(w, image=photo, limit=LIMIT) for w, photo in zip(within, photos, strict=True)
        ],
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


def measure(engine: str, url: str, shelf: Shelf, count: int, rng: np.random.Generator) -> tuple[float, list[Row]]:
    """Photos written a second, and one row for each kind of search."""
    index = open_index(url, version=f"bench-{uuid.uuid4().hex[:8]}")
    try:
        start = time.perf_counter()
        for first in range(0, len(shelf.points), 256):
            index.upsert(shelf.points[first : first + 256])
        upserts = len(shelf.points) / (time.perf_counter() - start)
        index.flush()
        rows = []
        for name, queries in searches(shelf, count, rng).items():
            index.nearest(queries[:3])
            times, recalls = [], []
            for query in queries:
                start = time.perf_counter()
                (hits,) = index.nearest([query])
                times.append(1000 * (time.perf_counter() - start))
                if not query.words:
                    wanted = exact_products(shelf, query)
                    recalls.append(len(wanted & {hit.product_id for hit in hits}) / len(wanted))
            p50, p99 = np.percentile(times, [50, 99])
            rows.append(Row(engine, len(shelf.points), name, p50, p99, float(np.mean(recalls)) if recalls else None))
        return upserts, rows
    finally:
        index.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out 100,000 photos")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures and the versions here")
    options = parser.parse_args()
    server = os.environ.get("VITRINE_TEST_QDRANT_URL", "")
    rng = np.random.default_rng(7)
    written, rows = [], []
    print(f"{'engine':9} {'photos':>8} {'search':20} {'p50 ms':>8} {'p99 ms':>8} {'recall@10':>9}")
    for photos in (1_000, 10_000) if options.quick else (1_000, 10_000, 100_000):
        shelf = make_shelf(photos, rng)
        with tempfile.TemporaryDirectory() as folder:
            engines = [("embedded", folder, QUERIES)]
            if server:
                engines.append(("server", server, QUERIES))
            elif photos <= MEMORY_PHOTOS:
                engines.append(("memory", "memory://", MEMORY_QUERIES))
            for engine, url, count in engines:
                upserts, measured = measure(engine, url, shelf, count, rng)
                written.append({"engine": engine, "photos": photos, "upserts_a_second": upserts})
                print(f"{engine:9} {photos:8,} {f'{upserts:,.0f} upserts/s':20}")
                for row in measured:
                    recall = "" if row.recall is None else f"{row.recall:9.3f}"
                    print(f"{engine:9} {photos:8,} {row.search:20} {row.p50:8.2f} {row.p99:8.2f} {recall:>9}")
                rows += measured
    if options.json:
        libraries = {name: version(name) for name in ("qdrant-edge-py", "qdrant-client", "numpy")}
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "platform": platform.platform()}
        report = {"versions": libraries, "machine": machine, "upserts": written, "searches": [asdict(r) for r in rows]}
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
