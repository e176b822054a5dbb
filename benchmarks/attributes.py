"""How attributes that merchants name as they like are best laid into a point's payload: ``docs/decisions/index.md``.

    python -m benchmarks.attributes [--photos 30000] [--json FILE]

Fills one embedded shard for each way with the same points and asks each the same filtered searches; prints
milliseconds (median of the rounds, ways in turn) and photos a second at filling.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    MatchAny,
    MatchValue,
    NestedCondition,
    PayloadSchemaType,
    Point,
    Query,
    QueryRequest,
    RangeFloat,
    SearchParams,
    UpdateOperation,
)

DIM, BATCH, OTHERS = 256, 256, 6
COLOURS = [f"colour {n}" for n in range(12)]
SIZES = [str(n) for n in range(30, 50)]

Attributes = dict[str, str]


class Way(NamedTuple):
    """A layout: the payload of a point, the indexed fields, one of these values, a number in this range."""

    payload: Callable[[Attributes, float], dict[str, Any]]
    indexes: dict[str, PayloadSchemaType]
    any_of: Callable[[str, list[str]], Any]
    between: Callable[[str, float, float], Any]


def named(key: str, name: str, condition: FieldCondition) -> NestedCondition:
    return NestedCondition(key, Filter(must=[FieldCondition("name", match=MatchValue(name)), condition]))


def rows(attributes: Attributes) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in attributes.items()]


WAYS = {
    "terms": Way(
        lambda attributes, volume: {
            "attributes": [f"{name}\x1f{value}" for name, value in attributes.items()],
            "numbers": [{"name": "volume", "value": volume}],
        },
        {
            "attributes": PayloadSchemaType.Keyword,
            "numbers[].name": PayloadSchemaType.Keyword,
            "numbers[].value": PayloadSchemaType.Float,
        },
        lambda name, values: FieldCondition("attributes", match=MatchAny([f"{name}\x1f{value}" for value in values])),
        lambda name, low, high: named("numbers", name, FieldCondition("value", range=RangeFloat(gte=low, lte=high))),
    ),
    "names and values": Way(
        lambda attributes, volume: {"attributes": rows(attributes), "numbers": [{"name": "volume", "value": volume}]},
        {"attributes[].name": PayloadSchemaType.Keyword, "attributes[].value": PayloadSchemaType.Keyword},
        lambda name, values: named("attributes", name, FieldCondition("value", match=MatchAny(values))),
        lambda name, low, high: named("numbers", name, FieldCondition("value", range=RangeFloat(gte=low, lte=high))),
    ),
    "a key each": Way(
        lambda attributes, volume: {"attributes": attributes, "numbers": {"volume": volume}},
        {},
        lambda name, values: FieldCondition(f"attributes.{name}", match=MatchAny(values)),
        lambda name, low, high: FieldCondition(f"numbers.{name}", range=RangeFloat(gte=low, lte=high)),
    ),
}


def fill(folder: Path, way: Way, count: int) -> tuple[EdgeShard, float]:
    """A shard with so many photos, and how many a second it took."""
    config = EdgeConfig(vectors={"image": EdgeVectorParams(DIM, Distance.Cosine)})
    folder.mkdir()
    shard = EdgeShard.create(str(folder), config)
    for name, kind in (way.indexes | {"merchant_id": PayloadSchemaType.Keyword}).items():
        shard.update(UpdateOperation.create_field_index(name, kind))
    dice, drawn = random.Random(1), np.random.default_rng(1)
    started = time.perf_counter()
    for start in range(0, count, BATCH):
        points = []
        for number, vector in enumerate(drawn.normal(size=(BATCH, DIM)).astype(np.float32), start):
            attributes = {"colour": dice.choice(COLOURS), "size": dice.choice(SIZES)}
            attributes |= {f"other {n}": f"value {dice.randrange(1000)}" for n in range(OTHERS)}
            payload = way.payload(attributes, dice.randrange(1000)) | {"merchant_id": "m"}
            points.append(Point(number, {"image": vector.tolist()}, payload))
        shard.update(UpdateOperation.upsert_points(points))
    return shard, count / (time.perf_counter() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures and the versions here")
    options = parser.parse_args()
    query = np.random.default_rng(2).normal(size=DIM).tolist()
    merchant = FieldCondition("merchant_id", match=MatchValue("m"))
    questions: dict[str, Callable[[Way], list[Any]]] = {
        "no filter": lambda way: [],
        "two colours": lambda way: [way.any_of("colour", COLOURS[:2])],
        "two colours, one size": lambda way: [way.any_of("colour", COLOURS[:2]), way.any_of("size", SIZES[:1])],
        "a fifth of the volumes": lambda way: [way.between("volume", 100, 300)],
    }
    took: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        shards = {name: fill(Path(folder, name.replace(" ", "-")), way, options.photos) for name, way in WAYS.items()}
        for _ in range(options.rounds):
            for question, conditions in questions.items():
                answers = set()
                for name, (shard, _rate) in shards.items():
                    allowed = Filter(must=[merchant, *conditions(WAYS[name])])
                    request = QueryRequest(
                        60, query=Query.Nearest(query, "image"), filter=allowed, params=SearchParams(exact=True)
                    )
                    started = time.perf_counter()
                    found = shard.query(request)
                    took.setdefault((name, question), []).append(1000 * (time.perf_counter() - started))
                    answers.add(tuple(point.id for point in found))
                assert len(answers) == 1, question
        figures: dict[str, dict[str, float]] = {}
        for name, (shard, rate) in shards.items():
            medians = {each: round(statistics.median(took[name, each]), 1) for each in questions}
            figures[name] = {"photos a second": round(rate)} | medians
            print(f"{name}: {', '.join(f'{what} {figure:g}' for what, figure in figures[name].items())}")
            shard.close()
    if options.json:
        machine = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "qdrant-edge-py": version("qdrant-edge-py"),
        }
        report = {"machine": machine, "photos": options.photos, "rounds": options.rounds, "milliseconds": figures}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
