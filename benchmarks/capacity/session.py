"""A runtime socket with nothing in between: one blocking prompt session that times itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


_TIMEOUT_SECONDS = 60.0
_LINES_AT_ONCE = 500
"""Their replies fit into the socket's buffers, so neither side can block the other."""


class Session:
    """A prompt session."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where nobody listens or answers."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_TIMEOUT_SECONDS)
        self._socket.connect(str(path))
        self.ask("prompt")

    def ask(self, line: str) -> bytes:
        """Send one line; return its reply."""
        self._socket.sendall(line.encode() + b"\n")
        parts = [self._received()]
        # A reply ends with its prompt, and nothing follows until we ask again.
        while (parts[-2] + parts[-1] if parts[1:] else parts[-1])[-3:] != b"\n> ":
            parts.append(self._received())
        return b"".join(parts)[:-3]

    def timed(self, line: str) -> float:
        """Send one line; return the seconds until its whole reply was here."""
        began = time.perf_counter()
        self.ask(line)
        return time.perf_counter() - began

    def pipelined(self, lines: Sequence[str]) -> float:
        """Send lines without waiting between them; return the seconds of all of it."""
        portions = list(_portions(lines))
        began = time.perf_counter()
        for count, portion in portions:
            self._socket.sendall(portion)
            left = count
            tail = b""
            while left:
                tail = tail[-2:] + self._received()
                left -= tail.count(b"\n> ")
        return time.perf_counter() - began

    def _received(self) -> bytes:
        received = self._socket.recv(1 << 18)
        if not received:
            raise ConnectionError("haproxy closed the runtime socket")
        return received

    def close(self) -> None:
        """End it."""
        self._socket.close()


def _portions(lines: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(lines), _LINES_AT_ONCE):
        portion = lines[start : start + _LINES_AT_ONCE]
        yield len(portion), "".join(f"{line}\n" for line in portion).encode()
