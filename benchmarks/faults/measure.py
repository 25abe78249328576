"""The random walk: faults and churn, one step after another, and what is measured of it."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import CHURN, TROUBLE, Rig, Traffic
from tests.faults.churn import MOST_CONTAINERS
from tests.faults.trouble import LATE_SECONDS


TROUBLED = 0.7
"""How many of the steps have a fault; the others are churn alone."""

LONG = 0.2
"""How many of the faults last longer than the daemon's patience."""

MOST_CHANGES = 4
APART = 0.5
"""How many of the changes come a little after the one before, not in the same instant."""

RESTARTS = 0.02
VISITED = 0.05
SAID_EVERY = 200
MOST_ROUNDS = 60
SAME_ROUNDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    steps: int
    warm_up: int
    seed: int
    version: str
    has_restarts: bool
    has_agent: bool = False
    """An agent owns the weights of all slots."""


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
    to_stopping: list[str] = field(default_factory=list)
    """Requests of sticky visitors to containers that had been told to stop."""


class Walk:
    """Steps chosen by a seed."""

    def __init__(self, rig: Rig, plan: Plan) -> None:
        self._rig = rig
        self._plan = plan
        # Repeatable, and no secret.
        self._random = random.Random(plan.seed)
        self.seconds: list[float] = []
        self.to_stopping: list[str] = []
        """Requests of sticky visitors to containers that had been told to stop."""

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
            if chance.random() < APART:
                await asyncio.sleep(chance.random() * LATE_SECONDS)
        if self._plan.has_restarts and chance.random() < RESTARTS:
            words.append("haproxy restarts")
            await rig.restart_haproxy()
        if rig.is_troubled and chance.random() < LONG:
            words.append("it lasts")
            await rig.outlast()
        await rig.lift()
        if chance.random() < VISITED:
            words.append("a container stops under its visitors")
            self.to_stopping += await rig.stop_under_visitor()
        return ", ".join(words)


async def measured(plan: Plan) -> Result:
    """Put everything up, walk, take everything down."""
    async with Rig(version=plan.version, has_agent=plan.has_agent) as rig:
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
                after = await marks(rig)
        return Result(
            plan=plan,
            before=before,
            after=after,
            seconds=walk.seconds,
            total_seconds=total,
            failure=failure,
            answered=traffic.answered,
            request_failures=[] if plan.has_restarts else traffic.failures,
            to_stopping=walk.to_stopping,
        )


async def marks(rig: Rig) -> Marks:
    """Read the marks of a daemon at rest: an empty map, two resyncs with nothing new.

    docker-py keeps a connection open for each thread and kind of question, at most 17 of
    them, and which thread asks is chance: so everything is asked until there are no more.
    """
    await rig.clear()
    most, unchanged = 0, 0
    for _ in range(MOST_ROUNDS):
        await _everything_asked(rig)
        found = _marks(rig).fds
        unchanged = 0 if found > most else unchanged + 1
        most = max(most, found)
        if unchanged == SAME_ROUNDS:
            break
    await rig.stay()
    return _marks(rig)


async def _everything_asked(rig: Rig) -> None:
    """Have the daemon subscribe, list, and inspect several containers at once."""
    requests = rig.engine.requests
    rig.engine.events.end()
    await requests.seen("/containers/json", requests.lists + 1)
    for pick in range(MOST_CONTAINERS):
        rig.churn("run", pick)
    await rig.converge()
    await rig.clear()


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
