"""From sightings to figures, a table and a file."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from prober import Sighting


MEDIAN_TARGET_MS = 6.0
P99_TARGET_MS = 25.0
DRAIN_MEDIAN_TARGET_MS = 3.0
COLUMNS = ("n", "min", "q1", "median", "q3", "p95", "p99", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table: one figure over all containers, in milliseconds."""

    name: str
    values: Sequence[float]

    def figures(self) -> dict[str, float]:
        """Return the table's columns; only ``n`` where there are no values."""
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


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest rank: a value that was really measured, never one in between."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def rows(seen: Sequence[Sighting]) -> dict[str, Row]:
    """Return everything that can be said of the sightings, by a short key."""
    floor = [one for one in seen if one.role == "floor"]
    ours = [one for one in seen if one.role == "ours"]
    found = {
        "ours": _row("reconciler: event -> slot ready", ours, "event", "ready"),
        "ours_after_event": _row(
            "  event here -> slot ready", ours, "received", "ready"
        ),
        "floor": _row("floor: event -> slot ready", floor, "event", "ready"),
        "floor_event": _row("  event delivery", floor, "event", "received"),
        "floor_inspect": _row("  one inspect", floor, "received", "inspected"),
        "floor_write": _row("  one write, read back", floor, "inspected", "ready"),
    }
    if ours:
        late = _row("observer: log line -> seen ready", ours, "noticed", "ready")
        found["observer"] = late
    return {key: row for key, row in found.items() if row is not None}


def own_rows(
    seen: Sequence[Sighting],
    names: Mapping[str, str],
    *,
    assigned: Mapping[str, float],
    drained: Mapping[str, float],
) -> dict[str, Row]:
    """Return what the reconciler logged itself, and the way out beside it.

    The rows of the way out are there even if it never drained: they are empty then.
    """
    found = {}
    for role, note in (("ours", "own log"), ("blind", "own log, unwatched")):
        values = _logged(seen, role, names, assigned)
        if values:
            found[f"{role}_own_log"] = Row(name=f"reconciler's {note}", values=values)
    out = [one for one in seen if one.role == "out"]
    seen_out = _row("way out: stop signal -> slot in drain", out, "event", "ready")
    found["out"] = seen_out or Row(
        name="way out: stop signal -> slot in drain", values=()
    )
    after_event = _row("  event here -> slot in drain", out, "received", "ready")
    found["out_after_event"] = after_event or Row(
        name="  event here -> slot in drain", values=()
    )
    found["out_own_log"] = Row(
        name="  reconciler's own log", values=_logged(seen, "out", names, drained)
    )
    return found


def _logged(
    seen: Sequence[Sighting],
    role: str,
    names: Mapping[str, str],
    logged: Mapping[str, float],
) -> list[float]:
    ids = [one.container_id for one in seen if one.role == role]
    return [logged[names[id_]] for id_ in ids if names[id_] in logged]


def _row(name: str, seen: Sequence[Sighting], first: str, last: str) -> Row | None:
    if not seen:
        return None
    values = [(getattr(one, last) - getattr(one, first)) / 1e6 for one in seen]
    return Row(name=name, values=values)


def table(found: Iterable[Row]) -> str:
    """Return the table as text, in milliseconds."""
    lines = [f"{'milliseconds':38}" + "".join(f"{name:>9}" for name in COLUMNS)]
    for row in found:
        figures = row.figures()
        cells = [f"{figures['n']:9.0f}"]
        cells += [
            f"{figures[name]:9.2f}" if name in figures else f"{'-':>9}"
            for name in COLUMNS[1:]
        ]
        lines.append(f"{row.name:38}" + "".join(cells))
    return "\n".join(lines)


def verdicts(ours: Row, out: Row) -> list[tuple[str, bool]]:
    """Return each target, as a sentence, and whether it was met.

    Nothing is said of the way out where nothing was drained.
    """
    figures = ours.figures()
    judged = [
        (
            f"median {figures['median']:.2f} ms, target {MEDIAN_TARGET_MS:g} ms",
            figures["median"] <= MEDIAN_TARGET_MS,
        ),
        (
            f"p99 {figures['p99']:.2f} ms, target {P99_TARGET_MS:g} ms",
            figures["p99"] <= P99_TARGET_MS,
        ),
    ]
    if out.values:
        middle = median(out.values)
        sentence = (
            f"way out, from the event: median {middle:.2f} ms, "
            f"target {DRAIN_MEDIAN_TARGET_MS:g} ms"
        )
        judged.append((sentence, middle <= DRAIN_MEDIAN_TARGET_MS))
    return judged


def machine() -> dict[str, Any]:
    """Return what the figures depend on and this program does not choose."""
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "processor": _processor(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
