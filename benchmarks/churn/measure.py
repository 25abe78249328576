"""The run itself: containers come and go, and once a second everybody is looked at."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scale.rig import (
    Daemon,
    Engine,
    RigError,
    running_daemon,
    running_engine,
    running_haproxies,
    temporary_folder,
)
from scale.runtime import Runtime, wrong_slots
from traffic.host_processes import resident_kb


BACKEND = "web"
SPARE_SLOTS = 56
"""More slots than containers: who is stopping holds one for a tenth of a second."""

GRACE_SECONDS = [0.01, 0.1]
"""From a container's stop signal to its end."""

SPARE_TIME = 1.5
SPARE_SECONDS = 60.0
"""A run that takes longer than this times its plan and this much more is given up."""

SETTLED_SECONDS = 10.0
STAYS_SECONDS = 1.0
BAD_LEVELS = ("WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    events: int
    rate: float
    containers: int
    version: str

    @property
    def slots(self) -> int:
        """How many slots HAProxy has."""
        return self.containers + SPARE_SLOTS

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.events / self.rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look. The latencies are those of the log since the look before."""

    seconds: float
    events: int
    daemon_kb: int
    haproxy_kb: int
    files: int
    daemon_cpu: float
    haproxy_cpu: float
    engine_cpu: float
    """Processor seconds since the start of each process."""
    load: float
    stolen: float
    """Processor seconds that the machine's host gave to others, of all processors."""
    assign_ms: tuple[float, ...]
    drain_ms: tuple[float, ...]


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of it."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    bad_lines: list[dict[str, Any]] = field(default_factory=list)
    """What the daemon's log says that is no information."""
    wrong: list[str] = field(default_factory=list)
    """Slots that are not as they should be in the end."""
    late_seconds: float = 0.0
    """How far the engine was behind its plan, at most."""
    seconds: float = 0.0


async def measured(plan: Plan) -> Found:
    """Put everything up, run, take everything down. Raises RigError or OSError."""
    with (
        temporary_folder() as folder,
        running_haproxies(plan.version, {BACKEND: plan.slots}) as (haproxy,),
    ):
        runtime = Runtime(haproxy.socket)
        try:
            async with (
                running_engine(folder) as engine,
                running_daemon(folder, engine, [haproxy.url]) as daemon,
            ):
                run = Run(plan, engine, daemon, runtime, haproxy.worker_pid())
                return await run.whole()
        finally:
            runtime.close()


class Run:
    """One run on what was put up."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        daemon: Daemon,
        runtime: Runtime,
        haproxy_pid: int,
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._daemon = daemon
        self._runtime = runtime
        self._haproxy_pid = haproxy_pid
        self._found = Found(plan=plan)

    async def whole(self) -> Found:
        """Fill the map, let it churn, look at it."""
        plan = self._plan
        await self._engine.order("run", count=plan.containers, services=[BACKEND])
        await self._until_right()
        self._daemon.news()
        await self._engine.order(
            "begin_turnover",
            events=plan.events,
            rate=plan.rate,
            grace=GRACE_SECONDS,
            service=BACKEND,
            spare=plan.containers + 2 * SPARE_SLOTS,
        )
        await self._follow()
        self._found.wrong = await self._settled()
        self._note_bad(self._daemon.news())
        return self._found

    async def _follow(self) -> None:
        began = time.monotonic()
        most = SPARE_TIME * self._plan.seconds + SPARE_SECONDS
        every = min(1.0, self._plan.seconds / 50)
        said = 0
        while True:
            progress = await self._engine.order("progress")
            sample = await self._sample(progress)
            self._found.samples.append(sample)
            tenth = 10 * sample.events // self._plan.events
            if tenth > said:
                said = tenth
                print(f"  {sample.events} events", flush=True)
            if progress["is_over"]:
                self._found.late_seconds = progress["late_seconds"]
                self._found.seconds = progress["seconds"]
                return
            if time.monotonic() - began > most:
                raise RigError(f"only {sample.events} events in {most:.0f} s")
            if self._daemon.process.returncode is not None:
                raise RigError(f"the daemon ended:\n{self._daemon.last_words()}")
            await asyncio.sleep(every)

    async def _sample(self, progress: dict[str, Any]) -> Sample:
        stats = await self._engine.order("stats")
        news = self._daemon.news()
        self._note_bad(news)
        return Sample(
            seconds=progress["seconds"],
            events=progress["events"],
            daemon_kb=resident_kb(self._daemon.pid),
            haproxy_kb=resident_kb(self._haproxy_pid),
            files=self._daemon.open_files(),
            daemon_cpu=self._daemon.cpu_seconds(),
            haproxy_cpu=cpu_seconds(self._haproxy_pid),
            engine_cpu=stats["cpu_seconds"],
            load=os.getloadavg()[0],
            stolen=stolen_seconds(),
            assign_ms=latencies(news, "assign"),
            drain_ms=latencies(news, "drain"),
        )

    def _note_bad(self, news: list[dict[str, Any]]) -> None:
        self._found.bad_lines += [
            line for line in news if line.get("level") in BAD_LEVELS
        ]

    async def _wrong(self) -> list[str]:
        alive = (await self._engine.order("alive"))["addresses"]
        return wrong_slots(self._runtime.table(BACKEND), alive)

    async def _until_right(self) -> list[str]:
        """Return what is wrong still, after a bounded wait."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            wrong = await self._wrong()
            if not wrong or time.monotonic() > deadline:
                return wrong
            await asyncio.sleep(0.02)

    async def _settled(self) -> list[str]:
        """Return what is wrong when all is over, and again when nothing happened since."""
        wrong = await self._until_right()
        if not wrong:
            await asyncio.sleep(STAYS_SECONDS)
            wrong = await self._wrong()
        return wrong


def latencies(news: list[dict[str, Any]], kind: str) -> tuple[float, ...]:
    """Return how long after their events the changes of a kind were in effect, in ms."""
    return tuple(
        line["latency_ms"]
        for line in news
        if line.get("kind") == kind and "latency_ms" in line
    )


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process with one thread."""
    text = (Path("/proc") / str(pid) / "schedstat").read_text(encoding="ascii")
    return int(text.split()[0]) / 1e9


def stolen_seconds() -> float:
    """Return how long processors were wanted here and at work for others (proc(5), stat)."""
    first = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)
    return int(first[8]) / os.sysconf("SC_CLK_TCK")
