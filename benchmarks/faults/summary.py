"""The figures of a walk: a table for people, a document for machines, the promises judged."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import Result


MEMORY_GROWTH = 0.05
QUANTILES = (0.5, 0.95, 0.99, 1.0)


def quantile(values: list[float], share: float) -> float:
    """Return the nearest-rank quantile, 0 where there is no value."""
    ranked = sorted(values)
    return ranked[max(0, round(share * len(ranked) + 0.499999) - 1)] if ranked else 0.0


def growth(result: Result) -> float:
    """Return by what share the daemon's memory grew."""
    return result.after.rss_kb / result.before.rss_kb - 1


def table(result: Result) -> str:
    """Return the figures before and after, and how long it took."""
    before, after = result.before, result.after
    rows = [
        ("", "before", "after"),
        ("daemon: open files", before.fds, after.fds),
        ("daemon: threads", before.threads, after.threads),
        ("daemon: memory, kB", before.rss_kb, after.rss_kb),
        ("HAProxy: pid", before.haproxy_pid, after.haproxy_pid),
    ]
    lines = [f"{name:24} {first:>9} {second:>9}" for name, first, second in rows]
    took = ", ".join(
        f"{'max' if share == 1 else f'p{share * 100:g}'} "
        f"{quantile(result.seconds, share) * 1000:.1f}"
        for share in QUANTILES
    )
    return "\n".join(
        [
            *lines,
            f"{len(result.seconds)} steps in {result.total_seconds:.0f} s",
            f"from the end of a fault to the right map, ms: {took}",
            f"requests answered meanwhile: {result.answered}",
        ]
    )


def verdicts(result: Result) -> list[tuple[str, bool]]:
    """Return each promise, and whether it was kept."""
    before, after = result.before, result.after
    promises = [
        (f"the map is right after each step {result.failure}", not result.failure),
        (
            f"no request fails {result.request_failures or ''}",
            not result.request_failures,
        ),
        (
            f"no sticky visitor is sent to who was told to stop {result.to_stopping or ''}",
            not result.to_stopping,
        ),
        ("no open file more than before", after.fds <= before.fds),
        (
            f"memory within {MEMORY_GROWTH:.0%} (it grew by {growth(result):.1%})",
            growth(result) <= MEMORY_GROWTH,
        ),
    ]
    if not result.plan.has_restarts:
        is_same = before.haproxy_pid == after.haproxy_pid
        promises.append(("HAProxy's process is the same", is_same))
    return [(sentence.strip(), is_kept) for sentence, is_kept in promises]


def document(result: Result) -> dict[str, Any]:
    """Return it as JSON."""
    return {
        "plan": asdict(result.plan),
        "before": asdict(result.before),
        "after": asdict(result.after),
        "memory_growth": growth(result),
        "steps": len(result.seconds),
        "total_seconds": result.total_seconds,
        "converge_ms": {
            f"p{share * 100:g}": quantile(result.seconds, share) * 1000
            for share in QUANTILES
        },
        "requests": {
            "answered": result.answered,
            "failures": result.request_failures,
        },
        "promises": dict(verdicts(result)),
    }


def write(path: Path, shown: dict[str, Any]) -> None:
    """Write the JSON, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path}")
