"""Endpoints that appear all at once: how long until all are ready, beside the raw limit.

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
from scale.runtime import Runtime, empty, raw_seconds


LINES_A_SLOT = 5
ROUNDS = {10: 10, 100: 10, 1000: 7, 10_000: 3}
QUICK_ROUNDS = {10: 3, 100: 3}
Figures = dict[str, dict[int, list[float]]]


async def one_round(
    daemon: Daemon, engine: Engine, runtime: Runtime, count: int
) -> dict[str, float]:
    """Let so many endpoints appear; return what that took."""
    before = await daemon.metrics()
    spent = daemon.cpu_seconds()
    told = await engine.order("run", count=count, services=["web"])
    pause = 0.002 if count <= 1000 else 0.02
    await until(
        f"{count} slots are ready",
        lambda: runtime.active(["web"]) == count,
        pause=pause,
    )
    seconds = (time.time_ns() - told["began_ns"]) / 1e9
    cpu = daemon.cpu_seconds() - spent
    await asyncio.sleep(0.3)  # the last pass is told of
    after = await daemon.metrics()
    found = {key: after[key] - before.get(key, 0.0) for key in after}
    commands = found["reconciler_commands_total:done"]
    if commands != 4 * count:
        raise RigError(f"{commands:g} commands for {count} slots, not {4 * count}")
    return {
        "seconds": seconds,
        "told": (told["ended_ns"] - told["began_ns"]) / 1e9,
        "writing": found["reconciler_writing_duration_seconds_sum"],
        "passing": found["reconciler_pass_duration_seconds_sum"],
        "passes": found["reconciler_passes_total:converged"],
        "cpu": cpu,
    }


async def of_size(options: argparse.Namespace, count: int, rounds: int) -> Figures:
    """Measure bursts of one size, each into a HAProxy that was just started."""
    found: Figures = defaultdict(lambda: defaultdict(list))
    backends = {"web": count}
    with (
        temporary_folder() as folder,
        running_haproxies(options.haproxy, backends, 2) as (ours, bare),
    ):
        raw = Runtime(bare.socket)
        async with (
            running_engine(folder) as engine,
            running_daemon(folder, engine, [ours.url]) as daemon,
        ):
            for number in range(rounds + 1):
                taken = await asyncio.to_thread(raw_seconds, raw, "web", count)
                await asyncio.to_thread(empty, raw, "web", count)
                runtime = Runtime(ours.socket)
                figures = await one_round(daemon, engine, runtime, count)
                if number:  # the first one loads code
                    found["raw"][count].append(taken)
                    for key, value in figures.items():
                        found[key][count].append(value)
                before = await engine.order("stats")
                await engine.order("stop_all")
                await until(
                    "all slots are free", lambda r=runtime: r.active(["web"]) == 0
                )
                runtime.close()
                found["engine_lists"][count].append(before["lists"])
                ours.restart()
                await daemon.wait_ready()
                await until_refilled(daemon, ours.url)
        raw.close()
    return found


async def until_refilled(daemon: Daemon, url: str) -> None:
    """Wait until the daemon has seen that its HAProxy is another."""
    del url
    seen: list[dict[str, Any]] = []

    def replaced() -> bool:
        seen.extend(daemon.news())
        return any("was replaced" in str(one.get("message")) for one in seen)

    await until("the daemon sees the new HAProxy", replaced)
    await daemon.wait_ready()


def result(found: Figures, options: argparse.Namespace) -> Result:
    """Return the figures as series, ratios and targets."""
    series: list[Series] = []
    sizes = sorted(found["seconds"])
    rates: dict[str, dict[int, Series]] = defaultdict(dict)
    for count in sizes:
        lines = LINES_A_SLOT * count
        for key, name in (
            ("raw", "raw limit"),
            ("writing", "daemon, while writing"),
            ("passing", "daemon, its passes"),
            ("seconds", "first event -> all ready"),
        ):
            values = [lines / one for one in found[key][count]]
            one = Series(name=f"{count}: {name}", unit="lines/s", values=values)
            rates[key][count] = one
            series.append(one)
    for count in sizes:
        for key, name in (
            ("seconds", "first event -> all ready"),
            ("told", "of it: engine writes the events"),
            ("raw", "raw limit"),
            ("cpu", "daemon's processor time"),
        ):
            values = [1000 * one for one in found[key][count]]
            series.append(Series(name=f"{count}: {name}", unit="ms", values=values))
    ratios = [
        rates[key][count].over(rates["raw"][count])
        for count in sizes
        for key in ("writing", "passing", "seconds")
    ]
    verdicts = []
    if 1000 in sizes:
        verdicts.append(
            Verdict(
                what="burst of 1,000: rate while writing, of the raw rate",
                value=rates["writing"][1000].over(rates["raw"][1000]).median,
                target=0.7,
                at_least=True,
            )
        )
    if {1000, 10_000} <= set(sizes):
        share = median(found["seconds"][10_000]) / median(found["seconds"][1000])
        verdicts.append(
            Verdict(what="10,000 take, of 1,000's time", value=share, target=12.0)
        )
    return Result(
        name="burst",
        series=series,
        ratios=ratios,
        verdicts=verdicts,
        facts={
            "haproxy": options.haproxy,
            "passes": {n: median(found["passes"][n]) for n in sizes},
        },
    )


def draw(found: Figures, path: Path) -> None:
    """Draw time over the size of the burst."""

    def fill(axis: Any) -> None:  # noqa: ANN401 - matplotlib is optional
        for key, name in (
            ("seconds", "first event to all ready"),
            ("passing", "the daemon's passes"),
            ("writing", "while it writes"),
            ("raw", "raw limit"),
        ):
            sizes = sorted(found[key])
            axis.plot(
                sizes, [median(found[key][n]) for n in sizes], marker="o", label=name
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("endpoints that appear at once")
        axis.set_ylabel("seconds (median)")
        axis.grid(visible=True, alpha=0.3)
        axis.legend()

    picture(path, fill)


async def run(options: argparse.Namespace) -> Figures:
    """Measure all sizes."""
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    sizes = options.sizes or sorted(rounds)
    found: Figures = defaultdict(dict)
    for count in sizes:
        print(f"bursts of {count} …", file=sys.stderr, flush=True)
        for key, by_size in (
            await of_size(options, count, options.rounds or rounds.get(count, 5))
        ).items():
            found[key] |= by_size
    return found


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="benchmarks/burst", description=__doc__)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", help="sizes of bursts (10 100 1000 10000)")
    add("--rounds", type=int, help="how often each is measured (10 to 3)")
    add("--haproxy", default="3.0", help="HAProxy's version (3.0)")
    add("--quick", action="store_true", help="only small ones, a few times")
    add("--strict", action="store_true", help="end with 1 if a target is missed")
    add("--output", type=Path, default=RESULTS / "burst.json", help="where to")
    return parser.parse_args()


def main() -> int:
    """Run; 0 unless it failed (or, if strict, missed a target)."""
    options = parsed()
    try:
        found = asyncio.run(run(options))
    except (RigError, OSError) as error:
        print(f"benchmarks/burst failed: {error}", file=sys.stderr)
        return 2
    told = result(found, options)
    told.show()
    told.write(options.output)
    draw(found, options.output.with_suffix(".png"))
    return 1 if options.strict and not told.is_met else 0


if __name__ == "__main__":
    sys.exit(main())
