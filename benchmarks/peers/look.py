"""Two ways to see whom a contender's HAProxy sends requests to, by HAProxy's own account.

The runtime socket tells servers by address. Where a contender's HAProxy has none to ask
(EasyHAProxy's takes commands at its master's socket only until its first reload), its
statistics page is read, which gives names and no addresses: then servers are counted.

Each look is on a connection of its own. One that stays open would be kept by a worker that
is to go, and keep that worker alive.
"""

from __future__ import annotations

import csv
import socket
import time
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple


TIMEOUT_SECONDS = 2.0
_NAME, _ADDRESS, _OPERATIONAL, _ADMIN, _WEIGHT = 3, 4, 5, 6, 7
"""Columns of ``show servers state`` (management manual, 9.3)."""

_OUT = 0x01 | 0x02 | 0x20 | 0x08 | 0x10
"""Maint by an administrator, inherited or for want of an address, and drain."""


class Look(NamedTuple):
    """How it was at one moment."""

    at: int
    """When HAProxy's answer was here: nanoseconds of the wall clock, the engine's too."""
    known: frozenset[str]
    """Servers that no administrator keeps out, whatever a health check says."""
    up: frozenset[str]
    """Those of them that HAProxy calls up: these get new requests."""


class Table(ABC):
    """One contender's way."""

    is_by_address: bool

    @abstractmethod
    def look(self) -> Look:
        """Ask once. Raises OSError or ValueError where there is no answer just now."""

    @abstractmethod
    def tried_again(self) -> int | None:
        """Return how often HAProxy tried again, as a server did not take a request.

        None where it does not know: the counters begin anew with each reload.
        """


class RuntimeTable(Table):
    """By the runtime socket, reached through a process of its container (takes root)."""

    is_by_address = True

    def __init__(self, pid: int, path: str, backend: str, prefix: str) -> None:
        self._path = str(Path("/proc") / str(pid) / "root" / path.lstrip("/"))
        self._backend, self._prefix = backend, prefix

    def look(self) -> Look:
        """Return the addresses of the servers."""
        text = self._ask(f"show servers state {self._backend}")
        at = time.time_ns()
        known, up = set(), set()
        for line in text.splitlines():
            row = line.split(" ")
            if len(row) <= _WEIGHT or not row[_NAME].startswith(self._prefix):
                continue
            if not int(row[_ADMIN]) & _OUT and row[_WEIGHT] != "0":
                known.add(row[_ADDRESS])
                if row[_OPERATIONAL] == "2":
                    up.add(row[_ADDRESS])
        return Look(at, frozenset(known), frozenset(up))

    def tried_again(self) -> int:
        """Return the backend's retries and redispatches."""
        text = self._ask(f"show stat {self._backend} 2 -1")
        (row,) = csv.DictReader(text.removeprefix("# ").splitlines())
        return int(row["wretr"]) + int(row["wredis"])

    def _ask(self, question: str) -> str:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.settimeout(TIMEOUT_SECONDS)
            stream.connect(self._path)
            stream.sendall(f"{question}\n".encode())
            return b"".join(iter(lambda: stream.recv(65536), b"")).decode()


class PageTable(Table):
    """By the statistics page, as CSV."""

    is_by_address = False

    def __init__(self, url: str, backend: str, prefix: str) -> None:
        self._url, self._backend, self._prefix = url, backend, prefix

    def look(self) -> Look:
        """Return the names of the servers."""
        with urllib.request.urlopen(self._url, timeout=TIMEOUT_SECONDS) as answer:
            text = answer.read().decode()
        at = time.time_ns()
        rows = [
            row
            for row in csv.DictReader(text.removeprefix("# ").splitlines())
            if row["pxname"] == self._backend and row["svname"].startswith(self._prefix)
        ]
        if not rows:
            raise ValueError(f"no servers of {self._backend} on the page")
        return Look(
            at,
            frozenset(
                row["svname"] for row in rows if not row["status"].startswith("MAINT")
            ),
            frozenset(row["svname"] for row in rows if row["status"].startswith("UP")),
        )

    def tried_again(self) -> None:
        """Return nothing: who reloads, forgets."""
