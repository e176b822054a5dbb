"""What schemathesis must be told; it loads this file by its path, see ``test_schema``."""

import os
from pathlib import Path

import schemathesis

TRIED = Path(os.environ["VITRINE_TEST_FUZZ_TRIED"])  # one operation a line, each time that it was let in


@schemathesis.hook
def after_call(context, case, response):
    """An operation saw nothing of a request that its key turned away, or that came with a method of no operation."""
    if response.status_code != 401 and case.method.lower() == case.operation.method.lower():
        with TRIED.open("a") as tried:
            tried.write(f"{case.method.upper()} {case.operation.path}\n")


@schemathesis.serializer("application/x-ndjson")
def json_lines(ctx, value):
    """The document says it is a text; which texts are lines of JSON is tried by chance and by the example."""
    return {"data": value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")}
