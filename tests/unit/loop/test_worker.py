"""When a HAProxy is read and written: once for what changed, and never on ignorance."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.containers import container, tables as free_tables
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy

from reconciler import alarms, worker as worker_module
from reconciler.core.model import (
    Action,
    AdminState,
    Agent,
    Container,
    ServerRef,
    SetAddress,
    SetState,
    SetWeight,
)
from reconciler.status import PassReport


ONE, TWO, THREE = container(1), container(2), container(3)
SLOT1, SLOT2 = ServerRef("web", "slot1"), ServerRef("web", "slot2")


async def test_nothing_is_touched_before_docker_was_read() -> None:
    """A daemon that knows nothing yet does not even connect, and removes nobody."""
    proxy = FakeProxy()
    proxy.set(SLOT1, address="10.0.0.9", admin=AdminState.READY, is_up=True)
    async with looping(proxy, is_informed=False) as loop:
        loop.start(ONE)
        await loop.idle()
        assert (proxy.observed, proxy.batches) == ([], 0)

        loop.controller.listed()
        await loop.reporter.until_passes(1)
        assert proxy.homes() == {"10.0.0.1": "slot2"}


async def test_the_first_pass_fills_the_slots() -> None:
    """One reading, then every container ready at its own address with its weight."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)

        assert proxy.observed == [None]
        assert proxy.homes() == {"10.0.0.1": "slot1", "10.0.0.2": "slot2"}
        for name in ("slot1", "slot2"):
            slot = proxy.tables["web"][name]
            assert (slot.admin, slot.weight) == (AdminState.READY, 1)
        [first] = loop.reporter.passes
        assert (first.reason, first.outcome and first.outcome.commands) == ("start", 8)


async def test_a_newcomer_costs_no_reading_and_a_leaver_one() -> None:
    """What HAProxy has is known; but what leaves may have been changed by another hand."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        for number, one in enumerate((ONE, TWO, THREE), 2):
            loop.start(one, at=1.0)
            await loop.reporter.until_passes(number)
        loop.gone(TWO)
        await loop.reporter.until_passes(5)

        assert proxy.observed == [None]
        assert proxy.looked == [[SLOT2]]
        assert proxy.homes() == {"10.0.0.1": "slot1", "10.0.0.3": "slot3"}
        assert [one.reason for one in loop.reporter.passes] == ["start", *["event"] * 4]


async def test_an_event_of_no_backend_here_writes_nothing() -> None:
    """A container of another service wakes the worker and changes nothing."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        loop.start(container(1, labels={"haproxy.backend": "elsewhere"}), at=1.0)
        await loop.reporter.until_passes(2)

        assert proxy.batches == 0
        [left_out] = loop.controller.workers[0].all_unplaced()
        assert left_out.backend == "elsewhere"


async def test_wakeups_during_a_pass_are_one_next_pass() -> None:
    """However much happens while HAProxy is being written, it is one more pass."""
    proxy = FakeProxy(slots=30)
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        proxy.gate.clear()
        loop.start(container(1), at=1.0)
        await proxy.until(lambda: proxy.waiting == 1)
        for number in range(2, 21):
            loop.start(container(number), at=float(number))
        proxy.gate.set()
        await loop.reporter.until(lambda: len(proxy.homes()) == 20, "20 homes")
        await loop.idle()

        assert len(loop.reporter.passes) == 3
        last = loop.reporter.passes[-1]
        assert last.event_at == 2.0
        assert last.outcome is not None
        assert len(last.outcome.changes) == 19


@asynccontextmanager
async def in_a_burst(proxy: FakeProxy, *containers: Container) -> AsyncIterator[Loop]:
    """Run a loop that has placed these containers, while many more are being read."""
    async with looping(proxy, containers=containers) as loop:
        await loop.reporter.until_passes(1)
        loop.unread = 100
        yield loop


async def test_newcomers_of_a_burst_wait_for_the_rest_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While many starts are still being read: then all are one pass."""
    monkeypatch.setattr(worker_module, "GATHER_SECONDS", 30.0)
    proxy = FakeProxy()
    async with in_a_burst(proxy) as loop:
        for one in (ONE, TWO):
            loop.start(one, at=1.0)
            await loop.idle()
        assert len(loop.reporter.passes) == 1
        loop.unread = 0
        await loop.reporter.until_passes(2)

        assert sorted(proxy.homes()) == ["10.0.0.1", "10.0.0.2"]


async def test_so_many_newcomers_wait_for_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is read meanwhile would only slow down what is written."""
    monkeypatch.setattr(worker_module, "GATHER_SECONDS", 30.0)
    monkeypatch.setattr(worker_module, "GATHERED", 2)
    proxy = FakeProxy()
    async with in_a_burst(proxy) as loop:
        loop.start(ONE, at=1.0)
        await loop.idle()
        assert proxy.homes() == {}
        loop.start(TWO, at=1.0)
        await proxy.until(lambda: len(proxy.homes()) == 2)


