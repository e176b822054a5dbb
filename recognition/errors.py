"""Errors typed by whose fault they are; raised anywhere in this package, sorted into outcomes by ``workers``.

``PhotoError`` is the client's fault and terminal at once; ``Unavailable`` is a service that is away (try again,
nothing is marked failed); ``BundleError`` stops a worker's start. Everything else is a bug of ours.
"""


class PhotoError(Exception):
    """A photo that can never be used: ``code`` is stable, ``message`` is a sentence a merchant understands."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Unavailable(Exception):
    """A service (index, storage, broker) is away; the same call may succeed later."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class BundleError(Exception):
    """A model bundle that must not be served: files missing, checksum or version wrong."""
