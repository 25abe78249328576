"""Looks at a contender's HAProxy again and again, and keeps every look that was different.

All the time that changes are made, also in between, so that its cost falls on each
contender alike. For a second after each request to the engine it asks a runtime socket as
often as it can: so long may a start take. A page is never asked for more often than usual.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable
from typing import Self

from peers.look import Look, Table


SHARP_SECONDS = 1.0
SHARP_PERIOD_SECONDS = 0.001


class UnseenError(Exception):
    """What was waited for was not seen."""


class Observer:
    """A thread that looks, from entry to exit."""

    def __init__(self, table: Table, period_seconds: float) -> None:
        self._table = table
        self.is_by_address = table.is_by_address
        self._period = period_seconds
        self._looks: list[Look] = []
        self._changed = threading.Condition()
        self._sharp_until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join(10.0)

    def latest(self) -> Look:
        """Return how it is now. Raises UnseenError."""
        return self.wait("a first look", lambda _look: True, newest=True)

    def since(self, at: int) -> list[Look]:
        """Return every look of then and later that was different from the one before."""
        with self._changed:
            return [one for one in self._looks if one.at >= at]

    def sharpen(self) -> None:
        """Look more often for a while: something is about to happen."""
        if self.is_by_address:
            self._sharp_until = time.monotonic() + SHARP_SECONDS

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
        while not self._stop.is_set():
            # A HAProxy that is being replaced may not answer for a moment.
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                self._take(self._table.look())
            is_sharp = time.monotonic() < self._sharp_until
            time.sleep(SHARP_PERIOD_SECONDS if is_sharp else self._period)

    def _take(self, look: Look) -> None:
        with self._changed:
            if not self._looks or self._looks[-1][1:] != look[1:]:
                self._looks.append(look)
                self._changed.notify_all()
