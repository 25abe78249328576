"""A slot that has its address before its container starts, on a real HAProxy."""

from __future__ import annotations

import asyncio
import functools

import pytest
from tests.integration.daemon.conftest import (
    WEB,
    ready_addresses,
    running,
    table,
    two_daemons,
    until,
)
from tests.scripted_engine import ScriptedContainer, ScriptedEngine
from tests.support.daemon import Daemon
from tests.support.haproxy_process import HaproxyProcess, haproxy_process


pytestmark = pytest.mark.integration


async def about_to_start(engine: ScriptedEngine, name: str) -> ScriptedContainer:
    """Create a container and give it its address, as an engine does in 150 ms."""
    asked = engine.requests.inspects
    created = engine.create(name, labels=WEB)
    await engine.requests.seen("/containers/{id}/json", asked + 1)
    await asyncio.sleep(0.05)  # its answer is on its way
    return engine.attach(created)


def slots_at(haproxy: HaproxyProcess, address: str) -> list[str]:
    """Return the slots that have an address."""
    rows = table(haproxy).items()
    return [name for name, row in rows if row.address == address]


@pytest.mark.parametrize("version", ["2.8", "3.0"])
async def test_the_address_comes_before_the_start(
    version: str, engine: ScriptedEngine
) -> None:
    """Out of rotation until the start, in rotation in the same slot after it."""
    with haproxy_process(version) as haproxy:
        async with Daemon(haproxy=[haproxy.url], docker=engine.url) as daemon:
            await daemon.wait_ready()
            one = await about_to_start(engine, "web-1")
            await until(
                lambda: len(slots_at(haproxy, one.address)) == 1,
                "it is prepared",
                daemon,
            )
            (slot,) = slots_at(haproxy, one.address)
            assert ready_addresses(haproxy) == []
            assert not any("web-1" in line for line in daemon.log)

            engine.begin(one)
            await until(
                lambda: ready_addresses(haproxy) == [one.address], "it is ready", daemon
            )
            assert slots_at(haproxy, one.address) == [slot]


async def test_two_reconcilers_prepare_one_slot(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """Neither takes the other's for a stray, before the start or after it."""
    async with two_daemons(haproxy3, engine) as (first, _):
        for number in range(1, 6):
            one = await about_to_start(engine, f"web-{number}")
            place = functools.partial(slots_at, haproxy3, one.address)
            await until(place, "it is prepared", first)
            await asyncio.sleep(0.3)  # longer than a start takes
            engine.begin(one)
            await until(
                lambda: ready_addresses(haproxy3) == running(engine),
                "it is ready",
                first,
            )
        await asyncio.sleep(0.5)  # whoever has two slots has one by then

        assert ready_addresses(haproxy3) == running(engine)
        assert all(len(slots_at(haproxy3, one)) == 1 for one in running(engine))


async def test_a_daemon_that_is_killed_in_between_leaves_nothing_behind(
    haproxy3: HaproxyProcess, engine: ScriptedEngine
) -> None:
    """The next one finds an assignment that was not finished, and nobody who asks for it."""
    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await daemon.wait_ready()
        one = await about_to_start(engine, "web-1")
        place = functools.partial(slots_at, haproxy3, one.address)
        await until(place, "it is prepared", daemon)
        await daemon.kill()
    engine.fail_to_start(one)

    async with Daemon(haproxy=[haproxy3.url], docker=engine.url) as daemon:
        await daemon.wait_ready()
        assert slots_at(haproxy3, one.address) == []
