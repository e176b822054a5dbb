"""What can be wrong with an upload, typed by how much of it is lost: the whole, or one file."""

from catalog.services.problems import storable


class UploadFault(Exception):
    """The upload as a whole cannot be read; nothing of it was imported."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = storable(message)


class EntryFault(Exception):
    """One file of the upload cannot be used; its row says so and every other row goes on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = storable(message)


class LeaseLost(Exception):
    """Another process has taken the import over, or it was cancelled: stop without a trace."""
