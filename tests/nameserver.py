"""A real name server on UDP whose answer for a name may change from one question to the next. No fixtures here.

with NameServer("127.0.0.1", 53) as names:
    names.answers["shop.test"] = ["93.184.216.34", "127.0.0.1"]    # the last one stays
    ... names.asked
"""

import socket
import struct
import threading
from ipaddress import IPv4Address

A, IN = 1, 1
AUTHORITATIVE, NO_SUCH_NAME = 0x8580, 0x8583
TYPE_AND_CLASS = 4  # bytes behind a name in a question
OVER = b""


class NameServer:
    """Answers for IPv4; asked for anything else of a name that it knows, it says that there is none."""

    def __init__(self, host: str, port: int) -> None:
        self.answers: dict[str, list[str]] = {}
        self.asked: list[str] = []  # the names, a look-up each
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            message, caller = self._socket.recvfrom(512)
            if message == OVER:
                return
            self._socket.sendto(self._reply(message), caller)

    def _reply(self, message: bytes) -> bytes:
        end = message.index(0, 12) + 1 + TYPE_AND_CLASS
        question = message[12:end]
        name = _name(question)
        asked_type, _ = struct.unpack("!HH", question[-TYPE_AND_CLASS:])
        known, answer = self.answers.get(name), b""
        if known and asked_type == A:
            self.asked.append(name)
            address = known.pop(0) if len(known) > 1 else known[0]
            answer = struct.pack("!HHHIH", 0xC00C, A, IN, 0, 4) + IPv4Address(address).packed  # kept for no second
        flags = NO_SUCH_NAME if known is None else AUTHORITATIVE
        return message[:2] + struct.pack("!HHHHH", flags, 1, bool(answer), 0, 0) + question + answer

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.sendto(OVER, self._socket.getsockname())
        self._thread.join()
        self._socket.close()


def _name(question: bytes) -> str:
    labels, at = [], 0
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower()
