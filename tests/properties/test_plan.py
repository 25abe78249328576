"""The rules of the map, as properties of the planner over arbitrary tables and wishes."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import assume, given, strategies as st
from tests.properties import strategies as some

from reconciler.core.effect import server_after
from reconciler.core.model import (
    Action,
    AdminState,
    Cause,
    ConfirmAddress,
    Desired,
    Endpoint,
    Observed,
    Plan,
    Rotation,
    Server,
    ServerRef,
    SetAddress,
    SetState,
    is_placeholder,
)
from reconciler.core.plan import Rules, plan as planned_at, slot_number


NOW = 100.0
"""Later than any last change in a generated table."""


def plan(desired: Desired, observed: Observed, rules: Rules) -> Plan:
    """Return the plan as of now."""
    return planned_at(desired, observed, rules, now=NOW)


def table_of(observed: Observed) -> dict[ServerRef, Server]:
    """Return every server by its name."""
    return {server.ref: server for server in observed.servers()}


def after(observed: Observed, actions: tuple[Action, ...]) -> Observed:
    """Return the table as HAProxy has it once these actions were accepted."""
    table = table_of(observed)
    for action in actions:
        table[action.ref] = server_after(table[action.ref], action, now=NOW)
    backends = {
        backend: {name: table[ServerRef(backend, name)] for name in servers}
        for backend, servers in observed.backends.items()
    }
    return dataclasses.replace(observed, backends=backends)


def writes(actions: tuple[Action, ...]) -> list[Action]:
    """Return the actions that change something."""
    return [action for action in actions if not isinstance(action, ConfirmAddress)]


def homes(observed: Observed, endpoint: Endpoint) -> list[Server]:
    """Return the slots that have an endpoint's address and port."""
    servers = observed.backends.get(endpoint.backend, {})
    return [
        server
        for name, server in servers.items()
        if slot_number(name, "slot") is not None
        and (server.address, server.port) == (endpoint.address, endpoint.port)
    ]


def wishes(desired: Desired, observed: Observed) -> list[Endpoint]:
    """Return the desired endpoints of backends that were observed."""
    return [
        endpoint
        for backend, endpoints in desired.endpoints.items()
        if backend in observed.backends
        for endpoint in endpoints
    ]


def leaving(desired: Desired, observed: Observed) -> list[Endpoint]:
    """Return the desired endpoints that should be out of rotation."""
    found = wishes(desired, observed)
    return [one for one in found if one.rotation is not Rotation.READY]


def lives_twice(observed: Observed, endpoint: Endpoint) -> bool:
    """Whether an endpoint has more than one slot: two writers may do that."""
    return len(homes(observed, endpoint)) > 1


