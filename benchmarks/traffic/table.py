"""Figures as lines of text."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from traffic.tally import Tally


COLUMNS = ("sent", "failed", "p50", "p99", "max ms", "how they failed")


def cells(tally: Tally) -> tuple[str, ...]:
    """Return a tally as the cells of a row."""
    figures = tally.figures()
    latency = figures["latency_ms"]
    times = (
        [f"{latency[name]:.1f}" for name in ("p50", "p99", "max")]
        if latency
        else ["-"] * 3
    )
    causes = ", ".join(f"{count} {cause}" for cause, count in figures["causes"].items())
    return (str(tally.sent), str(tally.failed), *times, causes)


def aligned(rows: Sequence[Sequence[str]], words: Collection[int]) -> str:
    """Return rows as lines: ``words`` are columns that begin left, the last one too."""
    last = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(last)]
    lines = []
    for row in rows:
        padded = [
            row[column].ljust(width) if column in words else row[column].rjust(width)
            for column, width in enumerate(widths)
        ]
        lines.append("  ".join([*padded, row[last]]).rstrip())
    return "\n".join(lines)
