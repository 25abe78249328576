"""Drains: planned from a fresh reading, timed, and looked at again while somebody waits."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy

from reconciler import alarms, worker as worker_module
from reconciler.core.model import (
    AdminState,
    Cause,
    Container,
    Health,
    ServerRef,
    SetState,
    ShutdownSessions,
)
from reconciler.core.touched import Touched


ONE, TWO, THREE = container(1), container(2), container(3)
SLOT1, SLOT2 = ServerRef("web", "slot1"), ServerRef("web", "slot2")
QUIET_SECONDS = 0.5
"""Longer than the proof reading after a change takes to come."""


def stopping(one: Container) -> Container:
    """Return a container after its stop signal."""
    return dataclasses.replace(one, is_stopping=True)


def sick(one: Container) -> Container:
    """Return a container whose HEALTHCHECK fails."""
    return dataclasses.replace(one, health=Health.UNHEALTHY)


async def until(loop: Loop, proxy: FakeProxy, admin: AdminState, weight: int) -> None:
    """Return once the first slot is in that state."""
    await loop.reporter.until(
        lambda: (
            (proxy.tables["web"]["slot1"].admin, proxy.tables["web"]["slot1"].weight)
            == (admin, weight)
        ),
        f"slot1 in {admin}",
    )


@pytest.mark.parametrize("leave", [stopping, sick], ids=["stop", "unhealthy"])
async def test_out_and_back_in_the_same_slot(
    leave: Callable[[Container], Container],
) -> None:
    """A stop that is outlived, or a HEALTHCHECK that recovers, costs the slot nothing."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.start(leave(ONE), at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        loop.start(ONE, at=2.0)
        await until(loop, proxy, AdminState.READY, 1)

        assert proxy.homes() == {"10.0.0.1": "slot1"}


@pytest.mark.parametrize(
    ("leave", "admin"),
    [
        pytest.param(stopping, AdminState.MAINT, id="stop"),
        pytest.param(sick, AdminState.MAINT, id="unhealthy"),
        pytest.param(sick, AdminState.DRAIN, id="unhealthy-in-drain"),
    ],
)
async def test_a_hold_made_behind_our_back_survives(
    leave: Callable[[Container], Container], admin: AdminState
) -> None:
    """What takes a slot out is planned from this moment: a kept weight is an operator's."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.set(SLOT1, admin=admin)
        proxy.writes.clear()
        loop.start(leave(ONE), at=1.0)
        await loop.reporter.until_passes(2)
        loop.start(ONE, at=2.0)
        await loop.reporter.until_passes(3)

        assert proxy.writes == []
        held = proxy.tables["web"]["slot1"]
        assert (held.admin, held.weight) == (admin, 1)


async def test_a_hold_made_while_it_was_drained_survives() -> None:
    """An operator who takes over our drain (its weight is back) keeps it afterwards."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        loop.start(sick(ONE), at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        proxy.set(SLOT1, weight=1)
        proxy.writes.clear()
        loop.start(ONE, at=2.0)
        await loop.reporter.until_passes(3)

        assert proxy.writes == []


async def test_what_another_writer_overwrote_is_repaired_soon() -> None:
    """A quarter of a second after a change it is read again, and planned again."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        began = asyncio.get_running_loop().time()
        proxy.set(SLOT1, address="10.9.9.9")
        await loop.reporter.until(
            lambda: set(proxy.homes()) == {"10.0.0.1"}, "the repair"
        )

        assert asyncio.get_running_loop().time() - began < 2
        assert proxy.observed[1] == frozenset({"web"})
        assert loop.reporter.passes[1].reason == "alarm"


async def test_only_what_was_changed_is_read_again() -> None:
    """A proof reads the backends concerned, and no other."""
    proxy = FakeProxy(backends=("web", "api"))
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(2)

        assert proxy.observed == [None, frozenset({"web"})]


async def test_a_busy_slot_is_taken_when_its_sessions_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who waits is placed long before the drain time is over, on any version."""
    monkeypatch.setattr(alarms, "BUSY_PAUSE_SECONDS", 0.01)
    proxy = FakeProxy(slots=1)
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.connections[SLOT1] = 2
        loop.start(stopping(ONE), TWO, at=1.0)
        await loop.reporter.until_passes(2)
        [waiting] = loop.controller.workers[0].all_unplaced()
        assert (waiting.tenant.container, waiting.cause) == ("web-2", Cause.SLOT_BUSY)
        assert proxy.homes() == {"10.0.0.1": "slot1"}
        await asyncio.sleep(QUIET_SECONDS)  # the proof reading is over, too
        assert proxy.homes() == {"10.0.0.1": "slot1"}

        del proxy.connections[SLOT1]
        await loop.reporter.until(
            lambda: proxy.homes() == {"10.0.0.2": "slot1"}, "web-2 placed"
        )
        assert [one.cause for one in loop.controller.workers[0].all_unplaced()] == [
            Cause.STOPPING
        ]


