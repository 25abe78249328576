"""What an action does to a server, and since when it is out of rotation."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import free_slot

from reconciler.core.effect import dated, dated_tables, server_after
from reconciler.core.model import (
    AdminState,
    Server,
    ServerRef,
    SetAddress,
    SetState,
    SetWeight,
    ShutdownSessions,
)


REF = ServerRef("web", "slot1")
READY = dataclasses.replace(
    free_slot(1), address="10.0.0.1", admin=AdminState.READY, is_up=True
)
DRAIN = dataclasses.replace(READY, admin=AdminState.DRAIN, weight=0)
FREE = free_slot(1)


def states(server: Server, *story: tuple[AdminState, float]) -> Server:
    """Return a server after changes of its state, each at its time."""
    for state, at in story:
        server = server_after(server, SetState(REF, state), now=at)
    return server


def test_the_way_out_is_dated_once() -> None:
    """From drain to maint is no new leaving; ready ends it, and the next one is new."""
    drained = states(READY, (AdminState.DRAIN, 5.0))
    released = states(drained, (AdminState.MAINT, 9.0))
    back = states(released, (AdminState.READY, 10.0))

    assert (drained.out_since, drained.last_change) == (5.0, 5.0)
    assert (released.out_since, released.last_change) == (5.0, 9.0)
    assert back.out_since is None
    assert states(back, (AdminState.DRAIN, 12.0)).out_since == 12.0


def test_saying_it_again_dates_nothing() -> None:
    """A server that is in the state already has not changed."""
    drained = states(READY, (AdminState.DRAIN, 5.0))

    assert states(drained, (AdminState.DRAIN, 9.0)) == drained


def test_other_actions_date_nothing() -> None:
    """Weight and address say nothing of rotation; a shutdown leaves no connection."""
    drained = dataclasses.replace(DRAIN, out_since=5.0, connections=3)
    for action in (SetWeight(REF, 1), SetAddress(REF, "10.0.0.9", 80)):
        assert server_after(drained, action, now=9.0).out_since == 5.0

    after = server_after(drained, ShutdownSessions(REF), now=9.0)
    assert after == dataclasses.replace(drained, connections=0)


@pytest.mark.parametrize(
    ("fresh", "known", "expected"),
    [
        pytest.param(READY, None, None, id="ready"),
        pytest.param(
            READY,
            dataclasses.replace(DRAIN, out_since=5.0),
            None,
            id="back-in-rotation",
        ),
        pytest.param(DRAIN, None, 100.0, id="drained-and-never-seen"),
        pytest.param(DRAIN, READY, 100.0, id="drained-by-another-hand"),
        pytest.param(
            DRAIN, dataclasses.replace(DRAIN, out_since=5.0), 5.0, id="drained-by-us"
        ),
        pytest.param(
            DRAIN,
            dataclasses.replace(DRAIN, out_since=5.0, address="10.0.0.9"),
            100.0,
            id="drained-with-another-tenant",
        ),
        pytest.param(FREE, None, None, id="free"),
        pytest.param(FREE, READY, None, id="freed-by-another-hand"),
        pytest.param(
            FREE,
            dataclasses.replace(DRAIN, out_since=5.0),
            5.0,
            id="freed-after-a-drain",
        ),
        pytest.param(
            dataclasses.replace(DRAIN, admin=AdminState.MAINT),
            dataclasses.replace(DRAIN, out_since=5.0),
            5.0,
            id="maint-after-a-drain",
        ),
        pytest.param(
            dataclasses.replace(DRAIN, admin=AdminState.MAINT, address="10.0.0.9"),
            dataclasses.replace(DRAIN, out_since=5.0),
            None,
            id="maint-with-another-tenant",
        ),
    ],
)
def test_a_reading_is_dated_with_what_only_we_know(
    fresh: Server, known: Server | None, expected: float | None
) -> None:
    """HAProxy dates a maint and no drain; what nobody dated counts from now."""
    found = dated(fresh, known, now=100.0)

    assert found == dataclasses.replace(fresh, out_since=expected)


def test_whole_tables_are_dated_by_name() -> None:
    """Each server by its own last reading; a backend that is new has none."""
    other = dataclasses.replace(DRAIN, ref=ServerRef("api", "slot1"))
    known = {"web": {"slot1": dataclasses.replace(DRAIN, out_since=5.0)}}

    found = dated_tables(
        {"web": {"slot1": DRAIN}, "api": {"slot1": other}}, known, now=100.0
    )

    assert found["web"]["slot1"].out_since == 5.0
    assert found["api"]["slot1"].out_since == 100.0
