"""Plans for who is about to start: a slot gets the address and no traffic, and costs nobody."""

from __future__ import annotations

import dataclasses

import pytest
from tests.fakes.containers import container, free_slot
from tests.fakes.plans import kinds, planned

from reconciler.core.desired import claims_of
from reconciler.core.model import (
    AdminState,
    Container,
    Endpoint,
    Health,
    Rotation,
    Server,
    SetAddress,
    SetState,
    SetWeight,
)
from reconciler.core.placement import Context
from reconciler.core.plan import Rules


def starting(number: int = 1, **labels: str) -> Container:
    """Return a container that has its address and does not run yet."""
    one = container(number, labels={k.replace("_", "."): v for k, v in labels.items()})
    return dataclasses.replace(one, is_running=False, is_starting=True)


def prepared(number: int = 1, **changes: object) -> Server:
    """Return a slot that was given the address of container NUMBER."""
    slot = dataclasses.replace(free_slot(number), address=f"10.0.0.{number}", weight=0)
    return dataclasses.replace(slot, **changes)  # type: ignore[arg-type] # its fields


def test_a_free_slot_gets_the_address_and_stays_out() -> None:
    """One change, which sets an address and nothing in rotation."""
    found = planned(starting(), slots=[free_slot(1), free_slot(2)])

    assert kinds(found) == ["prepare"]
    assert [a for a in found.actions if isinstance(a, SetAddress)] == [
        SetAddress(free_slot(1).ref, "10.0.0.1", 8000)
    ]
    ready = [a for a in found.actions if isinstance(a, SetState)]
    assert all(a.state is AdminState.MAINT for a in ready)
    assert all(a.weight == 0 for a in found.actions if isinstance(a, SetWeight))


def test_a_prepared_slot_is_left_alone_until_the_start() -> None:
    """Nothing is left to do before it runs; then it is let in to the same slot."""
    assert planned(starting(), slots=[prepared()]).is_empty

    found = planned(container(1), slots=[prepared()])
    assert kinds(found) == ["finish"]
    assert not any(isinstance(a, SetAddress) for a in found.actions)


def test_one_that_runs_takes_a_prepared_slot_if_there_is_no_other() -> None:
    """Whoever does not run yet has to wait, and nobody hears of that."""
    found = planned(starting(1), container(2), slots=[prepared(1)])

    assert kinds(found) == ["release", "assign"]
    assert found.unplaced == ()


def test_it_gets_no_slot_that_is_not_open() -> None:
    """A full backend is no trouble: it is not missing anything yet."""
    taken = prepared(2, admin=AdminState.READY, weight=1, is_up=True)
    found = planned(starting(1), container(2), slots=[taken])

    assert found.is_empty
    assert found.unplaced == ()


def test_it_waits_where_connections_would_have_to_be_counted() -> None:
    """HAProxy 2.6 would have to be asked first whether a slot is idle."""
    slots = [dataclasses.replace(free_slot(1), connections=0)]

    assert planned(starting(), slots=slots, rules=Rules(reuse_needs_idle=True)).is_empty


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_former_life_at_its_address_is_taken_out(is_ready: bool) -> None:  # noqa: FBT001
    """A slot that is still in rotation, or drained by us, for whoever had the address."""
    state = AdminState.READY if is_ready else AdminState.DRAIN
    slot = prepared(admin=state, weight=int(is_ready), is_up=True)
    found = planned(starting(), slots=[slot])

    assert SetState(slot.ref, AdminState.MAINT) in found.phases[0]


@pytest.mark.parametrize("state", [AdminState.DRAIN, AdminState.MAINT])
def test_an_operators_hold_is_respected(state: AdminState) -> None:
    """A weight above 0 says whose decision it was."""
    assert planned(starting(), slots=[prepared(admin=state, weight=1)]).is_empty


def test_whoever_runs_has_an_address_before_whoever_is_about_to() -> None:
    """However old the latter is: two containers with one address by their labels."""
    runs = dataclasses.replace(
        container(2, labels={"haproxy.address": "10.9.9.9"}), created=50.0
    )
    older = dataclasses.replace(starting(1, haproxy_address="10.9.9.9"), created=1.0)
    found = planned(older, runs, slots=[free_slot(1), free_slot(2)])

    assert [(c.kind, c.tenant and c.tenant.container) for c in found.changes] == [
        ("assign", "web-2")
    ]


def test_it_claims_what_it_will_have_and_misses_nothing() -> None:
    """An endpoint that is about to start, or nothing: no reason is given for that."""
    [claim] = claims_of(starting(), Context())
    assert isinstance(claim.outcome, Endpoint)
    assert claim.outcome.rotation is Rotation.START

    assert claims_of(starting(haproxy_port="none"), Context()) == ()
    sick = dataclasses.replace(starting(), health=Health.STARTING)
    assert claims_of(sick, Context()) == ()
