"""What was found, as series and targets."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from figures.result import Result
from figures.series import Series, Verdict
from measure import Found


LATE_SECONDS = 1.0
LOSSLESS = ("scale-up", "scale-down", "update of 6 tasks, start-first")


def result(found: Found) -> Result:
    """Return the figures."""
    series = [
        _ms("running for the manager -> ready", found.ready),
        _ms("to end for the manager -> drained", found.drained),
        _ms("drained everywhere -> stop signal", found.ahead),
        _ms("node cut -> HAProxy's check says down", found.checked),
        _ms("node cut -> down for the manager", found.detected),
        _ms("down for the manager -> out of rotation", found.lost),
    ]
    verdicts = [
        Verdict(
            what=f"failed requests, {what}",
            value=failed,
            target=0,
        )
        for what, (_, failed) in found.requests.items()
        if what in LOSSLESS
    ]
    if found.lost:
        verdicts.append(
            Verdict(
                what="a lost node's tasks out after its detection",
                value=max(found.lost),
                target=LATE_SECONDS,
                unit="s",
            )
        )
    if found.ahead:
        verdicts.append(
            Verdict(
                what="drained before the stop signal, least",
                value=min(found.ahead),
                target=0,
                unit="s",
                at_least=True,
            )
        )
    facts = {
        f"requests, {what}": f"{answered} answered, {failed} failed"
        for what, (answered, failed) in found.requests.items()
    }
    if found.drained:
        facts["median drain, ms"] = f"{1000 * median(found.drained):.0f}"
    return Result(name="swarm", series=series, verdicts=verdicts, facts=facts)


def _ms(name: str, seconds: Sequence[float]) -> Series:
    return Series(name=name, unit="ms", values=[1000 * one for one in seconds])
