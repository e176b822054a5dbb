"""The client's faults as the services raise them; the API, the admin and the page translate them for people."""

from collections.abc import Sequence


class Refused(Exception):
    """A request that must not be carried out; nothing was changed.

    ``code`` is stable, ``message`` is a sentence for people, ``status`` the HTTP status that fits, ``problems`` the
    single faults as ``{"code", "message", "field"}``.
    """

    def __init__(self, code: str, message: str, *, status: int = 422, problems: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.problems = list(problems)
