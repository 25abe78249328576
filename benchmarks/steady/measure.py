"""One daemon with its containers placed: events, resyncs, idling, memory."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from probe import beats, holds, latest_beat, quiet_holds
from scale.bare_engine import whole_list_seconds
from scale.quiet import learned, listed, settled
from scale.relay import CountingRelay
from scale.rig import (
    Daemon,
    Engine,
    running_daemon,
    running_engine,
    running_haproxies,
    temporary_folder,
    until,
)
from scale.runtime import Runtime


EVENTS = 40
"""So many stops and as many starts in a block: too much hangs on chance in one of them."""

GRACE_SECONDS = 0.01
"""From a stop signal to the end."""
PAUSE_SECONDS = 0.02
LATER_SECONDS = 0.5
"""What is read once more after a change is over by then."""

RESYNC_SECONDS = 3.0
RESYNCS = 6
Figures = dict[str, list[float]]
_LISTED = re.compile(r"asked docker at .*: GET /containers/json \(([\d.]+) ms\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do with so many containers."""

    count: int
    version: str
    blocks: int
    idle_seconds: float
    has_resyncs: bool

    @property
    def slots(self) -> dict[str, int]:
        """A tenth more than containers."""
        return {"web": self.count + max(10, self.count // 10)}


async def measured(plan: Plan) -> Figures:
    """Measure all of it with so many containers."""
    found: Figures = defaultdict(list)
    with (
        temporary_folder() as folder,
        running_haproxies(plan.version, plan.slots) as (haproxy,),
    ):
        runtime = Runtime(haproxy.socket)
        async with running_engine(folder) as engine:
            async with running_daemon(folder, engine, [haproxy.url]) as daemon:
                one = Placed(engine, daemon, runtime, plan.count)
                await _alone(plan, one, found)
            if plan.has_resyncs:
                _add(found, await resyncs(folder, engine, haproxy.url, plan.count))
            async with CountingRelay(folder / "relay.sock", haproxy.socket) as relay:
                url = f"unix://{relay.path}"
                async with running_daemon(folder, engine, [url]) as daemon:
                    before = relay.bytes_total
                    await Placed(engine, daemon, runtime, plan.count).block()
                    spent = relay.bytes_total - before
                    found["haproxy_bytes"].append(spent / (2 * EVENTS))
        runtime.close()
    return found


async def _alone(plan: Plan, one: Placed, found: Figures) -> None:
    """Measure what default options cost: nothing in between, nobody else looks."""
    await one.fill()
    _add(found, one.memory())
    await listed(one.engine)
    await settled(one.daemon, one.engine)
    one.idle_share = await one.idle(plan.idle_seconds)
    found["idle_percent"].append(100 * one.idle_share)
    for _ in range(plan.blocks):
        _add(found, await one.block())
    _add(found, one.memory())
    seconds = min(plan.idle_seconds, RESYNCS * RESYNC_SECONDS)
    found["quiet_ms"] += await quiet_holds(one.daemon, one.engine, seconds)


def _add(found: Figures, more: Mapping[str, list[float]]) -> None:
    for key, values in more.items():
        found[key] += values


@dataclass(slots=True)
class Placed:
    """A daemon whose containers are in their slots."""

    engine: Engine
    daemon: Daemon
    runtime: Runtime
    count: int
    idle_share: float = 0.0
    """Processor seconds of a second in which nothing happens."""

    async def fill(self) -> None:
        """Have the containers placed, and everything at rest."""
        await self.engine.order("run", count=self.count, services=["web"])
        await self._until_active(self.count)
        await learned(self.engine, self.count)
        await settled(self.daemon, self.engine)

    def memory(self) -> Figures:
        """Return what it has, and the most it had."""
        return {
            "rss": [self.daemon.resident_mb()],
            "peak": [self.daemon.peak_mb()],
        }

    async def idle(self, seconds: float) -> float:
        """Return the share of a processor that it takes when nothing happens."""
        began, at = self.daemon.cpu_seconds(), time.monotonic()
        await asyncio.sleep(seconds)
        return (self.daemon.cpu_seconds() - began) / (time.monotonic() - at)

    async def block(self) -> Figures:
        """Stop one and start another, again and again; return what that cost for each event."""
        self.daemon.news()
        asked = await self.engine.order("stats")
        began, at = self.daemon.cpu_seconds(), time.monotonic()
        stops = starts = 0.0
        for _ in range(EVENTS):
            stops += await self._cost_of_a_stop()
            starts += await self._cost_of_a_start()
        await asyncio.sleep(LATER_SECONDS)
        spent = self.daemon.cpu_seconds() - began
        spent -= self.idle_share * (time.monotonic() - at)
        served = await self.engine.order("stats")
        await self._until_active(self.count)
        sent = served["bytes_out"] - asked["bytes_out"]
        busy = served["cpu_seconds"] - asked["cpu_seconds"]
        return {
            "cpu_ms": [1000 * spent / (2 * EVENTS)],
            "stop_cpu_ms": [1000 * stops / EVENTS],
            "start_cpu_ms": [1000 * starts / EVENTS],
            "engine_cpu_ms": [1000 * busy / (2 * EVENTS)],
            "docker_bytes": [sent / (2 * EVENTS)],
            **self._latencies(),
        }

    async def _cost_of_a_stop(self) -> float:
        spent = self.daemon.cpu_seconds()
        await self.engine.order("signal_oldest")
        await asyncio.sleep(GRACE_SECONDS)
        await self.engine.order("end_oldest")
        await asyncio.sleep(PAUSE_SECONDS)
        return self.daemon.cpu_seconds() - spent

    async def _cost_of_a_start(self) -> float:
        spent = self.daemon.cpu_seconds()
        await self.engine.order("run", count=1, services=["web"])
        await asyncio.sleep(GRACE_SECONDS + PAUSE_SECONDS)
        return self.daemon.cpu_seconds() - spent

    def _latencies(self) -> Figures:
        found: Figures = {"start_ms": [], "stop_ms": []}
        keys = {"assign": "start_ms", "drain": "stop_ms"}
        for line in self.daemon.news():
            key = keys.get(str(line.get("kind")))
            if key is not None and "latency_ms" in line:
                found[key].append(line["latency_ms"])
        return found

    async def _until_active(self, count: int) -> None:
        await until(
            f"{count} slots are ready",
            lambda: self.runtime.active(["web"]) == count,
            pause=0.02,
        )


async def resyncs(folder: Path, engine: Engine, url: str, count: int) -> Figures:
    """Have everything read every few seconds; return what that costs and holds up."""
    found: Figures = {}
    often = ("--resync", f"{RESYNC_SECONDS:g}", "-v")
    async with running_daemon(folder, engine, [url], *often) as daemon:
        await learned(engine, count)
        spent, shares = daemon.cpu_seconds(), []
        daemon.news()
        before = await daemon.metrics()
        for _ in range(RESYNCS):
            await asyncio.sleep(RESYNC_SECONDS)
            now = daemon.cpu_seconds()
            shares.append(1000 * (now - spent))
            spent = now
        found["resync_cpu_ms"] = shares
        after = await daemon.metrics()
        key = "reconciler_pass_duration_seconds_sum"
        passing = 1000 * (after[key] - before[key]) / RESYNCS
        found["resync_pass_ms"] = [passing]
        found["resync_list_ms"] = listed_ms(daemon)
        found["resync_wall_ms"] = [one + passing for one in found["resync_list_ms"]]
        found["resync_engine_ms"] = [
            1000 * await asyncio.to_thread(whole_list_seconds, engine.path)
            for _ in range(RESYNCS)
        ]
        early = await beats(daemon)
        found["resync_hold_ms"] = await holds(daemon, RESYNCS * RESYNC_SECONDS)
        late = latest_beat(early, await beats(daemon))
        found["resync_lag_ms"] = [1000 * late]
    return found


def listed_ms(daemon: Daemon) -> list[float]:
    """Return how long each whole list took, by the daemon's own log."""
    messages = [str(line.get("message")) for line in daemon.news()]
    return [float(found[1]) for one in messages if (found := _LISTED.search(one))]