async def test_newcomers_wait_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A burst that never ends keeps nobody out."""
    monkeypatch.setattr(worker_module, "GATHER_SECONDS", 0.01)
    monkeypatch.setattr(worker_module, "TELL_SECONDS", 0.01)
    proxy = FakeProxy()
    async with in_a_burst(proxy) as loop:
        loop.start(ONE, at=1.0)
        await loop.reporter.until_passes(2)

        assert sorted(proxy.homes()) == ["10.0.0.1"]


async def test_reports_wait_while_a_burst_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The slots first, then the words: none is lost, and they keep their order."""
    monkeypatch.setattr(worker_module, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(worker_module, "TELL_SECONDS", 30.0)
    proxy = FakeProxy()
    async with in_a_burst(proxy) as loop:
        loop.start(ONE, at=1.0)
        await proxy.until(lambda: len(proxy.homes()) == 1)
        await loop.idle()
        loop.start(TWO, at=1.0)
        await proxy.until(lambda: len(proxy.homes()) == 2)
        await loop.idle()
        assert len(loop.reporter.passes) == 1
        loop.unread = 0
        await loop.reporter.until_passes(3)

        outcomes = [report.outcome for report in loop.reporter.passes[1:]]
        told = [one.changes[0].address for one in outcomes if one is not None]
        assert told == ["10.0.0.1", "10.0.0.2"]


async def test_what_was_not_reported_yet_is_reported_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon that is stopped in a burst does not keep for itself what it did."""
    monkeypatch.setattr(worker_module, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(worker_module, "TELL_SECONDS", 30.0)
    proxy = FakeProxy()
    async with in_a_burst(proxy) as loop:
        loop.start(ONE, at=1.0)
        await proxy.until(lambda: bool(proxy.homes()))
        await loop.idle()
        assert len(loop.reporter.passes) == 1

    assert len(loop.reporter.passes) == 2


async def test_whoever_leaves_waits_for_no_burst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the newcomers that came before it are placed with it."""
    monkeypatch.setattr(worker_module, "GATHER_SECONDS", 30.0)
    monkeypatch.setattr(worker_module, "TELL_SECONDS", 0.01)
    proxy = FakeProxy()
    async with in_a_burst(proxy, ONE) as loop:
        loop.start(TWO, at=1.0)
        await loop.idle()
        loop.gone(ONE)
        await loop.reporter.until_passes(2)

        assert sorted(proxy.homes()) == ["10.0.0.2"]


async def test_a_container_that_goes_during_its_own_pass_is_released_next() -> None:
    """What came too late for a pass is not lost."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        proxy.gate.clear()
        loop.start(ONE, at=1.0)
        await proxy.until(lambda: proxy.waiting == 1)
        loop.gone(ONE)
        proxy.gate.set()
        await loop.reporter.until_passes(3)

        assert proxy.homes() == {}


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("agent", [Agent.NONE, Agent.ACTIVE])
@pytest.mark.parametrize("is_half_done", [False, True])
async def test_whatever_is_refused_the_slot_is_not_taken_for_a_hold(
    *, is_half_done: bool, agent: Agent, number: int, times: int
) -> None:
    """What HAProxy did of a slot's commands after it refused one is known for our doing.

    Of the two commands that set an address it may refuse the first alone.
    """
    proxy = FakeProxy()
    proxy.does_what_it_refuses = is_half_done
    for name, server in proxy.tables["web"].items():
        proxy.tables["web"][name] = dataclasses.replace(server, agent=agent)
    asked = 0

    def refuses(action: Action) -> bool:
        nonlocal asked
        asked += action.ref == SLOT1
        return action.ref == SLOT1 and number < asked <= number + times

    proxy.refuses = refuses
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until(
            lambda: loop.controller.workers[0].has_converged, "convergence"
        )

    for name in ("slot1", "slot2"):
        slot = proxy.tables["web"][name]
        assert (slot.admin, slot.weight) == (AdminState.READY, 1)
        assert slot.agent is agent
    assert sorted(proxy.homes()) == ["10.0.0.1", "10.0.0.2"]


async def test_a_refusal_concerns_one_slot_and_is_mended_by_the_next_pass() -> None:
    """The other slots of the pass are filled; the refused one after observing again."""
    proxy = FakeProxy()
    refusals = iter([True])
    proxy.refuses = lambda action: (
        isinstance(action, SetAddress) and action.ref == SLOT1 and next(refusals, False)
    )
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        assert proxy.homes() == {"10.0.0.2": "slot2"}
        assert proxy.tables["web"]["slot1"].admin is AdminState.MAINT
        status = loop.controller.workers[0]
        assert (status.is_reached, status.has_converged) == (True, False)
        assert status.error == "cannot change web/slot1"

        await loop.reporter.until_passes(2)
        assert proxy.observed == [None, None]
        assert sorted(proxy.homes()) == ["10.0.0.1", "10.0.0.2"]
        assert loop.controller.workers[0].has_converged
        assert loop.controller.workers[0].error is None


async def test_a_slot_that_always_refuses_delays_no_event_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Backing off from one slot's refusal ends when something else happens."""
    monkeypatch.setattr(worker_module, "FIRST_PAUSE_SECONDS", 60.0)
    monkeypatch.setattr(worker_module, "LONGEST_PAUSE_SECONDS", 60.0)
    proxy = FakeProxy()
    proxy.refuses = lambda action: (
        action.ref == SLOT1 and isinstance(action, SetAddress)
    )
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.start(TWO, at=1.0)
        await loop.reporter.until_passes(2)

        assert proxy.homes() == {"10.0.0.2": "slot2"}


@pytest.mark.parametrize("commands", range(9))
async def test_a_broken_conversation_is_observed_before_anything_else(
    commands: int,
) -> None:
    """Wherever it breaks, the next pass reads the table and does the rest, no more."""
    proxy = FakeProxy()
    proxy.break_after = commands
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until(
            lambda: loop.controller.workers[0].has_converged, "convergence"
        )

        assert len(proxy.writes) == 8
        assert proxy.homes() == {"10.0.0.1": "slot1", "10.0.0.2": "slot2"}
        assert len(proxy.observed) == len(loop.reporter.passes) == 2
        assert str(loop.reporter.passes[0].error) == "haproxy closed mid-reply"


async def test_an_ended_session_is_looked_at_at_once() -> None:
    """HAProxy restarted: its session ends, and its slots are filled without any event."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        proxy.restart()
        await loop.reporter.until_passes(2)

        assert sorted(proxy.homes()) == ["10.0.0.1", "10.0.0.2"]
        assert loop.reporter.reconnects == ["start", "the session ended"]
        assert proxy.process_asked == 0


async def test_a_replaced_process_is_noticed_on_a_session_that_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reload leaves the old worker on our session: only asking who answers tells."""
    monkeypatch.setattr(worker_module, "WATCH_SECONDS", 0.01)
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.tables = FakeProxy().tables
        proxy.replace_worker()
        await loop.reporter.until_passes(2)

        assert proxy.homes() == {"10.0.0.1": "slot1"}
        assert loop.reporter.reconnects == [
            "start",
            "the haproxy process was replaced",
        ]
        assert loop.reporter.passes[-1].reason == "the haproxy process was replaced"


async def test_a_process_that_was_replaced_is_noticed_by_whoever_leaves() -> None:
    """The look at the leaver's slot finds another process: then all is read and filled anew."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        proxy.tables = FakeProxy().tables
        proxy.replace_worker()
        loop.gone(TWO)
        await loop.reporter.until_passes(2)

        assert proxy.looked == [[SLOT2]]
        assert proxy.homes() == {"10.0.0.1": "slot1"}
        assert loop.reporter.reconnects == [
            "start",
            "the haproxy process was replaced",
        ]


async def test_what_a_look_finds_of_another_hand_is_planned_for() -> None:
    """A container that another reconciler gave a second slot loses it, however it is seen."""
    proxy = FakeProxy()
    slot3 = ServerRef("web", "slot3")
    async with looping(proxy, containers=(ONE, TWO, THREE)) as loop:
        await loop.reporter.until_passes(1)
        proxy.set(slot3, address="10.0.0.1")
        loop.gone(THREE)
        await loop.reporter.until(
            lambda: proxy.tables["web"]["slot3"].is_free, "slot3 is free"
        )

        assert proxy.homes() == {"10.0.0.1": "slot1", "10.0.0.2": "slot2"}


async def test_a_quiet_haproxy_is_only_asked_who_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between resyncs nothing is read but the process."""
    monkeypatch.setattr(worker_module, "WATCH_SECONDS", 0.005)
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        await proxy.until(lambda: proxy.process_asked >= 5)

        assert len(proxy.observed) == len(loop.reporter.passes) == 1


async def test_a_resync_repairs_what_somebody_else_did() -> None:
    """A wrong address set by hand is corrected by the next timed reading."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,), resync_seconds=0.05) as loop:
        await loop.reporter.until_passes(1)
        proxy.set(SLOT1, address="10.9.9.9")
        await loop.reporter.until(
            lambda: set(proxy.homes()) == {"10.0.0.1"}, "the repair"
        )

        assert "resync" in {one.reason for one in loop.reporter.passes}


async def test_a_resync_of_what_is_right_writes_nothing() -> None:
    """Reading again costs no command."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO), resync_seconds=0.01) as loop:
        await loop.reporter.until_passes(5)

        assert len(proxy.writes) == 8
        assert proxy.batches == 2


async def test_a_restart_when_all_is_right_costs_no_command() -> None:
    """The table is the state: a second daemon finds every slot as it should be."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
    assert proxy.is_closed
    before = dict(proxy.tables["web"])
    async with looping(proxy, containers=(TWO, ONE)) as loop:
        await loop.reporter.until_passes(1)

        outcome = loop.reporter.passes[0].outcome
        assert outcome is not None
        assert (outcome.commands, outcome.changes) == (0, ())
    assert proxy.batches == 2
    assert proxy.tables["web"] == before


async def test_an_operators_decision_is_left_alone() -> None:
    """Drain with its weight kept is theirs: events and resyncs pass it by."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,), resync_seconds=0.02) as loop:
        await loop.reporter.until_passes(1)
        proxy.set(SLOT1, admin=AdminState.DRAIN)
        loop.start(TWO, at=1.0)
        await loop.reporter.until_passes(5)

        assert proxy.tables["web"]["slot1"].admin is AdminState.DRAIN
        assert proxy.homes()["10.0.0.2"] == "slot2"


async def test_too_few_slots_is_told_and_freed_slots_are_given() -> None:
    """Nobody is evicted; who waits longest gets the first slot that frees."""
    proxy = FakeProxy(slots=2)
    everybody = tuple(container(number) for number in range(1, 5))
    async with looping(proxy, containers=everybody) as loop:
        await loop.reporter.until_passes(1)
        status = loop.controller.workers[0]
        assert [one.tenant.container for one in status.all_unplaced()] == [
            "web-3",
            "web-4",
        ]
        assert status.has_converged

        loop.gone(everybody[0])
        await loop.reporter.until_passes(2)
        assert sorted(proxy.homes()) == ["10.0.0.2", "10.0.0.3"]
        assert [one.tenant.container for one in status.all_unplaced()] == ["web-4"]

        loop.gone(*everybody)
        await loop.reporter.until_passes(3)
        assert status.all_unplaced() == []


async def test_a_busy_slot_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a slot must be idle before reuse, its connections are read until it is."""
    monkeypatch.setattr(alarms, "BUSY_PAUSE_SECONDS", 0.01)
    proxy = FakeProxy(slots=1, version="2.6.12")
    proxy.connections[SLOT1] = 2
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(3)
        assert proxy.homes() == {}
        assert proxy.writes == []
        del proxy.connections[SLOT1]
        await loop.reporter.until(lambda: bool(proxy.homes()), "a home")


async def test_where_reuse_needs_idle_an_event_looks_at_a_few_slots() -> None:
    """The connections of some free slots are read, not those of a whole backend."""
    proxy = FakeProxy(backends=("web", "api"), slots=300, version="2.6.12")
    proxy.connections[SLOT1] = 1
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        loop.start(ONE, at=1.0)
        await loop.reporter.until_passes(2)

        assert proxy.observed == [None]
        [looked] = proxy.looked
        assert len(looked) < 10
        assert {ref.backend for ref in looked} == {"web"}
        assert proxy.homes() == {"10.0.0.1": "slot2"}


async def test_where_all_of_a_few_slots_are_busy_the_backend_is_read() -> None:
    """Somewhere among many there may be an idle one."""
    proxy = FakeProxy(slots=300, version="2.6.12")
    busy = [ServerRef("web", f"slot{number}") for number in range(1, 300)]
    proxy.connections = dict.fromkeys(busy, 1)
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        loop.start(ONE, at=1.0)
        await loop.reporter.until_passes(2)

        assert proxy.observed == [None, {"web"}]
        assert proxy.homes() == {"10.0.0.1": "slot300"}


async def test_a_stalled_haproxy_delays_no_other() -> None:
    """Each HAProxy has its own worker: one that never answers costs the others nothing."""
    stuck, well = FakeProxy("unix:///stuck"), FakeProxy("unix:///well")
    stuck.gate.clear()
    async with looping(stuck, well, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.start(TWO, at=1.0)
        await loop.reporter.until_passes(2)
        assert sorted(well.homes()) == ["10.0.0.1", "10.0.0.2"]
        assert stuck.homes() == {}

        stuck.gate.set()
        await loop.reporter.until(lambda: len(stuck.homes()) == 2, "the stuck one")


async def test_a_dead_haproxy_is_tried_often_and_not_too_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pauses double, have jitter, and never exceed their bound."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    dead, well = FakeProxy("unix:///dead"), FakeProxy("unix:///well")
    dead.is_dead = True
    async with looping(dead, well, containers=(ONE,)) as loop:
        await loop.reporter.until(lambda: len(pauses) >= 12, "12 pauses")
        assert well.homes() == {"10.0.0.1": "slot1"}
        status = loop.controller.workers[0]
        assert (status.is_reached, status.error) == (
            False,
            "cannot connect: nobody listens",
        )

        dead.is_dead = False
        await loop.reporter.until(lambda: bool(dead.homes()), "recovery")

    first, longest = (
        worker_module.FIRST_PAUSE_SECONDS,
        worker_module.LONGEST_PAUSE_SECONDS,
    )
    for number, pause in enumerate(pauses[:12]):
        bound = min(longest, first * 2**number)
        assert bound / 2 <= pause <= bound


async def test_servers_that_are_no_slots_are_never_touched() -> None:
    """Whatever happens, no action names the static server."""
    proxy = FakeProxy(slots=2)
    static = proxy.tables["web"]["sorry"]
    proxy.set(ServerRef("web", "sorry"), admin=AdminState.DRAIN, weight=0)
    async with looping(proxy, containers=(ONE, TWO, THREE)) as loop:
        await loop.reporter.until_passes(1)
        loop.gone(ONE, TWO)
        await loop.reporter.until_passes(2)

    assert {action.ref.server for action in proxy.writes} == {"slot1", "slot2"}
    expected = dataclasses.replace(static, admin=AdminState.DRAIN, weight=0)
    assert proxy.tables["web"]["sorry"] == expected


async def test_weight_changes_are_one_command() -> None:
    """A container whose label changes its weight keeps its slot."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.writes.clear()
        loop.start(container(1, labels={"haproxy.weight": "7"}), at=1.0)
        await loop.reporter.until_passes(2)

        assert proxy.writes == [SetWeight(SLOT1, 7)]


async def test_a_changed_address_is_another_endpoint() -> None:
    """A container that comes back elsewhere gets a slot there; the old place is emptied."""
    proxy = FakeProxy()
    moved = dataclasses.replace(
        ONE, networks=(dataclasses.replace(ONE.networks[0], ipv4="10.0.0.50"),)
    )
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.start(moved, at=1.0)
        await loop.reporter.until_passes(2)

        assert proxy.homes() == {"10.0.0.50": "slot2"}
        assert SetState(SLOT1, AdminState.MAINT) in proxy.writes


async def test_a_partial_reading_of_another_process_is_not_mixed_with_the_old_one() -> (
    None
):
    """Where an event's own reading meets a new process, all of that process is read."""
    api = {"com.docker.compose.service": "api"}
    other = container(5, labels=api)
    proxy = FakeProxy(backends=("web", "api"), version="2.6.12")
    async with looping(proxy, containers=(ONE, other)) as loop:
        await loop.reporter.until_passes(1)
        proxy.tables = free_tables(4, backends=("web", "api"))
        proxy.replace_worker()

        loop.start(TWO, at=1.0)
        await loop.reporter.until(
            lambda: set(proxy.homes("api")) == {"10.0.0.5"},
            "the other backend refilled",
        )

    assert None in proxy.observed[1:]


async def test_the_generation_is_that_of_the_plan_that_was_applied() -> None:
    """What changes while HAProxy is written to is for the next pass to claim."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        seen: list[int] = []
        passed = loop.reporter.passed

        def remember(report: PassReport) -> None:
            seen.append(report.worker.generation)
            passed(report)

        loop.reporter.passed = remember  # type: ignore[method-assign] # a fake
        proxy.gate.clear()
        loop.start(ONE, at=1.0)
        planned_for = loop.claims.generation
        await proxy.until(lambda: proxy.waiting == 1)
        loop.start(TWO, at=2.0)
        proxy.gate.set()
        await loop.reporter.until_passes(3)

        assert seen[:2] == [planned_for, planned_for + 1]
