"""What the looks say: series, growth from the first to the last tenth, and the picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from churn.measure import Found, Sample
from figures.plot import picture
from figures.result import Result
from figures.series import Series, Verdict, median_of_rounded


WARM_UP = 0.1
WINDOW = 0.1
MEMORY, LATENCY = 1.05, 1.10
QUIET = 0.015
"""Of a second, so much may the machine's host give to others: one tick of its clock."""
WORDS_SHOWN = 5

FIRST, LAST = "after warm-up", "at the end"

Values = Callable[[Sample], Sequence[float]]
FIGURES: tuple[tuple[str, str, float, Values], ...] = (
    ("daemon's memory", "MB", MEMORY, lambda one: [one.daemon_kb / 1024]),
    ("HAProxy's memory", "MB", MEMORY, lambda one: [one.haproxy_kb / 1024]),
    ("daemon's open files", "files", MEMORY, lambda one: [float(one.files)]),
    ("start -> ready", "ms", LATENCY, lambda one: one.assign_ms),
    ("stop signal -> drain", "ms", LATENCY, lambda one: one.drain_ms),
)
"""Name, unit, how much of itself it may be in the end, and how it is read."""


def window(found: Found, begin: float, end: float) -> list[Sample]:
    """Return the looks from one share of the events to another."""
    total = found.plan.events
    return [one for one in found.samples if begin * total < one.events <= end * total]


def windows(found: Found) -> dict[str, list[Sample]]:
    """Return the first tenth after the warm-up, and the last."""
    return {
        FIRST: window(found, WARM_UP, WARM_UP + WINDOW),
        LAST: window(found, 1.0 - WINDOW, 1.0),
    }


def quiet_windows(found: Found) -> dict[str, list[Sample]]:
    """Return the first and the last tenth of the events with the machine to itself.

    The plain ones where too few looks are quiet.
    """
    total = found.plan.events
    wanted = WINDOW * total
    quiet = [pair for pair in quiet_looks(found) if pair[0].events > WARM_UP * total]
    if sum(events for _, events in quiet) < 2 * wanted:
        return windows(found)
    return {FIRST: _first(quiet, wanted), LAST: _first(quiet[::-1], wanted)[::-1]}


def _first(looks: Sequence[tuple[Sample, int]], wanted: float) -> list[Sample]:
    """Return the first looks that have so many events together."""
    chosen, events = [], 0
    for one, more in looks:
        if events >= wanted:
            break
        chosen.append(one)
        events += more
    return chosen


def quiet_looks(found: Found) -> list[tuple[Sample, int]]:
    """Return the looks since whose forerunner no processor was given to somebody else.

    Each with the events since then.
    """
    return [
        (one, one.events - before.events)
        for before, one in pairwise(found.samples)
        if one.stolen - before.stolen <= QUIET * max(1.0, one.seconds - before.seconds)
    ]


def result(found: Found) -> Result:
    """Return the figures as series, ratios and targets."""
    series, ratios, verdicts = [], [], []
    plain, quiet = windows(found), quiet_windows(found)
    for name, unit, most, values in FIGURES:
        chosen = quiet if unit == "ms" else plain
        pair = [
            Series(
                name=f"{name} {when}",
                unit=unit,
                values=[value for one in samples for value in values(one)],
            )
            for when, samples in chosen.items()
        ]
        series += pair
        if all(one.values for one in pair):
            ratios.append(pair[1].over(pair[0]))
            verdicts.append(
                Verdict(
                    what=f"{name}, end / after warm-up",
                    value=growth(*pair),
                    target=most,
                )
            )
    return Result(
        name="churn",
        series=series,
        ratios=ratios,
        verdicts=[*verdicts, *correctness(found)],
        facts=facts(found),
    )


def growth(first: Series, last: Series) -> float:
    """Return what the end is of the start; the log tells latencies in tenths of a ms."""
    middle_of = median_of_rounded if first.unit == "ms" else median
    return middle_of(last.values) / middle_of(first.values)


def correctness(found: Found) -> list[Verdict]:
    """Return the targets that have nothing to do with speed."""
    return [
        Verdict(
            what="slots that are wrong at the end", value=len(found.wrong), target=0
        ),
        Verdict(
            what="warnings and errors in the daemon's log",
            value=len(found.bad_lines),
            target=0,
        ),
    ]


