"""What ``stats timeout`` does to a daemon at rest: it asks once a second, and no more often."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from bare_haproxy import Running, Shape, running
from bench_engine import SLOTS, WEB, bench_engine
from tests.scripted_engine import ScriptedEngine
from tests.support.daemon import Daemon, DaemonError


_PATIENCE_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What one ``stats timeout`` does to a daemon at rest."""

    stats_timeout: str
    seconds: float
    connects: int
    passes: int
    placed_seconds: float | None
    """From the start of one more container until the daemon said that its slot is ready;
    None: it did not, as long as we waited."""


async def silences(
    version: str, timeouts: Sequence[str], *, seconds: float
) -> list[Idle]:
    """Let a daemon rest under each ``stats timeout``, all of them at once."""
    with ExitStack() as stack:
        haproxies = [
            stack.enter_context(
                running(
                    Shape(
                        version=version,
                        slots=SLOTS,
                        is_checked=False,
                        stats=f"stats timeout {one}",
                    )
                )
            )
            for one in timeouts
        ]
        return await asyncio.gather(
            *(
                _idle(one, haproxy, seconds)
                for one, haproxy in zip(timeouts, haproxies, strict=True)
            )
        )


async def _idle(stats_timeout: str, haproxy: Running, seconds: float) -> Idle:
    url = f"unix://{haproxy.socket}"
    async with (
        bench_engine() as engine,
        Daemon(haproxy=[url], docker=engine.url) as daemon,
    ):
        with suppress(DaemonError):
            await daemon.wait_ready(timeout_seconds=_PATIENCE_SECONDS)
        before = await _counters(daemon)
        await asyncio.sleep(seconds)
        after = await _counters(daemon)
        placed = await _seconds_to_say_so(engine, daemon)
        return Idle(
            stats_timeout=stats_timeout,
            seconds=seconds,
            connects=after[0] - before[0],
            passes=after[1] - before[1],
            placed_seconds=placed,
        )


async def _counters(daemon: Daemon) -> tuple[int, int]:
    body = (await daemon.get("/metrics")).body

    def total(name: str) -> int:
        found = re.findall(rf"^{name}\{{.*\}} ([0-9.e+]+)$", body, re.MULTILINE)
        return int(sum(map(float, found)))

    return (
        total("reconciler_haproxy_connects_total"),
        total("reconciler_passes_total"),
    )


async def _seconds_to_say_so(engine: ScriptedEngine, daemon: Daemon) -> float | None:
    """Start a container; return the seconds until the daemon says that it has a slot.

    By its own word, and not by HAProxy's: our questions would be cut off, too.
    """
    began = time.perf_counter()
    engine.run_many(1, prefix="late", labels=WEB)
    try:
        await daemon.wait_log("assigned late", timeout_seconds=_PATIENCE_SECONDS)
    except DaemonError:
        return None
    return time.perf_counter() - began
