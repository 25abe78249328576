"""Containers that come and go at a given rate, as a real engine tells of it.

A start is what ``docker run`` emits: create, network connect, start. A stop is the kill event
of the stop signal; a moment later die, network disconnect, stop and destroy. Each of the two
is one event here, and several lines on the stream.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

from tests.scripted_engine import ScriptedContainer, ScriptedEngine


class Turnover:
    """Stops the one that has run longest and starts a new one, in turn, until it is enough.

    An address is free from ``die`` on, and the one that has been free longest is given next.
    """

    def __init__(
        self,
        engine: ScriptedEngine,
        alive: list[ScriptedContainer],
        start: Callable[[str], ScriptedContainer],
        addresses: list[str],
    ) -> None:
        self._engine = engine
        self._alive = alive
        self._start = start
        self._free = deque(addresses)
        # Repeatable, and no secret.
        self._random = random.Random(5)
        self._began = self._seconds = 0.0
        self._stopping = 0
        self._ended = asyncio.Event()
        self.events = 0
        self.late_seconds = 0.0
        self.is_over = False

    async def run(self, events: int, rate: float, grace: list[float]) -> None:
        """Make so many events at so many a second; each stop takes a time out of ``grace``."""
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        while self.events < events:
            due = self._began + self.events / rate
            # Never none at all: somebody else has to be served, too, when this is late.
            await asyncio.sleep(max(0.0, due - loop.time()))
            self.late_seconds = max(self.late_seconds, loop.time() - due)
            if self.events % 2 == 0:
                one = self._engine.signal(self._alive.pop(0))
                self._stopping += 1
                loop.call_later(self._random.uniform(*grace), self._end, one)
            else:
                self._alive.append(self._start(self._free.popleft()))
            self.events += 1
            self._seconds = loop.time() - self._began
        while self._stopping:
            await self._ended.wait()
            self._ended.clear()
        self.is_over = True

    def _end(self, one: ScriptedContainer) -> None:
        self._free.append(one.address)
        self._engine.die(one)
        self._engine.stopped(one)
        self._engine.remove(one)
        self._stopping -= 1
        self._ended.set()

    def progress(self) -> dict[str, object]:
        """Return how far it is."""
        return {
            "events": self.events,
            "seconds": self._seconds,
            "late_seconds": self.late_seconds,
            "is_over": self.is_over,
        }
