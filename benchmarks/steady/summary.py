"""What being there costs: series, ratios to the smallest size, targets, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from figures.plot import picture
from figures.result import Result
from figures.series import Ratio, Series, Verdict
from measure import EVENTS, RESYNC_SECONDS, RESYNCS, Figures, Plan


NAMES = (
    ("cpu_ms", "ms", "one event: daemon's processor time"),
    ("stop_cpu_ms", "ms", "a stop, in its own 30 ms"),
    ("start_cpu_ms", "ms", "a start, in its own 30 ms"),
    ("engine_cpu_ms", "ms", "one event: engine's processor time"),
    ("start_ms", "ms", "start event -> slot ready, own log"),
    ("stop_ms", "ms", "stop signal -> slot in drain, own log"),
    ("resync_cpu_ms", "ms", "a resync: daemon's processor time"),
    ("resync_wall_ms", "ms", "a resync: wall time, both sides"),
    ("resync_list_ms", "ms", "of it: reading Docker's list"),
    ("resync_pass_ms", "ms", "of it: passes over HAProxy"),
    ("resync_engine_ms", "ms", "engine lists them for a bare client"),
    ("quiet_ms", "ms", "/healthz when nothing happens"),
    ("resync_hold_ms", "ms", "/healthz during resyncs"),
    ("resync_lag_ms", "ms", "no beat of the loop was later than"),
    ("docker_bytes", "bytes", "one event: from Docker"),
    ("haproxy_bytes", "bytes", "one event: to and from HAProxy"),
    ("idle_percent", "% of a core", "idling, resync every 30 s"),
    ("rss", "MB", "resident memory"),
    ("peak", "MB", "most memory it ever had"),
)
COMPARED = (
    *("cpu_ms", "stop_cpu_ms", "start_cpu_ms", "start_ms", "stop_ms"),
    *("docker_bytes", "haproxy_bytes", "resync_cpu_ms", "resync_hold_ms", "rss"),
)
"""With the same at the smallest size."""

LIMITS = (
    ("resync of 10,000: wall time", "resync_wall_ms", 10_000, 1000, "ms"),
    ("resync of 10,000: processor time", "resync_cpu_ms", 10_000, 1000, "ms"),
    ("the loop is held at most, at 10,000", "resync_hold_ms", 10_000, 20, "ms"),
    ("idling with 1,000", "idle_percent", 1000, 0.2, "% of a core"),
    ("memory with 1,000", "rss", 1000, 80, "MB"),
    ("memory with 10,000", "rss", 10_000, 150, "MB"),
)
MOST_GROWTH = 1.5
Found = Mapping[int, Figures]
"""Figures by size."""


def series(found: Found, key: str, count: int) -> Series | None:
    """Return what was measured of a figure at a size, if anything was."""
    if not found[count].get(key):
        return None
    unit, name = next((unit, name) for one, unit, name in NAMES if one == key)
    return Series(name=f"{count}: {name}", unit=unit, values=found[count][key])


def result(found: Found, plans: list[Plan]) -> Result:
    """Return the figures as series, ratios and targets."""
    every = [series(found, key, count) for key, _, _ in NAMES for count in found]
    return Result(
        name="steady",
        series=[one for one in every if one is not None],
        ratios=ratios(found),
        verdicts=verdicts(found),
        facts={
            "haproxy": plans[0].version,
            "events in a block": f"{EVENTS} stops, {EVENTS} starts",
            "blocks": plans[0].blocks,
            "resyncs": f"{RESYNCS}, one every {RESYNC_SECONDS:g} s",
        },
    )


def ratios(found: Found) -> list[Ratio]:
    """Return what each figure is of the same at the smallest size; holds, of a quiet loop."""
    least, *more = sorted(found)
    pairs = [
        (series(found, key, count), series(found, key, least))
        for key in COMPARED
        for count in more
    ]
    pairs += [
        (series(found, "resync_hold_ms", count), series(found, "quiet_ms", count))
        for count in found
    ]
    return [one.over(floor) for one, floor in pairs if one and floor]


def verdicts(found: Found) -> list[Verdict]:
    """Return the targets that these sizes can tell of; the worst value counts."""
    told: list[Verdict] = []
    if {10, 10_000} <= set(found):
        growth = median(found[10_000]["cpu_ms"]) / median(found[10]["cpu_ms"])
        told.append(
            Verdict(
                what="one event at 10,000, of that at 10",
                value=growth,
                target=MOST_GROWTH,
            )
        )
    told += [
        Verdict(what=what, value=max(found[count][key]), target=most, unit=unit)
        for what, key, count, most, unit in LIMITS
        if count in found and found[count].get(key)
    ]
    return told


def draw(found: Found, path: Path) -> None:
    """Draw what grows with the number of containers, and what does not."""
    names = {key: name for key, _, name in NAMES}

    def fill(axes: list[Any]) -> None:
        for axis, keys, unit in (
            (axes[0], ("cpu_ms", "start_ms", "stop_ms"), "ms for one event"),
            (axes[1], ("resync_wall_ms", "resync_cpu_ms"), "ms for a resync"),
            (axes[2], ("rss", "peak"), "MB"),
        ):
            for key in keys:
                sizes = [count for count in sorted(found) if found[count].get(key)]
                middle = [median(found[count][key]) for count in sizes]
                axis.plot(sizes, middle, marker="o", label=names[key])
            axis.set_xscale("log")
            axis.set_ylim(bottom=0)
            axis.set_ylabel(unit)
            axis.grid(visible=True, alpha=0.3)
            axis.legend()
        axes[-1].set_xlabel("containers that are placed")

    picture(path, fill, panels=3)
