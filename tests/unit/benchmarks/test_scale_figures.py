"""What the benchmarks of scale count with: shares of a burst, beats, bare commands."""

from __future__ import annotations

import pytest
from burst.measure import LINES_A_SLOT, Burst
from scale.runtime import lines_of_an_assignment
from steady.probe import latest_beat


def test_a_burst_has_a_slot_for_each_endpoint() -> None:
    """However many backends there are, endpoints are dealt to them in turn."""
    assert Burst(count=10).slots == {"web": 10}
    assert Burst(count=10, backends=3).slots == {"web1": 4, "web2": 3, "web3": 3}


def test_the_raw_limit_is_of_as_many_lines_as_are_counted() -> None:
    """Rates on both sides are of the same number of lines for each slot."""
    addresses, ready = lines_of_an_assignment("web", 7)

    assert len(addresses) + len(ready) == 7 * LINES_A_SLOT
    assert len(set(addresses + ready)) == 7 * LINES_A_SLOT


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param({0.001: 5, 0.005: 5, 0.01: 5}, 0.001, id="all-early"),
        pytest.param({0.001: 3, 0.005: 5, 0.01: 5}, 0.005, id="some-later"),
        pytest.param({0.001: 3, 0.005: 4, float("inf"): 5}, float("inf"), id="late"),
    ],
)
def test_the_latest_beat_is_bounded_by_the_first_full_bucket(
    after: dict[float, float], expected: float
) -> None:
    """Only what was added since counts, and buckets hold all smaller ones."""
    before = dict.fromkeys(after, 0.0)

    assert latest_beat(before, after) == expected
