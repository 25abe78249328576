"""A slot that was prepared: what is written before the start and at it, and what is told."""

from __future__ import annotations

import dataclasses
import logging
import time

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy

from reconciler.core.model import (
    AdminState,
    ConfirmAddress,
    ServerRef,
    SetAddress,
)


ONE, TWO = container(1), container(2)
STARTING = dataclasses.replace(ONE, is_running=False, is_starting=True)
SLOT1 = ServerRef("web", "slot1")


async def prepared(loop: Loop) -> None:
    """Let a container have its address, and wait until its slot has it, too."""
    await loop.reporter.until_passes(1)
    loop.start(STARTING, at=None)
    await loop.reporter.until_passes(2)


async def test_the_address_is_written_before_the_start_and_the_rest_at_it() -> None:
    """In maint with weight 0 until then; at the start the address is not written again."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await prepared(loop)
        slot = proxy.tables["web"]["slot1"]
        assert (slot.address, slot.admin, slot.weight) == (
            "10.0.0.1",
            AdminState.MAINT,
            0,
        )

        loop.start(ONE, at=1.0)
        await loop.reporter.until_passes(3)
        slot = proxy.tables["web"]["slot1"]
        assert (slot.address, slot.admin, slot.weight) == (
            "10.0.0.1",
            AdminState.READY,
            1,
        )
        outcome = loop.reporter.passes[-1].outcome
        assert outcome is not None
        assert not any(isinstance(a, SetAddress) for a in outcome.plan.actions)


async def test_at_the_start_it_is_looked_at_once() -> None:
    """HAProxy reports the address while the plan is made, and is not asked for it again."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await prepared(loop)
        looked, batches = len(proxy.looked), proxy.batches
        loop.start(ONE, at=1.0)
        await loop.reporter.until_passes(3)

        [seen] = proxy.looked[looked:]
        assert list(seen) == [SLOT1]
        assert proxy.batches == batches + 1
        outcome = loop.reporter.passes[-1].outcome
        assert outcome is not None
        assert not any(isinstance(a, ConfirmAddress) for a in outcome.plan.actions)


async def test_it_is_told_when_it_starts(caplog: pytest.LogCaptureFixture) -> None:
    """As the assignment that it is, with the latency of the start; before, at debug only."""
    caplog.set_level(logging.INFO, logger="reconciler")
    async with looping(FakeProxy()) as loop:
        await prepared(loop)
        assert [one.kind for one in loop.journal.entries() if one.slot] == []
        assert not any("web-1" in record.message for record in caplog.records)

        loop.start(ONE, at=time.time())
        await loop.reporter.until_passes(3)
        [entry] = [one for one in loop.journal.entries() if one.slot]
        assert (entry.kind, entry.slot) == ("assign", "slot1")
        assert entry.latency_ms is not None
        assert any(
            record.message == "assigned web-1 (10.0.0.1:8000) to web/slot1"
            for record in caplog.records
        )


async def test_whoever_runs_comes_first() -> None:
    """With one slot: it was prepared for one, and another runs before that."""
    proxy = FakeProxy(slots=1)
    async with looping(proxy) as loop:
        await prepared(loop)
        loop.start(TWO, at=1.0)
        await loop.reporter.until(
            lambda: proxy.homes() == {"10.0.0.2": "slot1"}, "it has the slot"
        )

        loop.start(ONE, at=2.0)
        await loop.reporter.until(
            lambda: bool(loop.workers[0].status.all_unplaced()), "it is missing one"
        )
        loop.gone(TWO)
        await loop.reporter.until(
            lambda: proxy.homes() == {"10.0.0.1": "slot1"}, "it has the slot"
        )


async def test_whoever_does_not_start_leaves_a_free_slot() -> None:
    """Its slot is released like any other."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await prepared(loop)
        loop.gone(STARTING, at=None)
        await loop.reporter.until_passes(3)

        assert proxy.tables["web"]["slot1"].is_free


@pytest.mark.parametrize("address", ["10.0.0.77", "127.255.255.254"])
async def test_another_hand_that_took_the_slot_is_found_out_at_the_start(
    address: str,
) -> None:
    """The slot is looked at once more: nothing is ready at an address that nobody proved."""
    proxy = FakeProxy()
    async with looping(proxy) as loop:
        await prepared(loop)
        proxy.set(SLOT1, address=address)
        loop.start(ONE, at=1.0)
        await loop.reporter.until(
            lambda: proxy.homes().get("10.0.0.1") is not None, "it has a slot"
        )

        slots = proxy.tables["web"].values()
        wrong = [one for one in slots if one.address == address]
        assert all(one.admin is not AdminState.READY for one in wrong)


async def test_a_daemon_that_begins_between_the_two_undoes_or_finishes_it() -> None:
    """What another life has prepared is an assignment that was not finished."""
    proxy = FakeProxy()
    proxy.set(SLOT1, address="10.0.0.1", weight=0)
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        assert proxy.homes() == {"10.0.0.1": "slot1"}

    proxy = FakeProxy()
    proxy.set(SLOT1, address="10.0.0.1", weight=0)
    async with looping(proxy) as loop:
        await loop.reporter.until_passes(1)
        assert proxy.tables["web"]["slot1"].is_free
