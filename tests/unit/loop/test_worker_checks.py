"""Newcomers with a check: down at first, called up where a connect is all it asks."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.containers import container
from tests.fakes.loop import Loop, looping
from tests.fakes.proxy import FakeProxy
from tests.support.ports import free_ports

from reconciler.core.model import (
    AdminState,
    Container,
    ServerRef,
    SetHealthDown,
    SetHealthUp,
)
from reconciler.core.view import Reading
from reconciler.upkeep import LOOKED_FOR


CHECKED = "backend web\n server-template slot 1-9 0.0.0.0:80 check\n"
SLOT1, SLOT2 = ServerRef("web", "slot1"), ServerRef("web", "slot2")


def at_port(number: int, port: int) -> Container:
    """Return a container that serves on a port of this machine."""
    labels = {"haproxy.address": "127.0.0.1", "haproxy.port": str(port)}
    return container(number, labels=labels)


def checked() -> FakeProxy:
    """Return a HAProxy whose slots have a check."""
    proxy = FakeProxy()
    for name in ("slot1", "slot2", "slot3", "slot4"):
        proxy.set(ServerRef("web", name), has_check=True)
    return proxy


async def looked_at(loop: Loop, proxy: FakeProxy, ref: ServerRef) -> None:
    """Have everything read, and return once the port of a slot that is down was found open."""
    upkeep = loop.workers[0]._upkeep
    assert not proxy.tables[ref.backend][ref.server].is_up
    loop.workers[0].observe_again("the test wants it so")
    await loop.reporter.until(lambda: ref in upkeep._contradicted, "it was looked at")


@asynccontextmanager
async def listening(*ports: int) -> AsyncIterator[None]:
    """Serve these ports."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    servers = [await asyncio.start_server(serve, "127.0.0.1", port) for port in ports]
    try:
        yield
    finally:
        for server in servers:
            server.close()


async def test_an_open_port_is_called_up() -> None:
    """After the slot is in, and not before."""
    (port,) = free_ports(1)
    proxy = checked()
    async with (
        listening(port),
        looping(proxy, containers=(at_port(1, port),), base_cfg=CHECKED) as loop,
    ):
        await loop.reporter.until(
            lambda: SetHealthUp(SLOT1) in proxy.writes, "it is called up"
        )

        first, second = (
            proxy.writes.index(one)
            for one in (SetHealthDown(SLOT1), SetHealthUp(SLOT1))
        )
        assert first < second


@pytest.mark.parametrize("result", ["L4OK", "L7OK"])
async def test_a_result_tells_what_the_file_does_not(result: str) -> None:
    """The kind is read from whoever is up already."""
    ports = free_ports(2)
    proxy = checked()
    async with (
        listening(*ports),
        looping(proxy, containers=(at_port(1, ports[0]),)) as loop,
    ):
        await loop.reporter.until_passes(1)
        assert SetHealthUp(SLOT1) not in proxy.writes
        proxy.set(SLOT1, is_up=True)
        proxy.statistics[SLOT1] = Reading(check=result)
        loop.workers[0].observe_again("the test wants it so")
        await loop.reporter.until_passes(2)
        loop.start(at_port(2, ports[1]), at=1.0)
        await loop.reporter.until(
            lambda: SetHealthDown(SLOT2) in proxy.writes, "it is in"
        )
        await asyncio.sleep(0.1)

        assert (SetHealthUp(SLOT2) in proxy.writes) is (result == "L4OK")


async def test_the_kind_is_told_by_the_last_of_many_slots() -> None:
    """Whoever has lived in a large backend for long lives anywhere in it."""
    ports = free_ports(2)
    proxy, last = (
        FakeProxy(slots=2 * LOOKED_FOR),
        ServerRef("web", f"slot{2 * LOOKED_FOR}"),
    )
    one = at_port(1, ports[0])
    proxy.set(SLOT1, has_check=True)
    proxy.set(
        last,
        address="127.0.0.1",
        port=ports[0],
        admin=AdminState.READY,
        weight=1,
        is_up=True,
        has_check=True,
    )
    proxy.statistics[last] = Reading(check="L4OK")
    async with (
        listening(*ports),
        looping(proxy, containers=(one,)) as loop,
    ):
        await loop.reporter.until_passes(1)
        loop.start(at_port(2, ports[1]), at=1.0)
        await loop.reporter.until(
            lambda: SetHealthUp(SLOT1) in proxy.writes, "it is called up"
        )


