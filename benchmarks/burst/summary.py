"""What bursts took: series, ratios to the raw limit, targets, and a picture."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from figures.plot import picture
from figures.result import Result
from figures.series import Ratio, Series, Verdict
from measure import LINES_A_SLOT, Burst, Found


RATES = (
    ("raw", "raw limit, rate"),
    ("writing", "daemon, rate while writing"),
    ("passing", "daemon, rate of its passes"),
    ("seconds", "first event -> all ready, rate"),
    ("refill_writing", "filled again, rate while writing"),
    ("refill_passing", "filled again, rate of its pass"),
)
TIMES = (
    ("raw", "raw limit"),
    ("raw_reading", "raw limit: one read-back more"),
    ("writing", "daemon, while writing"),
    ("passing", "daemon, its passes"),
    ("seconds", "first event -> all ready"),
    ("events", "of it: engine writes the events"),
    ("engine", "engine lists them for a bare client"),
    ("cpu", "daemon's processor time"),
    ("engine_cpu", "engine's processor time"),
    ("refill_writing", "filled again, while writing"),
    ("leaving", "first stop signal -> none in rotation"),
    ("leaving_cpu", "daemon's processor time for leaving"),
)
LEAST_SHARE = 0.7
MOST_GROWTH = 12.0


def rates(found: Found, key: str, count: int) -> Series:
    """Return lines a second, five for each slot whoever sends them."""
    lines = LINES_A_SLOT * count
    return Series(
        name=f"{count}: {dict(RATES)[key]}",
        unit="lines/s",
        values=[lines / one for one in found[key][count]],
    )


def times(found: Found, key: str, count: int) -> Series:
    """Return milliseconds."""
    return Series(
        name=f"{count}: {dict(TIMES)[key]}",
        unit="ms",
        values=[1000 * one for one in found[key][count]],
    )


def result(found: Found, bursts: list[Burst]) -> Result:
    """Return the figures as series, ratios and targets."""
    sizes = [burst.count for burst in bursts]
    return Result(
        name="burst",
        series=[
            *(rates(found, key, count) for count in sizes for key, _ in RATES),
            *(times(found, key, count) for count in sizes for key, _ in TIMES),
        ],
        ratios=ratios(found, sizes),
        verdicts=verdicts(found, sizes),
        facts={
            "haproxy": bursts[0].version,
            "backends": bursts[0].backends,
            "lines a slot": f"{LINES_A_SLOT}, on both sides",
            **{
                key: {count: median(found[key][count]) for count in sizes}
                for key in ("passes", "lists", "inspects")
            },
        },
    )


def ratios(found: Found, sizes: list[int]) -> list[Ratio]:
    """Return each rate over the raw one, and each time over the smallest burst's."""
    return [
        *(
            rates(found, key, count).over(rates(found, "raw", count))
            for count in sizes
            for key, _ in RATES[1:]
        ),
        *(
            times(found, "seconds", more).over(times(found, "seconds", less))
            for less, more in pairwise(sizes)
        ),
    ]


def verdicts(found: Found, sizes: list[int]) -> list[Verdict]:
    """Return the targets that these sizes can tell of."""
    told: list[Verdict] = []
    if 1000 in sizes:
        share = rates(found, "writing", 1000).over(rates(found, "raw", 1000)).median
        told.append(
            Verdict(
                what="burst of 1,000: rate while writing, of the raw rate",
                value=share,
                target=LEAST_SHARE,
                at_least=True,
            )
        )
    if {1000, 10_000} <= set(sizes):
        growth = times(found, "seconds", 10_000).over(times(found, "seconds", 1000))
        told.append(
            Verdict(
                what="10,000 take, of 1,000's time",
                value=growth.median,
                target=MOST_GROWTH,
            )
        )
    return told


def draw(found: Found, path: Path) -> None:
    """Draw time over the size of the burst."""

    def fill(axis: Any) -> None:  # noqa: ANN401 - matplotlib is optional
        for key in ("seconds", "passing", "writing", "engine", "raw"):
            sizes = sorted(found[key])
            axis.plot(
                sizes,
                [median(found[key][count]) for count in sizes],
                marker="o",
                linestyle="--" if key in {"raw", "engine"} else "-",
                label=dict(TIMES)[key],
            )
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("endpoints that appear at once")
        axis.set_ylabel("seconds (median)")
        axis.grid(visible=True, alpha=0.3)
        axis.legend()

    picture(path, fill)
