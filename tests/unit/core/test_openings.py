"""Whose slot a newcomer may take: open, busy or unknown, and in which order."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import free_slot

from reconciler.core.model import AdminState, Endpoint, Rotation, Server, Tenant
from reconciler.core.openings import Opening, Terms, openings, out_since


NOW = 1000.0
TERMS = Terms(drain_seconds=30.0, needs_idle=False, now=NOW)
LEAKY = dataclasses.replace(TERMS, needs_idle=True)
OPEN, BUSY, UNKNOWN = Opening.OPEN, Opening.BUSY, Opening.UNKNOWN


def slot(
    number: int = 1,
    admin: AdminState = AdminState.MAINT,
    *,
    address: str = "10.0.0.1",
    weight: int = 0,
    connections: int | None = None,
    last_change: float | None = None,
    out: float | None = None,
) -> Server:
    """Return an occupied slot; it is out of rotation by our hand unless told otherwise."""
    return dataclasses.replace(
        free_slot(number),
        address=address,
        admin=admin,
        weight=weight,
        connections=connections,
        last_change=last_change,
        out_since=out,
    )


def endpoint(rotation: Rotation, drain_seconds: float | None = None) -> Endpoint:
    """Return the endpoint of a container that is out of rotation."""
    return Endpoint(
        backend="web",
        address="10.0.0.1",
        port=8000,
        tenant=Tenant(container_id="1", container="web-1"),
        rotation=rotation,
        drain_seconds=drain_seconds,
    )


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(slot(connections=0, out=NOW), OPEN, id="idle"),
        pytest.param(slot(connections=3, out=NOW - 29), BUSY, id="within"),
        pytest.param(slot(connections=3, out=NOW - 30), OPEN, id="over"),
        pytest.param(slot(out=NOW - 29), UNKNOWN, id="within-and-not-read"),
        pytest.param(slot(out=NOW - 30), OPEN, id="over-and-not-read"),
        pytest.param(slot(connections=3, last_change=NOW - 30), OPEN, id="maint-dated"),
        pytest.param(slot(connections=3, last_change=NOW - 1), BUSY, id="maint-young"),
        pytest.param(slot(connections=3), OPEN, id="never-in-rotation"),
        pytest.param(
            slot(admin=AdminState.DRAIN, connections=3, last_change=NOW - 900),
            BUSY,
            id="a-drain-nobody-dated",
        ),
        pytest.param(
            slot(connections=3, last_change=NOW - 1, out=NOW - 30),
            OPEN,
            id="drained-long-before-maint",
        ),
    ],
)
def test_a_slot_is_open_when_idle_or_when_its_time_is_over(
    one: Server, expected: Opening
) -> None:
    """Counted from when it left rotation; where only connections could tell, unknown."""
    assert TERMS.opening(one) is expected


@pytest.mark.parametrize(
    ("seconds", "age", "expected"),
    [
        (None, 29, BUSY),
        (None, 30, OPEN),
        (5.0, 4, BUSY),
        (5.0, 5, OPEN),
        (90.0, 30, BUSY),
        (0.0, 0, OPEN),
    ],
)
def test_a_label_comes_before_the_default(
    seconds: float | None, age: float, expected: Opening
) -> None:
    """haproxy.drain may be longer and shorter than --drain-timeout, and 0."""
    one = slot(admin=AdminState.DRAIN, connections=3, out=NOW - age)

    assert TERMS.opening(one, seconds) is expected


def test_a_drain_time_of_zero_is_over_whatever_is_known() -> None:
    """Nothing is read and nothing waited for, even with no date and no clock."""
    none = Terms(drain_seconds=0.0, needs_idle=False, now=None)

    assert none.opening(slot(admin=AdminState.DRAIN)) is OPEN
    assert none.opening(slot(admin=AdminState.READY, weight=1)) is OPEN


def test_without_a_clock_only_what_was_never_used_is_over() -> None:
    """With ``now`` None no drain time is ever over."""
    still = dataclasses.replace(TERMS, now=None)

    assert still.opening(slot(out=NOW - 900)) is UNKNOWN
    assert still.opening(slot(connections=1)) is OPEN
    assert out_since(slot()) == float("-inf")


@pytest.mark.parametrize(
    ("connections", "expected"), [(0, OPEN), (3, BUSY), (None, UNKNOWN)]
)
def test_where_connections_leak_only_idleness_counts(
    connections: int | None, expected: Opening
) -> None:
    """However long it takes (decision 9)."""
    assert LEAKY.opening(slot(connections=connections, out=0.0)) is expected
    assert LEAKY.opening(slot(connections=connections), 0.0) is expected


def test_the_order_of_openings() -> None:
    """Free ones by age, empty strays, left ones, the stopping, the unhealthy."""
    never = free_slot(9)
    older = dataclasses.replace(free_slot(8), last_change=10.0, connections=0)
    newer = dataclasses.replace(free_slot(7), last_change=20.0, connections=0)
    left = slot(6, AdminState.READY, connections=0)
    empty = slot(5, AdminState.READY, address="127.255.255.1", connections=0)
    ending = slot(4, AdminState.DRAIN, connections=0)
    ill = slot(3, AdminState.DRAIN, connections=0)

    found = openings(
        [newer, never, older],
        [left, empty],
        [(ill, endpoint(Rotation.DRAIN)), (ending, endpoint(Rotation.STOP))],
        TERMS,
    )

    assert found.slots == [never, older, newer, empty, left, ending, ill]
    assert (found.busy, found.is_unknown) == (0, False)


def test_busy_ones_are_counted_and_ignorance_is_told() -> None:
    """What is not open now is counted; is_unknown says that reading might help."""
    busy = slot(1, connections=1, out=NOW)
    unread = slot(2, AdminState.DRAIN, out=NOW)

    known = openings([], [busy], [], TERMS)
    unknown = openings([], [busy], [(unread, endpoint(Rotation.STOP))], TERMS)

    assert (known.slots, known.busy, known.is_unknown) == ([], 1, False)
    assert (unknown.slots, unknown.busy, unknown.is_unknown) == ([], 2, True)


@pytest.mark.parametrize("admin", [AdminState.DRAIN, AdminState.MAINT])
@pytest.mark.parametrize("rotation", [Rotation.STOP, Rotation.DRAIN])
def test_a_held_slot_is_no_opening(admin: AdminState, rotation: Rotation) -> None:
    """Neither now nor later, so nobody is told to wait for it."""
    held = slot(admin=admin, weight=1, connections=0, out=0.0)

    found = openings([], [], [(held, endpoint(rotation, 0.0))], TERMS)

    assert (found.slots, found.busy, found.is_unknown) == ([], 0, False)


def test_a_stopping_slot_that_is_still_in_rotation_may_be_taken_when_idle() -> None:
    """No detour over a drain where nothing is open on it."""
    idle = slot(admin=AdminState.READY, weight=1, connections=0)
    used = slot(2, admin=AdminState.READY, weight=1, connections=1)
    leaving = [(one, endpoint(Rotation.STOP)) for one in (used, idle)]

    assert openings([], [], leaving, TERMS).slots == [idle]


def test_where_connections_leak_a_slot_has_to_be_free_first() -> None:
    """Strays and the slots of the leaving are waited for, and not read."""
    found = openings(
        [],
        [slot(1, connections=0)],
        [(slot(2, AdminState.DRAIN, connections=0), endpoint(Rotation.STOP))],
        LEAKY,
    )

    assert (found.slots, found.busy, found.is_unknown) == ([], 2, False)
