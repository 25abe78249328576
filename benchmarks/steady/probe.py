"""How long the daemon's event loop is held: asked from outside, and by its own beats."""

from __future__ import annotations

import asyncio
import re
import time

from scale.rig import Daemon, Engine


PROBE_SECONDS = 0.003
WINDOW_SECONDS = 3.0
MOST_WINDOWS = 3
"""So many times the wanted number are tried: now and then a resync falls into one."""

_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
_BUCKET = re.compile(
    r'^reconciler_event_loop_lag_seconds_bucket\{le="(.+)"\} (.+)$', re.MULTILINE
)


async def holds(daemon: Daemon, seconds: float) -> list[float]:
    """Ask it something small again and again; return how many ms each answer took."""
    found: list[float] = []
    until_at = time.monotonic() + seconds
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    try:
        while time.monotonic() < until_at:
            began = time.perf_counter()
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            found.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(PROBE_SECONDS)
    finally:
        writer.close()
    return found


async def quiet_holds(daemon: Daemon, engine: Engine, seconds: float) -> list[float]:
    """Return the same for so many seconds in which it reads nothing and passes nothing."""
    found: list[float] = []
    window = min(WINDOW_SECONDS, seconds)
    for _ in range(MOST_WINDOWS * round(seconds / window)):
        before = await _done(daemon, engine)
        answers = await holds(daemon, window)
        if before == await _done(daemon, engine):
            found += answers
            seconds -= window
        if seconds < window / 2:
            break
    return found


async def _done(daemon: Daemon, engine: Engine) -> tuple[float, float]:
    lists = (await engine.order("stats"))["lists"]
    return lists, (await daemon.metrics())["reconciler_pass_duration_seconds_count"]


async def beats(daemon: Daemon) -> dict[float, float]:
    """Return how many of its beats were at most so many seconds late, by that many."""
    return {
        float(bound): float(count)
        for bound, count in _BUCKET.findall(await daemon.get("/metrics"))
    }


def latest_beat(before: dict[float, float], after: dict[float, float]) -> float:
    """Return the bound, in seconds, that no beat in between was later than."""
    grown = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    most = max(grown.values(), default=0.0)
    return next((bound for bound, count in grown.items() if count == most), 0.0)
