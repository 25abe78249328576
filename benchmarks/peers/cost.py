"""What a contender costs: processor time of HAProxy and of who follows Docker for it.

Four times a second each process is looked at that descends from a container's first one
(checks that Docker starts inside do not), as /proc shows it; that takes root. Seen are
processes that live between two looks: a quarter of a second at the end of each is lost, and
what lives shorter (``haproxy -c``) altogether.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self


PERIOD_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")


class _Process(NamedTuple):
    pid: int
    name: str
    state: str
    parent: int
    started: int
    ticks: int


class Spent(NamedTuple):
    """Processor seconds so far."""

    haproxy: float
    follower: float


NOTHING_SPENT = Spent(0.0, 0.0)


class Cost:
    """Samples from entry to exit."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = frozenset(roots)
        self._first: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int], tuple[str, int]] = {}
        self._alive: frozenset[tuple[int, int]] = frozenset()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.most_haproxies = 0
        self.haproxies_seen: set[tuple[int, int]] = set()

    def __enter__(self) -> Self:
        """Begin; what was spent before does not count."""
        self._look()
        self._first = {key: ticks for key, (_, ticks) in self._last.items()}
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join(10.0)

    def spent(self) -> Spent:
        """Return what was spent since the entry."""
        self._look()
        ticks = {True: 0, False: 0}
        with self._lock:
            for key, (name, last) in self._last.items():
                ticks[name == "haproxy"] += last - self._first.get(key, 0)
        return Spent(ticks[True] / _TICKS, ticks[False] / _TICKS)

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_SECONDS):
            self._look()

    def _look(self) -> None:
        found = _processes()
        ours = [one for one in found.values() if self._descends(one, found)]
        haproxies = {
            (one.pid, one.started)
            for one in ours
            if one.name == "haproxy" and one.state != "Z"
        }
        with self._lock:
            for one in ours:
                self._last[one.pid, one.started] = (one.name, one.ticks)
            self.most_haproxies = max(self.most_haproxies, len(haproxies))
            self.haproxies_seen |= haproxies

    def _descends(self, process: _Process, found: dict[int, _Process]) -> bool:
        pid = process.pid
        for _ in range(50):
            if pid in self._roots:
                return True
            if pid not in found:
                return False
            pid = found[pid].parent
        return False


def _processes() -> dict[int, _Process]:
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            head, _, rest = text.rpartition(")")
            fields = rest.split()
            pid = int(folder.name)
            found[pid] = _Process(
                pid=pid,
                name=head.partition("(")[2],
                state=fields[0],
                parent=int(fields[1]),
                started=int(fields[19]),
                ticks=int(fields[11]) + int(fields[12]),
            )
    return found
