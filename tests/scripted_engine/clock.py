"""The scripted engine's own clock: the machine's, until a test makes it jump."""

from __future__ import annotations

import time


_SECOND_NS = 1_000_000_000


class Clock:
    """Nanoseconds since the epoch, plus all jumps so far."""

    def __init__(self) -> None:
        self._offset_ns = 0

    def now_ns(self) -> int:
        """Return the time as this engine sees it."""
        return time.time_ns() + self._offset_ns

    def jump(self, seconds: float) -> None:
        """Set the clock forward, or back where ``seconds`` is negative."""
        self._offset_ns += round(seconds * _SECOND_NS)
