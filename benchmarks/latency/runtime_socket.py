"""HAProxy's runtime socket with nothing in between: one blocking prompt session."""

from __future__ import annotations

import socket
from dataclasses import dataclass


_DRAIN = 0x08
_CONFIGURED_MAINT = 0x04
"""Set for ever on a server that the configuration calls disabled; says nothing of now."""

_RUNNING = "2"
_ADDRESS, _OPERATIONAL, _ADMIN, _WEIGHT, _PORT = 4, 5, 6, 7, 18
"""Columns of ``show servers state`` (management manual, 9.3)."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A server in rotation, and the endpoint it sends requests to."""

    server: str
    address: str
    port: str


class RuntimeSocket:
    """A prompt session. Several lines may be sent at once; each gets its reply."""

    def __init__(self, path: str) -> None:
        """Raises OSError where nobody listens at ``path``."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10.0)
        self._socket.connect(path)
        self.ask("prompt")

    def ask(self, *lines: str) -> list[str]:
        """Send command lines in one write; return the reply of each."""
        self._socket.sendall("".join(f"{line}\n" for line in lines).encode())
        received = b""
        while received.count(b"\n> ") < len(lines):
            more = self._socket.recv(262144)
            if not more:
                raise ConnectionError("haproxy closed the runtime socket")
            received += more
        return received.decode().split("\n> ")[: len(lines)]

    def ready(self, backend: str) -> frozenset[Ready]:
        """Return the servers of a backend that are in rotation."""
        return ready_in(self.ask(f"show servers state {backend}")[0])

    def draining(self, backend: str) -> frozenset[str]:
        """Return the servers of a backend that are in drain, by name."""
        return draining_in(self.ask(f"show servers state {backend}")[0])

    def close(self) -> None:
        """End the session."""
        self._socket.close()


def ready_in(state: str) -> frozenset[Ready]:
    """Return who is in rotation: ready, running, with a weight."""
    found = set()
    for line in state.splitlines():
        row = line.split(" ")
        if len(row) <= _PORT or row[_OPERATIONAL] != _RUNNING or row[_WEIGHT] == "0":
            continue
        if int(row[_ADMIN]) & ~_CONFIGURED_MAINT == 0:
            found.add(Ready(row[3], row[_ADDRESS], row[_PORT]))
    return frozenset(found)


def draining_in(state: str) -> frozenset[str]:
    """Return who an administrator has put in drain."""
    rows = [line.split(" ") for line in state.splitlines()]
    return frozenset(
        row[3]
        for row in rows
        if len(row) > _PORT and row[_ADMIN].isdigit() and int(row[_ADMIN]) & _DRAIN
    )
