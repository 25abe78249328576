"""Plans for who leaves: drained, kept, taken over, shut down, back; and who has to wait."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pytest
from tests.fakes.containers import container, free_slot
from tests.fakes.plans import NOW, kinds, planned

from reconciler.core.model import (
    Action,
    AdminState,
    Cause,
    ConfirmAddress,
    Container,
    Health,
    Plan,
    Server,
    ServerRef,
    SetAddress,
    SetState,
    SetWeight,
    ShutdownSessions,
)
from reconciler.core.plan import Rules


SLOT = ServerRef("web", "slot1")
WEB_ONLY = frozenset({"web"})
LEAKY = Rules(reuse_needs_idle=True)
ENDS = {"haproxy.drain": "50", "haproxy.drain-shutdown": "true"}


def home(number: int = 1, *, ready: bool = True, **changes: object) -> Server:
    """Return the slot of container NUMBER: in rotation, or out by our hand long ago."""
    one = dataclasses.replace(
        free_slot(number),
        address=f"10.0.0.{number}",
        admin=AdminState.READY if ready else AdminState.MAINT,
        is_up=ready,
        weight=1 if ready else 0,
        out_since=None if ready else NOW - 10,
        connections=None,
    )
    return dataclasses.replace(one, **changes)  # type: ignore[arg-type] # its fields


def stopping(number: int = 1, labels: Mapping[str, str] | None = None) -> Container:
    """Return a container after its stop signal."""
    return dataclasses.replace(container(number, labels=labels), is_stopping=True)


def sick(number: int = 1, labels: Mapping[str, str] | None = None) -> Container:
    """Return a container whose HEALTHCHECK fails."""
    return container(number, labels=labels, health=Health.UNHEALTHY)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (stopping(), "its stop signal was sent"),
        (sick(), "docker calls it unhealthy"),
    ],
)
def test_who_leaves_is_drained_weight_first(one: Container, reason: str) -> None:
    """Weight 0 is our sign, so it comes first; the address stays."""
    found = planned(one, slots=[home()])

    assert found.actions == (SetWeight(SLOT, 0), SetState(SLOT, AdminState.MAINT))
    [change] = found.changes
    assert (change.kind, change.reason) == ("drain", reason)
    assert planned(one, slots=[home(ready=False)]).is_empty


@pytest.mark.parametrize("one", [stopping(), sick()])
def test_what_an_older_version_drained_goes_to_maint(one: Container) -> None:
    """In drain HAProxy sends it the clients that stick to it; weight 0 says it is ours."""
    found = planned(one, slots=[home(ready=False, admin=AdminState.DRAIN)])

    assert found.actions == (SetState(SLOT, AdminState.MAINT),)
    assert [one.reason for one in found.changes] == ["clients stick to it in drain"]


def test_an_operators_drain_goes_to_maint_with_the_stop_signal() -> None:
    """Nobody may come to one that stops, whoever drained it; the hold stays theirs."""
    held = home(admin=AdminState.DRAIN, connections=5, out_since=0.0)

    found = planned(stopping(labels=ENDS), container(2), slots=[held])

    assert found.actions == (SetState(SLOT, AdminState.MAINT),)
    assert kinds(found) == ["drain"]
    assert [one.cause for one in found.unplaced] == [Cause.NO_SLOT]
    after = dataclasses.replace(held, admin=AdminState.MAINT)
    assert planned(stopping(), slots=[after]).is_empty
    assert planned(container(), slots=[after]).is_empty


@pytest.mark.parametrize(
    ("one", "admin"),
    [
        (stopping(), AdminState.MAINT),
        (sick(), AdminState.MAINT),
        (sick(), AdminState.DRAIN),
    ],
)
def test_a_held_slot_is_not_touched_while_its_tenant_leaves(
    one: Container, admin: AdminState
) -> None:
    """Not drained (it is out), not shut down, not given to who waits."""
    labelled = dataclasses.replace(one, labels={**one.labels, **ENDS})
    held = home(admin=admin, connections=5, out_since=0.0)

    found = planned(labelled, container(2), slots=[held])

    assert (found.actions, found.due) == ((), {})
    assert found.wants_connections == frozenset()
    assert [one.cause for one in found.unplaced] == [Cause.NO_SLOT]


def test_a_survivor_is_ready_in_its_own_slot() -> None:
    """Who outlived its stop, or is healthy again, goes back with its weight last."""
    found = planned(container(), slots=[home(ready=False)])

    _, address, last = found.phases
    assert address == (ConfirmAddress(SLOT, "10.0.0.1", 8000),)
    assert last == (SetState(SLOT, AdminState.READY), SetWeight(SLOT, 1))
    assert kinds(found) == ["finish"]


def test_a_stopping_container_without_a_slot_gets_none() -> None:
    """Its cause is its own, and the reason says when it would get one."""
    found = planned(stopping(), slots=[free_slot(1)])

    assert found.is_empty
    [left_out] = found.unplaced
    assert left_out.cause is Cause.STOPPING
    assert "outlives its stop time-out" in left_out.reason


def test_a_free_slot_is_taken_before_anybody_loses_one() -> None:
    """With a spare slot the drain time never matters, and nothing is read."""
    found = planned(
        stopping(), container(2), slots=[home(ready=False, connections=0), free_slot(2)]
    )

    assert {action.ref.server for action in found.actions} == {"slot2"}
    assert found.wants_connections == frozenset()


def test_who_waits_takes_over_a_drained_slot_that_is_idle() -> None:
    """Out, another address, in; the one displaced is unplaced as stopping."""
    found = planned(stopping(), container(2), slots=[home(ready=False, connections=0)])

    out, address, _ = found.phases
    assert out == ()
    assert address[0] == SetAddress(SLOT, "10.0.0.2", 8000)
    assert kinds(found) == ["release", "assign"]
    assert found.changes[0].reason == "its stop signal was sent, and another waits"
    assert [(u.tenant.container, u.cause) for u in found.unplaced] == [
        ("web-1", Cause.STOPPING)
    ]


def test_the_stopping_lose_their_slot_before_the_unhealthy() -> None:
    """Who may come back keeps it longer."""
    slots = [home(1, ready=False, connections=0), home(2, ready=False, connections=0)]

    found = planned(sick(1), stopping(2), container(3), slots=slots)

    assert {action.ref.server for action in found.actions} == {"slot2"}


@pytest.mark.parametrize("is_part", [False, True])
def test_who_makes_room_is_chosen_among_all_of_a_backend(*, is_part: bool) -> None:
    """Where only some slots are planned for, another may have been out for longer."""
    slots = [home(ready=False, connections=0)]

    taken = planned(stopping(), container(2), slots=slots, is_part=is_part)
    free = planned(stopping(), slots=slots, is_part=is_part)

    assert taken.wants_whole == (WEB_ONLY if is_part else frozenset())
    assert free.wants_whole == frozenset()


def test_where_only_connections_tell_they_are_asked_for() -> None:
    """Unknown is no answer: nothing is taken, and the backend is named."""
    unread = planned(stopping(), container(2), slots=[home(ready=False)])
    read = planned(stopping(), container(2), slots=[home(ready=False, connections=4)])

    assert (unread.actions, unread.wants_connections) == ((), WEB_ONLY)
    assert (read.actions, read.wants_connections) == ((), frozenset())
    for found in (unread, read):
        [waiting] = found.unplaced
        assert waiting.cause is Cause.SLOT_BUSY
        assert waiting.reason == (
            "1 of the 1 slots of backend web are draining: it gets the first whose "
            "sessions end or whose drain time is over; to wait for none, raise the count "
            "on its server-template line (1 now)"
        )


def test_nobody_waits_nothing_is_asked() -> None:
    """A drained slot alone is no reason to read connections, nor to wake up."""
    found = planned(
        stopping(), sick(2), slots=[home(ready=False), home(2, ready=False)]
    )

    assert (found.wants_connections, found.due, found.unplaced) == (frozenset(), {}, ())


@pytest.mark.parametrize(
    ("label", "rules", "is_taken"),
    [
        pytest.param({}, Rules(), False, id="default-not-over"),
        pytest.param({}, Rules(drain_seconds=10), True, id="default-over"),
        pytest.param({"haproxy.drain": "9"}, Rules(), True, id="label-over"),
        pytest.param({"haproxy.drain": "0"}, Rules(), True, id="label-zero"),
        pytest.param(
            {"haproxy.drain": "1h"}, Rules(drain_seconds=1), False, id="label-longer"
        ),
    ],
)
def test_the_drain_time_is_the_labels_else_the_default(
    label: dict[str, str], rules: Rules, *, is_taken: bool
) -> None:
    """A busy slot goes to who waits when it has been out for as long."""
    found = planned(
        stopping(labels=label),
        container(2),
        slots=[home(ready=False, connections=4)],
        rules=rules,
    )

    assert (kinds(found) == ["release", "assign"]) is is_taken


def test_no_slot_and_nothing_that_drains() -> None:
    """All taken by who is in rotation: only more slots help, nothing to wait for."""
    found = planned(container(1), container(2), slots=[home()])

    [waiting] = found.unplaced
    assert waiting.cause is Cause.NO_SLOT
    assert waiting.reason.startswith("all 1 slots of backend web are taken: raise")


def test_where_connections_leak_the_reason_says_so() -> None:
    """Decision 9: a stray is released first; who waits is told what it waits for."""
    found = planned(container(2), slots=[home(9, connections=0)], rules=LEAKY)

    assert kinds(found) == ["release"]
    [waiting] = found.unplaced
    assert waiting.cause is Cause.SLOT_BUSY
    assert "which this HAProxy version would mix up" in waiting.reason


def ended(found: Plan) -> list[Action]:
    """Return the shutdowns of a plan."""
    return [a for a in found.actions if isinstance(a, ShutdownSessions)]


@pytest.mark.parametrize("make", [stopping, sick])
def test_sessions_end_by_force_only_when_asked_for_and_over(
    make: Callable[..., Container],
) -> None:
    """The label, the time and a session: all three, and the change says shutdown."""
    late = home(ready=False, out_since=NOW - 50, connections=2)

    found = planned(make(labels=ENDS), slots=[late])

    assert found.actions == (ShutdownSessions(SLOT),)
    assert kinds(found) == ["shutdown"]
    idle = dataclasses.replace(late, connections=0)
    assert planned(make(labels=ENDS), slots=[idle]).is_empty
    assert planned(make(labels={"haproxy.drain": "50"}), slots=[late]).is_empty
    unread = planned(
        make(labels=ENDS), slots=[dataclasses.replace(late, connections=None)]
    )
    assert (unread.actions, unread.wants_connections) == ((), WEB_ONLY)


def test_the_moment_of_the_shutdown_is_told_before() -> None:
    """The earliest of a backend, by the observer's clock; nothing is read till then."""
    slots = [home(1, ready=False), home(2, ready=False, out_since=NOW - 40)]

    found = planned(stopping(1, labels=ENDS), sick(2, labels=ENDS), slots=slots)

    assert (found.actions, dict(found.due)) == ((), {"web": NOW + 10})
    assert found.wants_connections == frozenset()


