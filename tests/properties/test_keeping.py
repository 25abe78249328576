"""Who keeps a slot that nobody asks for: never more is let go than the limit says."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from hypothesis import assume, given, strategies as st
from tests.properties.strategies import tenant
from tests.properties.test_plan import NOW, after, homes, writes

from reconciler.core.model import (
    LET_GO_ADDRESS,
    AdminState,
    Agent,
    Desired,
    Endpoint,
    KeptFor,
    Observed,
    Plan,
    Process,
    Resident,
    Rotation,
    Server,
    ServerRef,
)
from reconciler.core.plan import Rules, plan as planned_at


class Wish(enum.Enum):
    """What has become of a container that has a slot."""

    STAYS = "stays"
    MOVED = "moved"
    UNCLEAR = "unclear"
    NOT_ASKED_FOR = "not asked for"
    GONE = "gone"


COUNT = 8
LIMITS = (0.0, 0.25, 0.5, 1.0)


def endpoint(number: int, *, is_moved: bool = False, **more: object) -> Endpoint:
    """Return a container of backend web at its old address, or at its new one."""
    one = Endpoint(
        backend="web",
        address=f"10.{int(is_moved)}.0.{number}",
        port=80,
        tenant=tenant(number),
        since=float(number),
    )
    return dataclasses.replace(one, **more)  # type: ignore[arg-type] # its fields


def slot(number: int, address: str | None, agent: Agent = Agent.NONE) -> Server:
    """Return a slot in rotation at an address, or a free one."""
    return Server(
        ref=ServerRef("web", f"slot{number}"),
        backend_id=1,
        server_id=number,
        address=address or "127.255.255.1",
        port=80,
        admin=AdminState.READY if address else AdminState.MAINT,
        is_up=address is not None,
        weight=1,
        initial_weight=1,
        has_check=False,
        agent=agent,
    )


class Living:
    """Residents by their old addresses."""

    def __init__(self, found: Mapping[str, Resident]) -> None:
        self._found = found

    def at(self, backend: str, address: str, port: int) -> Resident | None:
        """Return who lives there."""
        del backend, port
        return self._found.get(address)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Desired, Observed, dict[int, Wish]]:
    """A backend in which all was well, and what has become of each tenant since."""
    wishes = {n: draw(st.sampled_from(Wish)) for n in range(1, COUNT + 1)}
    asked, residents = [], {}
    for number, wish in wishes.items():
        rotation = draw(
            st.sampled_from((Rotation.READY,) * 4 + (Rotation.STOP, Rotation.DRAIN))
        )
        if wish in {Wish.STAYS, Wish.MOVED}:
            is_moved = wish is Wish.MOVED
            asked.append(endpoint(number, is_moved=is_moved, rotation=rotation))
        if wish not in {Wish.STAYS, Wish.GONE}:
            there = endpoint(number, rotation=rotation)
            residents[there.address] = Resident(
                endpoint=there,
                is_unclear=wish is Wish.UNCLEAR,
                has_moved=wish is Wish.MOVED,
                why=wish.value,
                mend="",
            )
    asked += [
        endpoint(n) for n in range(COUNT + 1, COUNT + 1 + draw(st.integers(0, 3)))
    ]
    agent = draw(st.sampled_from((Agent.NONE, Agent.NONE, Agent.ACTIVE)))
    slots = [slot(n, endpoint(n).address, agent) for n in wishes]
    slots += [slot(COUNT + 1 + n, None, agent) for n in range(draw(st.integers(0, 10)))]
    table = {one.ref.server: one for one in slots}
    process = Process(version="3.0.11", pid=1, start_time=0, is_stopping=False)
    observed = Observed(
        process=process, backends={"web": table}, template_ports={"web": 80}
    )
    desired = Desired(endpoints={"web": tuple(asked)}, residents=Living(residents))
    return desired, observed, wishes


limits = st.sampled_from(LIMITS)


def plan(desired: Desired, observed: Observed, limit: float) -> Plan:
    """Return the plan of now."""
    return planned_at(desired, observed, Rules(max_release=limit), now=NOW)


def has_room(world: tuple[Desired, Observed, dict[int, Wish]]) -> bool:
    """Whether nobody has to take the slot of one who was let go."""
    desired, observed, _ = world
    coming = [e for e in desired.all_endpoints() if not homes(observed, e)]
    return sum(server.is_free for server in observed.servers()) >= len(coming)


def lost(result: Observed, desired: Desired) -> list[int]:
    """Return who was in rotation, still runs, and has no slot in it any more."""
    asked = {one.tenant.container_id: one for one in desired.all_endpoints()}
    found = []
    for number in range(1, COUNT + 1):
        here = homes(result, endpoint(number))
        moved = asked.get(tenant(number).container_id)
        there = homes(result, moved) if moved else []
        if not any(one.admin is AdminState.READY for one in (*here, *there)):
            found.append(number)
    return found


@given(worlds(), limits)
def test_whatever_became_unclear_stays(
    world: tuple[Desired, Observed, dict[int, Wish]], limit: float
) -> None:
    """In its slot, in rotation if its rotation is ready, and told of."""
    desired, observed, wishes = world
    planned = plan(desired, observed, limit)
    result = after(observed, planned.actions)

    taken = {change.ref for change in planned.changes if change.kind == "assign"}
    kept = {one.ref for one in planned.kept if one.cause is KeptFor.UNCLEAR}
    for number, wish in wishes.items():
        ref = ServerRef("web", f"slot{number}")
        if wish is Wish.UNCLEAR and ref not in taken:
            assert [one.ref for one in homes(result, endpoint(number))] == [ref]
            assert ref in kept


@given(worlds(), limits)
def test_no_more_is_let_go_than_the_limit(
    world: tuple[Desired, Observed, dict[int, Wish]], limit: float
) -> None:
    """Of whoever runs, is healthy and is not asked for, however often it is planned."""
    desired, observed, wishes = world
    result = observed
    for _ in range(4):
        result = after(result, plan(desired, result, limit).actions)

    healthy = {
        number
        for number in wishes
        if (one := desired.residents.at("web", f"10.0.0.{number}", 80))
        and one.endpoint.rotation is Rotation.READY
    }
    let_go = [
        number
        for number in healthy
        if wishes[number] in {Wish.NOT_ASKED_FOR, Wish.MOVED}
        and not homes(result, endpoint(number))
    ]
    running = [
        server
        for server in result.servers()
        if server.admin is AdminState.READY or server.address == LET_GO_ADDRESS
    ]
    assert len(let_go) <= limit * len(running)


@given(worlds(), limits)
def test_who_moves_has_another_slot_in_the_same_plan(
    world: tuple[Desired, Observed, dict[int, Wish]], limit: float
) -> None:
    """Nobody moves to nowhere."""
    desired, observed, wishes = world
    result = after(observed, plan(desired, observed, limit).actions)

    without = set(lost(result, desired))
    for number, wish in wishes.items():
        resident = desired.residents.at("web", f"10.0.0.{number}", 80)
        is_ready = resident and resident.endpoint.rotation is Rotation.READY
        if wish is Wish.MOVED and is_ready:
            assert number not in without


@given(worlds(), limits)
def test_one_plan_is_enough(
    world: tuple[Desired, Observed, dict[int, Wish]], limit: float
) -> None:
    """Planning again over its result gives the empty plan, and keeps the same.

    Where there is room: else the next one has the slots that were let go to give.
    """
    assume(has_room(world))
    desired, observed, _ = world
    first = plan(desired, observed, limit)
    again = plan(desired, after(observed, first.actions), limit)

    assert again.actions == ()
    assert {one.ref for one in again.kept} == {one.ref for one in first.kept}


@given(worlds(), limits)
def test_a_crash_lets_go_of_nobody_else(
    world: tuple[Desired, Observed, dict[int, Wish]], limit: float
) -> None:
    """Stopped after any command, the next plan is the rest: what was let go counts."""
    assume(has_room(world))
    desired, observed, _ = world
    actions = plan(desired, observed, limit).actions

    for done in range(len(actions) + 1):
        rest = plan(desired, after(observed, actions[:done]), limit).actions
        expected = sorted(map(repr, writes(actions[done:])))
        assert sorted(map(repr, writes(rest))) == expected


@given(worlds())
def test_without_a_limit_all_goes_at_once(
    world: tuple[Desired, Observed, dict[int, Wish]],
) -> None:
    """What is not asked for is released, as every version before did."""
    desired, observed, wishes = world
    planned = plan(desired, observed, 1.0)

    result = after(observed, planned.actions)
    for number, wish in wishes.items():
        resident = desired.residents.at("web", f"10.0.0.{number}", 80)
        is_stopped = resident and resident.endpoint.rotation is Rotation.STOP
        if wish is Wish.NOT_ASKED_FOR and not is_stopped:
            assert homes(result, endpoint(number)) == []
