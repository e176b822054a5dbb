"""Rows a second and peak memory of an import, at 1,000, 10,000 and 100,000 rows, over a bare `bulk_create`.

    python benchmarks/import.py [--quick] [--json FILE]

A manifest alone (CSV, eight columns) is uploaded and imported into an empty shop: spooled, surveyed, judged row by
row, written with its report. The bare way makes the same products with `bulk_create`, a thousand at a time,
and checks nothing. Each runs in a process of its own, whose peak memory is what the kernel says at its end.
"""

import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import common
from charts import lines

WAYS = ("import", "bulk_create")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--run", nargs=2, metavar=("WAY", "CSV"), help="one way, in this process; prints its figures")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run(*options.run)))
        return
    figures, told = common.report(options.quick), []
    with common.vitrine() as line:
        for rows in (1_000, 3_000) if options.quick else (1_000, 10_000, 100_000):
            manifest = write_manifest(line.folder / f"{rows}.csv", rows)
            for way in WAYS:
                told.append({"rows": rows, "way": way, **in_its_own_process(way, manifest)})
                print(told[-1], flush=True)
    peak = {each["rows"]: each["peak_mb"] for each in told if each["way"] == "import"}
    speed = {(each["way"], each["rows"]): each["rows_a_second"] for each in told}
    figures |= {
        "memory_growth_1k_to_100k": peak[100_000] / peak[1_000] if 100_000 in peak else None,
        "memory_growth": max(peak.values()) / peak[1_000],
        "over_bulk_create": {rows: speed["import", rows] / speed["bulk_create", rows] for rows in peak},
        "runs": told,
    }
    curves = {f"{way}, MB": [(each["rows"], each["peak_mb"]) for each in told if each["way"] == way] for way in WAYS}
    common.write("import", figures, options.json, {"memory": lines("Peak memory", curves, "rows", "MB")})


def write_manifest(path: Path, rows: int) -> Path:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["sku", "title", "brand", "category", "description", "price", "currency", "in_stock"])
        for n in range(rows):
            words = f"Stoneware mug {n}, sea green, {n % 97} cl"
            table.writerow(
                [f"SKU-{n}", words, f"Brand {n % 50}", "Kitchen/Mugs", f"{words}. " * 3, "14.90", "EUR", "yes"]
            )
    return path


def in_its_own_process(way: str, manifest: Path) -> dict:
    command = [sys.executable, __file__, "--run", way, str(manifest)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run(way: str, manifest: str) -> dict:
    import django  # noqa: PLC0415 - the environment comes from the parent

    django.setup()
    from catalog.models import Merchant, Product  # noqa: PLC0415

    path = Path(manifest)
    merchant = Merchant.objects.create(slug=f"{way}-{path.stem}", name=way)
    started = time.perf_counter()
    if way == "import":
        import_it(merchant, path)
    else:
        bulk_create(merchant, path)
    seconds, rows = time.perf_counter() - started, Product.objects.filter(merchant=merchant).count()
    assert rows == int(path.stem), f"{rows} products of {path.stem}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 2), "rows_a_second": rows / seconds, "peak_mb": round(peak, 1)}


def import_it(merchant: object, path: Path) -> None:
    from catalog.services.upload import upload_create, upload_import  # noqa: PLC0415

    with path.open("rb") as file:
        upload = upload_create(merchant=merchant, name=path.name, stream=file)
    assert upload_import(upload_id=upload.pk)


def bulk_create(merchant: object, path: Path) -> None:
    from itertools import islice  # noqa: PLC0415

    from catalog.models import Product  # noqa: PLC0415

    with path.open(newline="") as file:
        products = (
            Product(merchant=merchant, **{**values, "in_stock": values["in_stock"] == "yes"})
            for values in csv.DictReader(file)
        )
        while some := list(islice(products, 1_000)):
            Product.objects.bulk_create(some)


if __name__ == "__main__":
    main()