@given(some.desired(), some.observed(), some.rules)
def test_a_plan_applied_leaves_nothing_to_plan(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """One pass converges: planning again over its result gives the empty plan."""
    first = plan(desired, observed, rules)

    assert plan(desired, after(observed, first.actions), rules).actions == ()


@given(some.desired(), some.observed(), some.rules)
def test_any_prefix_plans_exactly_the_rest(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A crash after any command is repaired by the commands that were left, no others.

    Only of two slots of one tenant that leaves either may be given away: see the next one.
    """
    assume(not any(lives_twice(observed, one) for one in leaving(desired, observed)))
    actions = plan(desired, observed, rules).actions

    for done in range(len(actions) + 1):
        rest = plan(desired, after(observed, actions[:done]), rules)
        expected = sorted(map(repr, writes(actions[done:])))
        assert sorted(map(repr, writes(rest.actions))) == expected


@given(some.desired(), some.observed(), some.rules)
def test_any_prefix_is_repaired_by_one_plan(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A crash after any command: the next plan converges, with as many out of a slot."""
    whole = plan(desired, observed, rules)
    placed = _placed(desired, after(observed, whole.actions))

    for done in range(len(whole.actions) + 1):
        found = after(observed, whole.actions[:done])
        result = after(found, plan(desired, found, rules).actions)
        assert plan(desired, result, rules).actions == ()
        assert _placed(desired, result) == placed


def _placed(desired: Desired, observed: Observed) -> set[tuple[str, str, int]]:
    """Return who should be in rotation and has a slot."""
    return {
        endpoint.key
        for endpoint in wishes(desired, observed)
        if endpoint.rotation is Rotation.READY and homes(observed, endpoint)
    }


@given(some.desired(), some.observed(), some.rules)
def test_addresses_change_only_out_of_rotation(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A slot is in maint with our sign on it whenever its address is set."""
    table = table_of(observed)

    for action in plan(desired, observed, rules).actions:
        if isinstance(action, SetAddress):
            slot = table[action.ref]
            assert (slot.admin, slot.is_signed) == (AdminState.MAINT, True)
        table[action.ref] = server_after(table[action.ref], action)


@given(some.desired(), some.observed(), some.rules)
def test_no_slot_is_ready_before_its_address_was_read_back(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A phase that sets addresses reads them all back, and makes nothing ready itself."""
    for phase in plan(desired, observed, rules).phases:
        readdressed = [a for a in phase if isinstance(a, SetAddress)]
        confirmed = [a for a in phase if isinstance(a, ConfirmAddress)]
        if readdressed:
            assert not any(isinstance(a, SetState) for a in phase)
            assert phase[len(phase) - len(confirmed) :] == tuple(confirmed)
            places = {(a.ref, a.address, a.port) for a in confirmed}
            assert {(a.ref, a.address, a.port) for a in readdressed} <= places


@given(some.desired(), some.observed(), some.rules)
def test_an_endpoint_lives_in_exactly_one_slot(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Afterwards each endpoint has one slot or is unplaced, and no slot has a stranger.

    Whoever is about to start may have none: that is nobody's concern yet.
    """
    planned = plan(desired, observed, rules)
    result = after(observed, planned.actions)
    unplaced = {(u.backend, u.address, u.port) for u in planned.unplaced}

    wanted = wishes(desired, observed)
    for endpoint in wanted:
        found = len(homes(result, endpoint))
        if endpoint.rotation is Rotation.START:
            assert found <= 1
            assert endpoint.key not in unplaced
        else:
            assert found == (0 if endpoint.key in unplaced else 1)
    keys = {endpoint.key for endpoint in wanted}
    for server in result.servers():
        if slot_number(server.ref.server, "slot") is not None and not server.is_free:
            assert (server.ref.backend, server.address, server.port) in keys


@given(some.desired(), some.observed(), some.rules)
def test_whoever_is_about_to_start_gets_no_traffic_and_takes_nothing(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Its slot is out of rotation; and without it the others are planned for as well.

    But for an operator's hold at its address, which is kept for it as for anybody.
    """
    result = after(observed, plan(desired, observed, rules).actions)
    others = dataclasses.replace(
        desired,
        endpoints={
            backend: tuple(e for e in found if e.rotation is not Rotation.START)
            for backend, found in desired.endpoints.items()
        },
    )

    starting = set(wishes(desired, observed)) - set(wishes(others, observed))
    ready = {endpoint.key for endpoint in wishes(others, observed)}
    for endpoint in starting:
        for home in homes(result, endpoint):
            is_held = not home.is_signed
            if endpoint.key not in ready:
                assert home.admin is not AdminState.READY
                assert home.admin is AdminState.MAINT or is_held
    found = [home for endpoint in starting for home in homes(observed, endpoint)]
    if all(home.admin is AdminState.READY or home.is_signed for home in found):
        alone = after(observed, plan(others, observed, rules).actions)
        assert _placed(others, result) == _placed(others, alone)


@given(some.desired(), some.observed(), some.rules)
def test_an_endpoint_with_a_slot_keeps_it(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Placed endpoints never move, and never leave rotation while they should be in it.

    Only one that is out of rotation gives its slot up, to somebody who waits.
    """
    planned = plan(desired, observed, rules)
    result = after(observed, planned.actions)

    for endpoint in wishes(desired, observed):
        before = {server.ref: server for server in homes(observed, endpoint)}
        if before and not homes(result, endpoint):
            assert endpoint.rotation is not Rotation.READY
            heirs = {c.ref for c in planned.changes if c.kind == "assign"}
            assert heirs & before.keys()
        elif before:
            (home,) = homes(result, endpoint)
            assert home.ref in before
            was_ready = before[home.ref].admin is AdminState.READY
            if was_ready and endpoint.rotation is Rotation.READY:
                assert home.admin is AdminState.READY
                out = (
                    [a for a in planned.phases[0] if a.ref == home.ref]
                    if (planned.phases)
                    else []
                )
                assert out == []


@given(some.desired(), some.observed(), some.rules)
def test_the_hand_of_an_operator_is_respected(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """A placed slot out of rotation that kept its weight is nobody's business but theirs."""
    planned = plan(desired, observed, rules)
    touched = {action.ref for action in planned.actions}

    for endpoint in wishes(desired, observed):
        found = homes(observed, endpoint)
        if len(found) == 1 and found[0].admin is not AdminState.READY:
            is_stopped = endpoint.rotation is Rotation.STOP
            if found[0].admin is AdminState.DRAIN and is_stopped:
                continue  # nobody may come to it: it goes to maint, and stays theirs
            assert found[0].is_signed or found[0].ref not in touched


@given(some.desired(), some.observed(), some.rules)
def test_servers_that_are_no_slots_are_never_touched(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Only servers named slot + number appear in a plan."""
    for action in plan(desired, observed, rules).actions:
        assert slot_number(action.ref.server, "slot") is not None


@given(some.desired(), some.observed(), some.rules, st.randoms(use_true_random=False))
def test_the_order_of_the_input_is_irrelevant(
    desired: Desired, observed: Observed, rules: Rules, chance: random.Random
) -> None:
    """Shuffled endpoints, servers and backends give the same plan."""
    shuffled_wishes = {
        name: tuple(chance.sample(found, len(found)))
        for name, found in chance.sample(
            list(desired.endpoints.items()), len(desired.endpoints)
        )
    }
    tables = {
        name: dict(chance.sample(list(servers.items()), len(servers)))
        for name, servers in chance.sample(
            list(observed.backends.items()), len(observed.backends)
        )
    }
    again = plan(
        dataclasses.replace(desired, endpoints=shuffled_wishes),
        dataclasses.replace(observed, backends=tables),
        rules,
    )

    assert again.actions == plan(desired, observed, rules).actions


@given(some.desired(), some.observed(), some.rules)
def test_too_few_slots_leave_only_the_youngest_out(
    desired: Desired, observed: Observed, rules: Rules
) -> None:
    """Whoever is unplaced for want of a slot is no older than any newcomer that got one."""
    planned = plan(desired, observed, rules)
    left_out = {
        (u.backend, u.address, u.port)
        for u in planned.unplaced
        if u.cause is Cause.NO_SLOT
    }
    for endpoint in wishes(desired, observed):
        if endpoint.key in left_out:
            assert endpoint.rotation is Rotation.READY
            got_one = [
                other.since
                for other in wishes(desired, observed)
                if other.backend == endpoint.backend
                and other.key not in left_out
                and other.rotation is Rotation.READY
                and not homes(observed, other)
            ]
            assert all(since <= endpoint.since for since in got_one)


@given(some.desired(), some.observed())
def test_where_connections_leak_only_idle_slots_are_given_away(
    desired: Desired, observed: Observed
) -> None:
    """On HAProxy 2.6 a slot gets a new tenant only from free, and only at 0 connections."""
    rules = Rules(reuse_needs_idle=True)
    table = table_of(observed)

    for action in plan(desired, observed, rules).actions:
        if isinstance(action, SetAddress) and not is_placeholder(action.address):
            assert table[action.ref].is_free
            assert table[action.ref].connections == 0


@given(some.desired(), some.observed())
def test_where_connections_leak_the_map_converges_once_they_end(
    desired: Desired, observed: Observed
) -> None:
    """With all connections gone, a release pass and an assign pass are enough."""
    rules = Rules(reuse_needs_idle=True)
    for _ in range(2):
        observed = after(observed, plan(desired, observed, rules).actions)
        idle = {
            backend: {
                name: dataclasses.replace(server, connections=0)
                for name, server in servers.items()
            }
            for backend, servers in observed.backends.items()
        }
        observed = dataclasses.replace(observed, backends=idle)

    assert plan(desired, observed, rules).actions == ()


@given(some.observed(), some.rules)
def test_a_backend_that_was_not_read_is_left_alone(
    observed: Observed, rules: Rules
) -> None:
    """Wishes for a backend outside the reading plan nothing and lose nothing."""
    partial = dataclasses.replace(observed, backends={})

    assert plan(Desired(), partial, rules).actions == ()
