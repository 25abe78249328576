"""Which seconds of a churn are compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from churn.measure import Found, Plan, Sample
from churn.summary import FIRST, LAST, quiet_windows, quiet_words, result


SECONDS = 100


def churned(latency: Callable[[int], float], stolen: Callable[[int], float]) -> Found:
    """Return a run of ten events a second: a latency and a theft in each second."""
    plan = Plan(events=10 * SECONDS, rate=10, containers=5, version="3.0")
    total, samples = 0.0, []
    for second in range(1, SECONDS + 1):
        total += stolen(second)
        samples.append(
            Sample(
                seconds=second,
                events=10 * second,
                daemon_kb=1,
                haproxy_kb=1,
                files=1,
                daemon_cpu=0.0,
                haproxy_cpu=0.0,
                engine_cpu=0.0,
                load=1.0,
                stolen=total,
                assign_ms=(latency(second),),
                drain_ms=(latency(second),),
            )
        )
    return Found(plan=plan, samples=samples)


def grown(found: Found) -> float:
    """Return what a start's latency at the end is judged to be of the first."""
    [value] = [
        one.value
        for one in result(found).verdicts
        if one.what.startswith("start -> ready")
    ]
    return value


def test_seconds_that_were_stolen_are_not_compared() -> None:
    """However slow it was in them; the last ones before count, and it says where they are."""

    def is_bad(second: int) -> bool:
        return second in (15, 16) or second > 92

    found = churned(
        lambda second: 40.0 if is_bad(second) else 3.0,
        lambda second: 0.2 if is_bad(second) else 0.0,
    )

    assert grown(found) == 1.0
    assert [len(one) for one in quiet_windows(found).values()] == [10, 10]
    assert quiet_windows(found)[LAST][-1].seconds == 92
    assert quiet_words(found).endswith("the end is from event 830 to 920")


def test_what_really_grows_is_seen() -> None:
    """Nothing was stolen: the machine is no excuse."""
    found = churned(lambda second: 3.0 + second / 20, lambda _second: 0.0)

    assert grown(found) == pytest.approx(2.05, abs=0.1)


def test_all_seconds_count_where_hardly_one_was_quiet() -> None:
    """Else the end would be a second or two, of anywhere."""
    found = churned(float, lambda _second: 0.1)
    windows = quiet_windows(found)

    assert [one.seconds for one in windows[FIRST]] == list(range(11, 21))
    assert [one.seconds for one in windows[LAST]] == list(range(91, 101))
