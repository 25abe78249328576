"""Docker's HTTP API over its unix socket with nothing in between: the floor's side of it.

One blocking socket, one request at a time. Just enough HTTP/1.1 for what an engine sends;
of no use elsewhere.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections import deque
from typing import Any


Json = dict[str, Any]


class EngineError(Exception):
    """The engine refused, or closed the connection."""


class DockerSocket:
    """A connection to an engine that is kept open between requests."""

    def __init__(self, path: str, *, timeout_seconds: float = 30.0) -> None:
        """Raises OSError where nobody listens at ``path``."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_seconds)
        self._socket.connect(path)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def get(self, path: str) -> Any:  # noqa: ANN401 - it is JSON
        """Return the document of a GET. Raises EngineError."""
        return self.call("GET", path)

    def call(self, method: str, path: str, document: Json | None = None) -> Any:  # noqa: ANN401 - it is JSON
        """Do one request; return the answer's document, None where it has none."""
        body = b"" if document is None else json.dumps(document).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: docker\r\n"
        if method == "POST":
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._socket.sendall(head.encode() + b"\r\n" + body)
        status, answer = self._answer()
        if status >= 400:
            raise EngineError(f"{method} {path}: {status} {answer[:300]!r}")
        return json.loads(answer) if answer else None

    def _answer(self) -> tuple[int, bytes]:
        received = self._socket.recv(65536)
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        fields = head.lower()
        if b"\r\ntransfer-encoding: chunked" in fields:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._more()
            body = _without_chunks(body)
        elif b"\r\ncontent-length:" in fields:
            length = int(fields.split(b"\r\ncontent-length:")[1].split(b"\r\n")[0])
            while len(body) < length:
                body += self._more()
        return int(head[9:12]), body

    def _more(self) -> bytes:
        received = self._socket.recv(65536)
        if not received:
            raise EngineError("the engine closed the connection")
        return received


def _without_chunks(body: bytes) -> bytes:
    parts: list[bytes] = []
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            return b"".join(parts)
        parts.append(body[:length])
        body = body[length + 2 :]


class EventSocket:
    """A subscription to events. The engine sends each event as one line in one chunk."""

    def __init__(self, path: str, filters: Json) -> None:
        """Subscribe; when this returns, the engine has answered."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30.0)
        self._socket.connect(path)
        query = json.dumps(filters, separators=(",", ":")).replace('"', "%22")
        self._socket.sendall(
            f"GET /events?filters={query} HTTP/1.1\r\nHost: docker\r\n\r\n".encode()
        )
        self._waiting: deque[tuple[Json, int]] = deque()
        self._rest = b""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._socket.recv(65536)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise EngineError(f"/events: {head[:200]!r}")

    def fileno(self) -> int:
        """Return what select needs to tell that something has come."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()

    def next(self) -> tuple[Json, int]:
        """Return the next event, and the wall clock's nanoseconds when it was here."""
        while not self._waiting:
            self._receive()
        return self._waiting.popleft()

    def arrived(self) -> list[tuple[Json, int]]:
        """Return what is here already, after one read where that is nothing yet."""
        if not self._waiting:
            self._receive()
        found = list(self._waiting)
        self._waiting.clear()
        return found

    def forget(self) -> None:
        """Drop the events that are here already."""
        while self._waiting or select.select([self._socket], [], [], 0)[0]:
            self.arrived()

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        stamp = time.time_ns()
        if not received:
            raise EngineError("the engine ended the event stream")
        *lines, self._rest = (self._rest + received).split(b"\n")
        # The lines between events are sizes of chunks.
        self._waiting += [(json.loads(x), stamp) for x in lines if x.startswith(b"{")]
