"""Rounds of a burst: everything appears at once, is ready, and leaves at once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scale.bare_engine import listed_seconds
from scale.quiet import settled
from scale.rig import (
    Daemon,
    Engine,
    RigError,
    running_daemon,
    running_engine,
    running_haproxies,
    temporary_folder,
    until,
)
from scale.runtime import Runtime, empty, raw_seconds
from tests.support.haproxy_process import HaproxyProcess


LINES_A_SLOT = 5
COUNTED_A_SLOT = 4
"""The daemon's own counter leaves out the guard, `state maint`, before an address."""

TOLD_SECONDS = 30.0
Found = dict[str, dict[int, list[float]]]
"""Values by figure and size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What a round is made of."""

    count: int
    backends: int = 1
    rounds: int = 5
    version: str = "3.0"

    @property
    def slots(self) -> dict[str, int]:
        """How many slots each backend has: as many as endpoints come to it."""
        if self.backends == 1:
            return {"web": self.count}
        each, more = divmod(self.count, self.backends)
        return {
            f"web{number + 1}": each + (number < more)
            for number in range(self.backends)
        }

    @property
    def pause(self) -> float:
        """How long the observer waits: a look goes through all servers in HAProxy."""
        return 0.002 if self.count <= 1000 else 0.02


async def measured(burst: Burst) -> Found:
    """Measure bursts of one size, each into a HAProxy that was just started."""
    found: Found = defaultdict(lambda: defaultdict(list))
    async with _Stage.put_up(burst) as stage:
        for number in range(burst.rounds + 1):
            print(f"  round {number} of {burst.rounds}", file=sys.stderr, flush=True)
            figures = await stage.round()
            if number:  # the first one loads code
                for key, value in figures.items():
                    found[key][burst.count].append(value)
    return found


@dataclass(slots=True, kw_only=True)
class _Stage:
    """Everything that runs for bursts of one size."""

    burst: Burst
    ours: HaproxyProcess
    raw: Runtime
    engine: Engine
    daemon: Daemon

    @classmethod
    @asynccontextmanager
    async def put_up(cls, burst: Burst) -> AsyncIterator[_Stage]:
        """Run it for the length of a block."""
        with (
            temporary_folder() as folder,
            running_haproxies(burst.version, burst.slots, 2) as (ours, bare),
        ):
            raw = Runtime(bare.socket)
            async with (
                running_engine(folder) as engine,
                running_daemon(folder, engine, [ours.url]) as daemon,
            ):
                yield cls(burst=burst, ours=ours, raw=raw, engine=engine, daemon=daemon)
            raw.close()

    async def round(self) -> dict[str, float]:
        """Fill the bare HAProxy, then ours, and ours again after a restart; empty both."""
        bare = await asyncio.to_thread(raw_seconds, self.raw, self.burst.slots)
        await asyncio.to_thread(empty, self.raw, self.burst.slots)
        runtime = Runtime(self.ours.socket)
        found = {"raw": bare.lines, "raw_reading": bare.reading}
        found |= await self._come(runtime)
        ids = (await self.engine.order("ids"))["ids"]
        path: Path = self.engine.path
        found["engine"] = await asyncio.to_thread(listed_seconds, path, ids)
        runtime.close()
        found |= await self._fill_again()
        runtime = Runtime(self.ours.socket)
        found |= await self._go(runtime)
        runtime.close()
        self.daemon.news()
        self.ours.restart()
        await self._notice_the_new()
        return found

    async def _come(self, runtime: Runtime) -> dict[str, float]:
        before, spent = await self.daemon.metrics(), self.daemon.cpu_seconds()
        asked = await self.engine.order("stats")
        names = list(self.burst.slots)
        told = await self.engine.order("run", count=self.burst.count, services=names)
        await self._until_active(runtime, self.burst.count)
        seconds = (time.time_ns() - told["began_ns"]) / 1e9
        cpu = self.daemon.cpu_seconds() - spent
        served = await self.engine.order("stats")
        passed = await self._told_of_all(before)
        return {
            "seconds": seconds,
            "events": (told["ended_ns"] - told["began_ns"]) / 1e9,
            "writing": passed["reconciler_writing_duration_seconds_sum"],
            "passing": passed["reconciler_pass_duration_seconds_sum"],
            "passes": passed["reconciler_passes_total:converged"],
            "cpu": cpu,
            "engine_cpu": served["cpu_seconds"] - asked["cpu_seconds"],
            "lists": served["lists"] - asked["lists"],
            "inspects": served["inspects"] - asked["inspects"],
        }

    async def _fill_again(self) -> dict[str, float]:
        """Restart HAProxy: the same slots are filled, and Docker is not asked for it."""
        await settled(self.daemon, self.engine)
        before = await self.daemon.metrics()
        self.ours.restart()
        passed = await self._told_of_all(before)
        return {
            "refill_writing": passed["reconciler_writing_duration_seconds_sum"],
            "refill_passing": passed["reconciler_pass_duration_seconds_sum"],
        }

    async def _go(self, runtime: Runtime) -> dict[str, float]:
        spent = self.daemon.cpu_seconds()
        told = await self.engine.order("stop_all")
        await self._until_active(runtime, 0)
        leaving = (time.time_ns() - told["began_ns"]) / 1e9
        await settled(self.daemon, self.engine)
        return {"leaving": leaving, "leaving_cpu": self.daemon.cpu_seconds() - spent}

    async def _until_active(self, runtime: Runtime, count: int) -> None:
        names = list(self.burst.slots)
        await until(
            f"{count} slots are in rotation",
            lambda: runtime.active(names) == count,
            pause=self.burst.pause,
        )

    async def _told_of_all(self, before: dict[str, float]) -> dict[str, float]:
        """Return what the metrics have grown by once they tell of every command."""
        wanted = COUNTED_A_SLOT * self.burst.count
        deadline = time.monotonic() + TOLD_SECONDS
        while True:
            after = await self.daemon.metrics()
            grown = {key: after[key] - before.get(key, 0.0) for key in after}
            grown.setdefault(
                "reconciler_writing_duration_seconds_sum",
                grown["reconciler_pass_duration_seconds_sum"],
            )
            done = grown["reconciler_commands_total:done"]
            if done == wanted:
                return grown
            if done > wanted or time.monotonic() > deadline:
                raise RigError(f"{done:g} commands told of, not {wanted}")
            await asyncio.sleep(0.05)

    async def _notice_the_new(self) -> None:
        """Wait until the daemon has seen that its HAProxy is another."""
        await until(
            "the daemon sees the new HAProxy",
            lambda: any(
                "was replaced" in str(line.get("message"))
                for line in self.daemon.news()
            ),
        )
        await self.daemon.wait_ready()
        await settled(self.daemon, self.engine)
