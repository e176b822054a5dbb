"""A real TCP proxy between a client and a server, which loses answers as networks do. No fixtures here.

with LosesAnswers("127.0.0.1", port, lose=2) as proxy:
    ... proxy.url, proxy.requests
"""

import contextlib
import socket
import threading


class LosesAnswers:
    """Passes each request on, reads the whole answer, and hangs up instead of passing it back: ``lose`` times for each
    ``Idempotency-Key``, or for each address where a request has none. Then it passes the answer back.
    """

    def __init__(self, host: str, port: int, *, lose: int) -> None:
        self._server, self._lose = (host, port), lose
        self._seen: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self.requests: list[bytes] = []  # the head of each, as it came
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "LosesAnswers":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        """One request a connection: ``Connection: close`` makes the server end its answer by hanging up."""
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            head, body = _request(client)
            server.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
            answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
            if not self._is_lost(head):
                client.sendall(answer)

    def _is_lost(self, head: bytes) -> bool:
        lines = head.split(b"\r\n")
        keys = [line for line in lines if line.lower().startswith(b"idempotency-key:")]
        with self._lock:
            self.requests.append(head)
            name = (keys or lines)[0]
            self._seen[name] = self._seen.get(name, 0) + 1
            return self._seen[name] <= self._lose


def _request(client: socket.socket) -> tuple[bytes, bytes]:
    """The head of a request, without its ``Connection``, and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(1 << 16) or _cut()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")]
    while len(body) < sum(lengths):
        body += client.recv(1 << 16) or _cut()
    return b"\r\n".join(lines) + b"\r\n\r\n", body


def _cut() -> bytes:
    raise ConnectionError("the client hung up")