async def test_a_slot_whose_tenant_ended_waits_for_its_slow_clients() -> None:
    """Freed with sessions left, it is nobody's until they end."""
    proxy = FakeProxy(slots=1)
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.connections[SLOT1] = 1
        loop.gone(ONE)
        loop.start(TWO, at=1.0)
        await loop.reporter.until(
            lambda: proxy.tables["web"]["slot1"].is_free, "the release"
        )
        assert [one.cause for one in loop.controller.workers[0].all_unplaced()] == [
            Cause.SLOT_BUSY
        ]

        del proxy.connections[SLOT1]
        await loop.reporter.until(
            lambda: proxy.homes() == {"10.0.0.2": "slot1"}, "web-2 placed"
        )


async def test_the_drain_time_has_an_end() -> None:
    """With sessions that never end, who waits gets the slot when the time is over."""
    proxy = FakeProxy(slots=1)
    async with looping(proxy, containers=(ONE,), drain_seconds=1.0) as loop:
        await loop.reporter.until_passes(1)
        proxy.connections[SLOT1] = 1
        loop.start(stopping(ONE), TWO, at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        began = asyncio.get_running_loop().time()
        await loop.reporter.until(
            lambda: proxy.homes() == {"10.0.0.2": "slot1"}, "web-2 placed"
        )

        assert 0.9 <= asyncio.get_running_loop().time() - began < 3


async def test_sessions_are_shut_down_when_the_drain_time_is_over() -> None:
    """Where the label asks for it: at that moment, by a timer of the worker's own."""
    labels = {"haproxy.drain": "1", "haproxy.drain-shutdown": "true"}
    one = container(1, labels=labels)
    proxy = FakeProxy()
    async with looping(proxy, containers=(one, TWO)) as loop:
        await loop.reporter.until_passes(1)
        proxy.connections |= {SLOT1: 3, SLOT2: 3}
        loop.start(stopping(one), stopping(TWO), at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        began = asyncio.get_running_loop().time()
        await loop.reporter.until(
            lambda: ShutdownSessions(SLOT1) in proxy.writes, "the shutdown"
        )

        assert 0.9 <= asyncio.get_running_loop().time() - began < 2
        assert proxy.homes() == {"10.0.0.1": "slot1", "10.0.0.2": "slot2"}
        assert ShutdownSessions(SLOT2) not in proxy.writes


async def test_alarms_ring_in_a_storm_of_events() -> None:
    """Wakeups that come with every pass do not keep a timer from being heard."""
    labels = {"haproxy.drain": "1", "haproxy.drain-shutdown": "true"}
    one = container(1, labels=labels)
    proxy = FakeProxy(backends=("web", "api"))
    async with looping(proxy, containers=(one,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.connections[SLOT1] = 3
        loop.start(stopping(one), at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        worker = loop.workers[0]

        async def storm() -> None:
            while True:
                worker.wake(Touched({"api": {}}), at=None)
                await asyncio.sleep(0)

        blowing = asyncio.create_task(storm())
        try:
            await loop.reporter.until(
                lambda: ShutdownSessions(SLOT1) in proxy.writes, "the shutdown"
            )
        finally:
            blowing.cancel()


async def test_a_worker_at_rest_reads_nothing_but_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the proof of its last change no timer is left, drained slots or not."""
    monkeypatch.setattr(worker_module, "WATCH_SECONDS", 0.02)
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        loop.start(sick(ONE), at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        await asyncio.sleep(QUIET_SECONDS)
        reads, passes, asked = (
            len(proxy.observed),
            len(loop.reporter.passes),
            proxy.process_asked,
        )
        await proxy.until(lambda: proxy.process_asked >= asked + 20)

        assert (len(proxy.observed), len(loop.reporter.passes)) == (reads, passes)
        assert proxy.counted == []


async def test_while_somebody_waits_a_replaced_process_is_noticed() -> None:
    """Looking at a busy slot again and again is no reason not to look who answers."""
    proxy = FakeProxy(slots=1)
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        proxy.connections[SLOT1] = 2
        loop.start(stopping(ONE), TWO, at=1.0)
        await until(loop, proxy, AdminState.MAINT, 0)
        await asyncio.sleep(QUIET_SECONDS)
        proxy.tables = FakeProxy(slots=1).tables
        proxy.connections.clear()
        proxy.replace_worker()

        await loop.reporter.until(
            lambda: proxy.homes() == {"10.0.0.2": "slot1"}, "web-2 placed"
        )
        assert SetState(SLOT1, AdminState.READY) in proxy.writes
