"""Which sizes are measured, and how long: about four minutes, or a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from growth import Cell


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a run chooses."""

    versions: Sequence[str]
    cells: list[Cell]
    once: list[Cell] = field(default_factory=list)
    """Too slow for every round."""
    rounds: int = 5
    commands: int = 2000
    """How many are pipelined to tell what one costs."""
    idle_slots: int = 10_000
    checked_slots: int = 1000
    check_seconds: float = 0.6
    delay_slots: int = 10_000
    burst: int = 10_000
    requests_alone: int = 1000
    haproxy_timeout: float = 5.0
    """The reconciler's default."""
    stats_timeouts: list[str] = field(
        default_factory=lambda: ["10s", "1s", "100ms", "10ms", "1ms"]
    )
    idle_seconds: float = 3.0


def full(
    versions: Sequence[str], sizes: Sequence[int] | None, rounds: int | None
) -> Plan:
    """Return what the figures of the documents come from."""
    sizes = sizes or [0, 100, 1000, 10_000]
    largest = max(sizes)
    cells, once = [], []
    for version in versions:
        cells += [Cell(version=version, slots=size) for size in _with_floor(sizes)]
        large = Cell(version=version, slots=largest, is_filled=False)
        cells += [
            replace(large, is_checked=False),
            replace(large, threads=2),
            Cell(version=version, slots=0, threads=2),
            replace(large, slots=5 * largest, backends=50, is_checked=False),
        ]
        once += [
            Cell(version=version, slots=0, threads=16),
            replace(large, threads=16),
            replace(large, slots=2 * largest, is_checked=False),
            replace(large, slots=5 * largest, is_checked=False),
        ]
    return Plan(versions=versions, cells=cells, once=once, rounds=rounds or 5)


def quick(
    versions: Sequence[str], sizes: Sequence[int] | None, rounds: int | None
) -> Plan:
    """Return what tells whether all of it works."""
    sizes = sizes or [0, 100, 1000]
    cells = []
    for version in versions:
        cells += [Cell(version=version, slots=size) for size in _with_floor(sizes)]
        large = Cell(version=version, slots=max(sizes), threads=2, is_filled=False)
        cells += [large, Cell(version=version, slots=0, threads=2)]
    return Plan(
        versions=versions,
        cells=cells,
        rounds=rounds or 2,
        commands=200,
        idle_slots=max(sizes),
        checked_slots=20,
        check_seconds=0.1,
        delay_slots=max(sizes),
        burst=200,
        requests_alone=100,
        haproxy_timeout=0.5,
        stats_timeouts=["10s", "100ms"],
        idle_seconds=0.5,
    )


def _with_floor(sizes: Sequence[int]) -> list[int]:
    """The same HAProxy with no slots is what all others are compared with."""
    return sorted({0, *sizes})
