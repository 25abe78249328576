"""Properties of drains and holds: whose slot is taken, and whose sessions are shut down."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from tests.properties import strategies as some
from tests.properties.test_plan import NOW, after, homes, plan, table_of, wishes

from reconciler.core.effect import dated_tables, server_after
from reconciler.core.model import (
    AdminState,
    Cause,
    Desired,
    Endpoint,
    Observed,
    Rotation,
    Server,
    SetAddress,
    ShutdownSessions,
    is_placeholder,
)
from reconciler.core.openings import never_had_a_tenant, out_since
from reconciler.core.plan import Rules, slot_number
from reconciler.core.view import is_held


def tenants(desired: Desired, observed: Observed, slot: Server) -> list[Endpoint]:
    """Return the desired endpoints that live in a slot."""
    return [
        endpoint
        for endpoint in wishes(desired, observed)
        if endpoint.backend == slot.ref.backend
        and (endpoint.address, endpoint.port) == (slot.address, slot.port)
    ]


def drain_seconds(
    desired: Desired, observed: Observed, slot: Server, rules: Rules
) -> float:
    """Return the shortest drain time that may count for a slot's sessions."""
    labels = [
        endpoint.drain_seconds
        for endpoint in tenants(desired, observed, slot)
        if endpoint.drain_seconds is not None
    ]
    return min([rules.drain_seconds, *labels])


@given(some.desired(), some.observed(), some.rules)
def test_a_slot_with_sessions_is_given_away_only_when_its_time_is_over(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A newcomer's slot was idle, new, or out for its drain time, as the plan comes to it."""
    before = table_of(observed)
    table = dict(before)

    for action in plan(desired, observed, rules).actions:
        slot = table[action.ref]
        if isinstance(action, SetAddress) and not is_placeholder(action.address):
            assert slot.admin is AdminState.MAINT
            since = out_since(before[action.ref])
            seconds = drain_seconds(desired, observed, before[action.ref], rules)
            is_over = seconds == 0 or (since is not None and NOW - since >= seconds)
            is_new = never_had_a_tenant(before[action.ref])
            connections = before[action.ref].connections
            assert connections == 0 or is_over or (connections is None and is_new)
        table[action.ref] = server_after(slot, action, now=NOW)


@given(some.desired(), some.observed(), some.rules)
def test_where_nothing_is_known_nothing_is_given_away(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """With every slot just out and no connections read, only a drain time of 0 opens one.

    But for those that never had a tenant.
    """
    unread = {
        backend: {
            name: dataclasses.replace(
                server,
                connections=None,
                last_change=NOW,
                out_since=None if server.admin is AdminState.READY else NOW,
            )
            for name, server in servers.items()
        }
        for backend, servers in observed.backends.items()
    }
    reading = dataclasses.replace(observed, backends=unread)
    planned = plan(desired, reading, rules)
    table = table_of(reading)

    for action in planned.actions:
        if isinstance(action, SetAddress) and not is_placeholder(action.address):
            slot = table[action.ref]
            no_time = drain_seconds(desired, reading, slot, rules) == 0
            assert no_time or never_had_a_tenant(slot)
    waiting = {u.backend for u in planned.unplaced if u.cause is Cause.SLOT_BUSY}
    assert waiting == planned.wants_connections & waiting


@given(some.desired(), some.observed(), some.rules)
def test_a_held_slot_whose_endpoint_is_desired_is_in_no_plan(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Ready, stopping or unhealthy: an operator's hold is neither touched nor given away."""
    touched = {action.ref for action in plan(desired, observed, rules).actions}

    for endpoint in wishes(desired, observed):
        found = homes(observed, endpoint)
        if len(found) == 1 and is_held(found[0]):
            is_stopped = endpoint.rotation is Rotation.STOP
            if found[0].admin is AdminState.DRAIN and is_stopped:
                continue  # nobody may come to it: it goes to maint, and stays theirs
            assert found[0].ref not in touched


@given(some.desired(), some.observed(), some.rules)
def test_sessions_are_shut_down_only_where_the_label_asks(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Of a tenant that is out, asks for it, and whose drain time is over or none at all."""
    table = table_of(observed)

    for action in plan(desired, observed, rules).actions:
        if isinstance(action, ShutdownSessions):
            slot = table[action.ref]
            asking = [
                endpoint
                for endpoint in tenants(desired, observed, slot)
                if endpoint.drain_shutdown and endpoint.rotation is not Rotation.READY
            ]
            assert asking
            assert slot.connections != 0
            assert not is_held(slot)
            since = out_since(slot)
            seconds = drain_seconds(desired, observed, slot, rules)
            assert seconds == 0 or (since is not None and NOW - since >= seconds)


@given(some.desired(), some.observed(), some.rules)
def test_a_due_time_is_in_the_future_and_then_something_happens(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A worker that sleeps until then has something to read, or to do: it never spins."""
    for backend, at in plan(desired, observed, rules).due.items():
        assert at > NOW
        assert any(
            endpoint.drain_shutdown and endpoint.rotation is not Rotation.READY
            for endpoint in desired.endpoints[backend]
        )


@given(some.desired(), some.observed(), some.rules)
def test_leaving_and_coming_back_needs_no_other_slot(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Who outlived its stop finds its slot as it was, unless it was given away."""
    planned = plan(desired, observed, rules)
    result = after(observed, planned.actions)
    back = {
        backend: tuple(dataclasses.replace(e, rotation=Rotation.READY) for e in found)
        for backend, found in desired.endpoints.items()
    }
    again = after(result, plan(Desired(endpoints=back), result, rules).actions)

    for endpoint in wishes(desired, observed):
        before, later = homes(result, endpoint), homes(again, endpoint)
        if before:
            assert [one.ref for one in before] == [one.ref for one in later]
            assert later[0].admin is AdminState.READY or not before[0].is_signed


@given(some.observed(), some.observed())
def test_a_date_is_never_in_rotation_and_never_in_the_future(
    fresh: Observed, known: Observed
) -> None:
    """Reading again loses no date and invents none but now."""
    tables = dated_tables(fresh.backends, known.backends, now=NOW)

    for backend, servers in tables.items():
        for name, server in servers.items():
            given_one = fresh.backends[backend][name]
            assert (
                dataclasses.replace(server, out_since=given_one.out_since) == given_one
            )
            assert server.admin is not AdminState.DRAIN or out_since(server) is not None
            assert server.out_since is None or server.out_since <= NOW
            assert slot_number(name, "slot") is None or server.ref == given_one.ref
