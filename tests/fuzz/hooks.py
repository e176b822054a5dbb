"""What schemathesis must be told; it loads this file by its path, see ``test_schema``."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def json_lines(ctx, value):
    """The document says it is a text; which texts are lines of JSON is tried by chance and by the example."""
    return {"data": value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")}
