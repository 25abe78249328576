"""Whether a burst on the runtime socket delays the requests that go through the same HAProxy.

The burst comes from a process of its own. Two processors have to serve all of them, so the
fair peer of "a burst here" is not silence but "the same burst into another HAProxy".
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, islice
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

from bare_haproxy import Running, Shape, running
from session import Session


CONNECTIONS = 8
"""Kept open, asked in turn: with two threads some are on the burst's thread, some are not."""
MOST_REQUESTS = 20_000
_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
_ANSWER = 'http-request return status 200 content-type text/plain string "here"'
_READINGS = 25

CASES = ("alone", "burst elsewhere", "burst", "reading")
"""Nothing else; commands into another HAProxy, into this one; its table read over and over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delays:
    """Seconds of every request by case, and the seconds that each burst took."""

    requests: dict[str, list[list[float]]] = field(
        default_factory=lambda: {case: [] for case in CASES}
    )
    """A list for each round."""
    bursts: dict[str, list[float]] = field(
        default_factory=lambda: {case: [] for case in CASES}
    )


def delays(
    version: str, *, threads: int, slots: int, commands: int, rounds: int, alone: int
) -> Delays:
    """Measure one HAProxy in rounds of all cases. ``alone``: requests of the first case."""
    found = Delays()
    shape = Shape(version=version, slots=slots, threads=threads, is_checked=False)
    lines = list(islice(cycle(_burst(slots)), commands))
    with ExitStack() as stack:
        origin = stack.enter_context(running(Shape(version=version, answer=_ANSWER)))
        here, other = (stack.enter_context(running(shape)) for _ in range(2))
        _serve_from(here, origin)
        clients = [_Client(here.port) for _ in range(CONNECTIONS)]
        for client in clients:
            stack.callback(client.close)
        works = {
            "burst elsewhere": _Work(other.socket, lines, 1),
            "burst": _Work(here.socket, lines, 1),
            "reading": _Work(here.socket, ["show servers state web1"], _READINGS),
        }
        _asked(clients, MOST_REQUESTS, lambda: False, least=200)
        for _ in range(rounds):
            found.requests["alone"].append(_asked(clients, alone, lambda: True))
            for case, work in works.items():
                seconds, burst = _beside(work, clients)
                found.requests[case].append(seconds)
                found.bursts[case].append(burst)
    return found


def _serve_from(haproxy: Running, origin: Running) -> None:
    """Make the first slot the one that serves."""
    haproxy.session().pipelined(
        [
            f"set server web1/slot1 addr 127.0.0.1 port {origin.port}",
            "set server web1/slot1 state ready",
        ]
    )
    time.sleep(0.05)


def _burst(slots: int) -> Iterator[str]:
    """What the reconciler begins with for each slot, but of the one that serves."""
    for number in range(2, slots + 1):
        yield f"set server web1/slot{number} state maint"
        yield f"set server web1/slot{number} addr 127.1.0.{number % 250 + 1} port 8000"
        yield f"set server web1/slot{number} weight 0"


@dataclass(frozen=True, slots=True)
class _Work:
    """What the other process does."""

    path: Path
    lines: list[str]
    times: int

    def run(self, began: Event, queue: SimpleQueue[float]) -> None:
        session = Session(self.path)
        began.set()
        queue.put(sum(session.pipelined(self.lines) for _ in range(self.times)))


def _beside(work: _Work, clients: list[_Client]) -> tuple[list[float], float]:
    """Ask while the work is done; return the requests' seconds, and the work's."""
    context = multiprocessing.get_context("fork")
    began, queue = context.Event(), context.SimpleQueue()
    process = context.Process(target=work.run, args=(began, queue), daemon=True)
    process.start()
    try:
        if not began.wait(10):
            raise OSError("the burst did not begin")
        seconds = _asked(clients, MOST_REQUESTS, queue.empty)
        burst = queue.get()
    finally:
        process.join(10)
        process.kill()
    return seconds, burst


class _Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self) -> float:
        """Send a request; return the seconds until its answer was here."""
        began = time.perf_counter()
        self._socket.sendall(_REQUEST)
        received = b""
        while not received.endswith(b"here"):
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionError("haproxy closed a client's connection")
            received += more
        if b" 200 " not in received[:20]:
            raise ConnectionError(f"not an answer of the origin: {received[:80]!r}")
        return time.perf_counter() - began

    def close(self) -> None:
        """End it."""
        self._socket.close()


def _asked(
    clients: list[_Client], most: int, is_on: Callable[[], bool], *, least: int = 20
) -> list[float]:
    """Ask, one request at a time, while something goes on; at least and at most so many."""
    seconds: list[float] = []
    for client in islice(cycle(clients), most):
        if len(seconds) >= least and not is_on():
            break
        seconds.append(client.get())
    return seconds