def facts(found: Found) -> dict[str, Any]:
    """Return what the figures depend on, and what explains them."""
    plan = found.plan
    told = Counter(str(line.get("message")) for line in found.bad_lines)
    return {
        "haproxy": plan.version,
        "events": plan.events,
        "rate": plan.rate,
        "containers": plan.containers,
        "slots": plan.slots,
        "seconds": round(found.seconds, 1),
        "engine late at most": f"{1000 * found.late_seconds:.0f} ms",
        "load average": load(found.samples),
        "quiet looks": quiet_words(found),
        "processor shares": shares(found.samples),
        "daemon grows by": f"{slope(found):.2f} kB in 1,000 events",
        "wrong": found.wrong[:WORDS_SHOWN],
        "log": dict(told.most_common(WORDS_SHOWN)),
    }


def load(samples: Sequence[Sample]) -> str:
    """Return the load average of the run: this benchmark makes a part of it itself."""
    found = [one.load for one in samples]
    return f"{found[0]:.2f} at the start, {max(found):.2f} at most"


def quiet_words(found: Found) -> str:
    """Return in how many looks the machine was ours, and where the last ones were."""
    last = quiet_windows(found)[LAST]
    return (
        f"{len(quiet_looks(found))} of {len(found.samples)}; "
        f"the end is from event {last[0].events} to {last[-1].events}"
    )


def shares(samples: Sequence[Sample]) -> dict[str, float]:
    """Return how much of one processor each process took."""
    first, last = samples[0], samples[-1]
    seconds = max(1e-9, last.seconds - first.seconds)
    return {
        "daemon": round((last.daemon_cpu - first.daemon_cpu) / seconds, 3),
        "haproxy": round((last.haproxy_cpu - first.haproxy_cpu) / seconds, 3),
        "engine": round((last.engine_cpu - first.engine_cpu) / seconds, 3),
    }


def slope(found: Found) -> float:
    """Return by how many kB the daemon grows in 1,000 events: a straight line fitted."""
    samples = window(found, WARM_UP, 1.0)
    if len(samples) < 2:
        return 0.0
    events = [one.events / 1000 for one in samples]
    memory = [float(one.daemon_kb) for one in samples]
    middle = sum(events) / len(events)
    level = sum(memory) / len(memory)
    spread = sum((x - middle) ** 2 for x in events)
    together = sum(
        (x - middle) * (y - level) for x, y in zip(events, memory, strict=True)
    )
    return together / spread if spread else 0.0


def over_time(found: Found) -> dict[str, list[Any]]:
    """Return every look, for the JSON."""
    return {
        "seconds": [round(one.seconds, 2) for one in found.samples],
        "events": [one.events for one in found.samples],
        "daemon_kb": [one.daemon_kb for one in found.samples],
        "haproxy_kb": [one.haproxy_kb for one in found.samples],
        "files": [one.files for one in found.samples],
        "load": [round(one.load, 2) for one in found.samples],
        "stolen": [round(one.stolen, 2) for one in found.samples],
        "daemon_cpu": [round(one.daemon_cpu, 3) for one in found.samples],
        "haproxy_cpu": [round(one.haproxy_cpu, 3) for one in found.samples],
        "engine_cpu": [round(one.engine_cpu, 3) for one in found.samples],
        "start_ms": [middle(one.assign_ms) for one in found.samples],
        "stop_ms": [middle(one.drain_ms) for one in found.samples],
    }


def middle(values: Sequence[float]) -> float | None:
    """Return the median, if there is one."""
    return median(values) if values else None


def draw(found: Found, path: Path) -> None:
    """Draw memory, files and latency over the events."""
    shown = over_time(found)

    def fill(axes: list[Any]) -> None:
        events = shown["events"]
        mega = [
            (name, [kb / 1024 for kb in shown[key]])
            for name, key in (("daemon", "daemon_kb"), ("HAProxy", "haproxy_kb"))
        ]
        panels = (
            ("resident memory, MB", mega),
            ("open files", [("daemon", shown["files"])]),
            (
                "ms, median of a second",
                [
                    ("start event to slot ready", shown["start_ms"]),
                    ("stop signal to slot in drain", shown["stop_ms"]),
                ],
            ),
        )
        for axis, (unit, lines) in zip(axes, panels, strict=True):
            for name, values in lines:
                axis.plot(events, values, label=name, linewidth=1)
            axis.axvspan(0, WARM_UP * found.plan.events, alpha=0.1, label="warm-up")
            axis.set_ylabel(unit)
            axis.grid(visible=True, alpha=0.3)
            axis.legend(loc="lower right")
        for axis in axes[:2]:
            axis.set_ylim(bottom=0)
        # A second that somebody else took is a hundred times the others.
        axes[-1].set_yscale("log")
        axes[-1].set_xlabel("start and stop events")

    picture(path, fill, panels=3)
