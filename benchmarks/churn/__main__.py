"""100,000 starts and stops: does anything grow, or get slower?

A real HAProxy, a scripted engine, the real daemon. See benchmarks/README.md for how to read
what comes out.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from figures.plot import picture
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
from traffic.host_processes import resident_kb


WARM_UP = 0.1
"""So much of the run is not judged: code is loaded, every slot had a tenant once."""

WINDOW = 0.1
"""The first and the last of the rest that are compared."""


@dataclass(slots=True)
class Story:
    """What was seen, by the second of the run."""

    daemon_mb: list[tuple[float, float]] = field(default_factory=list)
    haproxy_mb: list[tuple[float, float]] = field(default_factory=list)
    files: list[tuple[float, float]] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def sample(self, second: float, daemon: Daemon, haproxy_pid: int) -> None:
        """Look once."""
        self.daemon_mb.append((second, daemon.resident_mb()))
        self.haproxy_mb.append((second, resident_kb(haproxy_pid) / 1024))
        self.files.append((second, float(daemon.open_files())))
        for line in daemon.news():
            if line.get("kind") == "assign" and "latency_ms" in line:
                self.latencies.append((second, line["latency_ms"]))


def windows(
    values: Sequence[tuple[float, float]], seconds: float
) -> tuple[list[float], list[float]]:
    """Return the values of the first and the last window after the warm-up."""
    start = WARM_UP * seconds
    width = WINDOW * (seconds - start)
    first = [value for at, value in values if start <= at < start + width]
    last = [value for at, value in values if at >= seconds - width]
    return first, last


async def measured(options: argparse.Namespace) -> Story:
    """Put everything up, let it churn, take everything down."""
    story, alive = Story(), options.containers
    slots = {"web": alive + max(10, alive // 4)}
    with (
        temporary_folder() as folder,
        running_haproxies(options.haproxy, slots) as (haproxy,),
    ):
        runtime = Runtime(haproxy.socket)
        async with (
            running_engine(folder) as engine,
            running_daemon(folder, engine, [haproxy.url]) as daemon,
        ):
            await engine.order("run", count=alive, services=["web"])
            await until("all are ready", lambda: runtime.active(["web"]) == alive)
            daemon.news()
            await churn(story, options, engine, daemon, haproxy.worker_pid())
            await until_right(engine, runtime, alive)
            metrics = await daemon.metrics()
            story.facts |= {
                "resync corrections": metrics.get("reconciler_resync_corrections_total")
            }
        runtime.close()
    return story


async def churn(
    story: Story,
    options: argparse.Namespace,
    engine: Engine,
    daemon: Daemon,
    haproxy_pid: int,
) -> None:
    """Stop and start at a bounded rate, and look once a second."""
    began, spent = time.monotonic(), daemon.cpu_seconds()
    before = await engine.order("stats")
    task = asyncio.create_task(
        engine.order(
            "churn",
            pairs=options.events // 2,
            rate=options.rate / 2,
        )
    )
    pause = min(1.0, options.events / options.rate / 60)
    while not task.done():
        await asyncio.wait({task}, timeout=pause)
        story.sample(time.monotonic() - began, daemon, haproxy_pid)
        if sys.stderr.isatty():
            share = (time.monotonic() - began) * options.rate / options.events
            print(f"\r{min(1, share):.0%}", end="", file=sys.stderr, flush=True)
    told, seconds = task.result(), time.monotonic() - began
    after = await engine.order("stats")
    story.facts |= {
        "haproxy": options.haproxy,
        "events": options.events,
        "events_a_second": round(options.events / told["seconds"]),
        "engine's worst delay, s": round(told["late_seconds"], 2),
        "engine's share of a core": round(
            (after["cpu_seconds"] - before["cpu_seconds"]) / seconds, 2
        ),
        "daemon's share of a core": round((daemon.cpu_seconds() - spent) / seconds, 2),
        "inspects": after["inspects"] - before["inspects"],
        "lists": after["lists"] - before["lists"],
    }


async def until_right(engine: Engine, runtime: Runtime, alive: int) -> None:
    """Wait until exactly the containers that run are ready, each once. Raises RigError."""
    expected = sorted((await engine.order("alive"))["addresses"])

    def is_right() -> bool:
        return runtime.ready_addresses("web") == expected

    await until(f"exactly {alive} are ready", is_right, seconds=40, pause=0.1)


def result(story: Story, options: argparse.Namespace) -> Result:
    """Return the figures as series, ratios and targets."""
    seconds = story.daemon_mb[-1][0]
    series, ratios, verdicts = [], [], []
    for name, unit, values, most in (
        ("daemon's memory", "MB", story.daemon_mb, 1.05),
        ("haproxy's memory", "MB", story.haproxy_mb, 1.05),
        ("daemon's open files", "files", story.files, 1.05),
        ("start event -> slot ready, own log", "ms", story.latencies, 1.1),
    ):
        first, last = windows(values, seconds)
        if not first or not last:
            continue
        begins = Series(name=f"{name}: at the start", unit=unit, values=first)
        ends = Series(name=f"{name}: at the end", unit=unit, values=last)
        series += [begins, ends]
        ratio = ends.over(begins)
        ratios.append(ratio)
        verdicts.append(
            Verdict(what=f"{name}, end over start", value=ratio.median, target=most)
        )
    return Result(
        name="churn",
        series=series,
        ratios=ratios,
        verdicts=verdicts,
        facts=story.facts | {"alive": options.containers},
    )


def draw(story: Story, path: Path) -> None:
    """Draw memory, files and latency over the time of the run."""
    by_second: dict[int, list[float]] = {}
    for at, value in story.latencies:
        by_second.setdefault(int(at), []).append(value)

    def fill(axes: list[Any]) -> None:
        for name, values in (
            ("daemon", story.daemon_mb),
            ("HAProxy", story.haproxy_mb),
        ):
            axes[0].plot(*zip(*values, strict=True), label=name)
        axes[0].set_ylabel("resident memory, MB")
        axes[1].plot(*zip(*story.files, strict=True), label="daemon's open files")
        axes[1].set_ylabel("files")
        axes[2].plot(
            list(by_second), [median(v) for v in by_second.values()], label="median"
        )
        axes[2].set_ylabel("start → ready, ms")
        axes[2].set_xlabel("seconds")
        for axis in axes:
            axis.set_ylim(bottom=0)
            axis.grid(visible=True, alpha=0.3)
            axis.legend()

    picture(path, fill, panels=3)


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/churn", description=__doc__)
    add = parser.add_argument
    add("--events", type=int, help="how many starts and stops (100000)")
    add("--rate", type=float, default=350.0, help="of them a second (350)")
    add("--containers", type=int, default=200, help="that run at a time (200)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="only 4,000 events")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "churn.json", help="where to")
    options = parser.parse_args()
    options.events = options.events or (4000 if options.quick else 100_000)
    return options


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    try:
        story = asyncio.run(measured(options))
    except (RigError, OSError) as error:
        print(f"benchmarks/churn failed: {error}", file=sys.stderr)
        return 2
    told = result(story, options)
    told.show()
    told.write(options.output)
    draw(story, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
