"""The run itself: one HAProxy stays, others come and go, and each is watched as it comes."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eyes import BACKEND, RIGHT_SECONDS, Sighting, seen
from scale.rig import (
    Daemon,
    Engine,
    RigError,
    running_daemon,
    running_engine,
    running_haproxies,
    temporary_folder,
)
from scale.runtime import Runtime, empty, raw_seconds
from tests.support.edge import haproxy_at


SPARE = 16
"""Slots beyond the endpoints."""

LABEL = "bench.edge"
BAD_LEVELS = ("WARNING", "ERROR", "CRITICAL")
_LOOK_SECONDS = 0.01
_PAUSE_SECONDS = 0.5
"""Between two rounds: the second look at what was written is over by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done."""

    newcomers: int
    endpoints: int
    rounds: int
    version: str


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of it."""

    plan: Plan
    raw_ms: list[float] = field(default_factory=list)
    """What a bare loop takes to fill one."""
    one_ms: list[float] = field(default_factory=list)
    """From the first answer of a newcomer to all of its slots being right, one by one."""
    each_ms: list[float] = field(default_factory=list)
    """The same of each that comes with others at once."""
    boot_ms: list[float] = field(default_factory=list)
    """From the start event of its container to its first answer."""
    gone_ms: list[float] = field(default_factory=list)
    """From the ends of their containers until the daemon tells of none of them."""
    bad_lines: list[dict[str, Any]] = field(default_factory=list)
    load: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Newcomers:
    """Who comes, and what they have to be filled with."""

    addresses: list[str]
    alive: list[str]
    is_at_once: bool


async def measured(plan: Plan) -> Found:
    """Put everything up, run, take everything down. Raises RigError or OSError."""
    found = Found(plan=plan)
    _measure_raw(found)
    with temporary_folder() as folder:
        async with running_engine(folder) as engine:
            await engine.order("run", count=plan.endpoints, services=[BACKEND])
            await _with_daemon(folder, engine, found)
    return found


def _measure_raw(found: Found) -> None:
    slots = {BACKEND: found.plan.endpoints}
    with running_haproxies(found.plan.version, slots) as (haproxy,):
        runtime = Runtime(haproxy.socket)
        for _ in range(found.plan.rounds):
            raw = raw_seconds(runtime, slots)
            found.raw_ms.append(1000 * (raw.lines + raw.reading))
            empty(runtime, slots)
        runtime.close()


async def _with_daemon(folder: Path, engine: Engine, found: Found) -> None:
    plan = found.plan
    first, *others = [
        (await engine.order("next_address"))["address"]
        for _ in range(1 + plan.newcomers)
    ]
    alive = (await engine.order("alive"))["addresses"]
    slots = plan.endpoints + SPARE
    with haproxy_at(first, slots=slots, version=plan.version):
        labels = {LABEL: ""}
        await engine.order("run_beside", name="edge-0", address=first, labels=labels)
        async with running_daemon(folder, engine, [f"docker://{LABEL}"]) as daemon:
            for number in range(plan.rounds):
                print(f"  round {number + 1} of {plan.rounds}", flush=True)
                found.load.append(os.getloadavg()[0])
                for is_at_once in (False, True):
                    some = Newcomers(others, alive, is_at_once=is_at_once)
                    await _round(engine, daemon, some, found)
                seen(first, alive)  # it is as it was
            found.bad_lines += [
                one for one in daemon.news() if one.get("level") in BAD_LEVELS
            ]


async def _round(
    engine: Engine, daemon: Daemon, newcomers: Newcomers, found: Found
) -> None:
    """Let some come, until they are right; and let them go."""
    plan, now = found.plan, asyncio.get_running_loop().time
    addresses, alive = newcomers.addresses, newcomers.alive
    slots, ordering = plan.endpoints + SPARE, asyncio.Lock()
    with ExitStack() as stack:

        def start(address: str) -> None:
            stack.enter_context(haproxy_at(address, slots=slots, version=plan.version))

        async def come(number: int, address: str) -> tuple[float, Sighting]:
            watching = asyncio.create_task(asyncio.to_thread(seen, address, alive))
            async with ordering:  # orders are answered one at a time
                told = await engine.order(
                    "run_beside",
                    name=f"edge-{number}",
                    address=address,
                    labels={LABEL: ""},
                )
            await asyncio.to_thread(start, address)
            return told["began_ns"] / 1e9, await watching

        coming = [come(number, one) for number, one in enumerate(addresses, 1)]
        if newcomers.is_at_once:
            sightings = await asyncio.gather(*coming)
        else:
            sightings = [await one for one in coming]
        fills = found.each_ms if newcomers.is_at_once else found.one_ms
        fills += [1000 * (one.right - one.answered) for _, one in sightings]
        found.boot_ms += [1000 * (one.answered - began) for began, one in sightings]
        await asyncio.sleep(_PAUSE_SECONDS)
        began = now()
        for number, _ in enumerate(addresses, 1):
            await engine.order("end_beside", name=f"edge-{number}")
        while len(json.loads(await daemon.get("/readyz"))["haproxy"]) > 1:
            if now() - began > RIGHT_SECONDS:
                raise RigError("some of those that have gone are still there")
            await asyncio.sleep(_LOOK_SECONDS)
        found.gone_ms.append(1000 * (now() - began))
    await asyncio.sleep(_PAUSE_SECONDS)
