"""One daemon and 1, 5 or 20 HAProxies: what another one costs, and what a sick one does.

Real HAProxies, a scripted engine, the real daemon. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from figures.plot import boxes, picture
from figures.result import RESULTS, Result
from figures.series import Series, Verdict
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
from tests.support.haproxy_process import HaproxyProcess


COUNTS = (1, 5, 20)
SLOTS = 64
ALIVE = 10
EVENTS = 60
"""Starts in one phase; as many stops."""

PHASES = 4
"""So many times all are well, and as many times two are not, in turn."""

BETWEEN_SECONDS = 0.06
Latencies = dict[str, list[float]]


async def phase(daemon: Daemon, engine: Engine, events: int) -> Latencies:
    """Start and stop containers, one by one; return latencies by HAProxy."""
    daemon.news()
    for _ in range(events):
        await engine.order("run", count=1, services=["web"])
        await asyncio.sleep(BETWEEN_SECONDS)
        await engine.order("stop_oldest")
        await asyncio.sleep(BETWEEN_SECONDS)
    await asyncio.sleep(0.5)
    found: Latencies = defaultdict(list)
    for line in daemon.news():
        if line.get("kind") == "assign" and "latency_ms" in line:
            found[line["haproxy"]].append(line["latency_ms"])
    return found


async def is_right(engine: Engine, haproxy: HaproxyProcess) -> None:
    """Wait until exactly the containers that run are ready in it. Raises RigError."""
    expected = sorted((await engine.order("alive"))["addresses"])

    def check() -> bool:
        try:
            runtime = Runtime(haproxy.socket)
        except OSError:
            return False
        try:
            return runtime.ready_addresses("web") == expected
        finally:
            runtime.close()

    await until("a HAProxy that was away is right again", check, seconds=30, pause=0.1)


async def of_count(
    options: argparse.Namespace, count: int
) -> tuple[list[float], list[float]]:
    """Return latencies with so many HAProxies: all well, and two of them not.

    The latter is empty but for the largest count. Of those that are not well, nothing counts.
    """
    well: list[float] = []
    beside: list[float] = []
    with (
        temporary_folder() as folder,
        running_haproxies(options.haproxy, {"web": SLOTS}, count) as haproxies,
    ):
        urls = [one.url for one in haproxies]
        async with (
            running_engine(folder) as engine,
            running_daemon(folder, engine, urls) as daemon,
        ):
            await engine.order("run", count=ALIVE, services=["web"])
            for one in haproxies:
                await is_right(engine, one)
            await phase(daemon, engine, 5)
            if count < max(options.counts) or count < 3:
                found = await phase(daemon, engine, options.events)
                return [v for values in found.values() for v in values], []
            stalled, down = haproxies[0], haproxies[1]
            others = set(urls) - {stalled.url, down.url}
            for _ in range(options.phases):
                found = await phase(daemon, engine, options.events)
                well += [v for url in others for v in found[url]]
                pid = stalled.worker_pid()
                os.kill(pid, signal.SIGSTOP)
                try:
                    down.kill()
                    found = await phase(daemon, engine, options.events)
                finally:
                    os.kill(pid, signal.SIGCONT)
                beside += [v for url in others for v in found[url]]
                down.start()
                for one in (stalled, down):
                    await is_right(engine, one)
                await daemon.wait_ready()
                await asyncio.sleep(1.0)
    return well, beside


def result(
    found: dict[int, tuple[list[float], list[float]]], options: argparse.Namespace
) -> Result:
    """Return the figures as series, ratios and targets."""
    name = "start event -> slot ready, own log"
    well = {
        count: Series(name=f"{count}: {name}", unit="ms", values=values)
        for count, (values, _) in found.items()
    }
    least, most = min(found), max(found)
    series = list(well.values())
    ratios = [well[count].over(well[least]) for count in found if count > least]
    verdicts = []
    if found[most][1]:
        beside = Series(
            name=f"{most}: the others, one stalled and one down",
            unit="ms",
            values=found[most][1],
        )
        series.append(beside)
        ratio = beside.over(well[most])
        ratios.append(ratio)
        verdicts.append(
            Verdict(
                what="the others beside a stalled and a dead one",
                value=ratio.median,
                target=1.1,
            )
        )
    return Result(
        name="fanout",
        series=series,
        ratios=ratios,
        verdicts=verdicts,
        facts={"haproxy": options.haproxy, "phases": options.phases},
    )


async def run(
    options: argparse.Namespace,
) -> dict[int, tuple[list[float], list[float]]]:
    """Measure all counts."""
    found = {}
    for count in options.counts:
        print(f"with {count} HAProxies …", file=sys.stderr, flush=True)
        found[count] = await of_count(options, count)
    return found


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/fanout", description=__doc__)
    add = parser.add_argument
    add("--counts", type=int, nargs="+", help="of HAProxies (1 5 20)")
    add("--events", type=int, help=f"starts in a phase ({EVENTS})")
    add("--phases", type=int, help=f"of each kind ({PHASES})")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="1 and 4 HAProxies, a few events")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "fanout.json", help="where to")
    options = parser.parse_args()
    options.counts = options.counts or ((1, 4) if options.quick else COUNTS)
    options.events = options.events or (10 if options.quick else EVENTS)
    options.phases = options.phases or (1 if options.quick else PHASES)
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    try:
        found = asyncio.run(run(options))
    except (RigError, OSError) as error:
        print(f"benchmarks/fanout failed: {error}", file=sys.stderr)
        return 2
    told = result(found, options)
    told.show()
    told.write(options.output)

    def fill(axis: Any) -> None:  # noqa: ANN401 - matplotlib is optional
        boxes(axis, told.series)

    picture(options.output.with_suffix(".png"), fill)
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
