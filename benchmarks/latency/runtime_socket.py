"""HAProxy's runtime socket with nothing in between: one blocking prompt session."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass


_MAINT = 0x01
_PLACEHOLDERS = "127.255.255."
_CONFIGURED_MAINT = 0x04
"""Set for ever on a server that the configuration calls disabled; says nothing of now."""

_RUNNING = "2"
_ADDRESS, _OPERATIONAL, _ADMIN, _WEIGHT, _PORT = 4, 5, 6, 7, 18
"""Columns of ``show servers state`` (management manual, 9.3)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server, and the endpoint it stands for."""

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

    def ready(self, backend: str) -> frozenset[Place]:
        """Return the servers of a backend that are in rotation."""
        return ready_in(self.ask(f"show servers state {backend}")[0])

    def draining(self, backend: str) -> frozenset[Place]:
        """Return the servers of a backend that were taken out with their tenants."""
        return draining_in(self.ask(f"show servers state {backend}")[0])

    def close(self) -> None:
        """End the session."""
        self._socket.close()


def ready_in(state: str) -> frozenset[Place]:
    """Return who is in rotation: ready, running, with a weight."""
    return frozenset(
        _place(row)
        for row in _rows(state)
        if row[_OPERATIONAL] == _RUNNING
        and row[_WEIGHT] != "0"
        and int(row[_ADMIN]) & ~_CONFIGURED_MAINT == 0
    )


def draining_in(state: str) -> frozenset[Place]:
    """Return who is in maint at weight 0, and at an address of its own."""
    return frozenset(
        _place(row)
        for row in _rows(state)
        if int(row[_ADMIN]) & _MAINT
        and row[_WEIGHT] == "0"
        and not row[_ADDRESS].startswith(_PLACEHOLDERS)
    )


def _rows(state: str) -> Iterator[list[str]]:
    for line in state.splitlines():
        row = line.split(" ")
        if len(row) > _PORT and row[_ADMIN].isdigit():
            yield row


def _place(row: list[str]) -> Place:
    return Place(row[3], row[_ADDRESS], row[_PORT])
