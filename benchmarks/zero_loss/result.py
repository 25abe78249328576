"""What a run found, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traffic.records import records_in
from traffic.table import COLUMNS, aligned, cells
from traffic.tally import (
    STOPPING_MS,
    Phase,
    Tally,
    by_phase,
    failures_over_time,
    total,
)
from zero_loss.watch import Sample


BIN_SECONDS = 0.5
_HEADER = ("contender", "phase", "processes", *COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One contender: what became of its requests, or why there were none."""

    contender: str
    title: str
    not_run: str = ""
    phases: Sequence[Phase] = ()
    tallies: Sequence[Tally] = ()
    samples: Sequence[Sample] = ()
    failures: dict[str, list[tuple[float, int]]] | None = None
    front: str = ""
    """Where the requests went."""
    haproxy: str = ""
    """What became of HAProxy's processes, in words."""

    @property
    def whole(self) -> Tally:
        """All phases as one."""
        return total(self.tallies)

    @property
    def start(self) -> float:
        """When the first phase began."""
        return self.phases[0].start

    @property
    def rate(self) -> float:
        """Requests a second that were really sent, up to the last phase's start."""
        seconds = self.phases[-1].start - self.start
        return sum(tally.sent for tally in self.tallies[:-1]) / seconds

    def document(self) -> dict[str, Any]:
        """Return it as JSON; times are seconds after the start."""
        if self.not_run:
            return {"title": self.title, "not_run": self.not_run}
        return {
            "title": self.title,
            "achieved_rate": round(self.rate, 1),
            "phases": [
                tally.figures() | {"start": round(phase.start - self.start, 3)}
                for phase, tally in zip(self.phases, self.tallies, strict=True)
            ],
            "total": self.whole.figures(),
            "front": self.front,
            "haproxy": self.haproxy,
            "failures_over_time": self.failures,
            "samples": [
                {**sample._asdict(), "at": round(sample.at - self.start, 3)}
                for sample in self.samples
            ],
        }


def tallied(
    records: Path, phases: Sequence[Phase]
) -> tuple[list[Tally], dict[str, list[tuple[float, int]]]]:
    """Return the figures of each phase, and the failures over time."""
    return (
        by_phase(records_in(records), phases),
        failures_over_time(records_in(records), phases[0].start, BIN_SECONDS),
    )


def table(findings: Iterable[Finding]) -> str:
    """Return all of it as one table, and under it what does not fit into columns."""
    rows: list[Sequence[str]] = [_HEADER]
    notes = []
    for finding in findings:
        rows += _rows(finding)
        if not finding.not_run:
            notes.append(_note(finding))
    return "\n".join([aligned(rows, words=(0, 1)), "", *notes])


def _rows(finding: Finding) -> list[Sequence[str]]:
    name = finding.contender
    if finding.not_run:
        blank = ("-",) * (len(_HEADER) - 3)
        return [(name, "not run", *blank, finding.not_run)]
    most = most_processes(finding.phases, finding.samples)
    rows: list[Sequence[str]] = [
        (name, tally.name, str(processes), *cells(tally))
        for tally, processes in zip(finding.tallies, most, strict=True)
    ]
    whole = finding.whole
    return [*rows, (name, whole.name, str(most[-1]), *cells(whole))]


def _note(finding: Finding) -> str:
    late = finding.whole.figures()["generator_late_ms"] or {
        "p50": 0,
        "p99": 0,
        "max": 0,
    }
    return (
        f"{finding.contender}: {finding.haproxy}; "
        f"sent {finding.rate:.0f} a second to {finding.front}, "
        f"the generator was late by p50 {late['p50']:.1f}, p99 {late['p99']:.1f}, "
        f"max {late['max']:.0f} ms; {finding.whole.to_stopping} requests went to "
        f"containers that had been told to stop {STOPPING_MS} ms before"
    )


def most_processes(phases: Sequence[Phase], samples: Sequence[Sample]) -> list[int]:
    """Return, for each phase, the most HAProxy processes that were seen at once."""
    ends = [phase.start for phase in phases[1:]] + [float("inf")]
    return [
        max(
            (one.processes for one in samples if phase.start <= one.at < end),
            default=0,
        )
        for phase, end in zip(phases, ends, strict=True)
    ]
