"""The random walk: faults and churn, one step after another, and what is measured of it."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import CHURN, TROUBLE, Rig, Traffic
from tests.faults.churn import MOST_CONTAINERS


TROUBLED = 0.7
"""How many of the steps have a fault; the others are churn alone."""

LONG = 0.2
"""How many of the faults last longer than the daemon's patience."""

MOST_CHANGES = 4
RESTARTS = 0.02
SAID_EVERY = 200
REST_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    steps: int
    warm_up: int
    seed: int
    version: str
    has_restarts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What could leak or change, at one moment with no container and nothing wrong."""

    fds: int
    rss_kb: int
    threads: int
    haproxy_pid: int


@dataclass(slots=True, kw_only=True)
class Result:
    """What was found."""

    plan: Plan
    before: Marks
    after: Marks
    seconds: list[float] = field(default_factory=list)
    """From the end of a step's fault to the table being right."""
    total_seconds: float = 0.0
    failure: str = ""
    """Why the walk ended early: the first step after which the map was not right."""
    answered: int = 0
    request_failures: list[str] = field(default_factory=list)


class Walk:
    """Steps chosen by a seed."""

    def __init__(self, rig: Rig, plan: Plan) -> None:
        self._rig = rig
        self._plan = plan
        # Repeatable, and no secret.
        self._random = random.Random(plan.seed)
        self.seconds: list[float] = []

    async def take(self, count: int) -> str:
        """Take some steps; return why the map is wrong, or nothing where it never was."""
        for number in range(1, count + 1):
            story = await self._step()
            began = time.perf_counter()
            try:
                await self._rig.converge()
            except AssertionError as error:
                return f"after step {number} ({story}): {error}"
            self.seconds.append(time.perf_counter() - began)
            if number % SAID_EVERY == 0:
                print(f"  {number} steps", flush=True)
        return ""

    async def _step(self) -> str:
        """Let something go wrong, change something, let it work again; say what it was."""
        chance, rig = self._random, self._rig
        words = []
        if chance.random() < TROUBLED:
            words.append(chance.choice(sorted(TROUBLE)))
            await rig.inject(words[0])
        for _ in range(chance.randint(1, MOST_CHANGES)):
            verb, pick = chance.choice(sorted(CHURN)), chance.randrange(MOST_CONTAINERS)
            words.append(f"{verb} {pick}")
            rig.churn(verb, pick)
        if self._plan.has_restarts and chance.random() < RESTARTS:
            words.append("haproxy restarts")
            await rig.restart_haproxy()
        if rig.is_troubled and chance.random() < LONG:
            words.append("it lasts")
            await rig.outlast()
        await rig.lift()
        return ", ".join(words)


async def measured(plan: Plan) -> Result:
    """Put everything up, walk, take everything down."""
    async with Rig(version=plan.version) as rig:
        await rig.serve()
        walk = Walk(rig, plan)
        async with Traffic(rig.haproxy.http_port) as traffic:
            failure = await walk.take(plan.warm_up)
            before = after = await marks(rig)
            walk.seconds.clear()
            began = time.perf_counter()
            failure = failure or await walk.take(plan.steps)
            total = time.perf_counter() - began
            if not failure:
                after = await marks(rig, like=before)
        return Result(
            plan=plan,
            before=before,
            after=after,
            seconds=walk.seconds,
            total_seconds=total,
            failure=failure,
            answered=traffic.answered,
            request_failures=[] if plan.has_restarts else traffic.failures,
        )


async def marks(rig: Rig, *, like: Marks | None = None) -> Marks:
    """Read the marks of a daemon at rest: an empty map, two resyncs with nothing new.

    Connections that were broken may take a moment to be given up: at most a few seconds.
    """
    await rig.clear()
    await rig.stay()
    deadline = time.monotonic() + REST_SECONDS
    while True:
        found = _marks(rig)
        is_like = like is not None and found.fds == like.fds
        if is_like or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.2)


def _marks(rig: Rig) -> Marks:
    folder = Path(f"/proc/{rig.daemon.pid}")
    lines = (folder / "status").read_text(encoding="ascii").splitlines()
    shown = dict(line.split(":", 1) for line in lines)
    return Marks(
        fds=len(list((folder / "fd").iterdir())),
        rss_kb=int(shown["VmRSS"].split()[0]),
        threads=int(shown["Threads"]),
        haproxy_pid=rig.haproxy.worker_pid(),
    )
