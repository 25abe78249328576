"""From findings to a table, what they are of each other, and the targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from figures.plot import boxes
from figures.series import Ratio, Series, Verdict
from peers.contest import Finding
from traffic.table import aligned


ADDED_TARGET = 20.0
REMOVED_TARGET = 500.0

_KINDS = {
    "known": "started -> in the table",
    "off": "in the table, off the start",
    "up": "started -> up",
    "out": "told to stop -> out",
}


def series(findings: Sequence[Finding]) -> dict[tuple[str, str], Series]:
    """Return each kind of latency of each contender, by kind and contender."""
    return {
        (kind, one.name): Series(
            name=f"{one.name}: {words}", unit="ms", values=getattr(one.times, kind)
        )
        for kind, words in _KINDS.items()
        for one in findings
        if not one.not_run
    }


def ratios(found: dict[tuple[str, str], Series]) -> list[Ratio]:
    """Return what each peer's latency is of ours."""
    return [
        one.over(found[kind, "slots"])
        for (kind, name), one in found.items()
        if name != "slots" and (kind, "slots") in found
    ]


def verdicts(
    findings: Sequence[Finding], found: dict[tuple[str, str], Series]
) -> list[Verdict]:
    """Return the targets, as far as their contenders ran."""
    judged = []
    for kind, what, target in (
        ("off", "added nearer to the start than DNS", ADDED_TARGET),
        ("out", "removed faster than DNS", REMOVED_TARGET),
    ):
        if (kind, "dns") in found and (kind, "slots") in found:
            times = found[kind, "dns"].over(found[kind, "slots"]).median
            judged.append(
                Verdict(
                    what=what, value=times, target=target, unit="times", at_least=True
                )
            )
    judged += [
        Verdict(what="requests that slots lost", value=one.tally.failed, target=0)
        for one in findings
        if one.name == "slots" and not one.not_run
    ]
    return judged


def document(finding: Finding) -> dict[str, Any]:
    """Return what is no latency, as JSON."""
    if finding.not_run:
        return {"not_run": finding.not_run}
    return {
        "changes": 2 * len(finding.times.out),
        "requests": finding.tally.figures(),
        "tried_again": finding.tried_again,
        "haproxy_processes_at_most": finding.most_haproxies,
        "haproxy_processes_in_all": finding.haproxies,
        "reloads": finding.reloads,
        "rest": _cost(finding.rest, finding.rest_seconds),
        "changing": _cost(finding.change, finding.change_seconds),
    }


def _cost(spent: Any, seconds: float) -> dict[str, float]:  # noqa: ANN401 - a Spent
    return {
        "seconds": round(seconds, 2),
        "follower_cpu_seconds": round(spent.follower, 2),
        "haproxy_cpu_seconds": round(spent.haproxy, 2),
    }


_HEADER = (
    "contender",
    "changes",
    "in the table",
    "off",
    "up",
    "out",
    "lost",
    "of",
    "tried again",
    "processes",
    "in all",
    "reloads",
    "follower CPU",
    "HAProxy CPU",
    "how requests were lost",
)


_LEGEND = """\
latencies: medians; below 0 where it was so before the container ran
off: how far from the start it came into the table, be it too early or too late
tried again: retries and redispatches by HAProxy, which cost time but no request
processes: HAProxy's, the most at once
CPU: seconds while changes were made, and in brackets percent of a processor at rest and
then; being looked at is part of HAProxy's, but not at rest"""


def table(findings: Sequence[Finding]) -> str:
    """Return a line for each contender: medians, losses, processes, processor time."""
    rows = [_HEADER, *(_row(one) for one in findings)]
    return "\n".join(
        [
            aligned(rows, words=(0,)),
            "",
            _LEGEND,
        ]
    )


def _row(finding: Finding) -> tuple[str, ...]:
    if finding.not_run:
        blank = ("-",) * (len(_HEADER) - 2)
        return (finding.name, *blank, f"not run: {finding.not_run}")
    latencies = [
        _readable(Series(name=kind, unit="ms", values=getattr(finding.times, kind)))
        for kind in _KINDS
    ]
    causes = finding.tally.figures()["causes"]
    is_alone = finding.name == "dns"
    return (
        finding.name,
        str(2 * len(finding.times.out)),
        *latencies,
        str(finding.tally.failed),
        str(finding.tally.sent),
        "-" if finding.tried_again is None else str(finding.tried_again),
        str(finding.most_haproxies),
        str(finding.haproxies),
        str(finding.reloads),
        "in HAProxy" if is_alone else _share(finding, "follower"),
        _share(finding, "haproxy"),
        ", ".join(f"{count} {cause}" for cause, count in causes.items()),
    )


def _readable(one: Series) -> str:
    milliseconds = one.figures()["median"]
    if milliseconds < 1000:
        return f"{milliseconds:.3g} ms"
    return f"{milliseconds / 1000:.2f} s"


def _share(finding: Finding, who: str) -> str:
    rest, change = getattr(finding.rest, who), getattr(finding.change, who)
    shares = [
        f"{100 * spent / seconds:.1f}"
        for spent, seconds in (
            (rest, finding.rest_seconds),
            (change, finding.change_seconds),
        )
    ]
    return f"{change:.2f} s ({shares[0]}, {shares[1]} %)"


def draw(axis: Any, found: dict[tuple[str, str], Series]) -> None:  # noqa: ANN401 - matplotlib is optional
    """Draw a box for each series, on a scale where milliseconds and seconds have room."""
    shown = [
        # The scale has no room for what came before the start: "off" has it.
        Series(name=one.name, unit="ms", values=[max(v, 1.0) for v in one.values])
        for (kind, _), one in found.items()
        if kind != "known"
    ]
    boxes(axis, shown, logarithmic=True)
    axis.set_title("one container more, one less, under load (left edge: 1 ms or less)")
