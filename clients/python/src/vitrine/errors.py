"""What may go wrong: every exception of this package is a ``VitrineError``.

A call that reached Vitrine and was refused raises a ``Problem`` of the kind that its status says; one that got no
answer raises ``ConnectionFailed``. Both come after the retries (``_flows.sent``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitrine.models import Fault, RecognitionJob, SearchJob, Upload


class VitrineError(Exception):
    """The base of all."""


class ConnectionFailed(VitrineError):
    """No answer arrived, whether or not the request did: nobody there, cut off, not valid HTTP or TLS."""


class TimedOut(ConnectionFailed):
    """No answer within the call's ``timeout``."""


class AnswerInvalid(VitrineError):
    """What answered is no Vitrine of a version that this client knows."""


class SignatureInvalid(VitrineError):
    """This webhook was not sent by Vitrine, or too long ago."""


class JobFailed(VitrineError):
    """The job or upload ended without a result; ``job`` says how (``state``) and why (``error``)."""

    def __init__(self, job: SearchJob | RecognitionJob | Upload) -> None:
        super().__init__(f"{job.state}: {job.error.message}" if job.error else job.state)
        self.job = job


class StillRunning(VitrineError):
    """The job or upload was not finished while the caller waited, and goes on; ``job`` is how it stood then."""

    def __init__(self, job: SearchJob | RecognitionJob | Upload) -> None:
        super().__init__(f"not finished yet: {job.state}")
        self.job = job


class Problem(VitrineError):
    """Vitrine refused: its problem details (RFC 9457).

    ``code`` and the codes in ``errors`` are stable (``/api/errors`` lists them), sentences may change. Name the
    ``request_id`` when you report a fault. ``retry_after`` is in seconds, where the answer says so.
    """

    def __init__(
        self, *, status: int, code: str, detail: str, errors: list[Fault], request_id: str, retry_after: float | None
    ) -> None:
        super().__init__(f"{status} {code}: {detail}" + "".join(f" [{each.field}: {each.message}]" for each in errors))
        self.status, self.code, self.detail, self.errors = status, code, detail, errors
        self.request_id, self.retry_after = request_id, retry_after

    @classmethod
    def of(cls, status: int, **details: Any) -> Problem:
        """The problem in the class of its status."""
        kind = KINDS.get(status, ServerProblem if status >= 500 else Problem)
        return kind(status=status, **details)


class NotAuthenticated(Problem):
    """401: no key, or one that is wrong, expired or revoked."""


class NotAllowed(Problem):
    """403: the key lacks the scope, or may not do this at all."""


class NotFound(Problem):
    """404: nothing with this address belongs to this merchant."""


class Conflict(Problem):
    """409: it contradicts what is there, for example a sku that is taken."""


class Gone(Problem):
    """410: it was there, and is not kept any more."""


class Invalid(Problem):
    """422: ``errors`` names every field that is wrong; nothing was changed."""


class TooManyRequests(Problem):
    """429: ``retry_after`` says when to ask again, later than this client waits by itself."""


class ServerProblem(Problem):
    """5xx: a fault or a service that is away, after all retries."""


KINDS: dict[int, type[Problem]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}
