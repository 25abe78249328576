"""From what the latency benchmark saw to its figures."""

from __future__ import annotations

import pytest
from latency.runtime_socket import Place, draining_in, ready_in
from latency.sighting import Role, Sighting
from latency.summary import Findings, ratios, verdicts


STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight ...
2 bench 1 slot1 10.0.0.1 2 4 1 1 9 1 0 2 0 0 0 0 - 8000 - 0 0 - - 0
2 bench 2 slot2 10.0.0.2 0 5 0 1 9 1 0 2 0 0 0 0 - 8000 - 0 0 - - 0
2 bench 3 slot3 10.0.0.3 2 4 0 1 9 1 0 2 0 0 0 0 - 8000 - 0 0 - - 0
2 bench 4 slot4 127.255.255.1 0 5 1 1 9 1 0 0 0 0 0 0 - 8000 - 0 0 - - 0
"""


LOOKING_NS = 400_000
"""From HAProxy's log line to the answer of its table."""


def test_only_a_server_with_a_weight_is_in_rotation() -> None:
    """Ready at weight 0 is not in rotation yet."""
    assert ready_in(STATE) == {Place("slot1", "10.0.0.1", "8000")}


def test_a_draining_server_is_seen_with_its_address() -> None:
    """Forced maint and weight 0 decide, at an address that is no placeholder."""
    assert draining_in(STATE) == {Place("slot2", "10.0.0.2", "8000")}


def seen(role: Role, number: int, milliseconds: float) -> Sighting:
    """Return a sighting that took so long from its event."""
    end = number * 10**9 + int(milliseconds * 1e6)
    return Sighting(
        role=role,
        container_id=f"{role}-{number}",
        event=number * 10**9,
        received=number * 10**9,
        noticed=0 if role.is_bare else end - LOOKING_NS,
        answered=end,
        seen=end,
    )


def findings() -> Findings:
    """Return three of each role that takes part in a target."""
    idle = [
        seen(role, number, milliseconds * (number + 1))
        for role, milliseconds in (
            (Role.OURS, 3.0),
            (Role.FLOOR, 2.5),
            (Role.OUT, 1.0),
            (Role.FLOOR_OUT, 0.5),
        )
        for number in range(3)
    ]
    names = {one.container_id: f"name of {one.container_id}" for one in idle}
    return Findings(
        idle=idle,
        burst=[],
        names=names,
        assigned={"name of ours-0": 3.5},
        drained={"name of out-1": 1.5},
    )


def test_rows_without_values_are_left_out() -> None:
    """No burst, no burst's rows; and own figures go to the right direction."""
    series = findings().series()

    assert not [key for key in series if key.startswith("burst")]
    assert series["ours_log"].values == [3.5]
    assert series["out_log"].values == [1.5]


def test_the_first_ratio_is_that_of_the_target() -> None:
    """Ours over the floor, medians as seen by the same observer."""
    (first, *_) = ratios(findings().series())

    assert (first.of, first.over) == ("start -> ready", "floor: start -> ready")
    assert first.median == pytest.approx(1.2)


def test_the_targets_are_judged_by_what_was_seen() -> None:
    """A median above the target misses it, and only that; a drain by HAProxy's log."""
    assert [(v.value, v.is_met) for v in verdicts(findings().series())] == [
        (pytest.approx(1.2), True),
        (6.0, False),
        (9.0, True),
        (pytest.approx(1.6), True),
    ]


def test_a_drain_is_dated_by_the_log_and_by_the_table() -> None:
    """The table's answer comes later than the line that made the observer ask."""
    series = findings().series()

    assert series["out_told"].values == pytest.approx([0.6, 1.6, 2.6])
    assert series["out"].values == pytest.approx([1.0, 2.0, 3.0])
