"""What one event, a resync and idling cost while 10, 1,000 or 10,000 containers are placed.

A real HAProxy, a scripted engine, the real daemon. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from figures.plot import picture
from figures.result import RESULTS, Result
from figures.series import Series, Verdict
from scale.relay import CountingRelay
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
from scale.runtime import Runtime


SIZES = (10, 1000, 10_000)
BLOCKS, EVENTS = 8, 40
"""So many blocks of so many stops and as many starts: processor time is too coarse for one."""

RESYNC_SECONDS = 3.0
RESYNCS = 6
IDLE_SECONDS = 62.0
PROBE_SECONDS = 0.003
Figures = dict[str, dict[int, list[float]]]


async def placed(daemon: Daemon, engine: Engine, runtime: Runtime, count: int) -> None:
    """Have so many containers placed, and everything quiet."""
    await engine.order("run", count=count, services=["web"])
    await until(
        f"{count} slots are ready",
        lambda: runtime.active(["web"]) == count,
        pause=0.02,
    )
    await until("it is quiet", lambda: not daemon.news(), pause=1.0)
    # How each container stops is learned one by one, 50 a second; that is no event's cost.
    deadline = time.monotonic() + 5 + count / 40
    seen = -1
    while time.monotonic() < deadline:
        now = (await engine.order("stats"))["inspects"]
        if now == seen:
            return
        seen = now
        await asyncio.sleep(0.3)


async def events(
    daemon: Daemon, engine: Engine, runtime: Runtime, count: int, blocks: int
) -> dict[str, list[float]]:
    """Stop one and start another, again and again; return what an event costs."""
    found: dict[str, list[float]] = defaultdict(list)
    daemon.news()
    for _ in range(blocks):
        began, bytes_before = daemon.cpu_seconds(), await engine.order("stats")
        at = time.monotonic()
        for _ in range(EVENTS):
            await engine.order("stop_oldest")
            await asyncio.sleep(0.01)
            await engine.order("run", count=1, services=["web"])
            await asyncio.sleep(0.01)
        # What is read once more after a change belongs to it.
        await asyncio.sleep(0.5)
        spent = daemon.cpu_seconds() - began
        idle = IDLE_SHARE.get(count, 0.0) * (time.monotonic() - at)
        found["cpu_ms"].append(1000 * (spent - idle) / (2 * EVENTS))
        now = await engine.order("stats")
        sent = now["bytes_out"] - bytes_before["bytes_out"]
        found["docker_bytes"].append(sent / (2 * EVENTS))
        await until(
            "all are ready", lambda: runtime.active(["web"]) == count, pause=0.02
        )
        for line in daemon.news():
            if line.get("kind") == "assign" and "latency_ms" in line:
                found["start_ms"].append(line["latency_ms"])
            if line.get("kind") == "drain" and "latency_ms" in line:
                found["stop_ms"].append(line["latency_ms"])
    return found


IDLE_SHARE: dict[int, float] = {}
"""Processor seconds of a second in which nothing happens, by size: subtracted above."""


async def idle(daemon: Daemon, seconds: float) -> float:
    """Return the share of a processor that it takes when nothing happens."""
    began, at = daemon.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    return (daemon.cpu_seconds() - began) / (time.monotonic() - at)


async def holds(daemon: Daemon, seconds: float) -> list[float]:
    """Ask it something small again and again; return how many ms each answer took."""
    found: list[float] = []
    until_at = time.monotonic() + seconds
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    try:
        while time.monotonic() < until_at:
            began = time.perf_counter()
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
            await reader.readexactly(int(length))
            found.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(PROBE_SECONDS)
    finally:
        writer.close()
    return found


async def resyncs(folder: Path, engine: Engine, url: str) -> dict[str, list[float]]:
    """Have everything read every few seconds; return what that costs and holds up."""
    found: dict[str, list[float]] = defaultdict(list)
    async with running_daemon(
        folder, engine, [url], "--resync", f"{RESYNC_SECONDS:g}"
    ) as daemon:
        await asyncio.sleep(2 * RESYNC_SECONDS)
        before, began = await daemon.metrics(), daemon.cpu_seconds()
        for _ in range(RESYNCS):
            spent = daemon.cpu_seconds()
            found["hold_ms"] += await holds(daemon, RESYNC_SECONDS)
            found["cpu_with_probe"].append(daemon.cpu_seconds() - spent)
        after = await daemon.metrics()
        passes = after["reconciler_passes_total:converged"]
        passes -= before["reconciler_passes_total:converged"]
        found["passes"] = [passes]
        pass_seconds = after["reconciler_pass_duration_seconds_sum"]
        pass_seconds -= before["reconciler_pass_duration_seconds_sum"]
        found["pass_ms"] = [1000 * pass_seconds / max(1.0, passes)]
        began = daemon.cpu_seconds()
        await asyncio.sleep(RESYNCS * RESYNC_SECONDS)
        found["cpu_ms"] = [1000 * (daemon.cpu_seconds() - began) / RESYNCS]
        for line in daemon.news():
            if line.get("message", "").startswith("read"):
                found["read_ms"].append(line.get("ms", 0.0))
    return found


async def of_size(options: argparse.Namespace, count: int) -> Figures:
    """Measure all of it with so many containers."""
    found: Figures = defaultdict(lambda: defaultdict(list))
    slots = {"web": count + max(10, count // 10)}
    blocks = 2 if options.quick else BLOCKS
    with (
        temporary_folder() as folder,
        running_haproxies(options.haproxy, slots) as (haproxy,),
    ):
        runtime = Runtime(haproxy.socket)
        async with running_engine(folder) as engine:
            async with running_daemon(folder, engine, [haproxy.url]) as daemon:
                await placed(daemon, engine, runtime, count)
                found["rss"][count].append(daemon.resident_mb())
                found["peak"][count].append(daemon.peak_mb())
                share = await idle(daemon, options.idle)
                IDLE_SHARE[count] = share
                found["idle_percent"][count].append(100 * share)
                for key, values in (
                    await events(daemon, engine, runtime, count, blocks)
                ).items():
                    found[key][count] += values
                found["rss"][count].append(daemon.resident_mb())
                found["peak"][count].append(daemon.peak_mb())
                found["quiet_ms"][count] += await holds(daemon, 5.0)
            if not options.quick:
                cost = await resyncs(folder, engine, haproxy.url)
                for key, values in cost.items():
                    found[f"resync_{key}"][count] += values
            async with CountingRelay(folder / "relay.sock", haproxy.socket) as relay:
                url = f"unix://{relay.path}"
                async with running_daemon(folder, engine, [url]) as daemon:
                    await until("it is quiet", lambda: not daemon.news(), pause=1.0)
                    before = relay.bytes_total
                    await events(daemon, engine, runtime, count, 1)
                    spent = relay.bytes_total - before
                    found["haproxy_bytes"][count].append(spent / (2 * EVENTS))
        runtime.close()
    return found


NAMES = (
    ("cpu_ms", "ms", "one event: daemon's processor time"),
    ("start_ms", "ms", "start event -> slot ready, own log"),
    ("stop_ms", "ms", "stop signal -> slot in drain, own log"),
    ("docker_bytes", "bytes", "one event: from Docker"),
    ("haproxy_bytes", "bytes", "one event: to and from HAProxy"),
    ("resync_cpu_ms", "ms", "a resync: daemon's processor time"),
    ("resync_pass_ms", "ms", "a resync: HAProxy's part, wall time"),
    ("quiet_ms", "ms", "/healthz when nothing happens"),
    ("resync_hold_ms", "ms", "/healthz during resyncs"),
    ("idle_percent", "% of a core", "idling, resync every 30 s"),
    ("rss", "MB", "resident memory"),
    ("peak", "MB", "most memory it ever had"),
)


def result(found: Figures, options: argparse.Namespace) -> Result:
    """Return the figures as series, ratios and targets."""
    sizes = sorted(found["cpu_ms"])
    series = {
        (key, count): Series(
            name=f"{count}: {name}", unit=unit, values=found[key][count]
        )
        for key, unit, name in NAMES
        for count in sizes
        if found[key].get(count)
    }
    least = sizes[0]
    ratios = [
        series[key, count].over(series[key, least])
        for key in ("cpu_ms", "start_ms", "stop_ms", "docker_bytes", "haproxy_bytes")
        for count in sizes[1:]
        if (key, count) in series and (key, least) in series
    ]
    verdicts: list[Verdict] = []

    if {10, 10_000} <= set(sizes):
        share = series["cpu_ms", 10_000].over(series["cpu_ms", 10]).median
        verdicts.append(
            Verdict(what="one event at 10,000, of that at 10", value=share, target=1.5)
        )
    for what, key, count, most, unit in (
        ("a resync of 10,000: processor time", "resync_cpu_ms", 10_000, 1000, "ms"),
        ("the loop is held by it at most", "resync_hold_ms", 10_000, 20, "ms"),
        ("idling with 1,000", "idle_percent", 1000, 0.2, "% of a core"),
        ("memory with 1,000", "rss", 1000, 80, "MB"),
        ("memory with 10,000", "rss", 10_000, 150, "MB"),
    ):
        if found[key].get(count):
            value = max(found[key][count])
            verdicts.append(Verdict(what=what, value=value, target=most, unit=unit))
    return Result(
        name="steady",
        series=list(series.values()),
        ratios=ratios,
        verdicts=verdicts,
        facts={"haproxy": options.haproxy},
    )


def draw(found: Figures, path: Path) -> None:
    """Draw what grows with the number of containers, and what does not."""

    def fill(axes: list[Any]) -> None:
        for axis, keys, unit in (
            (axes[0], ("cpu_ms", "start_ms", "stop_ms"), "ms for one event"),
            (axes[1], ("rss", "peak"), "MB"),
        ):
            names = {key: name for key, _, name in NAMES}
            for key in keys:
                sizes = sorted(n for n in found[key] if found[key][n])
                middle = [median(found[key][n]) for n in sizes]
                axis.plot(sizes, middle, marker="o", label=names[key])
            axis.set_xscale("log")
            axis.set_ylim(bottom=0)
            axis.set_ylabel(unit)
            axis.grid(visible=True, alpha=0.3)
            axis.legend()
        axes[1].set_xlabel("containers that are placed")

    picture(path, fill, panels=2)


async def run(options: argparse.Namespace) -> Figures:
    """Measure all sizes."""
    found: Figures = defaultdict(dict)
    for count in options.sizes or ((10, 100) if options.quick else SIZES):
        print(f"with {count} containers …", file=sys.stderr, flush=True)
        for key, by_size in (await of_size(options, count)).items():
            found[key] |= by_size
    return found


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/steady", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", help="how many are placed (10 1000 10000)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--idle", type=float, help="seconds of idling (62)")
    add("--quick", action="store_true", help="10 and 100, no resyncs, short")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "steady.json", help="where to")
    options = parser.parse_args()
    options.idle = options.idle or (5.0 if options.quick else IDLE_SECONDS)
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    try:
        found = asyncio.run(run(options))
    except (RigError, OSError) as error:
        print(f"benchmarks/steady failed: {error}", file=sys.stderr)
        return 2
    told = result(found, options)
    told.show()
    told.write(options.output)
    draw(found, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
