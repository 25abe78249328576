"""HAProxy's runtime socket with nothing in between: the raw limit, and an observer's eyes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.scripted_engine.model import loopback_address


_LINES_A_WRITE = 512
_PROMPT = b"\n> "

PLACEHOLDERS = "127.255.255."
"""Where nobody listens: slots are born at one such address, and freed to another."""


class Runtime:
    """A blocking prompt session, on a unix socket or on an address and its port."""

    def __init__(self, place: Path | tuple[str, int]) -> None:
        where = str(place) if isinstance(place, Path) else place
        family = socket.AF_UNIX if isinstance(place, Path) else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.settimeout(60.0)
        try:
            self._socket.connect(where)
        except OSError:
            self._socket.close()
            raise
        self.ask("prompt")

    def ask(self, *lines: str) -> list[str]:
        """Send lines in one write; return the reply of each."""
        self._socket.sendall("".join(f"{line}\n" for line in lines).encode())
        received = b""
        while received.count(_PROMPT) < len(lines):
            received += self._more()
        return received.decode().split("\n> ")[: len(lines)]

    def pipelined(self, lines: Sequence[str]) -> float:
        """Send any number of lines while reading; return how many seconds it took.

        Nothing is checked, kept or understood: this is the raw limit.
        """

        def send() -> None:
            for start in range(0, len(lines), _LINES_A_WRITE):
                part = lines[start : start + _LINES_A_WRITE]
                self._socket.sendall("".join(f"{line}\n" for line in part).encode())

        began = time.perf_counter()
        sender = threading.Thread(target=send)
        sender.start()
        missing, rest = len(lines), b""
        while missing:
            rest += self._more()
            missing -= rest.count(_PROMPT)
            rest = b"" if rest.endswith(_PROMPT) else rest[-2:]
        sender.join()
        return time.perf_counter() - began

    def _more(self) -> bytes:
        received = self._socket.recv(1 << 20)
        if not received:
            raise ConnectionError("haproxy closed the runtime socket")
        return received

    def active(self, backends: Sequence[str]) -> int:
        """Return how many servers of these backends are in rotation with a weight."""
        total = 0
        for reply in self.ask(*(f"show stat {name} 2 -1" for name in backends)):
            titles, row = reply.splitlines()[:2]
            at = titles.removeprefix("# ").split(",").index("act")
            weight = titles.removeprefix("# ").split(",").index("weight")
            cells = row.split(",")
            # A server with weight 0 is active, too: the total of weights tells.
            total += min(int(cells[at]), int(cells[weight]))
        return total

    def table(self, backend: str) -> list[list[str]]:
        """Return the rows of ``show servers state``."""
        rows = self.ask(f"show servers state {backend}")[0].splitlines()
        return [row.split(" ") for row in rows[2:] if row]

    def ready_addresses(self, backend: str) -> list[str]:
        """Return the addresses of the servers in rotation, sorted."""
        return sorted(
            row[4]
            for row in self.table(backend)
            if row[5] == "2" and row[7] != "0" and not int(row[6]) & ~4
        )

    def close(self) -> None:
        """End the session."""
        self._socket.close()


def wrong_slots(table: Sequence[Sequence[str]], alive: Sequence[str]) -> list[str]:
    """Return what is wrong in the rows of ``Runtime.table``, in words.

    Every address of ``alive`` has to be ready exactly once; every other slot has to be free:
    in maint, and at a placeholder.
    """
    wrong: list[str] = []
    missing = set(alive)
    for row in table:
        name, address, admin = row[3], row[4], int(row[6])
        is_ready = row[5] == "2" and row[7] != "0" and not admin & ~4
        if is_ready and address in missing:
            missing.remove(address)
        elif is_ready or not admin & 1 or not address.startswith(PLACEHOLDERS):
            wrong.append(f"{name} has {address}, admin state {admin}, weight {row[7]}")
    return wrong + [f"{address} is nowhere ready" for address in sorted(missing)]


def lines_of_an_assignment(backend: str, slots: int) -> tuple[list[str], list[str]]:
    """Return what fills all slots of a fresh backend: five lines each, in two phases.

    The lines the daemon sends: it says maint before each address, whatever it believes.
    """
    addresses: list[str] = []
    ready: list[str] = []
    for number in range(1, slots + 1):
        begin = f"set server {backend}/slot{number}"
        addresses += [
            f"{begin} weight 0",
            f"{begin} state maint",
            f"{begin} addr {loopback_address(number)} port 8000",
        ]
        ready += [f"{begin} state ready", f"{begin} weight 1"]
    return addresses, ready


@dataclass(frozen=True, slots=True)
class Raw:
    """How long a bare loop took."""

    lines: float
    """For the lines alone: the raw limit."""
    reading: float
    """To read all of it back once in between, as nobody can do without."""


def raw_seconds(runtime: Runtime, slots: Mapping[str, int]) -> Raw:
    """Fill backends by a bare loop."""
    both = [lines_of_an_assignment(name, number) for name, number in slots.items()]
    lines = runtime.pipelined([line for addresses, _ in both for line in addresses])
    began = time.perf_counter()
    for name in slots:
        runtime.ask(f"show servers state {name}")
    reading = time.perf_counter() - began
    lines += runtime.pipelined([line for _, ready in both for line in ready])
    return Raw(lines, reading)


def empty(runtime: Runtime, slots: Mapping[str, int]) -> None:
    """Free all slots again, at the address they were born with."""
    lines = []
    for name, number in slots.items():
        for slot in range(1, number + 1):
            begin = f"set server {name}/slot{slot}"
            lines += [f"{begin} state maint", f"{begin} addr 127.255.255.1 port 8000"]
    runtime.pipelined(lines)
