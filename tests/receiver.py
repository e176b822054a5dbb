"""A real HTTP server on loopback that keeps what it is sent and answers as it is told. No fixtures here.

with Receiver() as shop:
    shop.answer(500, b"no")        # from now on
    ... shop.url, shop.requests
"""

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


class Receiver:
    """The server. ``before`` is called with each request before it is answered: it may wait."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.before: Callable[[Request], None] = lambda request: None
        self._answer: tuple[int, bytes, dict[str, str]] = (204, b"", {})
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, self.rfile.read(length))
                receiver.requests.append(request)
                receiver.before(request)
                status, body, more = receiver._answer
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = handle_any  # noqa: N815 - the names that http.server asks for

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, address: None  # a caller that was killed, or had enough
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.host, self.port = host, self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://{host}:{self.port}/hook"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """What it answers from now on; underscores in header names become hyphens."""
        self._answer = status, body, {name.replace("_", "-"): value for name, value in headers.items()}

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
