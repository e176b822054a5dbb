"""How long a page of a shop's products takes, at the first row and deep in a list of a million: p50 and p99.

    python benchmarks/pages.py [--quick] [--json FILE]

Products are made with `bulk_create` in SQLite, every tenth of a brand that is common and every hundred thousandth of
one that is rare. Pages of 50 are asked for through the whole of Django and the API in this process, without a network:
plain, and narrowed to a brand. The middle and the last page are reached by their cursors, as a caller would who kept
them; a rare brand has one page.
"""

import base64
import json
import logging
import time
from typing import Any

import common
from charts import bars

ROWS, AT_ONCE, PAGE = 1_000_000, 5_000, 50
EVERY = {"common": 10, "rare": 100_000}  # one product in so many is of this brand


def main() -> None:
    options = common.parser(__doc__).parse_args()
    figures, told = common.report(options.quick), {}
    rows, asks = (20_000, 30) if options.quick else (ROWS, 300)
    with common.vitrine():
        logging.disable(logging.INFO)  # a line for each request
        merchant, client = shop(rows)
        for brand in ("", *EVERY):
            for name, cursor in places(merchant, brand).items():
                told[f"{brand or 'plain'}, {name}"] = common.percentiles(asked(client, brand, cursor, asks))
                print(f"{brand or 'plain':8s} {name:8s}", told[f"{brand or 'plain'}, {name}"], flush=True)
    deep = max(each["p50"] for name, each in told.items() if not name.endswith("first"))
    figures |= {
        "rows": rows,
        "p50_deep_over_first": deep / told["plain, first"]["p50"],
        "p50_brand_over_plain": told["rare, first"]["p50"] / told["plain, first"]["p50"],
        "milliseconds": told,
    }
    drawn = {f"{name}, {key}": each[key] for name, each in told.items() for key in ("p50", "p99")}
    common.write("pages", figures, options.json, {"pages": bars("A page of products", drawn, "ms")})


def shop(rows: int) -> tuple[Any, Any]:
    """A merchant with so many products, and a client with its key."""
    from django.test import Client  # noqa: PLC0415 - Django is set up by now

    from catalog.models import Merchant, Product  # noqa: PLC0415
    from catalog.services.key import api_key_create  # noqa: PLC0415

    merchant = Merchant.objects.create(slug="bench", name="Bench")
    for start in range(0, rows, AT_ONCE):
        Product.objects.bulk_create(
            Product(merchant=merchant, sku=f"SKU-{n}", title=f"Stoneware mug {n}", brand=brand_of(n))
            for n in range(start, min(start + AT_ONCE, rows))
        )
    _, token = api_key_create(merchant=merchant, name="pages", rate_limit=1_000_000)
    return merchant, Client(headers={"Authorization": f"Bearer {token}"}, SERVER_NAME="127.0.0.1")


def brand_of(number: int) -> str:
    return next((brand for brand in reversed(EVERY) if number % EVERY[brand] == 0), f"Brand {number % 97}")


def places(merchant: Any, brand: str) -> dict[str, str]:
    """The cursors of the first, the middle and the last page; of one page, the first alone."""
    from catalog.models import Product  # noqa: PLC0415

    rows = Product.objects.filter(merchant=merchant).order_by("-created_at", "id")
    rows = rows.filter(brand=brand) if brand else rows
    count = rows.count()
    if count <= PAGE:
        return {"first": ""}
    before = {"middle": count // 2, "last": count - PAGE - 1}
    return {"first": ""} | {name: cursor_of(rows[position]) for name, position in before.items()}


def cursor_of(row: Any) -> str:
    """The API's cursor of the page that begins after this row."""
    return base64.urlsafe_b64encode(json.dumps([0, row.created_at.isoformat(), str(row.pk)]).encode()).decode()


def asked(client: Any, brand: str, cursor: str, times: int) -> list[float]:
    """Seconds of each answer."""
    sent = {name: value for name, value in (("brand", brand), ("cursor", cursor)) if value}
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        answer = client.get("/api/v1/products", sent)
        seconds.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.content
    return seconds


if __name__ == "__main__":
    main()
