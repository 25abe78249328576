"""From records to figures by phase."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from traffic.records import Failure, Record


STOPPING_MS = 100
"""A request counts as one to a stopping container if it was due so long after the stop signal."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the timetable, from its start to the next one's."""

    name: str
    start: float


@dataclass(slots=True)
class Tally:
    """What became of the requests that were due in one phase."""

    name: str
    sent: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    lost_by_connection: Counter[str] = field(default_factory=Counter)
    took: array[float] = field(default_factory=lambda: array("f"))
    late: array[float] = field(default_factory=lambda: array("f"))
    to_stopping: int = 0
    """How many went to a container that had been told to stop."""

    def add(self, record: Record) -> None:
        """Count one request; only those with an answer have a latency."""
        self.sent += 1
        self.late.append(record.late)
        sent_ms = record.stopping_ms - 1000 * record.took
        self.to_stopping += sent_ms >= STOPPING_MS
        if record.failure is Failure.NONE:
            self.took.append(record.took)
            return
        self.causes[record.cause] += 1
        self.lost_by_connection["kept" if record.is_kept else "new"] += 1

    def add_all(self, other: Tally) -> None:
        """Count another phase's requests here too."""
        self.sent += other.sent
        self.causes.update(other.causes)
        self.lost_by_connection.update(other.lost_by_connection)
        self.took.extend(other.took)
        self.late.extend(other.late)
        self.to_stopping += other.to_stopping

    @property
    def failed(self) -> int:
        """How many requests were lost."""
        return self.causes.total()

    def figures(self) -> dict[str, Any]:
        """Return it as JSON, times in milliseconds; none where nothing was answered."""
        return {
            "phase": self.name,
            "sent": self.sent,
            "failed": self.failed,
            "causes": dict(self.causes.most_common()),
            "failed_by_connection": dict(self.lost_by_connection),
            "to_stopping": self.to_stopping,
            "latency_ms": quantiles(self.took),
            "generator_late_ms": quantiles(self.late),
        }


def quantiles(seconds: Iterable[float]) -> dict[str, float] | None:
    """Return p50, p99 and the maximum in milliseconds; None of nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return {
        "p50": round(percentile(ordered, 50) * 1000, 2),
        "p99": round(percentile(ordered, 99) * 1000, 2),
        "max": round(ordered[-1] * 1000, 2),
    }


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest rank: a value that was really measured, never one in between."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def by_phase(records: Iterable[Record], phases: Sequence[Phase]) -> list[Tally]:
    """Give each request to the phase in which it was due, however late it ended."""
    starts = [phase.start for phase in phases]
    tallies = [Tally(phase.name) for phase in phases]
    for record in records:
        tallies[max(0, bisect_right(starts, record.due) - 1)].add(record)
    return tallies


def total(tallies: Iterable[Tally]) -> Tally:
    """Return all phases as one."""
    whole = Tally("total")
    for one in tallies:
        whole.add_all(one)
    return whole


def failures_over_time(
    records: Iterable[Record], start: float, bin_seconds: float
) -> dict[str, list[tuple[float, int]]]:
    """Return, by cause, how many were lost in each stretch of time after ``start``."""
    bins: dict[str, Counter[int]] = {}
    for record in records:
        if record.failure is not Failure.NONE:
            counts = bins.setdefault(record.cause, Counter())
            counts[int((record.due - start) / bin_seconds)] += 1
    return {
        cause: [(number * bin_seconds, counts[number]) for number in sorted(counts)]
        for cause, counts in bins.items()
    }
