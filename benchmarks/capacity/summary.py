"""The figures: what a slot costs over a HAProxy without slots, what a burst does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from checks import CheckCost
from delay import CASES, Delays
from figures.series import Ratio, Series, Verdict, percentile
from growth import Cell, Measure


MOST_KB_A_SLOT = 6.0
MOST_START_MS = 1500.0
MOST_IDLE_PERCENT = 2.5
_COMPARED_SLOTS = 10_000
"""The size that the targets are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything that was measured."""

    versions: Sequence[str]
    grown: Mapping[Cell, Sequence[Measure]]
    checks: CheckCost
    idle_slots: int
    delays: Mapping[tuple[str, int], Delays]
    facts: Mapping[str, Any]

    def floor(self, cell: Cell) -> Cell:
        """Return the HAProxy without slots that a cell is compared with."""
        same = Cell(version=cell.version, slots=0, threads=cell.threads)
        return same if self.grown.get(same) else replace(same, threads=1)

    def values(
        self, cell: Cell, value: Callable[[Measure], float | None]
    ) -> list[float]:
        """Return one figure of every round that has it."""
        found = (value(one) for one in self.grown.get(cell, ()))
        return [one for one in found if one is not None]


def start(found: Found, cell: Cell) -> Series:
    """Return milliseconds from the execution to the first answer."""
    return _of(found, cell, "start", "ms", lambda one: one.start * 1e3)


def weight(found: Found, cell: Cell) -> Series:
    """Return microseconds for one pipelined command."""
    return _of(found, cell, "set weight", "us", lambda one: one.weight * 1e6)


def memory(found: Found, cell: Cell) -> Series:
    """Return the resident set of all of it."""
    return _of(found, cell, "memory", "MB", lambda one: one.memory / 1e6)


def slot_memory(found: Found, cell: Cell, *, is_filled: bool = False) -> Series:
    """Return what one slot adds, in kB of 1,000 bytes."""
    floor = found.floor(cell)
    empty = median(found.values(floor, lambda one: one.memory))

    def added(one: Measure) -> float | None:
        whole = one.filled if is_filled else one.memory
        return None if whole is None else (whole - empty) / cell.slots / 1e3

    name = "a filled slot" if is_filled else "a slot"
    return _of(found, cell, name, "kB", added)


def _of(
    found: Found,
    cell: Cell,
    what: str,
    unit: str,
    value: Callable[[Measure], float | None],
) -> Series:
    return Series(
        name=f"{what}: {cell.name}", unit=unit, values=found.values(cell, value)
    )


def series(found: Found) -> list[Series]:
    """Return every series that has values, those of a unit together."""
    every = [*_of_growth(found), *_of_checks(found), *_of_delays(found)]
    return [one for one in every if one.values]


def _of_growth(found: Found) -> Iterator[Series]:
    cells = list(found.grown)
    with_slots = [cell for cell in cells if cell.slots]
    yield from (memory(found, cell) for cell in cells)
    yield from (slot_memory(found, cell) for cell in with_slots)
    yield from (slot_memory(found, cell, is_filled=True) for cell in with_slots)
    yield from (start(found, cell) for cell in cells)
    for name, value in _QUESTIONS.items():
        yield from (_of(found, cell, name, "ms", value) for cell in cells)
    yield from (weight(found, cell) for cell in cells)
    for cell in with_slots:
        yield _of(found, cell, "placing", "us", _placing)


_QUESTIONS: Mapping[str, Callable[[Measure], float]] = {
    "show servers state": lambda one: one.state * 1e3,
    "show stat, servers": lambda one: one.page * 1e3,
    "show stat, one server": lambda one: one.row * 1e3,
}


def _placing(one: Measure) -> float | None:
    return None if one.placing is None else one.placing * 1e6


def _of_checks(found: Found) -> Iterator[Series]:
    def shares(name: str, of: Mapping[str, Sequence[float]]) -> Iterator[Series]:
        for version, values in of.items():
            percents = [100 * value for value in values]
            yield Series(name=f"{name}: {version}", unit="% of a core", values=percents)

    yield from shares("idle, no slots", found.checks.empty)
    name = f"idle, {found.idle_slots} checked slots in maint"
    yield from shares(name, found.checks.in_maint)
    for version, values in found.checks.a_check.items():
        yield Series(
            name=f"cpu of one check: {version}",
            unit="us of cpu",
            values=[value * 1e6 for value in values],
        )


def delay(found: Found, key: tuple[str, int], case: str, percent: float) -> Series:
    """Return a percentile of the requests of each round, in milliseconds."""
    version, threads = key
    return Series(
        name=f"request p{percent:g}, {case}: {version} nbthread {threads}",
        unit="ms of a request",
        values=[
            percentile(sorted(seconds), percent) * 1e3
            for seconds in found.delays[key].requests[case]
        ],
    )


def _of_delays(found: Found) -> Iterator[Series]:
    for key in found.delays:
        for case in CASES:
            yield delay(found, key, case, 50)
            yield delay(found, key, case, 99)
    for (version, threads), one in found.delays.items():
        for case, seconds in one.bursts.items():
            yield Series(
                name=f"length, {case}: {version} nbthread {threads}",
                unit="s of a burst",
                values=seconds,
            )


def ratios(found: Found) -> list[Ratio]:
    """Return each cell over the HAProxy without slots, each burst over one elsewhere."""
    result = []
    for cell, some in found.grown.items():
        floor = found.floor(cell)
        if some and cell != floor and found.grown.get(floor):
            result += [
                one(found, cell).over(one(found, floor))
                for one in (memory, start, weight)
            ]
    for key in found.delays:
        for percent in (50, 99):
            peer = delay(found, key, "burst elsewhere", percent)
            result += [
                delay(found, key, case, percent).over(peer)
                for case in ("burst", "reading")
            ]
    return result


def verdicts(found: Found) -> list[Verdict]:
    """Return what docs/sizing.md promises, where the size it speaks of was measured."""
    result = []
    for version in found.versions:
        cell = Cell(version=version, slots=_COMPARED_SLOTS)
        if found.grown.get(cell):
            for one, most in (
                (slot_memory(found, cell), MOST_KB_A_SLOT),
                (start(found, cell), MOST_START_MS),
            ):
                result.append(_at_most(one, most))
        if found.idle_slots == _COMPARED_SLOTS:
            idle = Series(
                name=f"{found.idle_slots} checked slots in maint: {version}",
                unit="% of a core",
                values=[100 * share for share in found.checks.in_maint[version]],
            )
            result.append(_at_most(idle, MOST_IDLE_PERCENT))
    return result


def _at_most(one: Series, most: float) -> Verdict:
    return Verdict(what=one.name, value=median(one.values), target=most, unit=one.unit)


def told(facts: Mapping[str, Any]) -> str:
    """Return what is no series: files, sessions, what happens without one."""
    lines = [
        f"files HAProxy may open ({name}): {count}"
        for name, count in facts["files"].items()
        if name.startswith(str(facts["files about"]))
    ]
    lines += [f"not run ({k}): {v}" for k, v in facts["not run"].items()]
    lines += [
        f"sessions of {one['who']}: {one['opened']} opened, {one['at_once']} at once"
        for one in facts["sessions"]
    ]
    lines += [
        f"no session left, {one['who']}: {one['seconds']:.2f} s, {one['said']}"
        for one in facts["no session left"]
    ]
    for version, some in facts["stats timeout"].items():
        for one in some:
            placed = one["placed_seconds"]
            end = "not placed" if placed is None else f"placed in {placed * 1e3:.1f} ms"
            lines.append(
                f"stats timeout {one['stats_timeout']} ({version}), {one['seconds']:g} s:"
                f" {one['connects']} sessions, {one['passes']} passes, {end}"
            )
    return "\n".join(lines)
