"""When HAProxy's statistics are read, and what happens where they cannot be."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import looping
from tests.fakes.proxy import FakeProxy
from tests.unit.web.conftest import serving

from reconciler.core.model import ServerRef
from reconciler.core.view import Reading
from reconciler.web import statistics as module
from reconciler.web.statistics import Statistics


ONE = container(1)
SLOT1 = ServerRef("web", "slot1")
BUSY = Reading(sessions=4, check="L4OK", requests_per_second=2, is_up=True)


async def test_slots_have_statistics() -> None:
    """``/api/slots`` asks HAProxy for them, and tells how long a slot has been so."""
    eye = FakeProxy()
    eye.statistics[SLOT1] = BUSY
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        async with (
            serving(loop, eyes=[eye]) as client,
            client.get("/api/slots") as answer,
        ):
            row = (await answer.json())["slots"][0]

    assert (row["sessions"], row["check"], row["requests_per_second"]) == (4, "L4OK", 2)
    assert row["age_seconds"] == 0


async def test_a_stalled_haproxy_has_none_and_delays_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its slots are shown without; the answer comes in time, the other's are there."""
    monkeypatch.setattr("reconciler.web.slots.WAIT_SECONDS", 0.1)
    stalled, well = FakeProxy("unix:///one"), FakeProxy("unix:///two")
    stalled.gate.clear()
    well.statistics[SLOT1] = BUSY
    loops = [FakeProxy("unix:///one"), FakeProxy("unix:///two")]
    async with looping(*loops, containers=(ONE,)) as loop:
        await loop.reporter.until_passes(2)
        async with serving(loop, eyes=[stalled, well]) as client:
            began = time.monotonic()
            async with client.get("/api/slots") as answer:
                rows = (await answer.json())["slots"]
            took = time.monotonic() - began

    sessions = {
        row["haproxy"]: row["sessions"] for row in rows if row["slot"] == "slot1"
    }
    assert sessions == {"unix:///one": None, "unix:///two": 4}
    assert took < 2


async def test_many_who_ask_at_once_are_one_reading() -> None:
    """However many look, HAProxy is asked once."""
    eye = FakeProxy()
    async with looping(FakeProxy(), containers=(ONE,)) as loop:
        await loop.reporter.until_passes(1)
        async with serving(loop, eyes=[eye]) as client:
            answers = await asyncio.gather(
                *(client.get("/api/slots") for _ in range(20))
            )
            for answer in answers:
                answer.close()

    assert eye.readings_asked == 1


async def test_it_is_read_for_a_small_part_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reading that took long is followed by a pause that is as much longer."""
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.01)
    monkeypatch.setattr(module, "SOONEST_SECONDS", 0.0)
    eye = FakeProxy()
    statistics = Statistics([eye])
    async with statistics.looking():
        eye.gate.clear()
        await eye.until(lambda: eye.waiting == 1)
        began = time.monotonic()
        await asyncio.sleep(0.02)
        took = time.monotonic() - began
        eye.gate.set()
        await statistics.news.wait()
        done = time.monotonic()
        statistics.hurry()
        await eye.until(lambda: eye.readings_asked == 2)
        pause = time.monotonic() - done
    await statistics.aclose()

    assert pause >= 0.9 * took / module.MOST_SHARE


async def test_a_dead_haproxy_is_asked_again() -> None:
    """Its statistics are gone while it is, and come back with it."""
    eye = FakeProxy()
    eye.is_dead = True
    statistics = Statistics([eye])
    assert await statistics.recent(within_seconds=0.05) == {}
    eye.is_dead = False
    eye.statistics[SLOT1] = BUSY
    found = await statistics.recent(within_seconds=5)
    await statistics.aclose()

    assert found == {eye.name: {SLOT1: BUSY}}
