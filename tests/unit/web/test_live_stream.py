"""What the page is sent: the whole map, then what changes, at once and to all."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import looping
from tests.fakes.proxy import FakeProxy
from tests.unit.web.conftest import reading, serving

from reconciler.core.model import AdminState, ServerRef
from reconciler.core.view import Reading
from reconciler.web import live as live_module
from reconciler.web.statistics import Statistics


ONE, TWO = container(1), container(2)
SLOT1 = ServerRef("web", "slot1")


async def test_the_whole_map_comes_first() -> None:
    """Rows, HAProxy, Docker, who has no slot, what happened: then it is said to be whole."""
    async with looping(FakeProxy(slots=1), containers=(ONE, TWO)) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop) as client, reading(client) as reader:
            await reader.until_whole()

    assert reader.names == ["map", "change", "whole"]
    row = reader.tables["rows"]["0/web/slot1"]
    assert (row["state"], row["container"], row["address"]) == (
        "ready",
        "web-1",
        "10.0.0.1",
    )
    haproxy = reader.tables["haproxies"]["0"]
    assert (haproxy["haproxy"], haproxy["reached"]) == ("unix:///fake", True)
    assert reader.tables["docker"]["docker"]["followed"] is True
    [left_out] = reader.tables["unplaced"].values()
    assert left_out["container"] == "web-2"
    kinds = {entry["kind"] for entry in reader.entries}
    assert {"assign", "unplaced", "haproxy_reached"} <= kinds


async def test_a_change_is_sent_at_once() -> None:
    """Long before the next look by the clock, with its entry, and nothing else."""
    async with looping(FakeProxy()) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop) as client, reading(client) as reader:
            await reader.until_whole()
            began = time.monotonic()
            loop.start(ONE, at=time.time())
            told = await reader.take()
            while "rows" not in told:
                told = await reader.take()

    assert time.monotonic() - began < live_module.LOOK_SECONDS / 2
    assert list(told["rows"]["set"]) == ["0/web/slot1"]
    assert [entry["kind"] for entry in told["entries"]] == ["assign"]


async def test_what_no_pass_tells_is_sent_within_a_look() -> None:
    """Docker lost, a HAProxy gone: also where nothing of the map changes."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop) as client, reading(client) as reader:
            await reader.until_whole()
            loop.controller.engine_lost("docker at x cannot be reached")
            await reader.until(
                "docker",
                "docker",
                followed=False,
                error="docker at x cannot be reached",
            )
            proxy.is_dead = True
            proxy.end_session()
            await reader.until("haproxies", "0", reached=False)


async def test_slots_that_go_are_told() -> None:
    """HAProxy was restarted with fewer slots."""
    proxy = FakeProxy(slots=3)
    async with looping(proxy, resync_seconds=0.05) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop) as client, reading(client) as reader:
            await reader.until_whole()
            assert len(reader.tables["rows"]) == 3
            del proxy.tables["web"]["slot3"]
            async with asyncio.timeout(5):
                while "0/web/slot3" in reader.tables["rows"]:
                    await reader.take()


async def test_statistics_reach_the_page() -> None:
    """Sessions, requests and the check, and what they say of the state."""
    eye = FakeProxy()
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop, eyes=[eye]) as client, reading(client) as reader:
            await reader.until_whole()
            eye.statistics[SLOT1] = Reading(
                sessions=3, check="L4OK", requests_per_second=9, is_up=True
            )
            await reader.until(
                "rows", "0/web/slot1", sessions=3, check="L4OK", requests_per_second=9
            )


async def test_a_former_tenants_figures_are_not_the_new_ones() -> None:
    """What was read before a slot got its tenant is not shown with it."""
    eye = FakeProxy()
    eye.statistics[SLOT1] = Reading(sessions=5)
    async with looping(FakeProxy(), containers=()) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop, eyes=[eye]) as client, reading(client) as reader:
            await reader.until_whole()
            await reader.until("rows", "0/web/slot1", sessions=5)
            eye.gate.clear()
            loop.start(ONE)
            await reader.until("rows", "0/web/slot1", state="ready", sessions=None)
            eye.gate.set()
            await reader.until("rows", "0/web/slot1", state="ready", sessions=5)


async def test_a_hold_by_hand_is_shown() -> None:
    """Once the table was read again."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,), resync_seconds=0.05) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop) as client, reading(client) as reader:
            await reader.until_whole()
            proxy.set(SLOT1, admin=AdminState.DRAIN)
            await reader.until("rows", "0/web/slot1", state="drain", held=True)


async def test_a_reader_that_falls_behind_gets_the_whole_map_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not waited for, and nothing is kept for it but the last looks."""
    monkeypatch.setattr(live_module, "RING", 2)
    async with looping(FakeProxy(slots=9)) as loop:
        await loop.reporter.until_passes(1)
        following = live_module.Live(
            loop.controller, loop.journal, Statistics()
        ).follow()
        seen = [await anext(following) for _ in range(3)]
        assert b"event: whole" in seen[-1][0]
        for number in range(1, 6):
            passes = len(loop.reporter.passes)
            loop.start(container(number))
            await loop.reporter.until_passes(passes + 1)
            await asyncio.sleep(2 * live_module.SOONEST_SECONDS)  # a look each
        again = await anext(following)
        await following.aclose()

    assert again[0].startswith(b"event: map\n")


async def test_nobody_looks_where_nobody_reads() -> None:
    """Statistics are read while a page is open, and not before or after."""
    eye = FakeProxy()
    async with looping(FakeProxy()) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop, eyes=[eye]) as client:
            assert eye.readings_asked == 0
            async with reading(client) as reader:
                await reader.until_whole()
                await eye.until(lambda: eye.readings_asked > 0)
        assert eye.is_closed
