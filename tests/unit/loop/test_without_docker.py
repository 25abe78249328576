"""While Docker does not answer a worker goes by what it was told, and by nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.containers import container
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy

from reconciler.core.model import RELEASED_ADDRESS, AdminState, ServerRef


ONE, TWO, THREE = container(1), container(2), container(3)
SLOT1, SLOT3 = ServerRef("web", "slot1"), ServerRef("web", "slot3")
RESYNC_SECONDS = 0.02


@asynccontextmanager
async def lost(proxy: FakeProxy) -> AsyncIterator[Loop]:
    """A loop that has placed two containers, resyncs all the time, and has lost Docker."""
    async with looping(
        proxy, containers=(ONE, TWO), resync_seconds=RESYNC_SECONDS
    ) as loop:
        await proxy.until(lambda: len(proxy.homes()) == 2)
        loop.controller.engine_lost("docker is away")
        yield loop


async def some_passes(loop: Loop) -> None:
    """Return after some more resyncs."""
    await loop.reporter.until_passes(len(loop.reporter.passes) + 3)


def address(number: int) -> str:
    """Return the address of a container."""
    return container(number).networks[0].ipv4


async def test_a_tenant_that_is_not_known_stays() -> None:
    """Another reconciler, whose Docker answers, may have placed it."""
    proxy = FakeProxy()
    async with lost(proxy) as loop:
        proxy.set(SLOT3, address=address(3), admin=AdminState.READY)
        await some_passes(loop)
        assert proxy.homes()[address(3)] == "slot3"
        loop.controller.listed()
        await proxy.until(lambda: len(proxy.homes()) == 2)
    assert sorted(proxy.homes()) == [address(1), address(2)]


async def test_a_tenant_that_another_hand_released_stays_out() -> None:
    """It may have ended: memory is no reason to put it back."""
    proxy = FakeProxy()
    async with lost(proxy) as loop:
        proxy.set(SLOT1, address=RELEASED_ADDRESS, admin=AdminState.MAINT, weight=0)
        await some_passes(loop)
        assert list(proxy.homes()) == [address(2)]
        loop.controller.listed()
        await proxy.until(lambda: len(proxy.homes()) == 2)


async def test_what_an_event_tells_counts() -> None:
    """Who was heard to start is placed, and who was heard to end is released."""
    proxy = FakeProxy()
    async with lost(proxy) as loop:
        loop.start(THREE, at=1.0)
        await proxy.until(lambda: address(3) in proxy.homes())
        loop.gone(ONE)
        await proxy.until(lambda: address(1) not in proxy.homes())
        await some_passes(loop)
    assert sorted(proxy.homes()) == [address(2), address(3)]


async def test_a_haproxy_that_comes_up_empty_is_filled_by_memory() -> None:
    """Better who may have ended than nobody; HAProxy's checks tell them apart."""
    proxy = FakeProxy()
    async with lost(proxy):
        proxy.restart()
        await proxy.until(lambda: len(proxy.homes()) == 2)
        await asyncio.sleep(0)
    assert sorted(proxy.homes()) == [address(1), address(2)]


async def test_all_is_as_it_should_be_one_pass_after_docker_answers() -> None:
    """Nobody waits for the next resync."""
    proxy = FakeProxy()
    async with looping(proxy, containers=(ONE,)) as loop:
        await proxy.until(lambda: len(proxy.homes()) == 1)
        loop.controller.engine_lost("docker is away")
        proxy.set(SLOT3, address=address(3), admin=AdminState.READY)
        loop.start(TWO, at=1.0)
        await proxy.until(lambda: address(2) in proxy.homes())
        assert address(3) in proxy.homes()
        loop.controller.listed()
        await proxy.until(lambda: address(3) not in proxy.homes())
