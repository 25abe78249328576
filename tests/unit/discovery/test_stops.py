"""Which signals mean that a container is about to end, whatever order its events come in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from reconciler.core.model import StopRule
from reconciler.discovery.inspect import Effect, EngineEvent
from reconciler.discovery.stops import MARGIN_SECONDS, Stops


ONE, TWO = "1" * 64, "2" * 64
USUAL = StopRule()
_EFFECTS = {"kill": Effect.SIGNAL, "die": Effect.GONE, "destroy": Effect.GONE}


def event(
    action: str, at: float, *, signal: int | None = None, container_id: str = ONE
) -> EngineEvent:
    """Return an event as the engine stamps it."""
    return EngineEvent(
        container_id=container_id,
        action=action,
        effect=_EFFECTS.get(action, Effect.LOOK),
        at=at,
        signal=signal,
    )


def stops_after(*events: EngineEvent) -> Stops:
    """Return what is known after these events, each noted when it happened."""
    stops = Stops()
    for one in events:
        stops.note(one, one.at)
    return stops


def test_the_stop_signal_counts_for_the_stop_timeout_and_a_margin() -> None:
    """From the moment it was sent until the engine would have killed, and a second."""
    stops = stops_after(event("kill", 100, signal=15))

    assert stops.remaining(ONE, USUAL, 100) == USUAL.timeout_seconds + MARGIN_SECONDS
    assert stops.remaining(ONE, USUAL, 104) == 7
    assert stops.remaining(ONE, USUAL, 111) <= 0
    assert stops.signalled() == {ONE}


@pytest.mark.parametrize(
    ("signal", "rule", "expected"),
    [
        pytest.param(15, USUAL, True, id="usual"),
        pytest.param(3, StopRule(3, 10.0), True, id="its-own"),
        pytest.param(15, StopRule(3, 10.0), False, id="not-its-own"),
        pytest.param(9, USUAL, True, id="kill"),
        pytest.param(9, StopRule(3, 10.0), True, id="kill-whatever-its-own"),
        pytest.param(1, USUAL, False, id="reload"),
        pytest.param(None, USUAL, False, id="unreadable"),
    ],
)
def test_only_its_own_stop_signal_counts_and_sigkill(
    signal: int | None, rule: StopRule, *, expected: bool
) -> None:
    """SIGHUP is how many reload; nobody survives SIGKILL."""
    stops = stops_after(event("kill", 100, signal=signal))

    assert (stops.remaining(ONE, rule, 100) > 0) is expected


def test_another_signal_beside_the_stop_signal_changes_nothing() -> None:
    """A reload before or after the stop neither hides nor prolongs it."""
    stops = stops_after(
        event("kill", 99, signal=1),
        event("kill", 100, signal=15),
        event("kill", 105, signal=1),
    )

    assert stops.remaining(ONE, USUAL, 105) == 6


def test_a_second_stop_signal_begins_anew() -> None:
    """Whoever sends it again gives it the whole time again."""
    stops = stops_after(event("kill", 100, signal=15), event("kill", 108, signal=15))

    assert stops.remaining(ONE, USUAL, 108) == 11


@pytest.mark.parametrize("end", ["die", "destroy", "start"])
def test_the_end_of_a_life_ends_its_stop(end: str) -> None:
    """What was sent to a process that has ended is no concern of the next one."""
    stops = stops_after(event("kill", 100, signal=15), event(end, 101))

    assert stops.remaining(ONE, USUAL, 101) <= 0
    assert stops.signalled() == set()


def test_an_outlived_signal_is_forgotten_and_a_new_one_counts() -> None:
    """Forgetting is of the past only."""
    stops = stops_after(event("kill", 100, signal=15))
    stops.forget(ONE)
    assert stops.remaining(ONE, USUAL, 100) <= 0

    stops.note(event("kill", 120, signal=15), 120)
    assert stops.remaining(ONE, USUAL, 120) > 0


def test_a_stop_of_this_life_survives_the_replayed_end_of_an_earlier_one() -> None:
    """A subscription replays old lives after a signal that is known already."""
    stops = stops_after(
        event("start", 50),
        event("kill", 100, signal=15),
        event("kill", 10, signal=15),
        event("die", 11),
        event("start", 50),
    )

    assert stops.remaining(ONE, USUAL, 100) > 0


def test_a_signal_that_comes_after_its_death_is_of_the_dead() -> None:
    """Late news of an ended life does not count against the next."""
    stops = stops_after(event("die", 101), event("kill", 100, signal=15))

    assert stops.remaining(ONE, USUAL, 101) <= 0


def test_the_same_signal_told_twice_is_one() -> None:
    """A replay of what is known does not prolong it."""
    stops = Stops()
    stops.note(event("kill", 100, signal=15), 5.0)
    stops.note(event("kill", 100, signal=15), 9.0)

    assert stops.remaining(ONE, USUAL, 5.0) == 11


def test_containers_are_told_apart_and_forgotten() -> None:
    """Only those that are kept are known afterwards."""
    stops = stops_after(
        event("kill", 100, signal=15),
        event("kill", 100, signal=15, container_id=TWO),
    )
    stops.keep_only([TWO])

    assert stops.signalled() == {TWO}
    assert stops.remaining(ONE, USUAL, 100) <= 0


actions = st.sampled_from(
    [("kill", 15), ("kill", 9), ("kill", 1), ("die", None), ("start", None)]
)


@given(
    st.lists(actions, max_size=6),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_a_life_that_began_last_is_not_stopping_in_whatever_order_it_is_told(
    before: list[tuple[str, int | None]], doubled: int, chance: random.Random
) -> None:
    """Events shuffled and doubled: after a later start, nothing sent before it counts."""
    told = [
        event(action, at, signal=signal) for at, (action, signal) in enumerate(before)
    ]
    told.append(event("start", len(before)))
    told += chance.choices(told, k=doubled)
    chance.shuffle(told)

    assert stops_after(*told).remaining(ONE, USUAL, len(before)) <= 0


@given(
    st.lists(actions, max_size=6),
    st.integers(0, 3),
    st.randoms(use_true_random=False),
)
def test_a_stop_that_came_last_counts_in_whatever_order_it_is_told(
    before: list[tuple[str, int | None]], doubled: int, chance: random.Random
) -> None:
    """Events shuffled and doubled: the last word is the signal, so it is stopping."""
    told = [
        event(action, at, signal=signal) for at, (action, signal) in enumerate(before)
    ]
    told.append(event("kill", len(before), signal=15))
    told += chance.choices(told, k=doubled)
    chance.shuffle(told)

    assert stops_after(*told).remaining(ONE, USUAL, len(before)) == 11