async def test_a_port_that_opens_too_late_is_nobodys() -> None:
    """The container has gone, and its slot is free: nobody is called up."""
    (port,) = free_ports(1)
    proxy = checked()
    one = at_port(1, port)
    async with looping(proxy, containers=(one,), base_cfg=CHECKED) as loop:
        await loop.reporter.until_passes(1)
        loop.gone(one)
        await loop.reporter.until(
            lambda: proxy.tables["web"]["slot1"].is_free, "its slot is free"
        )
        async with listening(port):
            await asyncio.sleep(0.1)

        assert SetHealthUp(SLOT1) not in proxy.writes


async def test_where_haproxy_cannot_go_its_checks_decide_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It calls down what we can connect to: told once, and nobody is called up there."""
    ports = free_ports(2)
    proxy = checked()
    async with (
        listening(*ports),
        looping(proxy, containers=(at_port(1, ports[0]),), base_cfg=CHECKED) as loop,
    ):
        status = loop.workers[0].status
        await loop.reporter.until(
            lambda: SetHealthUp(SLOT1) in proxy.writes, "it is called up"
        )
        proxy.set(SLOT1, is_up=False)
        await looked_at(loop, proxy, SLOT1)
        assert status.unreached == set(), "one reading is not enough"
        loop.workers[0].observe_again("the test wants it so")
        await loop.reporter.until(lambda: status.unreached == {"web"}, "it is doubted")
        proxy.writes.clear()
        loop.start(at_port(2, ports[1]), at=1.0)
        await loop.reporter.until(
            lambda: SetHealthDown(SLOT2) in proxy.writes, "another is in"
        )
        await asyncio.sleep(0.1)
        assert not any(isinstance(one, SetHealthUp) for one in proxy.writes)

        proxy.restart()
        for name in ("slot1", "slot2"):
            proxy.set(ServerRef("web", name), has_check=True)
        await loop.reporter.until(
            lambda: SetHealthUp(SLOT1) in proxy.writes, "another process, another try"
        )
    told = [one for one in caplog.messages if "where we can connect" in one]
    assert len(told) == 1


async def test_an_application_that_is_back_contradicts_nobody() -> None:
    """It was away when all was read; HAProxy's next check finds it there again."""
    (port,) = free_ports(1)
    proxy = checked()
    async with (
        listening(port),
        looping(proxy, containers=(at_port(1, port),), base_cfg=CHECKED) as loop,
    ):
        await loop.reporter.until(
            lambda: SetHealthUp(SLOT1) in proxy.writes, "it is called up"
        )
        proxy.set(SLOT1, is_up=False)
        await looked_at(loop, proxy, SLOT1)
        proxy.set(SLOT1, is_up=True)
        before = len(loop.reporter.passes)
        loop.workers[0].observe_again("the test wants it so")
        await loop.reporter.until_passes(before + 1)
        proxy.set(SLOT1, is_up=False)
        before = len(loop.reporter.passes)
        loop.workers[0].observe_again("the test wants it so")
        await loop.reporter.until_passes(before + 1)

        assert loop.workers[0].status.unreached == set()


async def test_one_that_comes_back_is_not_held_against_the_slot() -> None:
    """It was down and looked at; then it was let in anew, and is called up like any other."""
    (port,) = free_ports(1)
    proxy = checked()
    one = at_port(1, port)
    async with (
        listening(port),
        looping(proxy, containers=(one,), base_cfg=CHECKED) as loop,
    ):
        await loop.reporter.until(
            lambda: SetHealthUp(SLOT1) in proxy.writes, "it is called up"
        )
        proxy.set(SLOT1, is_up=False)
        await looked_at(loop, proxy, SLOT1)
        proxy.writes.clear()
        loop.gone(one)
        await loop.reporter.until(
            lambda: proxy.tables["web"]["slot1"].is_free, "its slot is free"
        )
        loop.start(one, at=1.0)
        await loop.reporter.until(
            lambda: any(isinstance(a, SetHealthUp) for a in proxy.writes),
            "it is called up again",
        )

        assert loop.workers[0].status.unreached == set()


async def test_who_is_told_to_stop_is_not_called_up() -> None:
    """The port opens and the stop signal is sent in one moment: it is out, and never up."""
    (port,) = free_ports(1)
    proxy = checked()
    one = at_port(1, port)
    async with looping(proxy, containers=(one,), base_cfg=CHECKED) as loop:
        await loop.reporter.until(
            lambda: SetHealthDown(SLOT1) in proxy.writes, "it is in"
        )
        await loop.reporter.until_passes(1)
        loop.workers[0]._opened(SLOT1, ("127.0.0.1", port))
        loop.start(dataclasses.replace(one, is_stopping=True), at=1.0)
        await loop.reporter.until(
            lambda: proxy.tables["web"]["slot1"].admin is AdminState.MAINT, "it is out"
        )

        assert SetHealthUp(SLOT1) not in proxy.writes
