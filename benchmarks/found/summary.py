"""What was measured as series, ratios and targets, and the picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures.plot import boxes, picture
from figures.result import Result
from figures.series import Series, Verdict
from measure import Found


TARGET_MS = 100.0
SHOWN = 5


def result(found: Found) -> Result:
    """Return the figures as series, ratios and targets."""
    raw, one, each, *others = shown(found)
    return Result(
        name="found",
        series=[raw, one, each, *others],
        ratios=[one.over(raw), each.over(raw)],
        verdicts=[
            Verdict(
                what=f"{one.name}, the slowest of all",
                value=one.figures().get("max", 0.0),
                target=TARGET_MS,
                unit="ms",
            ),
            Verdict(
                what=f"{each.name}, p95",
                value=each.figures().get("p95", 0.0),
                target=TARGET_MS,
                unit="ms",
            ),
            Verdict(what="warnings and errors", value=len(found.bad_lines), target=0),
        ],
        facts=facts(found),
    )


def shown(found: Found) -> list[Series]:
    """Return all series; the first is the floor of the two that follow."""
    return [
        _ms("bare loop: one filled", found.raw_ms),
        _ms("first answer -> slots right, one by one", found.one_ms),
        _ms("first answer -> slots right, all at once", found.each_ms),
        _ms("start event -> first answer", found.boot_ms),
        _ms("ends -> the daemon tells of none", found.gone_ms),
    ]


def _ms(name: str, values: Sequence[float]) -> Series:
    return Series(name=name, unit="ms", values=[round(one, 2) for one in values])


def facts(found: Found) -> dict[str, Any]:
    """Return what the figures depend on, and what explains them."""
    plan = found.plan
    return {
        "haproxy": plan.version,
        "endpoints": plan.endpoints,
        "newcomers": plan.newcomers,
        "rounds": plan.rounds,
        "load average": f"{min(found.load):.2f} to {max(found.load):.2f}",
        "log": [str(line.get("message")) for line in found.bad_lines][:SHOWN],
    }


def draw(found: Found, path: Path) -> None:
    """Draw how long each newcomer took."""
    picture(path, lambda axis: boxes(axis, shown(found)))
