"""Containers that are added and removed one by one, and when each HAProxy had them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scale.rig import Daemon, Engine, RigError


PACE_SECONDS = 0.04
"""Between two changes: each is over long before the next."""

WAIT_SECONDS = 10.0
"""So long every instance may take for one change; then it counts as missed."""

_LOOK_SECONDS = 0.005
KINDS = {"assign": "start", "drain": "stop"}
BAD_LEVELS = ("WARNING", "ERROR", "CRITICAL")


@dataclass(slots=True)
class Latencies:
    """Milliseconds from an event to each instance's change, for starts and for stops."""

    by_instance: dict[str, dict[int, list[float]]] = field(
        default_factory=lambda: {word: defaultdict(list) for word in KINDS.values()}
    )
    slowest: dict[str, list[float]] = field(
        default_factory=lambda: {word: [] for word in KINDS.values()}
    )
    """Of each change: the instance that had it last."""
    missed: int = 0
    cpu_ms: float = 0.0
    """The daemon's processor time for a change, its looks for other writers included."""

    def of(self, word: str, numbers: Sequence[int]) -> list[float]:
        """Return those of some instances."""
        found = self.by_instance[word]
        return [value for number in numbers for value in found[number]]


class Steps:
    """Changes one container at a time, and reads what the daemon's log says of it."""

    def __init__(
        self, engine: Engine, daemon: Daemon, numbers: Mapping[str, int]
    ) -> None:
        self._engine = engine
        self._daemon = daemon
        self._numbers = numbers
        """Of an instance, by the name it has in the log."""
        self._bad_lines: list[dict[str, Any]] = []

    async def take(self, pairs: int, expected: Sequence[int]) -> Latencies:
        """Add one and remove one, so many times; wait for the expected instances only."""
        found = Latencies()
        self.news()
        began = self._daemon.cpu_seconds()
        for _ in range(pairs):
            await self._engine.order("run", count=1, services=["web"])
            await self._answered("assign", expected, found)
            await self._engine.order("signal_oldest")
            await self._answered("drain", expected, found)
            await self._engine.order("end_oldest")
            await asyncio.sleep(PACE_SECONDS)
        spent = self._daemon.cpu_seconds() - began
        found.cpu_ms = 1000 * spent / (2 * pairs)
        return found

    async def _answered(
        self, kind: str, expected: Sequence[int], found: Latencies
    ) -> None:
        """Wait until every expected instance has told of its change."""
        deadline = time.monotonic() + WAIT_SECONDS
        told: dict[int, float | None] = {}
        await asyncio.sleep(PACE_SECONDS)
        while True:
            for line in self.news():
                if line.get("kind") == kind:
                    number = self._numbers[line["haproxy"]]
                    told[number] = line.get("latency_ms")
            if told.keys() >= set(expected) or time.monotonic() > deadline:
                break
            if self._daemon.process.returncode is not None:
                raise RigError(f"the daemon ended:\n{self._daemon.last_words()}")
            await asyncio.sleep(_LOOK_SECONDS)
        values = {number: told.get(number) for number in expected}
        known = {number: ms for number, ms in values.items() if ms is not None}
        found.missed += len(values) - len(known)
        for number, ms in known.items():
            found.by_instance[KINDS[kind]][number].append(ms)
        if known:
            found.slowest[KINDS[kind]].append(max(known.values()))

    def news(self) -> list[dict[str, Any]]:
        """Return the log's new lines; remember those that are no information."""
        lines = self._daemon.news()
        self._bad_lines += [one for one in lines if one.get("level") in BAD_LEVELS]
        return lines

    def bad_lines(self) -> list[dict[str, Any]]:
        """Return what was no information since the last call."""
        self.news()
        found, self._bad_lines = self._bad_lines, []
        return found
