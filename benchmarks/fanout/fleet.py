"""Many HAProxies behind one daemon, with ways to hurt two of them and to make it good again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from scale.rig import Engine, RigError
from scale.runtime import Runtime, wrong_slots
from tests.support.haproxy_process import HaproxyProcess


BACKEND = "web"
RIGHT_SECONDS = 30.0
STAYS_SECONDS = 1.0
_LOOK_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long the two that were hurt took until their tables were right again."""

    stalled_seconds: float
    killed_seconds: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """The HAProxies, and the engine that knows what has to be in their tables."""

    haproxies: Sequence[HaproxyProcess]
    engine: Engine

    async def wrong(self, numbers: Sequence[int]) -> list[str]:
        """Return what is wrong in the tables of some of them, in words."""
        alive = (await self.engine.order("alive"))["addresses"]
        return [
            f"instance {number}: {words}"
            for number in numbers
            for words in wrong_slots(self._table(number), alive)
        ]

    def _table(self, number: int) -> list[list[str]]:
        runtime = Runtime(self.haproxies[number].socket)
        try:
            return runtime.table(BACKEND)
        finally:
            runtime.close()

    async def until_right(self, numbers: Sequence[int]) -> float:
        """Wait until their tables are right; return how long. Raises RigError."""
        began = time.monotonic()
        while wrong := await self.wrong(numbers):
            if time.monotonic() - began > RIGHT_SECONDS:
                raise RigError(f"wrong after {RIGHT_SECONDS:g} s: {wrong[:3]}")
            await asyncio.sleep(_LOOK_SECONDS)
        return time.monotonic() - began

    async def stay_right(self, numbers: Sequence[int]) -> None:
        """Look once more when nothing has happened for a while. Raises RigError."""
        await asyncio.sleep(STAYS_SECONDS)
        if wrong := await self.wrong(numbers):
            raise RigError(f"right, and wrong again: {wrong[:3]}")

    @asynccontextmanager
    async def hurt(self, stalled: int, killed: int) -> AsyncIterator[None]:
        """Stall one and kill another for the length of a block."""
        pid = self.haproxies[stalled].worker_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            self.haproxies[killed].kill()
            yield
        finally:
            # First of all: one that is stopped cannot be ended in order, either.
            os.kill(pid, signal.SIGCONT)

    async def recover(self, stalled: int, killed: int) -> Recovery:
        """Start the one that was killed; wait until both are right. Raises RigError."""
        began = time.monotonic()
        stalled_seconds = await self.until_right([stalled])
        self.haproxies[killed].start()
        again = time.monotonic()
        await self.until_right([killed])
        killed_seconds = time.monotonic() - again
        await self.until_right(range(len(self.haproxies)))
        await self.stay_right(range(len(self.haproxies)))
        if time.monotonic() - began > 3 * RIGHT_SECONDS:
            raise RigError("to be right again took too long")
        return Recovery(stalled_seconds=stalled_seconds, killed_seconds=killed_seconds)
