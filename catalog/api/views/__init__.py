"""The views, one module a resource: unpack, call one service or selector, shape the answer."""
