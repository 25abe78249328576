"""When a quiet worker wakes up by itself."""

from __future__ import annotations

import math

import pytest

from reconciler.alarms import LATEST_PROOF_SECONDS, PROOF_SECONDS, Alarms
from reconciler.core.model import ServerRef


ONE, TWO = ServerRef("web", "slot1"), ServerRef("web", "slot2")


def test_a_change_is_read_once_more_a_moment_later() -> None:
    """Once, and then no more."""
    alarms = Alarms()
    alarms.changed({ONE}, 10.0)
    assert alarms.next() == 10.0 + PROOF_SECONDS
    assert alarms.take(10.0) == (set(), set())

    assert alarms.take(alarms.next()) == (set(), {ONE})
    assert math.isinf(alarms.next())
    alarms.changed(set(), 11.0)
    assert math.isinf(alarms.next())


def test_in_a_burst_the_last_change_counts_but_not_for_ever() -> None:
    """What changes all the time is still read once more in time."""
    alarms = Alarms()
    alarms.changed({ONE}, 0.0)
    alarms.changed({TWO}, 0.2)
    assert alarms.next() == pytest.approx(0.2 + PROOF_SECONDS)

    for tenth in range(3, 100):
        alarms.changed({TWO}, tenth / 10)
    assert alarms.next() == LATEST_PROOF_SECONDS


def test_nothing_is_read_too_early_because_something_else_is_due() -> None:
    """Another reconciler's answer to the same event may come a moment later than ours."""
    alarms = Alarms()
    alarms.changed({ONE}, 0.0)
    for twentieth in range(1, 40):
        alarms.changed({TWO}, twentieth / 20)

    assert alarms.next() == LATEST_PROOF_SECONDS
    assert alarms.take(LATEST_PROOF_SECONDS) == (set(), {ONE})
    assert alarms.next() == pytest.approx(39 / 20 + PROOF_SECONDS)
    assert alarms.take(alarms.next()) == (set(), {TWO})
    assert math.isinf(alarms.next())
