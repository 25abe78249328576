"""Two reconcilers on the same engine and the same HAProxy: a rolling update of our own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

import pytest
from tests.integration.daemon.conftest import (
    WEB,
    Row,
    ready,
    ready_addresses,
    running,
    table,
    two_daemons,
    until_placed,
)
from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess


pytestmark = pytest.mark.integration

CONVERGED_SECONDS = 2.0
QUIET_SECONDS = 1.5
POLL_SECONDS = 0.01


def scale(engine: ScriptedEngine, count: int, *, prefix: str) -> None:
    """Run new containers, or stop the youngest, until ``count`` run."""
    alive = [one for one in engine.containers if one.state == "running"]
    for one in alive[: max(0, len(alive) - count)]:
        engine.stop(one)
    engine.run_many(max(0, count - len(alive)), prefix=prefix, labels=WEB)


async def assert_converges(haproxy: HaproxyProcess, engine: ScriptedEngine) -> None:
    """Soon exactly the running containers are ready, each in one slot, and it stays so.

    Who is the second to fill a slot may take it out for a moment, and a container may have
    two slots until the later reading, a quarter of a second after: all that counts is when
    the last change was.
    """
    began = changed = time.monotonic()
    before = table(haproxy)
    while time.monotonic() - changed < QUIET_SECONDS:
        await asyncio.sleep(POLL_SECONDS)
        now = table(haproxy)
        if now != before:
            before, changed = now, time.monotonic()
        assert changed - began < CONVERGED_SECONDS
    assert sorted(occupied(before)) == ready_addresses(haproxy) == running(engine)


def occupied(rows: dict[str, Row]) -> list[str]:
    """Return the address of every slot that is not free, as often as it is there."""
    return [
        row.address
        for name, row in rows.items()
        if name.startswith("slot") and not row.address.startswith("127.255.255.")
    ]


async def watch_stayers(
    haproxy: HaproxyProcess, addresses: Collection[str], stop: asyncio.Event
) -> list[str]:
    """Return what was missing from rotation at any look, until told to stop."""
    missing: list[str] = []
    while not stop.is_set():
        missing += set(addresses) - set(ready_addresses(haproxy))
        await asyncio.sleep(POLL_SECONDS)
    return missing


async def test_both_keep_one_map(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Bursts of 0, 20, 5, 15 containers with two at once: one slot each, and then quiet."""
    async with two_daemons(haproxy3, engine) as (first, second):
        for number, count in enumerate((20, 5, 15)):
            scale(engine, count, prefix=f"burst{number}")
            await until_placed(haproxy3, engine, first)
        await assert_converges(haproxy3, engine)
        await asyncio.gather(first.wait_ready(), second.wait_ready())
        # Both had a hand in it, or this test shows nothing.
        assert all(
            any("assigned " in line for line in daemon.log)
            for daemon in (first, second)
        )


async def test_a_rolling_update_of_the_reconciler(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The second starts and the first ends in the middle of a burst; nobody who stays leaves."""
    scale(engine, 8, prefix="early")
    stayers = running(engine)
    stop, over = asyncio.Event(), asyncio.Event()
    first = Daemon(haproxy=[haproxy3.url], docker=engine.url)
    second = Daemon(haproxy=[haproxy3.url], docker=engine.url)
    async with first:
        await first.wait_ready()
        await until_placed(haproxy3, engine, first)
        homes = dict(ready(haproxy3))
        watching = asyncio.create_task(watch_stayers(haproxy3, stayers, stop))
        burst = asyncio.create_task(churn(engine, over))
        async with second:
            await second.wait_ready()
            code = await first.terminate()
            over.set()
            await burst

            await assert_converges(haproxy3, engine)
            stop.set()
            assert await watching == []
    assert code == 0
    assert homes.items() <= dict(ready(haproxy3)).items()


async def churn(engine: ScriptedEngine, over: asyncio.Event) -> None:
    """Run and stop containers, one every few milliseconds, until told that it is over."""
    young: list[ScriptedContainer] = []
    for number in range(5000):
        young.append(engine.run(f"young-{number}", labels=WEB))
        if len(young) > 10:
            engine.stop(young.pop(0))
        await asyncio.sleep(POLL_SECONDS)
        if over.is_set():
            return