def test_a_drain_time_of_zero_shuts_down_with_the_drain() -> None:
    """Out of rotation first, so that no new session slips in behind."""
    labels = {"haproxy.drain": "0", "haproxy.drain-shutdown": "true"}

    found = planned(stopping(labels=labels), slots=[home(connections=2)])

    assert found.actions == (
        SetWeight(SLOT, 0),
        SetState(SLOT, AdminState.MAINT),
        ShutdownSessions(SLOT),
    )


def test_a_take_over_shuts_down_what_the_label_gives_up() -> None:
    """The old sessions end before the address changes: later nobody could tell them."""
    late = home(ready=False, out_since=NOW - 50, connections=2)

    with_label = planned(stopping(labels=ENDS), container(2), slots=[late])
    without = planned(
        stopping(labels={"haproxy.drain": "50"}), container(2), slots=[late]
    )

    assert with_label.phases[0] == (ShutdownSessions(SLOT),)
    assert kinds(with_label) == ["shutdown", "release", "assign"]
    assert ended(without) == []


def test_who_lives_twice_keeps_the_other_slot_when_one_is_taken() -> None:
    """Two writers may have given it two slots: a newcomer takes one, the other is kept."""
    twin = dataclasses.replace(home(2, ready=False, connections=4), address="10.0.0.1")

    found = planned(
        stopping(labels={"haproxy.drain": "0"}),
        container(2),
        slots=[home(ready=False, connections=4), twin],
    )

    assert kinds(found) == ["release", "assign"]
    assert {action.ref for action in found.actions} == {SLOT}
    assert found.unplaced == ()
