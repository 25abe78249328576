"""What a run found, as a result."""

from __future__ import annotations

from statistics import median

from figures.result import Result
from figures.series import Series, Verdict
from measure import Found, Plan
from rig import CALLED_UP, CONTAINERS


TARGET_MS = 20.0


def result(found: Found, plan: Plan) -> Result:
    """Return the figures of a run, and whether the targets were met."""
    answers = [
        Series(name=f"first request, {name}", unit="ms", values=values)
        for name, values in found.answers.items()
    ]
    restarts = [
        Series(name=f"restart, {name}, {size}", unit="ms", values=values)
        for (name, size), values in found.restarts.items()
    ]
    answering = Series(
        name="restart, haproxy answers", unit="ms", values=found.answering
    )
    verdicts = [
        *(
            Verdict(
                what=f"listening to first request, {name} (median)",
                value=median(values),
                target=TARGET_MS,
                unit="ms",
            )
            for name, values in found.answers.items()
            if name in {CALLED_UP.name, CONTAINERS}
        ),
        Verdict(
            what="requests to sick newcomers", value=sum(found.sick.values()), target=0
        ),
        Verdict(what="failed GETs", value=sum(found.failed.values()), target=0),
    ]
    return Result(
        name="checks",
        series=(*answers, answering, *restarts),
        verdicts=verdicts,
        facts={
            "haproxy": plan.version,
            "sick": found.sick,
            "failed": found.failed,
            "longest GET over reloads (ms)": {
                name: round(value) for name, value in found.longest.items()
            },
        },
    )
