"""What the log says: series by size, the well ones beside the hurt ones, and the picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from figures.plot import boxes, picture
from figures.result import Result
from figures.series import Ratio, Series, Verdict, median_of_rounded
from measure import Found
from steps import Latencies


TARGET = 1.1
WORDS = {"start": "start -> ready", "stop": "stop signal -> drain"}
WELL, HURT, ALONE = "all well", "two hurt", "without the two"
SHOWN = 6
_SOCKET = re.compile(r"unix://[^\s:;]+")


def result(found: Found) -> Result:
    """Return the figures as series, ratios and targets."""
    sizes = by_size(found)
    others = beside(found)
    return Result(
        name="fanout",
        series=[*sizes.values(), *others.values()],
        ratios=[*growth(found, sizes), *(a.over(b) for a, b in _compared(others))],
        verdicts=[*effects(others), *correctness(found)],
        facts=facts(found, others),
    )


def by_size(found: Found) -> dict[tuple[str, int], Series]:
    """Return latencies of any instance, of the slowest, and processor time, by size."""
    shown: dict[tuple[str, int], Series] = {}
    for size, rounds in found.by_size.items():
        numbers = range(size)
        for word, name in WORDS.items():
            each = [value for one in rounds for value in one.of(word, numbers)]
            last = [value for one in rounds for value in one.slowest[word]]
            shown[word, size] = _ms(f"{size}: {name}, any instance", each)
            shown[f"last {word}", size] = _ms(f"{size}: {name}, the last one", last)
        spent = [one.cpu_ms for one in rounds]
        shown["cpu", size] = _ms(f"{size}: daemon's processor time, a change", spent)
    return dict(sorted(shown.items(), key=lambda item: item[0][1]))


def _ms(name: str, values: Sequence[float]) -> Series:
    return Series(name=name, unit="ms", values=values)


def growth(found: Found, sizes: dict[tuple[str, int], Series]) -> Iterator[Ratio]:
    """Return what each size is of the smallest."""
    least, *more = sorted(found.plan.sizes)
    for key in ("start", "stop", "last start", "last stop", "cpu"):
        for size in more:
            if sizes[key, size].values and sizes[key, least].values:
                yield sizes[key, size].over(sizes[key, least])


def beside(found: Found) -> dict[tuple[str, str], Series]:
    """Return the latencies of those that stay well, by what becomes of the two others."""
    return {
        (word, how): _ms(f"others, {how}: {name}", _of_others(found, rounds, word))
        for word, name in WORDS.items()
        for how, rounds in (
            (WELL, found.well),
            (HURT, found.hurt),
            (ALONE, found.alone),
        )
    }


def _of_others(found: Found, rounds: Sequence[Latencies], word: str) -> list[float]:
    return [
        value
        for number, one in enumerate(rounds)
        for value in one.of(word, found.plan.others(number))
    ]


def _compared(shown: dict[tuple[str, str], Series]) -> Iterator[tuple[Series, Series]]:
    for word in WORDS:
        for how in (WELL, ALONE):
            hurt, peer = shown[word, HURT], shown[word, how]
            if hurt.values and peer.values:
                yield hurt, peer


def effects(shown: dict[tuple[str, str], Series]) -> Iterator[Verdict]:
    """Return whether those that stay well noticed anything."""
    for hurt, peer in _compared(shown):
        yield Verdict(
            what=f"{hurt.name} / {peer.name}",
            value=median_of_rounded(hurt.values) / median_of_rounded(peer.values),
            target=TARGET,
        )


def correctness(found: Found) -> list[Verdict]:
    """Return the targets that have nothing to do with speed.

    That every table was right again after each round is not among them: where one is not,
    the run fails.
    """
    every = [
        *found.well,
        *found.hurt,
        *(r for one in found.by_size.values() for r in one),
    ]
    return [
        Verdict(
            what="changes that an instance which is well did not have, or not in time",
            value=sum(one.missed for one in every),
            target=0,
        ),
        Verdict(
            what="warnings and errors while all are well",
            value=len(found.bad_lines),
            target=0,
        ),
    ]


def facts(found: Found, others: dict[tuple[str, str], Series]) -> dict[str, Any]:
    """Return what the figures depend on, and what explains them."""
    plan = found.plan
    told = Counter(_SOCKET.sub("…", str(line["message"])) for line in found.hurt_lines)
    return {
        "haproxy": plan.version,
        "rounds": plan.rounds,
        "changes in a part": 2 * plan.pairs,
        "load average": f"{min(found.load):.2f} to {max(found.load):.2f}",
        "by round": {word: list(_by_round(found, word)) for word in WORDS},
        "p99, ms": {
            one.name: one.figures().get("p99") for one in others.values() if one.values
        },
        "stalled: right after": _seconds(
            one.stalled_seconds for one in found.recoveries
        ),
        "killed: right after": _seconds(one.killed_seconds for one in found.recoveries),
        "log, two hurt": dict(told.most_common(SHOWN)),
        "log, all well": [str(line.get("message")) for line in found.bad_lines][:SHOWN],
    }


def _by_round(found: Found, word: str) -> Iterator[float]:
    for number, (well, hurt) in enumerate(zip(found.well, found.hurt, strict=True)):
        others = found.plan.others(number)
        with_all, with_two = well.of(word, others), hurt.of(word, others)
        if with_all and with_two:
            share = median_of_rounded(with_two) / median_of_rounded(with_all)
            yield round(share, 3)


def _seconds(values: Iterator[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values) + " s"


def draw(found: Found, path: Path) -> None:
    """Draw what one more instance costs, and what two that are hurt cost the others."""
    sizes = by_size(found)

    def fill(axes: list[Any]) -> None:
        for key, name in (
            ("start", "start event to ready, any instance"),
            ("last start", "start event to ready, the last instance"),
            ("stop", "stop signal to drain, any instance"),
            ("cpu", "daemon's processor time for a change"),
        ):
            known = sorted(size for size in found.plan.sizes if sizes[key, size].values)
            middle = [median(sizes[key, size].values) for size in known]
            axes[0].plot(known, middle, marker="o", label=name)
        axes[0].set_ylim(bottom=0)
        axes[0].set_xlabel("HAProxies")
        axes[0].set_ylabel("ms (median)")
        axes[0].grid(visible=True, alpha=0.3)
        axes[0].legend()
        boxes(axes[1], list(beside(found).values()))
        axes[1].set_xlim(left=0)

    picture(path, fill, panels=2)
