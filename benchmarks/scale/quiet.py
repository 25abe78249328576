"""When a daemon has nothing left to do, as seen from outside: it neither asks nor works."""

from __future__ import annotations

import asyncio
import time

from scale.rig import Daemon, Engine, RigError


LOOK_SECONDS = 0.5
QUIET_SECONDS = 6.0
"""So long the daemon inspects nobody once it has learned all: it may rest for five."""

RESYNC_SECONDS = 30.0
QUIET_SHARE = 0.05
"""Of a processor: what is less is its timers, and who asks us for it."""


async def settled(daemon: Daemon, engine: Engine, *, seconds: float = 180.0) -> float:
    """Wait until it asks Docker for nothing and hardly works; return how long that took.

    Its log is no witness: what it looks at in vain leaves no line there. A round that began
    earlier would be made slower by what the last one has left. Raises RigError.
    """
    began = time.monotonic()
    asked, spent = await _asked(engine), daemon.cpu_seconds()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(LOOK_SECONDS)
        now, cpu = await _asked(engine), daemon.cpu_seconds()
        if now == asked and cpu - spent < QUIET_SHARE * LOOK_SECONDS:
            return time.monotonic() - began
        asked, spent = now, cpu
    raise RigError(f"the daemon is still at work after {seconds:g} s")


async def learned(engine: Engine, count: int) -> None:
    """Wait until the daemon knows how each of so many containers stops.

    It learns that one by one, with pauses, and that is no cost of an event or a resync.
    """
    deadline = time.monotonic() + 10 + QUIET_SECONDS + count / 30
    inspects, since = -1, 0.0
    while time.monotonic() < deadline:
        now = (await engine.order("stats"))["inspects"]
        if now != inspects:
            inspects, since = now, time.monotonic()
        elif time.monotonic() - since > QUIET_SECONDS:
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise RigError(f"the daemon has not learned {count} containers in time")


async def listed(engine: Engine) -> None:
    """Wait for the daemon's next resync, by default options.

    The first one after a burst reads everybody's text for the first time.
    """
    deadline = time.monotonic() + 2 * RESYNC_SECONDS
    _, lists = await _asked(engine)
    while (await _asked(engine))[1] == lists:
        if time.monotonic() > deadline:
            raise RigError("the daemon has not listed its containers in time")
        await asyncio.sleep(LOOK_SECONDS)


async def _asked(engine: Engine) -> tuple[int, int]:
    told = await engine.order("stats")
    return told["inspects"], told["lists"]
