"""Measured values, their quartiles, and what they are of a floor or a peer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, median_grouped


COLUMNS = ("n", "min", "q1", "median", "q3", "p95", "p99", "max")


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest rank: a value that was really measured, never one in between."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median_of_rounded(values: Sequence[float], step: float = 0.1) -> float:
    """Return the median of what was rounded to a step: as if spread evenly within each step.

    A median of 1.8 beside one of 1.7 may be anything from no difference to a tenth.
    """
    return median_grouped(values, interval=step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure, measured many times in one run."""

    name: str
    unit: str
    values: Sequence[float]

    def figures(self) -> dict[str, float]:
        """Return the columns of a table; only ``n`` where there are no values."""
        ordered = sorted(self.values)
        if not ordered:
            return {"n": 0}
        return {
            "n": len(ordered),
            "min": ordered[0],
            "q1": percentile(ordered, 25),
            "median": median(ordered),
            "q3": percentile(ordered, 75),
            "p95": percentile(ordered, 95),
            "p99": percentile(ordered, 99),
            "max": ordered[-1],
        }

    def over(self, floor: Series) -> Ratio:
        """Return what this is of a floor or a peer. Raises ValueError where either is empty."""
        if not self.values or not floor.values:
            raise ValueError(f"no ratio of {self.name} to {floor.name}: one is empty")
        least = median(floor.values)
        shares = sorted(value / least for value in self.values)
        return Ratio(
            of=self.name,
            over=floor.name,
            q1=percentile(shares, 25),
            median=median(self.values) / least,
            q3=percentile(shares, 75),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """What one figure is of another: each value over the other's median, in quartiles."""

    of: str
    over: str
    q1: float
    median: float
    q3: float

    def __str__(self) -> str:
        return (
            f"{self.of} / {self.over}: {self.median:.2f} "
            f"({self.q1:.2f} to {self.q3:.2f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A target, and whether it was met."""

    what: str
    value: float
    target: float
    unit: str = ""
    at_least: bool = False
    """Whether the target is the least that will do, and not the most."""

    @property
    def is_met(self) -> bool:
        """Whether the value is on the right side of the target."""
        if self.at_least:
            return self.value >= self.target
        return self.value <= self.target

    def __str__(self) -> str:
        side = "at least" if self.at_least else "at most"
        word = "met   " if self.is_met else "MISSED"
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{word} {self.what}: {self.value:.4g}{unit} ({side} {self.target:g}{unit})"
        )


def table(found: Sequence[Series]) -> str:
    """Return a line for each series, those of one unit under one head."""
    lines: list[str] = []
    unit = None
    for one in found:
        if one.unit != unit:
            unit = one.unit
            lines.append(f"{unit:46}" + "".join(f"{name:>10}" for name in COLUMNS))
        figures = one.figures()
        cells = [f"{figures['n']:10.0f}"]
        cells += [
            f" {figures[name]:9.4g}" if name in figures else f"{'-':>10}"
            for name in COLUMNS[1:]
        ]
        lines.append(f"{one.name:46}" + "".join(cells))
    return "\n".join(lines)
