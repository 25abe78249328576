"""Looks at a contender's HAProxy again and again, and keeps every look that was different.

It looks when HAProxy logs that something became of a server: what it sees then was so when
the line came. And every now and then besides, all the time that changes are made, also in
between, so that its cost falls on each contender alike. Looking as often as it can instead
would take a processor from what is measured.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from peers.look import Look, Table


class UnseenError(Exception):
    """What was waited for was not seen."""


class ServerLog:
    """Where HAProxy logs what becomes of its servers."""

    def __init__(self, path: Path) -> None:
        """Begin to listen at a path in a folder of its own. Whoever reaches it may write."""
        self.path = path
        path.parent.mkdir()
        path.parent.chmod(0o755)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)

    def __enter__(self) -> Self:
        """Go on listening."""
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """Listen no more."""
        self._socket.close()

    def wake(self) -> None:
        """Let who waits go on, as at a line."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"wake", str(self.path))

    def wait(self, seconds: float) -> int | None:
        """Return when a line came, in nanoseconds of the wall clock; None if none did."""
        self._socket.settimeout(seconds)
        try:
            self._socket.recv(4096)
        except TimeoutError:
            return None
        return time.time_ns()


class Observer:
    """A thread that looks, from entry to exit."""

    def __init__(self, table: Table, period_seconds: float, log: ServerLog) -> None:
        """Look that often, and after each line of a log."""
        self._table = table
        self._log = log
        self.is_by_address = table.is_by_address
        self._period = period_seconds
        self._looks: list[Look] = []
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """End."""
        self._stop.set()
        self._log.wake()
        self._thread.join(10.0)

    def latest(self) -> Look:
        """Return how it is now. Raises UnseenError."""
        return self.wait("a first look", lambda _look: True, newest=True)

    def since(self, at: int) -> list[Look]:
        """Return every look of then and later that was different from the one before."""
        with self._changed:
            return [one for one in self._looks if one.at >= at]

    def wait(
        self,
        claim: str,
        is_so: Callable[[Look], bool],
        *,
        after: int = 0,
        newest: bool = False,
        timeout_seconds: float = 60.0,
    ) -> Look:
        """Return the first look after a time of which this is so. Raises UnseenError.

        Or the last look of all, if that is asked for.
        """
        found: list[Look] = []

        def search() -> bool:
            last = self._looks[-1:]
            looks = last if newest else [one for one in self._looks if one.at >= after]
            found[:] = [one for one in looks if is_so(one)][:1]
            return bool(found)

        with self._changed:
            if not self._changed.wait_for(search, timeout_seconds):
                raise UnseenError(f"{claim}: not seen within {timeout_seconds:g} s")
        return found[0]

    def _run(self) -> None:
        line_at: int | None = None
        while not self._stop.is_set():
            # A HAProxy that is being replaced may not answer for a moment.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                look = self._table.look()
                self._take(look if line_at is None else look._replace(at=line_at))
            line_at = self._log.wait(self._period)

    def _take(self, look: Look) -> None:
        with self._changed:
            if not self._looks or self._looks[-1][1:] != look[1:]:
                self._looks.append(look)
                self._changed.notify_all()
