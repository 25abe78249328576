"""Newcomers that listen late, sick ones, and HAProxies that are restarted and reloaded."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from containers import first_answers
from rig import (
    APART_SECONDS,
    CALLED_UP,
    CONTAINERS,
    HTTP,
    KINDS,
    LABELS,
    WAIT_SECONDS,
    App,
    Kind,
    Rig,
    rig,
    visited,
)
from scale.rig import RigError


LATEST_SECONDS = 0.06
"""So late an application listens at most."""

SICK_SECONDS = 3.0
SIZES = (1, 20, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    starts: int
    rounds: int
    version: str
    containers: int
    """How many newcomers are containers of a real engine; 0 for none."""


@dataclass(slots=True)
class Found:
    """What was measured: milliseconds, and counts."""

    answers: dict[str, list[float]] = field(default_factory=dict)
    """From when a newcomer listens to its first request, by kind."""
    restarts: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    """From HAProxy's start to its last slot being up, by kind and containers."""
    answering: list[float] = field(default_factory=list)
    """From HAProxy's start to its first answer on the runtime socket: part of those."""
    sick: dict[str, int] = field(default_factory=dict)
    """Requests that a sick newcomer got."""
    failed: dict[str, int] = field(default_factory=dict)
    """GETs that were not answered with 200."""
    longest: dict[str, float] = field(default_factory=dict)
    """What the slowest GET over a reload took."""


async def measured(plan: Plan) -> Found:
    """Measure all. Raises RigError where something does not come."""
    found = Found()
    for kind in (CALLED_UP, HTTP):
        async with rig(plan.version, kind) as running:
            await _newcomers(running, kind, plan, found)
    for kind in KINDS:
        for size in SIZES:
            async with rig(plan.version, kind) as running:
                await _restarts(running, kind, size, plan, found)
    if plan.containers:
        times, failed = await first_answers(plan.version, plan.containers)
        found.answers[CONTAINERS] = times
        found.failed[f"newcomers, {CONTAINERS}"] = failed
    return found


async def _newcomers(running: Rig, kind: Kind, plan: Plan, found: Found) -> None:
    """Start one after the other beside one that serves, and count what each is asked."""
    async with App("127.55.0.1") as steady:
        running.engine.run("web-1", labels=LABELS, address=steady.address)
        await running.until_up(1)
        async with visited(running.haproxy) as visitor:
            times = found.answers.setdefault(kind.name, [])
            for number in range(2, plan.starts + 2):
                await asyncio.sleep(random.uniform(0, APART_SECONDS))
                times.append(await _one_start(running, number))
                await running.until_up(1)
            found.sick[kind.name] = await _sick(running, kind)
        found.failed[f"newcomers, {kind.name}"] = visitor.failed


async def _one_start(running: Rig, number: int) -> float:
    """Return how many milliseconds a newcomer that listens waits for its first request."""
    app = App(f"127.55.0.{number}")
    name = f"web-{number}"
    running.engine.run(name, labels=LABELS, address=app.address)
    await asyncio.sleep(random.uniform(0, LATEST_SECONDS))
    async with app:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await app.asked.wait()
        except TimeoutError as error:
            raise RigError(f"{name} was never asked") from error
        running.engine.stop(name)
        running.engine.remove(name)
        await running.until_up(1)
        assert app.first_at is not None
        return 1000 * (app.first_at - app.listened_at)


async def _sick(running: Rig, kind: Kind) -> int:
    """Return how many requests one got whose check does not pass, in some seconds."""
    app = App("127.55.1.1", health="503 Service Unavailable")
    running.engine.run("sick", labels=LABELS, address=app.address)
    if kind.asks_http:
        await app.listen()
    await asyncio.sleep(SICK_SECONDS)
    count = app.requests
    running.engine.stop("sick")
    running.engine.remove("sick")
    await app.close()
    return count


async def _restarts(
    running: Rig, kind: Kind, size: int, plan: Plan, found: Found
) -> None:
    """Restart and reload HAProxy while so many containers run."""
    async with AsyncExitStack() as stack:
        for number in range(1, size + 1):
            app = await stack.enter_async_context(App(f"127.56.0.{number}"))
            running.engine.run(f"web-{number}", labels=LABELS, address=app.address)
        await running.until_up(size)
        times = found.restarts.setdefault((kind.name, size), [])
        for _ in range(plan.rounds):
            await asyncio.to_thread(running.haproxy.stop)
            began = time.monotonic()
            await asyncio.to_thread(running.haproxy.start)
            found.answering.append(1000 * (time.monotonic() - began))
            await running.until_up(size)
            times.append(1000 * (time.monotonic() - began))
        what = f"reload, {kind.name}, {size}"
        async with visited(running.haproxy) as visitor:
            for _ in range(plan.rounds):
                await asyncio.to_thread(running.haproxy.reload)
                await running.until_up(size)
                await asyncio.sleep(0.1)
        found.failed[what] = visitor.failed
        found.longest[what] = 1000 * visitor.longest
